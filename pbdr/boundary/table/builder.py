"""Finds the edges of a scene: asks the kinds of geometry for their rows, and keeps what does not change between calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.boundary.table import contacts, solids
from pbdr.boundary.table.assembly import Assembly, Block, table_of
from pbdr.boundary.table.crossings import Crossings
from pbdr.errors import SceneError
from pbdr.geometry import groups, registry
from pbdr.geometry.edges import NO_MEMBER, EdgeTable
from pbdr.geometry.kind import Kind, Part
from pbdr.geometry.placed import Kept, Placed
from pbdr.geometry.plugins import name_of
from pbdr.parameters import traverse

INSTEAD = "Replace it by a mesh, or use boundary='none' for the interior part alone."


class TableBuilder:
    """Builds the edge table; keeps between calls what still holds: topologies of meshes, the rows of shapes that are as they were,
    where shapes pass through each other, and contacts."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.changed = 0  # how often the forms of the rows have
        self.blocks: dict[Any, Block] = {}  # of shapes, by index and member, and of pairs that pass through each other
        self.rows, self.curves = Assembly(), Assembly()  # of shapes; where they pass through each other
        self.crossings = Crossings()
        self.touched: tuple[Any, Any] | None = (
            None  # what it depends on beside where shapes are; edges at rest that touch moving ones
        )
        self.forms: list[tuple[Any, ...]] | None = None  # of the parts of the table

    @property
    def built(self) -> int:
        """Rows may mean other edges than before when this has changed."""
        return self.kept.made + self.changed

    def build(self, scene: Any, moving: frozenset[int], features: Any = None) -> EdgeTable:
        """Table of every edge of `scene`; `moving`: indices of the shapes whose geometry carries derivatives.

        `features`: of this scene, whose kinds of geometry are else looked up.
        Raises SceneError for shapes without an edge model, for round shapes and lights that pass through others, and for meshes
        with faces on each other that look different.
        """
        kinds = registry.present(scene) if features is None else features.kinds
        placed = _placed(scene, kinds)
        if not placed:
            raise SceneError("the scene has no shape; add one.")
        self.rows.put(self._of_shapes(placed))
        if features is not None and features.hits_move:
            for one in placed:
                one.kind.refuse(one, self.kept)
        forms = [tuple(form for form in part.forms if not form.straight) for b in self.rows.blocks for part in b.parts]
        if self.forms is not None and self.forms != forms:
            self.changed += 1
        self.forms = forms
        instanced = any(one.frame is not None for one in placed)
        flags = np.zeros(len(scene.shapes()), np.uint32)
        flags[list(moving)] = 1
        moves = mi.UInt32(aligned(flags, np.uint32))
        table = table_of([self.rows], moves, instanced, kinds)
        if self.crossings.update(scene, placed, table, self.kept):
            self.touched = None
        solids.refuse(placed, self.crossings.sheets, self.crossings.round, moving)
        if self.crossings.sheets:
            self.curves.put(self._of_curves(placed))
            table = table_of([self.rows, self.curves], moves, instanced, kinds)
        if moving and len(moving) < len(scene.shapes()):
            key = moving, self.built, table.count
            if self.touched is None or self.touched[0] != key:
                touched = contacts.touching(scene, table, ~table.moving, moving)
                dr.eval(touched)
                self.touched = key, touched
            table = replace(table, moving=table.moving | self.touched[1])
            dr.eval(table.moving)
        return table

    def _of_shapes(self, placed: list[Placed]) -> list[Block]:
        """Rows of the shapes: those of the last call where all that they are made of is the same."""
        return [
            self._block((one.index, one.member), one.kind.made_of(one), lambda one=one: one.kind.rows(one, self.kept))  # type: ignore[misc]
            for one in placed
        ]

    def _of_curves(self, placed: list[Placed]) -> list[Block]:
        """Rows for the curves in which meshes pass through each other."""
        return [
            self._block(("through", pair), [found], lambda found=found: [solids.sheet_rows(placed, found)])  # type: ignore[misc]
            for pair, found in sorted(self.crossings.sheets.items())
        ]

    def _block(self, key: Any, source: list[Any] | None, make: Callable[[], list[Part]]) -> Block:
        known = self.blocks.get(key)
        if known is None or source is None or known.source is None or not same(known.source, source):
            known = self.blocks[key] = Block.of(source, make)
        return known


def _placed(scene: Any, kinds: tuple[Kind, ...]) -> list[Placed]:
    """All shapes of a scene, those that instances show in place of these. Raises SceneError for shapes of no kind."""
    found = []
    inside = groups.members(scene)
    for index, shape in enumerate(scene.shapes()):
        frame = dr.detach(traverse(shape)["to_world"]) if index in inside else None
        shown = inside.get(index, [shape])
        ids = [NO_MEMBER] if frame is None else groups.member_ids(shown)
        for member, inner in zip(ids, shown, strict=True):
            kind = registry.among(kinds, inner)
            if kind is None or not kind.forms or (frame is not None and not kind.grouped):
                where = "" if frame is None else " in a shape group"
                raise SceneError(
                    f"shape '{inner.id()}' is a {name_of(inner)}{where}: its visibility edges are not supported, so that gradients "
                    f"of moving geometry would be wrong. {INSTEAD}"
                )
            found.append(Placed(inner, index, member, frame, kind))
    return found


def same(before: list[Any], now: list[Any]) -> bool:
    """Whether buffers are the very same, and all else is equal."""
    return len(before) == len(now) and all(_identity(a) == _identity(b) for a, b in zip(before, now, strict=True))


def _identity(value: Any) -> Any:
    return value if value is None or not dr.is_jit_v(value) else dr.detail.collect_indices(value)
