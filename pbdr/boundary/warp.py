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

from pbdr.boundary import nearby, segment
from pbdr.boundary.edges import SEGMENT, EdgeTable
from pbdr.boundary.incidence import SIDES, Incidence
from pbdr.errors import OptionError
from pbdr.transport import convention

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
    """Curves that must not be crossed: `weight` (9c) and ∇ log of it (camera segments: borders of pixels)."""

    weight: Any
    slope: Any


class Warp:
    """Edges near segments. Not a dataclass: Dr.Jit must not take it for loop state."""

    def __init__(
        self, scene: Any, table: EdgeTable, incidence: Incidence, moving: frozenset[int], options: WarpOptions
    ) -> None:
        self.scene, self.table, self.incidence, self.options = scene, table, incidence, options
        shapes = scene.shapes()
        self.camera: Any = None  # set by `warp_camera.build`
        self.curved = any(not shape.is_mesh() for shape in shapes)
        self.motion = segment.Motion(scene, moving)

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
        self, origin: Any, omega: Any, shoot: Any, sampler: Any, active: Any, anchors: Sequence[Anchor] = ()
    ) -> tuple[Any, ...]:
        """Two edges near a segment, drawn with the probability of their weights, and what the field (9b) needs of the others.

        `shoot(direction, active)`: first hit from `origin`. Returns what `nothing` does: coefficients are tangent vectors.
        """
        xi, turn = sampler.next_2d(active), sampler.next_1d(active)
        choose = sampler.next_1d(active), sampler.next_1d(active)
        radius = self.options.reach * 2 * JITTER
        v = 1 - dr.power(1 - xi.x, 1 / 3)
        lift = 0.5 * v * radius * radius  # 1 − cosine of the angle between ω and m
        cosine, sine = 1 - lift, dr.sqrt(lift * (2 - lift))
        s, t = mi.coordinate_system(omega)
        sin_phi, cos_phi = dr.sincos(dr.two_pi * xi.y)
        side = mi.Vector3f(cos_phi * s + sin_phi * t)
        candidates = []
        share, total = mi.Float(0), mi.Vector3f(0)
        for sign in (1, -1):
            centre = dr.normalize(cosine * omega + sign * sine * side)
            score = 4 * sign * sine / (radius * radius * (1 - v)) * side  # Eq. (9d)
            found = [
                edge
                for direction in self._pattern(centre, turn)
                for edge in self._edges(origin, omega, shoot(direction, active), active)
            ]
            weights = 1 + sum((w for _, w, _ in found), mi.Float(0)) + sum((a.weight for a in anchors), mi.Float(0))
            slope = sum((w * g for _, w, g in found), mi.Vector3f(0)) + sum((a.weight * a.slope for a in anchors), mi.Vector3f(0))
            inverse = dr.rcp(weights)
            for row, weight, gradient in found:
                a = 0.5 * weight * inverse
                c = gradient - slope * inverse + score  # Eq. (9d)
                candidates.append((row, a, c))
                share += a
                total += a * c
        first, second = (self._choose(candidates, u * share) for u in choose)
        k1, k2 = (share * c - total for _, c in (first, second))
        some = active & (share > 0)
        return (
            first[0], dr.select(some, 0.5 * (total + k1 - k2), 0), second[0], dr.select(some, 0.5 * (total - k1 + k2), 0),
            dr.select(some, share, 0), dr.select(some, total, 0),
        )  # fmt: skip

    def _pattern(self, centre: Any, turn: Any) -> list[Any]:
        """Directions of one set of auxiliary rays around `centre`: rings of RING points or a few more, turned at random."""
        count = self.options.rays // 2
        rings = max(count // RING, 1)
        s, t = mi.coordinate_system(centre)
        directions = []
        for k in range(count):
            radius = 2 * self.options.reach * (1 - (k % rings) / rings)
            sine, cosine = dr.sincos(dr.two_pi * (turn + k / count))
            directions.append(dr.normalize(centre + radius * (cosine * s + sine * t)))
        return directions

    def _edges(self, origin: Any, omega: Any, hit: Any, active: Any) -> list[tuple[Any, Any, Any]]:
        """Edges of the faces hit: (row, weight, ∇ log weight)."""
        found = []
        for side in range(SIDES):
            index, there = self.incidence.at(hit, side, active)
            row = self.table.row(index, there)
            there &= nearby.counts(row, origin, self.curved)
            near = nearby.nearest(row, origin, omega, self.curved)
            weight, slope = self.weight(near.chord, near.away, there)
            found.append((index, weight, slope))
        return found

    def weight(self, distance: Any, away: Any, active: Any) -> tuple[Any, Any]:
        """Weight of what lies at an angular distance, infinite at 0 and 0 beyond the reach: (weight, ∇ log weight)."""
        x = dr.maximum(distance / self.options.reach, NARROWEST)
        near = active & (x < 1)
        x = dr.select(near, x, 0.5)
        gamma = self.options.exponent
        weight = dr.select(near, dr.power((1 - x) / x, gamma), 0)  # Eq. (9c)
        slope = -gamma / (x * (1 - x) * self.options.reach) * away  # Eq. (9d)
        return weight, dr.select(near, slope, 0)

    @staticmethod
    def _choose(candidates: list[tuple[Any, Any, Any]], target: Any) -> tuple[Any, Any]:
        """The candidate (row, c) at which the running sum of weights passes `target`."""
        row, c = mi.UInt32(0), mi.Vector3f(0)
        before = mi.Float(0)
        for index, a, slope in candidates:
            here = (a > 0) & (before <= target)  # the last one that begins before the target
            row, c = dr.select(here, index, row), dr.select(here, slope, c)
            before += a
        return row, c

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
        point, along = self.attached(row, near, omega, active)
        return convention.edge_shift(origin, point, along, near.slope, active)

    def attached(self, row: EdgeTable, near: nearby.Near, omega: Any, active: Any) -> tuple[Any, Any]:
        """Attached point and derivative along the edge: both follow the material."""
        straight = active & (row.kind == SEGMENT) if self.curved else active
        start, end = (self._corner(row, k, omega, straight) for k in (0, 1))
        point, along = mi.Point3f(dr.lerp(start, end, near.q)), mi.Vector3f(end - start)
        if not self.curved:
            return point, along
        point = dr.select(straight, point, near.point)
        along = dr.select(straight, along, near.along)
        if not self.motion.matrices:
            return point, along
        return self.motion.posed(row.shape, near.point, near.along, point, along, active)

    def _corner(self, row: EdgeTable, end: int, omega: Any, active: Any) -> Any:
        """Attached vertex at the start (0) or end (1) of straight edges."""
        corner = (row.corners[0] >> (2 * end)) & 3
        hit = dr.zeros(mi.PreliminaryIntersection3f, dr.width(corner))
        hit.t = mi.Float(1)
        hit.prim_uv = mi.Point2f(dr.select(corner == 1, mi.Float(1), 0), dr.select(corner == 2, mi.Float(1), 0))
        hit.prim_index = row.face[0]
        hit.shape = dr.gather(mi.ShapePtr, self.scene.shapes_dr(), row.shape, active)
        hit.valid = mi.Bool(active)
        ray = mi.Ray3f(mi.Point3f(row.a - omega), omega)
        return hit.compute_surface_interaction(ray, mi.RayFlags.Minimal | mi.RayFlags.FollowShape, active).p
