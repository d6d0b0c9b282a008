"""Where triangles pass through each other: segments of the curves in which meshes interpenetrate, on the host.

Four half planes meet at such a segment; a line of sight comes from one of the four wedges between them and sees the two sheets that
bound it (docs/theory.md, section 6). Triangles that only touch, as those of an object that stands on a floor, do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pbdr.geometry import overlaps, topology

Array = NDArray[np.float64]
Index = NDArray[np.int64]

TOUCHING = 1e-5  # depth, relative to the smaller triangle, up to which two only touch
ROUNDING = 1e-6  # the same, relative to their coordinates
PARALLEL = 1e-3  # sine of the angle between planes below which they count as one


@dataclass(frozen=True)
class Solid:
    """A mesh in world space: faces (F, 3) of welded vertices (V, 3)."""

    faces: NDArray[np.uint32]
    positions: Array

    @staticmethod
    def empty() -> Solid:
        """One without faces."""
        return Solid(np.zeros((0, 3), np.uint32), np.zeros((1, 3)))

    def triangles(self, index: Any) -> Array:
        """Corners (N, 3, 3) of faces."""
        return self.positions[self.faces[index]]


@dataclass(frozen=True, eq=False)
class Sheets:
    """Segments of intersection, R rows, one for each wedge of each: two sheets of two faces.

    start, along: (R, 3); owner: (R, 2) numbers of the solids; face: (R, 2); into: (R, 2, 3) into the sheets, orthogonal to
    `along`; at_start, at_end, inward: (R, 2, 2) second and third barycentric coordinate at both ends, and their change by `into`.
    """

    start: Array
    along: Array
    owner: Index
    face: Index
    into: Array
    at_start: Array
    at_end: Array
    inward: Array


class Solids(Protocol):
    """Solids by number."""

    def __getitem__(self, number: int) -> Solid:
        """One of them."""


def find(solids: Solids, pairs: Iterable[tuple[int, int]]) -> Sheets | None:
    """Segments in which faces of these pairs of `solids` pass through each other; None if there are none."""
    parts = []
    for i, j in pairs:
        first, second = solids[i], solids[j]
        low = np.maximum(first.positions.min(0), second.positions.min(0))
        high = np.minimum(first.positions.max(0), second.positions.max(0))
        if (low > high + TOUCHING * np.abs([low, high]).max()).any():
            continue
        for a, b in _candidates(first, second, low, high):
            part = segments(first, second, a, b)
            if len(part[0]):
                parts.append((np.full(len(part[0]), i), np.full(len(part[0]), j), *part))
    if not parts:
        return None
    one, other, a, b, start, end = (np.concatenate(x) for x in zip(*parts, strict=True))
    return wedges(solids, np.stack([one, other], 1), np.stack([a, b], 1), start, end)


def _candidates(first: Solid, second: Solid, low: Array, high: Array) -> Iterator[tuple[Index, Index]]:
    """Pairs of faces whose boxes overlap, within the box low…high that both solids share; in pieces."""
    index, boxes = [], []
    for solid in (first, second):
        corners = [solid.positions[solid.faces[:, k]] for k in range(3)]
        box = (
            np.minimum(np.minimum(corners[0], corners[1]), corners[2]),
            np.maximum(np.maximum(corners[0], corners[1]), corners[2]),
        )
        inside = np.nonzero(((box[0] <= high) & (box[1] >= low)).all(1))[0]
        index.append(inside)
        boxes.append((box[0][inside], box[1][inside]))
        if first is second:
            index.append(inside)
            boxes.append(boxes[0])
            break
    for a, b in overlaps.pairs(*boxes[0], *boxes[1]):
        keep = np.ones(len(a), bool)
        if first is second:
            keep = a < b
            a, b = a[keep], b[keep]
            left, right = first.faces[index[0][a]], first.faces[index[1][b]]
            keep = ~(left[:, :, None] == right[:, None, :]).any((1, 2))
        yield index[0][a[keep]], index[1][b[keep]]


def segments(first: Solid, second: Solid, a: Index, b: Index) -> tuple[Index, Index, Array, Array]:
    """Pairs of faces that pass through each other: (face of the first, face of the second, both ends of the segment)."""
    p, q = first.triangles(a), second.triangles(b)
    normals = [np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]) for t in (p, q)]
    sizes = [np.linalg.norm(n, axis=1) for n in normals]
    keep = (sizes[0] > 0) & (sizes[1] > 0)
    unit = [n / np.where(s > 0, s, 1)[:, None] for n, s in zip(normals, sizes, strict=True)]
    heights = [np.einsum("nki,ni->nk", t - o[:, :1], n) for t, o, n in ((p, q, unit[1]), (q, p, unit[0]))]
    extent = np.minimum(np.ptp(p, axis=1).max(1), np.ptp(q, axis=1).max(1))
    tolerance = np.maximum(TOUCHING * extent, ROUNDING * np.maximum(np.abs(p).max((1, 2)), np.abs(q).max((1, 2))))
    for h in heights:
        keep &= (h.min(1) < -tolerance) & (h.max(1) > tolerance)
    direction = np.cross(unit[0], unit[1])
    sine = np.linalg.norm(direction, axis=1)
    keep &= sine > PARALLEL
    a, b, p, q = a[keep], b[keep], p[keep], q[keep]
    direction = direction[keep] / sine[keep, None]
    spans = [_piercing(t, h[keep]) for t, h in ((p, heights[0]), (q, heights[1]))]
    along = [np.einsum("nki,ni->nk", s - spans[0][:, :1], direction) for s in spans]
    low = np.maximum(along[0].min(1), along[1].min(1))
    high = np.minimum(along[0].max(1), along[1].max(1))
    start, end = (spans[0][:, 0] + x[:, None] * direction for x in (low, high))
    long = high - low > tolerance[keep]
    return a[long], b[long], start[long], end[long]


def _piercing(triangle: Array, height: Array) -> Array:
    """Both points (N, 2, 3) where the outline of a triangle (N, 3, 3) crosses a plane, given its corners' heights (N, 3)."""
    up = height > 0
    lone = np.where(up.sum(1) == 1, np.argmax(up, 1), np.argmin(up, 1))
    n = np.arange(len(triangle))
    apex, level = triangle[n, lone], height[n, lone]
    points = []
    for k in (1, 2):
        other = (lone + k) % 3
        t = level / (level - height[n, other])
        points.append(apex + t[:, None] * (triangle[n, other] - apex))
    return np.stack(points, 1)


