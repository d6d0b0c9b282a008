"""T-junctions: open borders of one mesh that lie on each other without having the same corners, on the host.

One large face beside two small ones, as exported models have them, leaves three borders where a surface goes on. Borders are cut at
each other's ends; a piece that two faces have is an edge of both, like any other (docs/theory.md, section 6).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pbdr.geometry import overlaps, topology, weld
from pbdr.geometry.topology import NO_FACE, Index, Topology

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
    if not len(index):
        return found, None
    borders = _Borders.of(found, index, index * 0, faces, positions)
    inside = _beside(borders, found, faces, positions)
    if len(inside):
        index = np.concatenate([index, inside, inside])
        which = np.repeat([0, 0, 1], [len(index) - 2 * len(inside), len(inside), len(inside)])
        borders = _Borders.of(found, index, which, faces, positions)
    pairs, spans = borders.overlaps(borders)
    if not len(pairs):
        return found, None
    pairs, spans = np.concatenate([pairs, pairs[:, ::-1]]), np.concatenate([spans[:, 0], spans[:, 1]])
    pieces = _Pieces(borders)
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
    number = np.arange(len(wide))
    borders = _Borders(number, np.zeros((len(wide), 3), np.int64), wide, length, near)
    return len(wide) > 1 and len(borders.overlaps(borders)[0]) > 0


@dataclass
class _Borders:
    """Edges of faces: (E,) faces, (E, 3) corner numbers and (E, 3, 3) positions of start, end and opposite vertex; lengths; how
    near another has to be to lie on one."""

    face: NDArray[np.int64]
    corners: NDArray[np.int64]
    vertex: Array
    length: Array
    near: Array

    @staticmethod
    def of(
        found: Topology, index: NDArray[np.int64], which: NDArray[np.int64], faces: Index, positions: NDArray[np.float32]
    ) -> _Borders:  # fmt: skip
        """Of the edges at `index`, in the face `which` (0 or 1)."""
        face, corners = found.faces[index, which].astype(np.int64), found.corners[index, which].astype(np.int64)
        vertex = positions.astype(np.float64)[faces[face[:, None], corners]]
        length = np.linalg.norm(vertex[:, 1] - vertex[:, 0], axis=1)
        extent = float(np.ptp(positions, axis=0).max())
        return _Borders(
            face, corners, vertex, length, weld.tolerance(length, extent, np.abs(vertex[:, :2]).max((1, 2)))
        )

    def boxes(self) -> tuple[Array, Array]:
        """Their lower and upper corners."""
        ends = self.vertex[:, :2]
        return ends.min(1) - self.near[:, None], ends.max(1) + self.near[:, None]

    def overlaps(self, other: _Borders) -> tuple[NDArray[np.int64], Array]:
        """Pairs (P, 2) of borders of either that lie on each other, and (P, 2, 2) where each of them has the ends of the other.

        Of the same borders, each pair once.
        """
        parts, spans = [np.zeros((0, 2), np.int64)], [np.zeros((0, 2, 2))]
        for a, b in overlaps.pairs(*self.boxes(), *other.boxes()):
            keep = self.face[a] != other.face[b]
            if other is self:
                keep &= a < b
            a, b = a[keep], b[keep]
            (on_a, off_a), (on_b, off_b) = _project(self, a, other, b), _project(other, b, self, a)
            reach = np.minimum(self.near[a], other.near[b])
            inside = np.minimum(on_a.max(1), self.length[a]) - np.maximum(on_a.min(1), 0)
            # The longer of the two may stray from the other's line further out.
            keep = (np.minimum(off_a, off_b) <= reach) & (inside > 2 * reach)
            parts.append(np.stack([a, b], 1)[keep])
            spans.append(np.stack([on_a / self.length[a, None], on_b / other.length[b, None]], 1)[keep])
        return np.concatenate(parts), np.concatenate(spans)


def _project(lines: _Borders, a: NDArray[np.int64], ends: _Borders, b: NDArray[np.int64]) -> tuple[Array, Array]:
    """Ends of some borders on the lines of others: (where, (P, 2); the larger distance from the line, (P,))."""
    along = (lines.vertex[a, 1] - lines.vertex[a, 0]) / lines.length[a, None]
    offset = ends.vertex[b, :2] - lines.vertex[a, :1]
    place = np.einsum("nki,ni->nk", offset, along)
    return place, np.linalg.norm(offset - place[..., None] * along[:, None], axis=2).max(1)


def _beside(borders: _Borders, found: Topology, faces: Index, positions: NDArray[np.float32]) -> NDArray[np.int64]:
    """Edges of two faces on which open borders lie."""
    index = np.nonzero(found.faces[:, 1] != NO_FACE)[0]
    ends = positions[faces[found.faces[index, 0].astype(np.int64)[:, None], found.corners[index, 0, :2]]]
    low, high = borders.boxes()
    index = index[((ends.min(1) <= high.max(0)) & (ends.max(1) >= low.min(0))).all(1)]
    if not len(index):
        return index
    pairs, _ = borders.overlaps(_Borders.of(found, index, index * 0, faces, positions))
    return index[np.unique(pairs[:, 1])]


class _Pieces:
    """Collects pieces of borders."""

    def __init__(self, borders: _Borders) -> None:
        self.face, self.corners, self.vertex, self.near = borders.face, borders.corners, borders.vertex, borders.near
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
