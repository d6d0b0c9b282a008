"""From a hit to the edges of the face that was hit: the other direction of the edge table."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.boundary import topology
from pbdr.boundary.edges import NO_MEMBER
from pbdr.boundary.solids import Placed
from pbdr.boundary.table import TableBuilder
from pbdr.errors import SceneError

NO_ROW = 0xFFFFFFFF
SIDES = 3  # edges of a face


class Incidence:
    """Rows of the edge table by face. Not a dataclass: Dr.Jit must not take it for loop state.

    `first`: address of a shape → where its faces begin in `rows`, three entries a face.
    """

    def __init__(self, scene: Any, builder: TableBuilder) -> None:
        parts: list[Any] = []
        begin: dict[int, int] = {}
        before = 0
        for index, shape in enumerate(scene.shapes()):
            address = int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(shape))[0])
            begin[address] = sum(len(part) for part in parts)
            rows, count = _rows(shape, index, builder)
            parts.append(np.where(rows == NO_ROW, NO_ROW, rows + before).astype(np.uint32).ravel())
            before += count
        first = np.zeros(max(begin) + 1, np.uint32)
        for address, start in begin.items():
            first[address] = start
        self.first, self.rows = mi.UInt32(first), mi.UInt32(np.concatenate(parts))
        dr.eval(self.first, self.rows)

    def at(self, hit: Any, side: int, active: Any) -> tuple[Any, Any]:
        """Row of edge `side` (0 to 2) of the faces hit: (row, whether there is one)."""
        seen = mi.Bool(active) & hit.is_valid()
        start = dr.gather(mi.UInt32, self.first, dr.reinterpret_array(mi.UInt32, hit.shape), seen)
        row = dr.gather(mi.UInt32, self.rows, start + SIDES * hit.prim_index + side, seen)
        seen &= row != NO_ROW
        return row, seen


def _rows(shape: Any, index: int, builder: TableBuilder) -> tuple[Any, int]:
    """Rows of a shape's faces (F, 3), counted from the shape's first row, and how many rows it has."""
    if not shape.is_mesh():  # its kind has been checked with the table
        return np.array([[0, NO_ROW, NO_ROW]], np.uint32), 1
    found = builder.topology(shape, Placed(shape, index, NO_MEMBER, None).key).topology
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
