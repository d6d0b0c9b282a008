"""T-junctions: open borders of one mesh that lie on each other without having the same corners, on the host.

One large face beside two small ones, as exported models have them, leaves three borders where a surface goes on. Borders are cut at
each other's ends; a piece that two faces have is an edge of both, like any other (docs/theory.md, section 6).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pbdr.boundary import overlaps, topology, weld
from pbdr.boundary.topology import NO_FACE, Index, Topology

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Junctions:
    """Pieces of borders. face: (R, 2), NO_FACE where open; opposite: (R, 2) corner numbers of the vertices opposite the borders;
    at: (R, 2, 2, 3) barycentric coordinates of a piece's start and end in either face; wedge: (R,) the piece counts only as seen
    from the wedge between its first and second face; near: (R,) how far apart both faces may be there."""

    face: Index
    opposite: Index
    at: Array
    wedge: NDArray[np.bool_]
    near: Array


def split(found: Topology, faces: Index, positions: NDArray[np.float32]) -> tuple[Topology, Junctions | None]:
    """The topology without borders that lie on others, and the pieces of these."""
    index = np.nonzero(found.faces[:, 1] == NO_FACE)[0]
    if len(index) < 3:
        return found, None
    corners = found.corners[index, 0].astype(np.int64)
    face = found.faces[index, 0].astype(np.int64)
    vertex = positions.astype(np.float64)[faces[face[:, None], corners]]  # (E, 3: start, end, opposite; 3)
    extent = float(np.ptp(positions, axis=0).max())
    length = np.linalg.norm(vertex[:, 1] - vertex[:, 0], axis=1)
    near = weld.tolerance(length, extent, np.abs(vertex[:, :2]).max((1, 2)))
    pairs, spans = _overlaps(vertex, length, near)
    if not len(pairs):
        return found, None
    pieces = _Pieces(face, corners, vertex, near)
    for border in np.unique(pairs[:, 0]):
        mine = pairs[:, 0] == border
        pieces.cut(int(border), pairs[mine, 1], spans[mine])
    keep = np.ones(len(found.faces), bool)
    keep[index[np.unique(pairs)]] = False
    rest = replace(found, faces=found.faces[keep], corners=found.corners[keep], jump=found.jump[keep])
    return rest, pieces.all()


def meet(vertex: NDArray[np.float32], extent: float) -> bool:
    """Whether any borders, given as start, end, opposite (E, 3, 3), of a mesh of this extent lie on each other."""
    wide = vertex.astype(np.float64)
    length = np.linalg.norm(wide[:, 1] - wide[:, 0], axis=1)
    wide, length = wide[length > 0], length[length > 0]
    near = weld.tolerance(length, extent, np.abs(wide[:, :2]).max((1, 2), initial=0))
    return len(wide) > 1 and len(_overlaps(wide, length, near)[0]) > 0


def _overlaps(vertex: Array, length: Array, near: Array) -> tuple[NDArray[np.int64], Array]:
    """Pairs of borders that lie on each other, each in both orders; (P, 2), and where on the first the second begins and ends."""
    low, high = vertex[:, :2].min(1) - near[:, None], vertex[:, :2].max(1) + near[:, None]
    parts, spans = [np.zeros((0, 2), np.int64)], [np.zeros((0, 2))]
    for a, b in overlaps.pairs(low, high, low, high):
        a, b = a[a < b], b[a < b]
        (on_a, off_a), (on_b, off_b) = _project(vertex, length, a, b), _project(vertex, length, b, a)
        reach = np.minimum(near[a], near[b])
        inside = np.minimum(on_a.max(1), length[a]) - np.maximum(on_a.min(1), 0)
        keep = (np.minimum(off_a, off_b) <= reach) & (inside > 2 * reach)
        parts += [np.stack([a, b], 1)[keep], np.stack([b, a], 1)[keep]]
        spans += [(on_a / length[a, None])[keep], (on_b / length[b, None])[keep]]
    return np.concatenate(parts), np.concatenate(spans)


def _project(vertex: Array, length: Array, a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[Array, Array]:
    """Ends of borders b on the lines of borders a: (where, (P, 2); the larger distance from the line, (P,))."""
    along = (vertex[a, 1] - vertex[a, 0]) / length[a, None]
    offset = vertex[b, :2] - vertex[a, :1]
    place = np.einsum("nki,ni->nk", offset, along)
    return place, np.linalg.norm(offset - place[..., None] * along[:, None], axis=2).max(1)


class _Pieces:
    """Collects pieces of borders."""

    def __init__(self, face: NDArray[np.int64], corners: NDArray[np.int64], vertex: Array, near: Array) -> None:
        self.face, self.corners, self.vertex, self.near = face, corners, vertex, near
        self.rows: list[tuple[int, int, Array, Array, bool]] = []  # borders (second −1: open), ends on each, wedge

    def cut(self, border: int, others: NDArray[np.int64], spans: Array) -> None:
        """The pieces of a border between the ends of the `others` on it; what an earlier border has, too, is not made again."""
        length = float(np.linalg.norm(self.vertex[border, 1] - self.vertex[border, 0]))
        least = 2 * self.near[border] / length
        ends = np.unique(np.clip([0.0, 1.0, *spans.ravel()], 0, 1))
        ends = ends[np.r_[True, np.diff(ends) > least]]
        ends[-1] = 1.0
        for low, high in itertools.pairwise(ends):
            middle = 0.5 * (low + high)
            there = others[(spans.min(1) < middle) & (spans.max(1) > middle)]
            if (there < border).any():
                continue
            self._add([border, *np.unique(there).tolist()], low, high)

    def _add(self, borders: list[int], low: float, high: float) -> None:
        start, end = (self.vertex[borders[0], 0] * (1 - t) + self.vertex[borders[0], 1] * t for t in (low, high))
        places = {}
        for k in borders:
            a, b = self.vertex[k, 0], self.vertex[k, 1]
            along = (b - a) / np.dot(b - a, b - a)
            places[k] = np.clip([np.dot(start - a, along), np.dot(end - a, along)], 0, 1)
        if len(borders) == 1:
            self.rows.append((borders[0], -1, places[borders[0]], places[borders[0]], False))
            return
        group = np.zeros(len(borders), np.int64)
        along, into = topology.sheets(
            np.stack([np.stack([start, end, self.vertex[k, 2]]) for k in borders]).astype(np.float64)
        )
        order, follow, number = topology.around(group, along, into)
        if number[0] == 1:
            follow = order[:1] * 0
        count = 1 if number[0] <= 2 else len(order)
        for n in range(count):
            first, second = borders[order[n]], borders[order[follow[n]]]
            self.rows.append((first, second if second != first else -1, places[first], places[second], count > 1))

    def all(self) -> Junctions:
        """What has been collected."""
        first = np.array([row[0] for row in self.rows])
        second = np.array([row[1] for row in self.rows])
        both = np.stack([first, np.where(second < 0, first, second)], 1)
        place = np.array([row[2:4] for row in self.rows])  # (R, 2 faces, 2 ends)
        at = np.zeros((*place.shape, 3))
        rows, which = np.indices(both.shape)
        for end in (0, 1):
            at[rows, which, end, self.corners[both, 0]] = 1 - place[..., end]
            at[rows, which, end, self.corners[both, 1]] = place[..., end]
        face = np.stack([self.face[first], np.where(second < 0, NO_FACE, self.face[second])], 1)
        wedge = np.array([row[4] for row in self.rows])
        return Junctions(
            face.astype(np.uint32), self.corners[both, 2].astype(np.uint32), at, wedge, self.near[both].max(1)
        )
