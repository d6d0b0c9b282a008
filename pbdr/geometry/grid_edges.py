"""Silhouettes and creases of grids of signed distances, as curves that a view determines exactly (docs/theory.md, section 7e).

Within a voxel, φ is trilinear in the position x, and so is g = ∇φ·(x − o): ∂φ/∂x does not depend on x. The silhouette is where both
vanish. In a plane across an axis that leaves a quadratic equation. Where voxels meet, ∇φ jumps, and the surface has a crease.
"""

from __future__ import annotations

import functools
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.geometry import intersections
from pbdr.geometry.grid_cells import AXES, Cell, Frame
from pbdr.geometry.kind import Form
from pbdr.geometry.view import Curve

#: A part of the silhouette within a voxel.
SILHOUETTE = Form("silhouette of a grid", round=True, partial=True, winding=True, outwards=False, rough=True)
#: A part of the crease on a voxel's first face across an axis.
CREASE = Form("crease of a grid", fixed=True, partial=True, winding=True, outwards=False, rough=True)


class Lane:
    """A row's voxel with its axes turned so that the row's own comes third; positions count from its first corner."""

    def __init__(self, grids: Any, row: Any, here: Any) -> None:
        self.grids, self.first, self.here = grids, row.corners[1], here
        number = dr.select(here, row.face[0], 0)
        code = mi.UInt32(row.sign)
        self.axis, self.way = code >> 1, code & 1
        frame = grids.frame(number, here).spread(here)
        side = dr.gather(mi.UInt32, grids.side, number)
        steps = [mi.UInt32(1), side, side * side]
        axes = [frame.x, frame.y, frame.z]
        turn = lambda items, k: dr.select(  # noqa: E731
            self.axis == 0, items[AXES[0][k]], dr.select(self.axis == 1, items[AXES[1][k]], items[AXES[2][k]])
        )
        along = lambda items: dr.select(self.axis == 0, items[0], dr.select(self.axis == 1, items[1], items[2]))  # noqa: E731
        self.frame = Frame(turn(axes, 0), turn(axes, 1), along(axes), mi.Vector3f(row.a))
        self.steps = [turn(steps, 0), turn(steps, 1), along(steps)]

    def values(self, level: int) -> list[Any]:
        """φ at the four corners at this level along the axis, by p + 2q; the level before a voxel at the border has none."""
        first = mi.Int32(self.first) + level * mi.Int32(self.steps[2])
        known = self.here & (first >= 0)
        return [
            dr.gather(mi.Float, self.grids.values, mi.UInt32(first) + p * self.steps[0] + q * self.steps[1], known)
            for q, p in np.ndindex(2, 2)
        ]

    def eye(self, view: Any) -> tuple[Any, Any]:
        """The viewpoint (the direction to it, for distant views), and the factor of a position in the offset from it."""
        away = dr.select(view.distant, mi.Vector3f(view.towards), mi.Vector3f(view.point) - self.frame.origin)
        return self.frame.local_vector(away), dr.select(view.distant, 0, mi.Float(1))


def _heights(cell: Cell, eye: Any, near: Any) -> Cell:
    """g at the corners."""
    values = []
    for n in range(8):
        corner = mi.Vector3f(n & 1, n >> 1 & 1, n >> 2)
        values.append(dr.dot(cell.slope(corner), near * corner - eye))
    return Cell(values)


def _bilinear(values: list[Any]) -> list[Any]:
    """Coefficients of 1, p, q, pq from values at p + 2q."""
    a, b, c, d = values
    return [a, b - a, c - a, a - b - c + d]


