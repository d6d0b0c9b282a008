"""The boundary without boundary samples: rays that move with the edges near them (docs/theory.md, section 7).

`Warp.find` looks for edges around a segment with auxiliary rays, without derivatives, while a path is recorded; what it returns is
kept with the path. `Warp.motions` re-evaluates it with derivatives. `convention.warped` is the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.table.incidence import Incidence
from pbdr.boundary.warp import levels, nearby
from pbdr.boundary.warp.options import WarpOptions
from pbdr.geometry import poses, rounding
from pbdr.geometry.edges import EdgeTable
from pbdr.parameters import traverse
from pbdr.transport import convention

JITTER = 0.5  # radius of the kernel around ω, in radii of the pattern of auxiliary rays
NARROWEST = 1e-3  # smallest distance from an edge, in units of the reach: closer, weights lose their digits
RING = 4  # auxiliary rays of a ring
R2 = (0.7548776662466927, 0.5698402909980532)  # the plane's low-discrepancy sequence of Roberts


@dataclass
class Anchor:
    """Curves that must not be crossed: `weight` (9a) and ∇ log of it (camera segments: borders of pixels)."""

    weight: Any
    slope: Any


@dataclass
class Met:
    """Edges that a set of auxiliary rays has met: sum of weights (9a), of weights times ∇ log weight; two edges drawn in proportion
    to the weights, and ∇ log weight of each."""

    weight: Any
    slope: Any
    rows: tuple[Any, Any]
    slopes: tuple[Any, Any]


@dataclass
class Half:
    """What one set of auxiliary rays adds to the field: Λ, coefficient of the ray's own motion, two edges (row, coefficient)."""

    share: Any
    total: Any
    picks: list[tuple[Any, Any]]


def _half(met: Met, score: Any, anchors: Sequence[Anchor]) -> Half:
    other = met.weight + sum((a.weight for a in anchors), mi.Float(1))
    slope = (met.slope + sum((a.weight * a.slope for a in anchors), mi.Vector3f(0))) / other
    share = 0.5 * met.weight / other
    own = score - slope
    picks = [(row, gradient + own) for row, gradient in zip(met.rows, met.slopes, strict=True)]
    return Half(share, 0.5 * met.slope / other + share * own, picks)  # Eq. (9c)


def _joined(ahead: Half, behind: Half, which: Any, active: Any) -> tuple[Any, ...]:
    """Two edges of both halves, drawn with the probability of their weights; as one entry of `Warp.nothing`."""
    share, total = ahead.share + behind.share, ahead.total + behind.total
    picked = []
    for u, a, b in zip(which, ahead.picks, behind.picks, strict=True):
        first = u * share < ahead.share
        picked.append((dr.select(first, a[0], b[0]), dr.select(first, a[1], b[1])))
    (row1, c1), (row2, c2) = picked
    apart = share * (c1 - c2)  # the control variate: two edges that move alike leave nothing of it
    some = active & (share > 0)
    return (
        row1, dr.select(some, 0.5 * (total + apart), 0), row2, dr.select(some, 0.5 * (total - apart), 0),
        dr.select(some, share, 0), dr.select(some, total, 0),
    )  # fmt: skip


