"""Linear curves: the surface of a ball that moves from control point to control point while its radius changes linearly.

Cones touch the balls at both ends. The silhouette of a cone is two straight lines; those of the balls at control points are
circles, as far as no cone covers them. Where a curve bends, its cones meet on the inner side in a plane curve, a crease.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.backend import on_gpu
from pbdr.errors import SceneError
from pbdr.geometry.analytic import outline
from pbdr.geometry.curves import Axis, Curves, Names, Patch, Segment, on_host
from pbdr.geometry.kind import Form, Joints
from pbdr.geometry.view import Curve, View, offset, straight

ON_CONE = 1e-3  # cosine within which a hit on a linear curve belongs to the cone, where cone and ball touch
CUT = 2.0**-23  # Embree's cones begin where (p − p₀)·(p₁ − p₀) exceeds this, in whatever unit (isInsideCappedCone)
LOST = 0.005  # of the length of linear curves: at 4 %, a primary term was 1.5 % off
BENT = 1e-4  # sine of a bend below which the normals on either side do not differ
TINY = 1e-12  # of lengths: only keeps divisions from dividing by zero

#: One of the two silhouette lines of a cone, chosen by `sign`. d: whether there is a segment before and after (x, y).
CONE_LINE = Form("silhouette of a cone", round=True, partial=True, winding=True, outwards=False)
#: The silhouette of a ball: centre a, radius |b|, at v = `sign` of its segment; d as above.
CAP = Form("silhouette of a ball", round=True, partial=True, winding=True, outwards=False)
#: Where the segments `face` meet, at the second one's first control point.
CREASE = Form("crease between cones", fixed=True, partial=True, winding=True)


def lost(shape: Any) -> float:
    """Share of the length of linear curves that Embree takes for empty where cones begin; it grows as units get smaller."""
    points, starts = on_host(shape)
    length = np.linalg.norm(points[starts + 1, :3] - points[starts, :3], axis=1)
    return float(np.minimum(CUT / np.maximum(length, CUT), length).sum() / max(length.sum(), CUT))


class Straight(Segment):
    """A span between two control points."""

    count = 2

    def weights(self, v: Any) -> tuple[list[Any] | None, ...]:
        """Linear."""
        return [1 - v, v], [mi.Float(-1), mi.Float(1)], None, None


class LinearCurves(Curves):
    """Shapes `linearcurve`."""

    name = "linear curves"
    plugins = ("LinearCurve",)
    forms = (CONE_LINE, CAP, CREASE)
    segment, spans = Straight, 1

    def names(self, axis: Axis, away: Any) -> Names:
        """v and the normal."""
        speed = dr.norm(axis.dc)
        t = axis.dc / speed
        outward = dr.normalize(away)
        return Names(outward, t, mi.Vector3f(0), dr.abs(dr.dot(outward, t) + axis.dr / speed) < ON_CONE)

    def patch(self, segment: Segment, v: Any, outward: Any, names: Names) -> Patch:
        """The normal stays as it is."""
        axis = segment.at(v)
        side, other = mi.coordinate_system(dr.detach(outward))
        along = dr.select(names.cone, axis.dc + axis.dr * outward, axis.r * other)
        around = dr.select(names.cone, axis.r * dr.cross(names.tangent, outward), axis.r * side)
        normal = dr.normalize(dr.select(names.cone, dr.cross(around, along), outward))
        return Patch(axis.c + axis.r * outward, normal, along, around, axis.dc / dr.norm(axis.dc), outward)

    def slid(self, v: Any, names: Names, radius: Any, shift: Any, forth: Any, aside: Any) -> tuple[Any, Any]:
        """On balls, the normal turns."""
        around = aside * dr.cross(names.tangent, names.outward)
        turned = (shift - names.outward * dr.dot(names.outward, shift)) / radius
        return v + dr.select(names.cone, forth, 0), names.outward + dr.select(names.cone, around, turned)

    def coordinate(self, segment: Segment, v: Any, now: Patch, names: Names) -> Any:
        """On cones, where the normal meets the axis."""
        named = segment.at(v)
        off = dr.dot(now.p - named.c, named.dc) + named.r * named.dr
        rate = dr.squared_norm(named.dc) - dr.square(named.dr)
        return v + dr.select(names.cone, dr.replace_grad(mi.Float(0), off / rate), 0)

    def tangent_of(self, now: Patch) -> Any:
        """Any frame of the normal."""
        return mi.coordinate_system(now.n)[0]

    # ------------------------------------------------------------------ rows of the table

    def spans_of(self, shape: Any, points: Any, starts: Any) -> list[tuple[Any, ...]]:
        """Two lines a cone, a circle a ball, and a crease where two cones meet at an angle."""
        _refuse_swallowed(shape, points, starts)
        after = {int(a): int(b) for a, b in itertools.pairwise(starts) if b == a + 1}
        before = {b: a for a, b in after.items()}
        number = {int(a): i for i, a in enumerate(starts)}
        along = lambda length: np.array([length, 0, 0])  # noqa: E731
        zero, found = np.zeros(3), []
        for first, prim in number.items():
            ends = np.array([first in before, first in after, 0], float)
            a, b = points[first], points[first + 1]
            found += [(CONE_LINE, a[:3], b[:3] - a[:3], ends, s, first, prim, prim, 0.0) for s in (1.0, -1.0)]
            has = np.array([first in before, True, 0], float)
            found.append((CAP, a[:3], along(a[3]), has, 0.0, first, prim, prim, 0.0))
            if first not in after:
                found.append((CAP, b[:3], along(b[3]), along(1.0), 1.0, first + 1, prim, prim, 0.0))
            elif _bends(points[first : first + 3]):
                second = number[after[first]]
                found.append((CREASE, b[:3], along(np.pi * b[3]), zero, 0.0, first + 1, prim, second, 0.0))
        return found

    def curve(self, row: Any, view: View, u: Any, here: Any) -> Curve:
        """Lines, circles and creases, as far as no other part of the curve covers them."""
        cap, valley = row.of(CAP), row.of(CREASE)
        has_before, has_after = row.d.x > 0, row.d.y > 0
        before = self.control(row, -1, here & (has_before | valley))
        second = self.control(row, 1, here & ~(cap & ~has_after))
        third = self.control(row, 2, row.of(CONE_LINE) & has_after)
        spread = lambda x, k: dr.select(here, x, mi.Vector4f(k, 0, 0, 1))  # noqa: E731  (no division by zero elsewhere)
        own, second, third = spread(self.control(row, 0, here), 0), spread(second, 1), spread(third, 2)
        cone, back = Cone.between(own, second), Cone.between(own, before)
        line = cone_line(back, cone, Cone.between(second, third), row.d, view, u, row.sign)
        axis, lift, ring = outline(row, view)
        sine, cosine = dr.sincos(dr.two_pi * u)
        s, t = mi.coordinate_system(axis)
        position = mi.Point3f(row.a + lift * axis + ring * (cosine * s + sine * t))
        circle = Curve(
            position, dr.two_pi * ring * (cosine * t - sine * s), row.a - position, mi.Vector3f(0), mi.Bool(False),
            uncovered(own, before, second, row.d, position), place=(row.sign, row.sign),
        )  # fmt: skip
        found = straight(row, u).under(crease(back, cone, u).over(line, valley))
        return circle.over(found, cap)

    def exists(self, row: Any, view: View, here: Any) -> Any:
        """From within a ball, its outline does not."""
        inside = ~view.distant & (dr.squared_norm(row.view_offset(view)) <= dr.squared_norm(row.b))
        return ~(row.of(CAP) & inside)

    def size(self, row: Any) -> Any:
        """Of balls, |b| is the radius."""
        return dr.norm(row.b) * dr.select(row.of(CAP), dr.two_pi, 1)

    def joints(self, row: Any) -> Joints | None:
        """On creases, two cones meet."""
        return Joints(row.of(CREASE), mi.Bool(False))

    # ------------------------------------------------------------------ on the host

    @staticmethod
    def ring(points: Any, first: int, v: float) -> Any:
        """Axis and radius on the host."""
        return (1 - v) * points[first] + v * points[first + 1]

    def refusal(self, shape: Any, names: str) -> str:
        """Too short for Embree, or with a texture around the curve."""
        found = super().refusal(shape, names)
        if found or on_gpu() or lost(shape) <= LOST:
            return found
        return (
            f"curve shape '{shape.id()}' has segments so short in the scene's unit that Embree traces them wrongly: "
            f"{lost(shape):.1%} of its length is missing, and the gradient of {names} lacks as much. "
            "Scale the whole scene up, its lights with it, or use longer segments."
        )


@dataclass
class Cone:
    """A cone that touches the balls at both ends: from `p` with radius `r` along the unit vector `t`, `length` far.

    `k`: growth of the radius per length.
    """

    p: Any
    r: Any
    t: Any
    k: Any
    length: Any

    @staticmethod
    def between(a: Any, b: Any) -> Cone:
        """From control point a to b (x, y, z, radius)."""
        p, way = mi.Vector3f(a.x, a.y, a.z), mi.Vector3f(b.x - a.x, b.y - a.y, b.z - a.z)
        length = dr.maximum(dr.norm(way), TINY)
        return Cone(p, a.w, way / length, (b.w - a.w) / length, length)

    @property
    def q(self) -> Any:
        """Sine of the angle between normals and the axis."""
        return dr.safe_sqrt(1 - dr.square(self.k))

    def holds(self, point: Any) -> Any:
        """Whether a point lies inside the body that the ball sweeps over."""
        away = point - self.p
        height = dr.dot(self.t, away)
        width = dr.norm(away - self.t * height)
        s = dr.clip(height + self.k / dr.maximum(self.q, 1e-6) * width, 0, self.length)
        return dr.norm(away - self.t * s) < (self.r + self.k * s) * (1 - 1e-4)


def cone_line(before: Cone | None, cone: Cone, after: Cone | None, ends: Any, view: Any, u: Any, branch: Any) -> Curve:
    """Silhouette line of a cone between two balls. `ends`: whether the neighbours `before`, `after` exist (x, y)."""
    q, near = offset(view, cone.p)
    flat = q - cone.t * dr.dot(cone.t, q)
    across = dr.norm(flat)
    x = flat * dr.rcp(dr.maximum(across, TINY))
    cosine = (cone.k * dr.dot(cone.t, q) - near * cone.r) / dr.maximum(cone.q * across, TINY)
    exists = dr.abs(cosine) < 1
    sine = branch * dr.safe_sqrt(1 - dr.square(cosine))
    n = cone.q * (cosine * x + sine * dr.cross(cone.t, x)) - cone.k * cone.t
    derivative = cone.length * (cone.t + cone.k * n)
    position = cone.p + cone.r * n + u * derivative
    hidden = (ends.x > 0) & before.holds(position) if before is not None else mi.Bool(False)
    hidden |= (ends.y > 0) & after.holds(position) if after is not None else mi.Bool(False)
    return Curve(mi.Point3f(position), derivative, -n, mi.Vector3f(0), mi.Bool(False), exists & ~hidden, place=(u, u))


def crease(first: Cone, second: Cone, u: Any) -> Curve:
    """Where two cones that touch the same ball meet: a plane curve. Both cones start at that ball."""
    normal = first.t / first.q - second.t / second.q
    level = first.r * (second.k / second.q - first.k / first.q)
    flat = normal - first.t * dr.dot(first.t, normal)
    across = dr.norm(flat)
    x = flat / dr.maximum(across, TINY)
    y = dr.cross(first.t, x)
    limit = (level + first.r * first.k * dr.dot(first.t, normal)) / dr.maximum(first.r * first.q * across, TINY)
    exists = dr.abs(limit) < 1
    begin = dr.safe_acos(limit)
    span = dr.two_pi - 2 * begin
    sine, cosine = dr.sincos(begin + u * span)
    n = first.q * (cosine * x + sine * y) - first.k * first.t
    dn = span * first.q * (cosine * y - sine * x)
    ruling = first.t + first.k * n
    above, below = level - first.r * dr.dot(n, normal), dr.dot(ruling, normal)
    s = above / dr.select(dr.abs(below) > TINY, below, 1)
    ds = (-first.r * dr.dot(dn, normal) - s * first.k * dr.dot(dn, normal)) / dr.select(dr.abs(below) > TINY, below, 1)
    away = s * first.t + (first.r + first.k * s) * n
    s2 = (dr.dot(away, second.t) + first.r * second.k) / dr.square(second.q)
    derivative = ds * ruling + (first.r + first.k * s) * dn
    n2 = dr.normalize(away - s2 * second.t)
    ruling2 = second.t + second.k * n2
    inside = exists & (s >= 0) & (s <= first.length) & (s2 >= 0) & (s2 <= second.length)
    orthogonal = lambda a: a - derivative * (dr.dot(a, derivative) / dr.maximum(dr.squared_norm(derivative), 1e-30))  # noqa: E731
    return Curve(
        mi.Point3f(first.p + away), derivative, orthogonal(ruling), orthogonal(ruling2), mi.Bool(True), inside,
        (mi.Vector3f(n), mi.Vector3f(n2)), None, (1 - s / first.length, s2 / second.length),
    )  # fmt: skip


def uncovered(ball: Any, before: Any, after: Any, ends: Any, point: Any) -> Any:
    """Whether no cone to a neighbour covers a point of the ball at a control point."""
    outward = point - mi.Vector3f(ball.x, ball.y, ball.z)
    result = mi.Bool(True)
    for has, other in ((ends.x, before), (ends.y, after)):
        way = mi.Vector3f(other.x - ball.x, other.y - ball.y, other.z - ball.z)
        result &= (has <= 0) | (dr.dot(outward, way) + (other.w - ball.w) * ball.w <= 0)
    return result


def _bends(three: Any) -> bool:
    back, forth = three[0, :3] - three[1, :3], three[2, :3] - three[1, :3]
    sine = np.linalg.norm(np.cross(back, forth)) / (np.linalg.norm(back) * np.linalg.norm(forth))
    return bool(sine > BENT or back @ forth > 0)


def _refuse_swallowed(shape: Any, points: Any, starts: Any) -> None:
    a, b = points[starts], points[starts + 1]
    if (np.abs(b[:, 3] - a[:, 3]) >= np.linalg.norm(b[:, :3] - a[:, :3], axis=1)).any():
        raise SceneError(
            f"shape '{shape.id()}' has a control point whose ball lies within that of its neighbour: the cone between them has no "
            "outline. Move the control points apart, or use boundary='none' for the interior part alone."
        )
