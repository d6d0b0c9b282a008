"""From a hit to the edges of the face that was hit: the other direction of the edge table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.boundary.table.builder import TableBuilder
from pbdr.errors import SceneError
from pbdr.geometry import topology
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.mesh import topology_of

NO_ROW = 0xFFFFFFFF
SIDES = 3  # edges of a face


@dataclass
class Face:
    """Corners of a triangle, and for each the row of the edge opposite it: NO_ROW where radiance cannot jump across that edge."""

    corners: list[Any]
    rows: list[Any]


class Incidence:
    """Rows of the edge table by face. Not a dataclass: Dr.Jit must not take it for loop state.

    `first`: address of a shape → number of its first face in `faces`, which has four numbers a corner: its position, and the row
    opposite it. `rounds`: address → first row and number of rows of a shape that is no mesh, of which there are `most`.
    """

    def __init__(self, scene: Any, builder: TableBuilder, table: EdgeTable) -> None:
        parts: list[Any] = []
        begin: dict[int, int] = {}
        rounds: dict[int, tuple[int, int]] = {}
        before = faces = 0
        for index, shape in enumerate(scene.shapes()):
            address = int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(shape))[0])
            begin[address] = faces
            if shape.is_mesh():
                rows, count = _rows(shape, index, builder)
                parts.append(_packed(shape, mi.UInt32(rows.ravel() + np.uint32(before)), table))
                faces = faces + len(rows)
            else:
                count = _count(table, index)
                rounds[address] = (before, count)
                parts.append(dr.full(mi.Float, np.uint32(NO_ROW).view(np.float32), 4 * SIDES))
                faces = faces + 1
            before += count
        first, round_first, round_count = (np.zeros(max(begin) + 1, np.uint32) for _ in range(3))
        for address, start in begin.items():
            first[address] = start
            round_first[address], round_count[address] = rounds.get(address, (0, 0))
        self.most = max((count for _, count in rounds.values()), default=0)
        self.first, self.faces = mi.UInt32(first), dr.concat(parts)
        self.rounds = mi.UInt32(round_first), mi.UInt32(round_count)
        dr.eval(self.first, self.faces, self.rounds)

    def at(self, hit: Any, active: Any) -> Face:
        """The faces hit; where there is none, faces without edges."""
        seen = mi.Bool(active) & hit.is_valid()
        face = self.number(hit, seen)
        packed = [dr.gather(mi.Vector4f, self.faces, SIDES * face + k, seen) for k in range(SIDES)]
        rows = [dr.select(seen, dr.reinterpret_array(mi.UInt32, corner.w), NO_ROW) for corner in packed]
        return Face([mi.Point3f(corner.x, corner.y, corner.z) for corner in packed], rows)

    def number(self, hit: Any, active: Any) -> Any:
        """A number of its own for every face of the scene."""
        seen = mi.Bool(active) & hit.is_valid()
        return dr.gather(mi.UInt32, self.first, dr.reinterpret_array(mi.UInt32, hit.shape), seen) + hit.prim_index

    def round_at(self, hit: Any, number: int, active: Any) -> tuple[Any, Any]:
        """Row `number` of the shapes hit that are no meshes: (row, whether there is one)."""
        seen = mi.Bool(active) & hit.is_valid()
        address = dr.reinterpret_array(mi.UInt32, hit.shape)
        first, count = (dr.gather(mi.UInt32, column, address, seen) for column in self.rounds)
        return first + number, seen & (count > number)


def _count(table: EdgeTable, index: int) -> int:
    return int(dr.count(table.shape == index)[0])


def _rows(shape: Any, index: int, builder: TableBuilder) -> tuple[Any, int]:
    """Rows opposite the corners of a mesh's faces (F, 3), counted from the mesh's first row, and how many rows it has."""
    found = topology_of(shape, index, builder.kept).topology
    rows = np.full((shape.face_count(), SIDES), NO_ROW, np.uint32)
    number = np.arange(len(found.faces), dtype=np.uint32)
    for which in (0, 1):
        there = found.faces[:, which] != topology.NO_FACE
        rows[found.faces[there, which], found.corners[there, which, 2]] = number[there]
    if found.fans is not None or (rows == NO_ROW).any():
        raise SceneError(
            f"mesh '{shape.id()}' has edges of more than two faces, or faces that are empty or twice there: boundary='warp' does "
            "not know which sheets are seen there. Repair it, or use boundary='edge'."
        )
    return rows, len(number)


def _packed(mesh: Any, rows: Any, table: EdgeTable) -> Any:
    """Position of every corner of every face, and the row opposite it where radiance can jump: open borders, and edges between
    faces that are not coplanar or differ in what they show. (A silhouette is one of these.)"""
    counts = dr.gather(mi.Bool, table.jump, rows) | (dr.gather(mi.UInt32, table.face[1], rows) == topology.NO_FACE)
    corner = dr.gather(mi.Point3f, dr.detach(mesh.vertex_positions_buffer()), mesh.faces_buffer())
    row = dr.reinterpret_array(mi.Float, dr.select(counts, rows, NO_ROW))
    return dr.ravel(mi.Vector4f(corner.x, corner.y, corner.z, row))