def wedges(solids: Solids, owner: Index, face: Index, start: Array, end: Array) -> Sheets:
    """Rows for the four wedges about each segment. owner, face: (S, 2); start, end: (S, 3)."""
    along = end - start
    axis = along / np.linalg.norm(along, axis=1, keepdims=True)
    into, at_start, at_end, inward = [], [], [], []
    for k in (0, 1):
        triangle = np.empty((len(start), 3, 3))
        for number in np.unique(owner[:, k]):
            mine = owner[:, k] == number
            triangle[mine] = solids[number].triangles(face[mine, k])
        normal = np.cross(triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0])
        across = np.cross(normal / np.linalg.norm(normal, axis=1, keepdims=True), axis)
        reach = np.einsum("nki,ni->nk", triangle - start[:, None], across)
        for width in (reach.max(1), reach.min(1)):  # the sheet on either side of the segment
            arm = width[:, None] * across
            into.append(arm)
            at_start.append(_barycentric(triangle, start))
            at_end.append(_barycentric(triangle, end))
            inward.append(_barycentric(triangle, start + arm) - at_start[-1])
    count = len(start)
    stack = lambda parts: np.stack(parts, 1).reshape(4 * count, -1)  # noqa: E731  entries of a segment next to each other
    group = np.repeat(np.arange(count), 4)
    order, follow, _ = topology.around(group, np.repeat(axis, 4, 0), stack(into))
    both = np.stack([order, order[follow]], 1)
    segment, which = both[:, 0] // 4, both % 4 // 2
    take = lambda parts: stack(parts)[both]  # noqa: E731
    rows = np.arange(len(both))[:, None]
    return Sheets(
        start[segment], along[segment], owner[segment][rows, which], face[segment][rows, which],
        take(into), take(at_start), take(at_end), take(inward),
    )  # fmt: skip


def _barycentric(triangle: Array, point: Array) -> Array:
    """Second and third barycentric coordinate (N, 2) of points (N, 3) in the planes of triangles (N, 3, 3)."""
    u, v, p = triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0], point - triangle[:, 0]
    uu, uv, vv, pu, pv = (np.einsum("ni,ni->n", x, y) for x, y in ((u, u), (u, v), (v, v), (p, u), (p, v)))
    determinant = uu * vv - uv * uv
    return np.stack([vv * pu - uv * pv, uu * pv - uv * pu], 1) / determinant[:, None]
