"""Builds the edge table of a scene from the topology of its meshes, and keeps what does not change between calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.boundary import contacts, doubled, solids
from pbdr.errors import SceneError
from pbdr.geometry import curves, grids, groups, intersections, joined, seams, table_rows, topology
from pbdr.geometry.edges import (
    NO_MEMBER,
    SEAM,
    EdgeTable,
    Pairs,
)
from pbdr.geometry.known import Known
from pbdr.geometry.placed import Placed
from pbdr.parameters import traverse

INSTEAD = "Replace it by a mesh, or use boundary='none' for the interior part alone."


class TableBuilder:
    """Builds the edge table; keeps between calls what still holds: topologies of meshes, where shapes pass through each other, and
    contacts."""

    def __init__(self) -> None:
        self.cache: dict[str, Known] = {}
        self.built = 0  # topologies so far: rows may mean other edges than before when it has changed
        self.crossed: tuple[list[Any], intersections.Sheets | None, list[tuple[int, int]]] | None = None
        self.touched: tuple[Any, Any] | None = (
            None  # what it depends on beside where shapes are; edges at rest that touch moving ones
        )
        self.open: list[bool] | None = None  # which parts of the table have seams of texture coordinates

    def topology(self, mesh: Any, key: str) -> Known:
        """Topology of a mesh, kept as long as it holds."""
        if key not in self.cache or not self.cache[key].holds(mesh):
            self.cache[key] = Known.of(mesh, table_rows.known_rows)
            self.built += 1
        return self.cache[key]

    def build(self, scene: Any, moving: frozenset[int], features: Any = None) -> EdgeTable:
        """Table of every edge of `scene`; `moving`: indices of the shapes whose geometry carries derivatives.

        `features`: of this scene, whose curves and grids are else looked up.
        Raises SceneError for shapes without an edge model, for round shapes and lights that pass through others, and for meshes
        with faces on each other that look different.
        """
        parts, found = [], []
        control_points = 0
        inside = groups.members(scene)
        fields = grids.Grids.of(scene) if features is None else features.grids
        for index, shape in enumerate(scene.shapes()):
            frame = dr.detach(traverse(shape)["to_world"]) if index in inside else None
            shown = inside.get(index, [shape])
            ids = [NO_MEMBER] if frame is None else groups.member_ids(shown)
            for member, inner in zip(ids, shown, strict=True):
                if fields is not None and grids.is_grid(inner):
                    part: dict[str, Any] | None = table_rows.voxel_rows(fields, inner, index, member)
                else:
                    part = self._rows(inner, index, member, frame, control_points)
                control_points += table_rows.control_points(inner) if frame is None else 0
                if part is not None:
                    parts.append(part | {"moving": dr.full(mi.Bool, index in moving, dr.width(part["kind"]))})
                found.append(Placed(inner, index, member, frame))
        if not found:
            raise SceneError("the scene has no shape; add one.")
        if features is not None and features.hits_move:
            for one in (x for x in found if x.shape.is_mesh()):
                doubled.refuse(one.shape, self.topology(one.shape, one.key).topology)
        opened = [part.get("seam", False) for part in parts]
        if self.open is not None and self.open != opened:
            self.built += 1
        self.open = opened
        known = curves.Strands.of(scene) if features is None else features.strands
        points = None if known is None else known.points
        pieces, pairs = self._pieces(found, moving)
        parts += pieces
        table = table_rows.table_of(parts, bool(inside), pairs, points, fields)
        sheets = self._crossings(scene, found, table, moving)
        if sheets is not None:
            rows, crossed = table_rows.sheet_rows(found, sheets, moving)
            table = table_rows.table_of([*parts, rows], bool(inside), joined.both(pairs, crossed), points, fields)
        if moving and len(moving) < len(scene.shapes()):
            key = moving, self.built, table.count
            if self.touched is None or self.touched[0] != key:
                touched = contacts.touching(scene, table, ~table.moving, moving)
                dr.eval(touched)
                self.touched = key, touched
            table = replace(table, moving=table.moving | self.touched[1])
            dr.eval(table.moving)
        return table

    def _pieces(self, placed: list[Placed], moving: frozenset[int]) -> tuple[list[dict[str, Any]], Pairs | None]:
        """Rows for pieces of borders that meet at T-junctions, and their faces."""
        parts: list[dict[str, Any]] = []
        pairs: Pairs | None = None
        for one in placed:
            if not one.shape.is_mesh():
                continue
            found = self.topology(one.shape, one.key).joined
            if found is not None:
                rows, more = found.rows(one, table_rows.PAIRED)
                n = dr.width(rows["kind"])
                parts.append(rows | {"moving": dr.full(mi.Bool, one.index in moving, n)})
                pairs = joined.both(pairs, more)
        return parts, pairs

    def _crossings(
        self, scene: Any, placed: list[Placed], table: EdgeTable, moving: frozenset[int]
    ) -> intersections.Sheets | None:
        """Where shapes pass through each other, searched again only when one has moved."""
        state = [x for one in placed for x in one.state()]
        if self.crossed is None or not _unchanged(self.crossed[0], state):
            meshes = solids.pierced_meshes(scene, placed, table)
            round_shapes = not all(one.shape.is_mesh() for one in placed)
            sheets: intersections.Sheets | None = None
            pairs: list[tuple[int, int]] = []
            if meshes or round_shapes:
                bodies = [one.solid(self._weld(one)) for one in placed]
                sheets, pairs = solids.crossing_sheets(placed, bodies, meshes)
            self.crossed, self.touched = (state, sheets, pairs), None
        _, sheets, pairs = self.crossed
        solids.refuse(placed, sheets, pairs, moving)
        return sheets

    def _weld(self, placed: Placed) -> Any:
        return self.topology(placed.shape, placed.key).topology.weld if placed.shape.is_mesh() else None

    def _rows(self, shape: Any, index: int, member: int, frame: Any, control_points: int) -> dict[str, Any] | None:
        if shape.is_mesh():
            return self._mesh_rows(shape, index, member, frame)
        kind = shape.class_name()
        if curves.is_curve(shape) and frame is None:
            return table_rows.strand_rows(shape, index, control_points)
        rows = table_rows.analytic_rows(shape, kind) if frame is None else None
        if rows is None:
            where = "" if frame is None else " in a shape group"
            raise SceneError(
                f"shape '{shape.id()}' is a {kind}{where}: its visibility edges are not supported, so that gradients of moving "
                f"geometry would be wrong. {INSTEAD}"
            )
        n = len(rows["kind"])
        return {
            **{k: table_rows.column(k, v) for k, v in rows.items()},
            "face0": dr.zeros(mi.UInt32, n), "face1": dr.full(mi.UInt32, topology.NO_FACE, n),
            "corners0": dr.zeros(mi.UInt32, n), "corners1": dr.zeros(mi.UInt32, n), "jump": dr.full(mi.Bool, True, n),
            "shape": dr.full(mi.UInt32, index, n), "member": dr.full(mi.UInt32, member, n),
            "border": bool((rows["kind"] <= SEAM).any()), "seam": bool((rows["kind"] == SEAM).any()),
            "straight": False, "fans": False,
        }  # fmt: skip

    def _mesh_rows(self, mesh: Any, index: int, member: int, frame: Any) -> dict[str, Any] | None:
        """Rows of a mesh; None if all its borders meet at T-junctions."""
        known = self.topology(mesh, Placed(mesh, index, member, frame).key)
        positions = dr.detach(mesh.vertex_positions_buffer())
        parts = []
        if len(known.topology.faces):
            seam = seams.jumps(mesh, known.rows, positions, known.split is not None)
            parts = [table_rows.edge_rows(known.rows, positions, frame, known.rows["jump"] | seam, known.rough)]
        if known.topology.fans is not None:
            points = np.array(positions, dtype=np.float64).reshape(-1, 3)
            corners = np.array(mesh.faces_buffer()).reshape(-1, 3)
            faces, turns, wedge = topology.wedges(known.topology.fans, corners, points)
            mirrored = frame is not None and float(dr.det(mi.Matrix3f(frame.matrix))[0]) < 0
            if mirrored:  # turning about the edge goes the other way round
                swap = wedge[:, None]
                faces, turns = np.where(swap, faces[:, ::-1], faces), np.where(swap[..., None], turns[:, ::-1], turns)
            jump = dr.full(mi.Bool, True, len(faces))
            fan = table_rows.edge_rows(table_rows.vertex_rows(mesh, faces, turns), positions, frame, jump, known.rough)
            fan["sign"] = mi.Float(aligned(wedge))
            fan["fans"] = True
            parts.append(fan)
        for part in parts:
            n = dr.width(part["kind"])
            part.update({"shape": dr.full(mi.UInt32, index, n), "member": dr.full(mi.UInt32, member, n)})
        return table_rows.joined_columns(parts) if len(parts) > 1 else parts[0] if parts else None


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