class Pattern:
    """Auxiliary rays around a direction: of the first `count` one in the middle and the others in rings of RING or a few more,
    turned at random; further ones spread over the disc. Not a dataclass: Dr.Jit must not take it for loop state."""

    def __init__(self, count: int, reach: Any, turn: Any) -> None:
        self.count, self.reach, self.turn = count, reach, turn
        self.shift: Any = None

    def at(self, k: Any, first: bool) -> tuple[Any, Any]:
        """Offset of ray k in the plane across the direction."""
        if first:
            others = self.count - 1
            rings = max(others // RING, 1)
            radius = dr.select(k > 0, 2 * (1 - mi.Float(k % rings) / rings), 0)
            angle = self.turn + mi.Float(k) / others
        else:
            fraction = lambda x: x - dr.floor(x)  # noqa: E731
            radius = 2 * dr.sqrt(fraction(self.shift + R2[0] * mi.Float(k)))
            angle = self.turn + R2[1] * mi.Float(k)
        sine, cosine = dr.sincos(dr.two_pi * angle)
        return radius * self.reach * cosine, radius * self.reach * sine


def _reservoir(
    u: Any, here: Any, total: Any, found: list[tuple[Any, Any, Any]], row: Any, slope: Any
) -> tuple[Any, Any, Any]:
    """Keep one of all (row, weight, slope) so far with the probability of its weight: what is left of the uniform number u as
    another one, and what is kept. `here`: weight of those found now, `total` of all."""
    chance = here / dr.select(total > 0, total, 1)
    take = u < chance
    v = dr.select(take, dr.maximum(u, 0) * total, 0)
    rest = (u - chance) / dr.maximum(1 - chance, 1e-7)
    for candidate, w, gradient in found:
        chosen = take & (v < w)
        row, slope = dr.select(chosen, candidate, row), dr.select(chosen, gradient, slope)
        rest = dr.select(chosen, v / dr.select(w > 0, w, 1), rest)
        take &= ~chosen
        v -= w
    return rest, row, slope


class Warp:
    """Edges near segments. Not a dataclass: Dr.Jit must not take it for loop state."""

    def __init__(
        self, scene: Any, table: EdgeTable, incidence: Incidence, moving: frozenset[int], options: WarpOptions
    ) -> None:
        self.scene, self.table, self.incidence, self.options = scene, table, incidence, options
        shapes = scene.shapes()
        self.camera: Any = None  # set by `warp_camera.build`
        self.level: Any = None  # by `roll`
        self.left_out: Any = None  # by `warp_camera.build`
        self.curved = any(not shape.is_mesh() for shape in shapes)
        posed = [i for i in sorted(moving) if not shapes[i].is_mesh() or shapes[i].class_name() == "Rectangle"]
        self.posed = [(i, shapes[i]) for i in posed]
        self.meshes = [(i, shapes[i]) for i in sorted(moving) if i not in posed]

    def nothing(self) -> tuple[Any, ...]:
        """What `find` returns where there is no edge: for each of its sets of edges, (rows, coefficients) of two edges, Λ, and the
        coefficient of the ray's own motion."""
        zero, vector = mi.UInt32(0), mi.Vector3f(0)
        return ((zero, vector, zero, vector, mi.Float(0), vector),) * (3 if self.options.unbiased else 1)

    def roll(self, sampler: Any) -> None:
        """Choose how far the next paths go in the sum over numbers of rays: neighbours alike, as they wait for each other."""
        if self.options.unbiased:
            u = sampler.next_1d()
            self.level = levels.drawn(
                dr.gather(mi.Float, u, dr.arange(mi.UInt32, dr.width(u)) & ~mi.UInt32(levels.GROUP - 1))
            )

    # ------------------------------------------------------------------ recorded, without derivatives

    def find(self, scene: Any, si: Any, omega: Any, sampler: Any, active: Any) -> tuple[Any, ...]:
        """`draw` for a segment that leaves a surface."""

        def shoot(direction: Any, lanes: Any) -> Any:
            return scene.ray_intersect_preliminary(rounding.leave(si, direction), coherent=False, active=lanes)

        return self.draw(si.p, omega, shoot, sampler, active)

    def draw(
        self,
        origin: Any,
        omega: Any,
        shoot: Any,
        sampler: Any,
        active: Any,
        anchors: Sequence[Anchor] = (),
        reach: Any = None,
    ) -> tuple[Any, ...]:
        """Two edges near a segment, drawn with the probability of their weights, and what the field (9b) needs of the others.

        `shoot(direction, active)`: first hit from `origin`. Returns what `nothing` does: coefficients are tangent vectors.
        """
        reach = self.options.reach if reach is None else reach
        xi, turn = sampler.next_2d(active), sampler.next_1d(active)
        choose, which = sampler.next_2d(active), sampler.next_2d(active)
        count = self.options.rays // 2
        pattern = Pattern(count, reach, turn)
        stops = [mi.UInt32(count)]
        if self.options.unbiased:
            pattern.shift = sampler.next_1d(active)
            stops += levels.stops(self.level, count)
        radius = 2 * JITTER * reach
        v = 1 - dr.power(1 - xi.x, 1 / 3)
        lift = 0.5 * v * radius * radius  # 1 − cosine of the angle between ω and m
        cosine, sine = 1 - lift, dr.sqrt(lift * (2 - lift))
        s, t = mi.coordinate_system(omega)
        sin_phi, cos_phi = dr.sincos(dr.two_pi * xi.y)
        side = mi.Vector3f(cos_phi * s + sin_phi * t)
        halves: list[list[Half]] = []
        for sign in (1, -1):
            centre = dr.normalize(cosine * omega + sign * sine * side)
            score = 4 * sign * sine / (radius * radius * (1 - v)) * side  # Eq. (9c)
            met = self._look(origin, omega, shoot, centre, reach, pattern, choose, active, stops)
            halves.append([_half(one, score, anchors) for one in met])
        records = [_joined(ahead, behind, which, active) for ahead, behind in zip(*halves, strict=True)]
        if self.options.unbiased:
            records[1:] = levels.weighed(records[1], records[2], self.level)
        return tuple(records)

    def _look(
        self, origin: Any, omega: Any, shoot: Any, centre: Any, reach: Any, pattern: Pattern, choose: Any, active: Any,
        stops: list[Any],
    ) -> list[Met]:  # fmt: skip
        """Edges of the faces that the first of `stops` auxiliary rays around `centre` meet, the first two of them, and so on."""
        s, t = mi.coordinate_system(centre)

        def body(
            k: Any,
            weight: Any,
            slope: Any,
            row1: Any,
            slope1: Any,
            u1: Any,
            row2: Any,
            slope2: Any,
            u2: Any,
            *known: Any,
        ) -> Any:
            x, y = pattern.at(k, first)
            hit = shoot(dr.normalize(centre + x * s + y * t), active)
            found = self._edges(origin, omega, hit, reach, active)
            here = sum((w for _, w, _ in found), mi.Float(0))
            if known:
                new, known = levels.added(known, self.incidence.number(hit, active), active & (here > 0))
                found = [(row, dr.select(new, w, 0), gradient) for row, w, gradient in found]
                here = dr.select(new, here, 0)
            weight = weight + here
            slope = slope + sum((w * gradient for _, w, gradient in found), mi.Vector3f(0))
            u1, row1, slope1 = _reservoir(u1, here, weight, found, row1, slope1)
            u2, row2, slope2 = _reservoir(u2, here, weight, found, row2, slope2)
            return k + 1, weight, slope, row1, slope1, u1, row2, slope2, u2, *known

        none, nowhere = mi.UInt32(0), mi.Vector3f(0)
        state: tuple[Any, ...] = (none, mi.Float(0), nowhere)
        state += (none, nowhere, mi.Float(choose[0]), none, nowhere, mi.Float(choose[1]))
        state += levels.nobody() if self.options.unbiased else ()
        found = []
        first = True
        for stop in stops:
            state = dr.while_loop(state, lambda k, *_, stop=stop: k < stop, body, label="pathspace: auxiliary rays")
            _, weight, slope, row1, slope1, _, row2, slope2, *_ = state
            # Copies: the next loop changes its state in place.
            rows, slopes = (mi.UInt32(row1), mi.UInt32(row2)), (mi.Vector3f(slope1), mi.Vector3f(slope2))
            found.append(Met(mi.Float(weight), mi.Vector3f(slope), rows, slopes))
            first = False
        if self.options.unbiased and self.left_out is not None:
            self.left_out.faces(state[-1] >= levels.CAPACITY, active)
        return found

    def _edges(self, origin: Any, omega: Any, hit: Any, reach: Any, active: Any) -> list[tuple[Any, Any, Any]]:
        """Edges of the faces hit: (row, weight, ∇ log weight)."""
        found = []
        for side in nearby.sides(self.incidence.at(hit, active), origin, omega):
            found.append((side.row, *self.weight(side.distance, side.away, reach, side.there)))
        for number in range(self.incidence.most):
            index, there = self.incidence.round_at(hit, number, active)
            row = self.table.row(index, there)
            there &= nearby.exists(row, origin)
            near = nearby.nearest(row, origin, omega, self.curved)
            found.append((index, *self.weight(near.chord, near.away, reach, there)))
        return found

    def weight(self, distance: Any, away: Any, reach: Any, active: Any) -> tuple[Any, Any]:
        """Weight of what lies at an angular distance, infinite at 0 and 0 beyond the reach: (weight, ∇ log weight)."""
        x = dr.maximum(distance / reach, NARROWEST)
        near = active & (x < 1)
        x = dr.select(near, x, 0.5)
        gamma = self.options.exponent
        ratio = (1 - x) / x
        weight = dr.select(near, dr.square(ratio) if gamma == 2 else dr.power(ratio, gamma), 0)  # Eq. (9a)
        slope = -gamma / (x * (1 - x) * reach) * away  # Eq. (9c)
        return weight, dr.select(near, slope, 0)

    # ------------------------------------------------------------------ with derivatives

    def motions(self, record: tuple[Any, ...], origin: Any, omega: Any, active: Any) -> convention.Shift:
        """How the edges in a record move about the attached `origin`, for `convention.warped`."""
        return convention.together(
            [self.shift(one, lambda row, some: self._motion(row, origin, omega, some), active) for one in record]
        )

    @staticmethod
    def shift(one: tuple[Any, ...], motion: Any, active: Any) -> convention.Shift:
        """One set of edges; `motion(row, active)` → how an edge moves."""
        first, g1, second, g2, share, total = one
        some = active & (share != 0)
        edges = [(motion(row, some), g, 0.5 * share) for row, g in ((first, g1), (second, g2))]
        return convention.Shift(share=share, total=total, edges=edges)

    def _motion(self, index: Any, origin: Any, omega: Any, active: Any) -> convention.EdgeShift:
        row = self.table.row(index, active)
        near = nearby.nearest(row, mi.Point3f(dr.detach(origin)), omega, self.curved)
        point, along = self.attached(row, near, active)
        return convention.edge_shift(origin, point, along, near.slope, active)

    def attached(self, row: EdgeTable, near: nearby.Near, active: Any) -> tuple[Any, Any]:
        """Attached point and derivative along the edge: both follow the material."""
        point, along = mi.Point3f(near.point), mi.Vector3f(near.along)
        for number, mesh in self.meshes:
            # Gathered here, not asked of the shape: Dr.Jit 1.5.0 writes the same function twice in some kernels, and stops.
            chosen = active & (row.shape == number) & row.having("straight")
            start, end = (_vertex(mesh, row, k, chosen) for k in (0, 1))
            point = dr.select(chosen, mi.Point3f(dr.lerp(start, end, near.q)), point)
            along = dr.select(chosen, mi.Vector3f(end - start), along)
        for number, shape in self.posed:
            chosen = active & (row.shape == number)
            moved, turned = _posed(shape, near, chosen)
            point, along = dr.select(chosen, moved, point), dr.select(chosen, turned, along)
        return point, along


def _posed(shape: Any, near: nearby.Near, active: Any) -> tuple[Any, Any]:
    """Attached point, and derivative along the edge, of shapes that follow their pose."""
    matrix = traverse(shape)["to_world"].matrix
    x, y, z, origin = poses.pose_of_lanes(matrix, active)
    still = dr.detach(x), dr.detach(y), dr.detach(z)
    at, by = poses.solve(*still, near.point - dr.detach(origin)), poses.solve(*still, near.along)
    return mi.Point3f(x * at.x + y * at.y + z * at.z + origin), mi.Vector3f(x * by.x + y * by.y + z * by.z)


def _vertex(mesh: Any, row: EdgeTable, end: int, active: Any) -> Any:
    """Attached vertex at the start (0) or end (1) of edges of a mesh."""
    corner = (row.corners[0] >> (2 * end)) & 3
    vertex = dr.gather(mi.UInt32, mesh.faces_buffer(), 3 * row.face[0] + corner, active)
    return dr.gather(mi.Point3f, mesh.vertex_positions_buffer(), vertex, active)
