"""Finds the edges of a scene: asks the kinds of geometry for their rows, and keeps what does not change between calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.table import contacts, solids
from pbdr.errors import SceneError
from pbdr.geometry import groups, intersections, registry
from pbdr.geometry.edges import NO_MEMBER, EdgeTable, table_of
from pbdr.geometry.kind import Kind, Part
from pbdr.geometry.placed import Kept, Placed
from pbdr.geometry.plugins import name_of
from pbdr.parameters import traverse

INSTEAD = "Replace it by a mesh, or use boundary='none' for the interior part alone."


class TableBuilder:
    """Builds the edge table; keeps between calls what still holds: topologies of meshes, where shapes pass through each other, and
    contacts."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.changed = 0  # how often the forms of the rows have
        self.intersected: tuple[list[Any], intersections.Sheets | None, list[tuple[int, int]]] | None = None
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
        parts: list[Part] = []
        for one in placed:
            for part in one.kind.rows(one, self.kept):
                part.columns["moving"] = dr.full(mi.Bool, one.index in moving, dr.width(part.columns["form"]))
                parts.append(part)
        if features is not None and features.hits_move:
            for one in placed:
                one.kind.refuse(one, self.kept)
        forms = [tuple(form for form in part.forms if not form.straight) for part in parts]
        if self.forms is not None and self.forms != forms:
            self.changed += 1
        self.forms = forms
        instanced = any(one.frame is not None for one in placed)
        table = table_of(parts, instanced, kinds)
        sheets = self._intersections(scene, placed, table, moving)
        if sheets is not None:
            table = table_of([*parts, solids.sheet_rows(placed, sheets, moving)], instanced, kinds)
        if moving and len(moving) < len(scene.shapes()):
            key = moving, self.built, table.count
            if self.touched is None or self.touched[0] != key:
                touched = contacts.touching(scene, table, ~table.moving, moving)
                dr.eval(touched)
                self.touched = key, touched
            table = replace(table, moving=table.moving | self.touched[1])
            dr.eval(table.moving)
        return table

    def _intersections(
        self, scene: Any, placed: list[Placed], table: EdgeTable, moving: frozenset[int]
    ) -> intersections.Sheets | None:
        """Where shapes pass through each other, searched again only when one has moved."""
        state = [x for one in placed for x in one.kind.state(one)]
        if self.intersected is None or not _unchanged(self.intersected[0], state):
            meshes = solids.pierced_meshes(scene, placed, table)
            others = not all(one.kind.triangles for one in placed)
            sheets: intersections.Sheets | None = None
            pairs: list[tuple[int, int]] = []
            if meshes or others:
                bodies = [one.kind.solid(one, self.kept) for one in placed]
                sheets, pairs = solids.intersecting(placed, bodies, meshes)
            self.intersected, self.touched = (state, sheets, pairs), None
        _, sheets, pairs = self.intersected
        solids.refuse(placed, sheets, pairs, moving)
        return sheets


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


def _unchanged(before: list[Any], now: list[Any]) -> bool:
    """Whether buffers and bytes hold the same values. The terms of a gradient write their own copies of what moves."""
    if len(before) != len(now):
        return False
    for old, new in zip(before, now, strict=True):
        if isinstance(old, bytes) or isinstance(new, bytes):
            if old != new:
                return False
        elif old.index != new.index and (dr.width(old) != dr.width(new) or not dr.all(old == new)):
            return False
    return True