def silhouette(lane: Lane, view: Any, u: Any) -> Curve:
    """A silhouette point in the plane at u across the axis; of two, the row's `way` chooses."""
    cell = Cell(lane.values(0) + lane.values(1))
    eye, near = lane.eye(view)
    heights = _heights(cell, eye, near)
    slices = [[dr.lerp(x.values[m], x.values[m + 4], u) for m in range(4)] for x in (cell, heights)]
    (a0, a1, a2, a3), (b0, b1, b2, b3) = map(_bilinear, slices)
    # φ is solved for the coordinate along which it is steeper.
    swap = dr.maximum(dr.abs(a2), dr.abs(a2 + a3)) < dr.maximum(dr.abs(a1), dr.abs(a1 + a3))
    (a1, a2), (b1, b2) = [(dr.select(swap, y, x), dr.select(swap, x, y)) for x, y in ((a1, a2), (b1, b2))]
    square, linear, constant = b1 * a3 - b3 * a1, b0 * a3 + b1 * a2 - b2 * a1 - b3 * a0, b0 * a2 - b2 * a0
    discriminant = dr.square(linear) - 4 * square * constant
    half = -0.5 * (linear + dr.mulsign(dr.safe_sqrt(discriminant), linear))
    over = dr.select(lane.way == 0, half, constant)
    under = dr.select(lane.way == 0, square, half)
    valid = (discriminant > 0) & (under != 0)
    p = over / dr.select(valid, under, 1)
    steep = a2 + a3 * p
    valid &= (p >= 0) & (p < 1) & (steep != 0)
    q = -(a0 + a1 * p) / dr.select(valid, steep, 1)
    valid &= (q >= 0) & (q < 1)
    at = dr.select(valid, mi.Vector3f(dr.select(swap, q, p), dr.select(swap, p, q), u), mi.Vector3f(0.5))
    slope = cell.slope(at)
    tangent = _unit(dr.cross(slope, heights.slope(at)))
    normal = _unit(lane.frame.normal(slope))
    # Seen where φ grows on either side along the line of sight.
    exposed = lane.here & valid & (cell.bend(at, near * at - eye) > 0)
    derivative = lane.frame.vector(tangent) * dr.abs(tangent.z)  # Eq. (16)
    return Curve(mi.Point3f(lane.frame.point(at)), derivative, -normal, mi.Vector3f(0), mi.Bool(False), exposed)


def crease(lane: Lane, view: Any, u: Any) -> Curve:
    """The point of the surface on the voxel's first face across the axis, where one of the face's coordinates (`way`) is u."""
    below, level, above = (lane.values(k) for k in (-1, 0, 1))
    a0, a1, a2, a3 = _bilinear(level)
    other = lane.way == 1
    steep = dr.select(other, a1 + a3 * u, a2 + a3 * u)
    valid = steep != 0
    found = -(a0 + dr.select(other, a2, a1) * u) / dr.select(valid, steep, 1)
    valid &= (found >= 0) & (found < 1)
    p, q = dr.select(other, found, u), dr.select(other, u, found)
    at = dr.select(valid, mi.Vector3f(p, q, 0), mi.Vector3f(0.5, 0.5, 0))
    low, high = Cell(below + level), Cell(level + above)
    slopes = low.slope(mi.Vector3f(at.x, at.y, 1)), high.slope(at)
    tangent = _unit(mi.Vector3f(-slopes[1].y, slopes[1].x, 0))
    along = lane.frame.vector(tangent)
    normals = [_unit(lane.frame.normal(s)) for s in slopes]
    upwards = lane.frame.normal(mi.Vector3f(0, 0, 1))
    size = dr.norm(lane.frame.z)
    intos = []
    for normal, sign in zip(normals, (-1, 1), strict=True):
        into = _unit(dr.cross(normal, along))
        intos.append(dr.mulsign(into, sign * dr.dot(into, upwards)) * size)
    position = lane.frame.point(at)
    sight = dr.select(view.distant, -mi.Vector3f(view.towards), mi.Vector3f(position - view.point))
    faces = [dr.dot(n, sight) < 0 for n in normals]
    convex = dr.dot(normals[0], intos[1]) < 0
    exposed = lane.here & valid & dr.select(convex, faces[0] | faces[1], faces[0] & faces[1])
    speed = dr.abs(dr.select(other, tangent.y, tangent.x))
    return Curve(mi.Point3f(position), along * speed, intos[0], intos[1], mi.Bool(True), exposed)  # Eq. (16)


def may_show(lane: Lane, view: Any, is_crease: Any) -> Any:
    """False where a voxel shows this view no silhouette, and a face between two neither that nor a crease."""
    below, level, above = (lane.values(k) for k in (-1, 0, 1))
    eye, near = lane.eye(view)
    inside = _heights(Cell(level + above), eye, near).values
    under = _heights(Cell(below + level), eye + mi.Vector3f(0, 0, near), near).values
    heights = [inside[n] for n in range(4)] + [dr.select(is_crease, under[4 + n], inside[4 + n]) for n in range(4)]
    lowest, highest = functools.reduce(dr.minimum, heights), functools.reduce(dr.maximum, heights)
    return (lowest < 0) & ((highest > 0) | is_crease)


