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

from pbdr.boundary import nearby
from pbdr.boundary.edges import SEGMENT, EdgeTable
from pbdr.boundary.incidence import Incidence
from pbdr.errors import OptionError
from pbdr.parameters import traverse
from pbdr.transport import convention, groups

JITTER = 0.5  # radius of the kernel around ω, in radii of the pattern of auxiliary rays
NARROWEST = 1e-3  # smallest distance from an edge, in units of the reach: closer, weights lose their digits
RING = 4  # auxiliary rays of a ring


@dataclass(frozen=True)
class WarpOptions:
    """`rays`: auxiliary rays a segment (even); `concentration` κ: the reach is 1/√κ radians; `exponent` γ of the weights."""

    rays: int = 8
    concentration: float = 4e4
    exponent: float = 2.0

    def check(self) -> None:
        """Raise OptionError for values out of range."""
        if self.rays < 4 or self.rays % 2:
            raise OptionError(f"pathspace: warp_rays = {self.rays}; give an even number ≥ 4.")
        for name, value, least in (("concentration", self.concentration, 10.0), ("exponent", self.exponent, 1.5)):
            if not (isinstance(value, int | float) and least < value < float("inf")):
                raise OptionError(f"pathspace: warp_{name} = {value!r}; give a number > {least:g}.")

    @property
    def reach(self) -> float:
        """Angle in radians within which rays follow an edge."""
        return float(self.concentration**-0.5)


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
        self.curved = any(not shape.is_mesh() for shape in shapes)
        posed = [i for i in sorted(moving) if not shapes[i].is_mesh() or shapes[i].class_name() == "Rectangle"]
        self.posed = [(i, shapes[i]) for i in posed]
        self.meshes = [(i, shapes[i]) for i in sorted(moving) if i not in posed]

    @staticmethod
    def nothing() -> tuple[Any, ...]:
        """What `find` returns where there is no edge: (rows, coefficients) of two edges, Λ, coefficient of the ray's own motion."""
        zero, vector = mi.UInt32(0), mi.Vector3f(0)
        return zero, vector, zero, vector, mi.Float(0), vector

    # ------------------------------------------------------------------ recorded, without derivatives

    def find(self, scene: Any, si: Any, omega: Any, sampler: Any, active: Any) -> tuple[Any, ...]:
        """`draw` for a segment that leaves a surface."""

        def shoot(direction: Any, lanes: Any) -> Any:
            return scene.ray_intersect_preliminary(si.spawn_ray(direction), coherent=False, active=lanes)

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
        radius = 2 * JITTER * reach
        v = 1 - dr.power(1 - xi.x, 1 / 3)
        lift = 0.5 * v * radius * radius  # 1 − cosine of the angle between ω and m
        cosine, sine = 1 - lift, dr.sqrt(lift * (2 - lift))
        s, t = mi.coordinate_system(omega)
        sin_phi, cos_phi = dr.sincos(dr.two_pi * xi.y)
        side = mi.Vector3f(cos_phi * s + sin_phi * t)
        sets = []
        for sign in (1, -1):
            centre = dr.normalize(cosine * omega + sign * sine * side)
            score = 4 * sign * sine / (radius * radius * (1 - v)) * side  # Eq. (9c)
            met = self._look(origin, omega, shoot, centre, reach, turn, choose, active)
            other = met.weight + sum((a.weight for a in anchors), mi.Float(1))
            slope = (met.slope + sum((a.weight * a.slope for a in anchors), mi.Vector3f(0))) / other
            share = 0.5 * met.weight / other
            own = score - slope
            picks = [(row, gradient + own) for row, gradient in zip(met.rows, met.slopes, strict=True)]  # Eq. (9c)
            sets.append((share, 0.5 * met.slope / other + share * own, picks))
        (share, total, ahead), (share_b, total_b, behind) = sets
        share, total = share + share_b, total + total_b
        picked = []
        for u, a, b in zip(which, ahead, behind, strict=True):
            first = u * share < share - share_b
            picked.append((dr.select(first, a[0], b[0]), dr.select(first, a[1], b[1])))
        (row1, c1), (row2, c2) = picked
        apart = share * (c1 - c2)  # the control variate: two edges that move alike leave nothing of it
        some = active & (share > 0)
        return (
            row1, dr.select(some, 0.5 * (total + apart), 0), row2, dr.select(some, 0.5 * (total - apart), 0),
            dr.select(some, share, 0), dr.select(some, total, 0),
        )  # fmt: skip

    def _look(
        self, origin: Any, omega: Any, shoot: Any, centre: Any, reach: Any, turn: Any, choose: Any, active: Any
    ) -> Met:
        """Edges of the faces that one set of auxiliary rays around `centre` meets.

        The set is of rings of RING directions or a few more, turned at random.
        """
        count = self.options.rays // 2
        rings = max(count // RING, 1)
        s, t = mi.coordinate_system(centre)

        def body(
            k: Any, weight: Any, slope: Any, row1: Any, slope1: Any, u1: Any, row2: Any, slope2: Any, u2: Any
        ) -> Any:
            radius = 2 * reach * (1 - mi.Float(k % rings) / rings)
            sin_angle, cos_angle = dr.sincos(dr.two_pi * (turn + mi.Float(k) / count))
            direction = dr.normalize(centre + radius * (cos_angle * s + sin_angle * t))
            found = self._edges(origin, omega, shoot(direction, active), reach, active)
            here = sum((w for _, w, _ in found), mi.Float(0))
            weight += here
            slope += sum((w * gradient for _, w, gradient in found), mi.Vector3f(0))
            u1, row1, slope1 = _reservoir(u1, here, weight, found, row1, slope1)
            u2, row2, slope2 = _reservoir(u2, here, weight, found, row2, slope2)
            return k + 1, weight, slope, row1, slope1, u1, row2, slope2, u2

        none, nowhere = mi.UInt32(0), mi.Vector3f(0)
        state = (
            mi.UInt32(0),
            mi.Float(0),
            nowhere,
            none,
            nowhere,
            mi.Float(choose[0]),
            none,
            nowhere,
            mi.Float(choose[1]),
        )
        _, weight, slope, row1, slope1, _, row2, slope2, _ = dr.while_loop(
            state, lambda k, *_: k < count, body, label="pathspace: auxiliary rays"
        )
        return Met(weight, slope, (row1, row2), (slope1, slope2))

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
        first, g1, second, g2, share, total = record
        some = active & (share > 0)
        edges = [(self._motion(row, origin, omega, some), g) for row, g in ((first, g1), (second, g2))]
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
            chosen = active & (row.shape == number) & (row.kind == SEGMENT)
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
    first = dr.zeros(mi.UInt32, dr.width(near.q))
    # Gathered, although there is one matrix: as plain numbers, its derivatives would take a kernel for each entry.
    x, y, z, origin = (
        mi.Vector3f(*[dr.gather(mi.Float, mi.Float(matrix[i, j]), first, active) for i in range(3)]) for j in range(4)
    )
    still = dr.detach(x), dr.detach(y), dr.detach(z)
    at, by = groups.solve(*still, near.point - dr.detach(origin)), groups.solve(*still, near.along)
    return mi.Point3f(x * at.x + y * at.y + z * at.z + origin), mi.Vector3f(x * by.x + y * by.y + z * by.z)


def _vertex(mesh: Any, row: EdgeTable, end: int, active: Any) -> Any:
    """Attached vertex at the start (0) or end (1) of edges of a mesh."""
    corner = (row.corners[0] >> (2 * end)) & 3
    vertex = dr.gather(mi.UInt32, mesh.faces_buffer(), 3 * row.face[0] + corner, active)
    return dr.gather(mi.Point3f, mesh.vertex_positions_buffer(), vertex, active)
