"""Which faces the edges of meshes pass through: rays along edges, on the device, through Mitsuba's own acceleration structure.

Where two triangles pass through each other, the segment in which they meet ends where an edge of one passes through the other. So
every pair is found twice, and a face that one ray misses by rounding is found by another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.geometry import groups, rounding
from pbdr.geometry.edges import NO_MEMBER, EdgeTable

MARGIN = 1e-3  # of an edge, at its ends, in which faces that share its vertex may lie
STEPS = 1024  # hits on the way of one edge, at most
GROWTH = 4.0  # of the step behind a face that is met once more: rays in the plane of a face meet it again and again
ROOM = 1 << 16  # hits that the first attempt has room for

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Piercings:
    """Edges and the faces that they pass through, (N,) each: `row` of the table; `shape` (its index in the scene), `member` and
    `face` of what is met."""

    row: Numbers
    shape: Numbers
    member: Numbers
    face: Numbers


def along(scene: Any, table: EdgeTable, rows: Any) -> Piercings | None:
    """Every face that these rows of the table (indices) pass through, but for those beside them; None if there is none."""
    if dr.width(rows) == 0:
        return None
    row, room = table.row(rows), ROOM
    while True:
        found = [dr.zeros(mi.UInt32, room) for _ in range(4)]
        count = dr.zeros(mi.UInt32, 1)
        _march(scene, row, rows, found, count)
        dr.eval(found, count)
        number = int(count[0])
        if number <= room:
            break
        room = number
    if number == 0:
        return None
    at, address, member, face = (np.array(x)[:number].astype(np.int64) for x in found)
    return Piercings(at, groups.indices(scene)[address].astype(np.int64), member, face)


def _march(scene: Any, row: EdgeTable, rows: Any, found: list[Any], count: Any) -> None:
    """From face to face along rows of the table: what is met is written to `found`, and counted."""
    # Off both faces beside the edge by what rounding may be: rays within their planes would meet them.
    into = [x * dr.select(dr.squared_norm(x) > 0, dr.rsqrt(dr.squared_norm(x)), 0) for x in (row.c, row.d)]
    normal = dr.cross(row.b, row.c)
    normal *= dr.select(dr.squared_norm(normal) > 0, 0.5 * dr.rsqrt(dr.squared_norm(normal)), 0)
    length = dr.norm(row.b)
    coordinate = dr.maximum(rounding.largest(row.a), rounding.largest(row.a + row.b))
    blur = rounding.POSITION * coordinate + rounding.DISTANCE * length
    start = mi.Point3f(row.a + blur * (normal - into[0] - into[1]))
    least, end = blur / length, mi.Float(1 - MARGIN)
    room = dr.opaque(mi.UInt32, dr.width(found[0]))

    def met(t: Any, step: Any, last: Any, prim: Any, steps: Any, active: Any) -> tuple[Any, ...]:
        ray = mi.Ray3f(start + t * row.b, row.b)
        ray.maxt = end - t
        hit = scene.ray_intersect_preliminary(ray, coherent=False, active=active)
        there = active & hit.is_valid()
        grouped = hit.instance != None  # noqa: E711 (Dr.Jit comparison)
        seen = dr.reinterpret_array(mi.UInt32, dr.select(grouped, hit.instance, hit.shape))
        again = there & (seen == last) & (hit.prim_index == prim)
        beside = row.own(scene, hit, there) & ((hit.prim_index == row.face[0]) | (hit.prim_index == row.face[1]))
        new = there & ~again & ~beside
        place = dr.scatter_inc(count, mi.UInt32(0), new)
        member = dr.select(grouped, groups.member(hit), NO_MEMBER)
        for column, value in zip(found, (rows, seen, member, hit.prim_index), strict=True):
            dr.scatter(column, value, place, new & (place < room))
        step = dr.select(again, GROWTH * step, least)
        t = t + dr.select(there, hit.t + step, 0)
        return t, step, seen, mi.UInt32(hit.prim_index), steps + 1, there & (t < end) & (steps < STEPS)

    width = dr.width(rows)
    nothing = dr.full(mi.UInt32, 0xFFFFFFFF, width)
    state = (
        dr.full(mi.Float, MARGIN, width), mi.Float(least), nothing, mi.UInt32(nothing), dr.zeros(mi.UInt32, width),
        dr.full(mi.Bool, True, width),
    )  # fmt: skip
    dr.while_loop(state, lambda *s: s[-1], met, label="pathspace: faces on the way of edges")