def moved(grids: Any, row: Any, point: Any, here: Any) -> Any:
    """Attached position of a point of the surface in a row's voxel: in creases, it stays on the face between the voxels."""
    number = dr.select(here, row.face[0], 0)
    frame = grids.frame(number, here).spread(here)
    corner = grids.place(number, dr.select(here, row.corners[1], dr.gather(mi.UInt32, grids.start, number)))
    at = frame.detached().local(point) - corner
    cell = grids.cell(number, corner, here)
    slope = dr.detach(cell.slope(at))
    axis = dr.select(row.of(CREASE), mi.UInt32(row.sign) >> 1, 3)
    slope = mi.Vector3f(*(dr.select(axis == k, 0, slope[k]) for k in range(3)))
    return mi.Point3f(frame.point(corner + grids.follow(cell, at, slope)))


def _unit(vector: Any) -> Any:
    squared = dr.squared_norm(vector)
    return mi.Vector3f(vector * dr.select(squared > 0, dr.rsqrt(squared), 0))


# ---------------------------------------------------------------------- rows of the edge table


def rows(grids: Any, k: int) -> dict[str, Any]:
    """Rows of grid k: SILHOUETTE, six for every voxel that the surface passes through (planes across three axes, two points in
    each), and CREASE, two for every face between two of them.

    The second of `corners`: index of the first corner among the values of all grids; `sign`: twice the axis, plus which point, or
    which of the face's coordinates; a: the first corner; |b|: size of the voxel.
    """
    occupied = grids.occupied(k)
    parts = [(SILHOUETTE.code, 2 * axis + way, occupied) for axis in range(3) for way in (0, 1)]
    for axis in range(3):
        first = grids.crossed_faces(k, axis)
        parts += [(CREASE.code, 2 * axis + way, first) for way in (0, 1)]
    first = dr.concat([part[2] for part in parts])
    full = lambda kind, which: dr.concat([dr.full(kind, part[which], dr.width(part[2])) for part in parts])  # noqa: E731
    number = dr.opaque(mi.UInt32, k, dr.width(first))  # a literal would make a kernel for each grid
    frame = grids.frame(number, True).detached()
    corner = frame.point(grids.place(number, first))
    size = (dr.norm(frame.x) + dr.norm(frame.y) + dr.norm(frame.z)) / 3
    # Smooth normals do not make `jump` smaller: light below the plane of a face is shadowed by it (docs/theory.md, section 7a).
    return {
        "form": full(mi.UInt32, 0), "a": mi.Point3f(corner), "b": mi.Vector3f(size, 0 * size, 0 * size),
        "sign": mi.Float(full(mi.UInt32, 1)), "corners1": first,
    }  # fmt: skip


def net(values: Any, matrix: Any) -> intersections.Solid:
    """Triangles near the surface, for finding what passes through it: one vertex a voxel, a quadrilateral for each
    crossed line between neighbouring values. `matrix` (4, 4) takes the unit cube to the world."""
    side = values.shape[0]
    total, count = np.zeros((side - 1,) * 3 + (3,)), np.zeros((side - 1,) * 3)
    quads = []
    number = np.arange((side - 1) ** 3).reshape((side - 1,) * 3)
    for axis in range(3):  # of the array: z, y, x
        a, b = (np.take(values, range(s, side - 1 + s), axis) for s in (0, 1))
        crossed = (a < 0) != (b < 0)
        place = np.argwhere(crossed).astype(float)
        share = (a / np.where(crossed, a - b, 1))[crossed]
        place[:, axis] += share
        index = np.argwhere(crossed)
        p, q = [k for k in range(3) if k != axis]
        around = []
        for dp, dq in ((-1, -1), (0, -1), (0, 0), (-1, 0)):
            cell = index.copy()
            cell[:, p] += dp
            cell[:, q] += dq
            around.append(cell)
            np.add.at(total, tuple(cell.T), place)
            np.add.at(count, tuple(cell.T), 1)
        quads.append(np.stack([number[tuple(cell.T)] for cell in around], 1))
    points = (total / np.maximum(count, 1)[..., None]).reshape(-1, 3)[:, ::-1] / (side - 1)
    quad = np.concatenate(quads)
    faces = np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])
    used, faces = np.unique(faces, return_inverse=True)
    return intersections.Solid(faces.reshape(-1, 3).astype(np.uint32), points[used] @ matrix[:3, :3].T + matrix[:3, 3])
