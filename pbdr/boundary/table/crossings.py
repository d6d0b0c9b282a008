"""Where the shapes of a scene pass through each other, kept between calls: looked for again only where something has moved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.aligned import aligned
from pbdr.boundary.table import piercings, solids
from pbdr.boundary.table.boxes import Boxes
from pbdr.geometry import intersections, weld
from pbdr.geometry.edges import NO_MEMBER, EdgeTable
from pbdr.geometry.intersections import Sheets, Solid
from pbdr.geometry.placed import Kept, Placed
from pbdr.geometry.topology import NO_FACE

SELF_LIMIT = 200_000  # faces up to which a mesh is searched for passing through itself: short edges drown in rounding

Pair = tuple[int, int]
Faces = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass
class Crossings:
    """What is known of the shapes `names` of a scene.

    states  what says where each of them is
    sheets  pair of meshes (a mesh and itself) → the curves in which they pass through each other
    round   pairs that pass through each other, of which one is no mesh
    """

    names: list[Any] = field(default_factory=list)
    states: list[list[Any]] = field(default_factory=list)
    sheets: dict[Pair, Sheets] = field(default_factory=dict)
    round: set[Pair] = field(default_factory=set)

    def update(self, scene: Any, placed: list[Placed], table: EdgeTable, kept: Kept) -> bool:
        """Look again where something has moved; whether anything has."""
        names, states = [(one.index, one.member, one.shape) for one in placed], [one.kind.state(one) for one in placed]
        if names != self.names:
            self.names, self.states, self.sheets, self.round = names, [[] for _ in placed], {}, set()
        both = zip(self.states, states, strict=True)
        moved = {k for k, (old, new) in enumerate(both) if not unchanged(old, new)}
        if not moved:
            self.states = states
            return False
        self.sheets = {pair: found for pair, found in self.sheets.items() if not moved & set(pair)}
        self.round = {pair for pair in self.round if not moved & set(pair)}
        bodies = Bodies(placed, kept)
        self._meshes(scene, placed, table, bodies, moved)
        self._others(scene, placed, bodies, moved)
        self.states = states
        return True

    # ------------------------------------------------------------------ meshes

    def _meshes(self, scene: Any, placed: list[Placed], table: EdgeTable, bodies: Bodies, moved: set[int]) -> None:
        found = piercings.along(scene, table, _rows(scene, placed, table, moved))
        if found is None:
            return
        for (i, j), (a, b) in _candidates(placed, table, found, moved).items():
            if i == j:
                a, b = _strangers(bodies[i], a, b) if placed[i].shape.face_count() <= SELF_LIMIT else (a[:0], b[:0])
            a, b, start, end = intersections.segments(bodies[i], bodies[j], a, b)
            if len(a):
                owner = np.broadcast_to([i, j], (len(a), 2))
                self.sheets[i, j] = intersections.wedges(bodies, owner, np.stack([a, b], 1), start, end)

    # ------------------------------------------------------------------ shapes that are no meshes

    def _others(self, scene: Any, placed: list[Placed], bodies: Bodies, moved: set[int]) -> None:
        """Pairs of which one is no mesh: polygons that stand for it, and spheres."""
        mesh = [one.kind.triangles for one in placed]
        if all(mesh):
            return
        boxes = [placed_box(scene, one) for one in placed]
        near = [
            (i, j)
            for i in range(len(placed)) for j in range(i + 1, len(placed))
            if not (mesh[i] and mesh[j]) and moved & {i, j} and _overlap(boxes[i], boxes[j])
        ]  # fmt: skip
        balls = {k: pose for k, one in enumerate(placed) if (pose := one.kind.ball(one)) is not None}
        for pair in near:
            round_ones = [k for k in pair if k in balls]
            if len(round_ones) == 2:
                meet = solids.spheres_meet(*(balls[k] for k in pair))
            elif round_ones:
                meet = solids.pierced(balls[round_ones[0]], bodies[sum(pair) - round_ones[0]])
            else:
                meet = intersections.find(bodies, [pair]) is not None
            if meet:
                self.round.add(pair)


class Bodies:
    """Shapes as triangles in world space, made as they are asked for."""

    def __init__(self, placed: list[Placed], kept: Kept) -> None:
        self.placed, self.kept = placed, kept
        self.made: dict[int, Solid] = {}

    def __getitem__(self, number: int) -> Solid:
        if number not in self.made:
            one = self.placed[number]
            self.made[number] = one.kind.solid(one, self.kept)
        return self.made[number]


def _rows(scene: Any, placed: list[Placed], table: EdgeTable, moved: set[int]) -> Any:
    """Edges of meshes that may have begun to pass through something: those that have moved, and those near these."""
    shapes = scene.shapes()
    straight = table.having("straight") & (dr.squared_norm(table.b) > 0)
    low, high = dr.minimum(table.a, table.a + table.b), dr.maximum(table.a, table.a + table.b)
    indices = sorted({placed[k].index for k in moved})
    asked = straight
    if len(moved) < len(placed):
        flags = np.zeros(len(shapes), bool)
        flags[indices] = True
        gone = dr.gather(mi.Bool, mi.Bool(aligned(flags, bool)), table.shape)
        asked = asked & (gone | Boxes.of(scene, indices).overlap(low, high, table.shape))
    own = [one.index for one in placed if one.kind.triangles and one.frame is None]
    large = np.zeros(len(shapes), bool)
    large[[i for i in own if shapes[i].face_count() > SELF_LIMIT]] = True
    if large.any():  # edges of meshes that are not searched for passing through themselves
        near = Boxes.of(scene, list(range(len(shapes)))).overlap(low, high, table.shape)
        asked = asked & (near | ~dr.gather(mi.Bool, mi.Bool(aligned(large, bool)), table.shape))
    return dr.compress(asked)


def _candidates(
    placed: list[Placed], table: EdgeTable, found: piercings.Piercings, moved: set[int]
) -> dict[Pair, Faces]:
    """Pairs of meshes → pairs of their faces, of which an edge of one has met the other; in order."""
    number = {(one.index, one.member): k for k, one in enumerate(placed)}
    take = lambda column: np.broadcast_to(np.array(column), table.count)[found.row].astype(np.int64)  # noqa: E731
    inner = np.full(len(found.row), NO_MEMBER) if table.member is None else take(table.member)
    own, other = (
        _numbered(number, shape, member) for shape, member in ((take(table.shape), inner), (found.shape, found.member))
    )
    parts = []
    for face in map(take, table.face):
        both = np.stack([own, other, face, found.face], 1)
        parts.append(both[face != NO_FACE])
    rows = np.concatenate(parts)
    mesh, gone = (
        np.array(x) for x in ([one.kind.triangles for one in placed], [k in moved for k in range(len(placed))])
    )
    rows = rows[mesh[rows[:, 1]] & (gone[rows[:, 0]] | gone[rows[:, 1]])]
    turned = (rows[:, 0] > rows[:, 1]) | ((rows[:, 0] == rows[:, 1]) & (rows[:, 2] > rows[:, 3]))
    rows[turned] = rows[turned][:, [1, 0, 3, 2]]
    rows = np.unique(rows, axis=0)
    begin = np.nonzero(np.r_[True, (rows[1:, :2] != rows[:-1, :2]).any(1)])[0]
    pieces = np.split(rows, begin[1:])
    return {(int(p[0, 0]), int(p[0, 1])): (p[:, 2], p[:, 3]) for p in pieces if len(p)}


def _numbered(number: dict[Pair, int], shape: Any, member: Any) -> NDArray[np.int64]:
    """Positions among the placed shapes, of indices in the scene and members."""
    names, inverse = np.unique(np.stack([shape, member], 1), axis=0, return_inverse=True)
    return np.array([number[int(a), int(b)] for a, b in names], np.int64)[inverse.reshape(-1)]


def _strangers(solid: Solid, a: Any, b: Any) -> Faces:
    """Pairs of faces of one mesh that have no corner in common; none where corners nearly agree in all of them.

    Faces about an end of the edge are hit by rounding alone.
    """
    left, right = solid.faces[a], solid.faces[b]
    keep = ~(left[:, :, None] == right[:, None, :]).any((1, 2))
    a, b = a[keep], b[keep]
    corners = solid.triangles(a)[:, :, None], solid.triangles(b)[:, None]
    gap = np.abs(corners[0] - corners[1]).max(-1).min((1, 2))
    far = gap > 2 * weld.WHOLE * np.ptp(solid.positions, axis=0).max()
    return (a, b) if far.any() else (a[:0], b[:0])


def placed_box(scene: Any, one: Placed) -> NDArray[np.float64]:
    """Lower and upper corner (2, 3) of where a shape is; of a group's shape, where its instance is."""
    box = scene.shapes()[one.index].bbox()
    return np.array([np.array(box.min).ravel(), np.array(box.max).ravel()], np.float64)


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    slack = intersections.TOUCHING * max(np.abs(a).max(), np.abs(b).max())
    return bool((np.maximum(a[0], b[0]) <= np.minimum(a[1], b[1]) + slack).all())


def unchanged(before: list[Any], now: list[Any]) -> bool:
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
