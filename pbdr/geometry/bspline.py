"""B-spline curves: tubes, open at their ends. Circles of radius r(v) about the axis c(v), in the planes normal to it.

A tube has, at every v, two silhouette points: angles about the axis where the normal is orthogonal to the line of sight,
n·(p − o) = 0. Its ends are borders, and only what faces the eye is there at all.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.errors import SceneError
from pbdr.geometry import rounding
from pbdr.geometry.curves import Axis, Curves, Names, Patch, Segment
from pbdr.geometry.kind import Form, Inside
from pbdr.geometry.view import Curve, View, offset, straight

NEWTON = 8  # safeguarded steps: the silhouette's angle is known exactly where the radius is constant
TINY = 1e-12  # of lengths: only keeps divisions from dividing by zero
EVALUATION = 16 * 2.0**-23  # Embree's bound for what evaluating a B-spline costs, relative to its largest coordinate
BOUNDED = 2e-4  # of a tube's length: how far Embree's bounds stand off from it,
TAPERED = 1 / 128  # and this share of the change of its radius
LAST = 1e-4  # before the end of a tube: Mitsuba reads beyond the last segment at v = 1

#: One of the two silhouettes of a span, chosen by `sign`.
TUBE = Form("silhouette of a tube", round=True, partial=True, winding=True, outwards=False, rough=True)
#: The open end of a tube, at v = `sign`.
TUBE_END = Form("end of a tube", fixed=True, partial=True, winding=True, rough=True)


class Cubic(Segment):
    """A span of a uniform cubic B-spline: four control points."""

    count = 4

    def weights(self, v: Any) -> tuple[list[Any] | None, ...]:
        """The basis functions."""
        w = 1 - v
        return (
            [w * w * w / 6, (3 * v * v * v - 6 * v * v + 4) / 6, (-3 * v * v * v + 3 * v * v + 3 * v + 1) / 6, v * v * v / 6],
            [-0.5 * w * w, 0.5 * (3 * v * v - 4 * v), 0.5 * (-3 * v * v + 2 * v + 1), 0.5 * v * v],
            [w, 3 * v - 2, -3 * v + 1, v],
            [mi.Float(-1), mi.Float(3), mi.Float(-3), mi.Float(1)],
        )  # fmt: skip


class BSplines(Curves):
    """Shapes `bsplinecurve`."""

    name = "B-spline curves"
    plugins = ("BSplineCurve",)
    forms = (TUBE, TUBE_END)
    segment, spans = Cubic, 6

    def names(self, axis: Axis, away: Any) -> Names:
        """v and a direction, projected into the plane normal to the axis."""
        speed = dr.norm(axis.dc)
        t = axis.dc / speed
        return Names(dr.normalize(away - t * dr.dot(t, away)), t, (axis.ddc - t * dr.dot(t, axis.ddc)) / speed)

    def patch(self, segment: Segment, v: Any, outward: Any, names: Names) -> Patch:
        """The direction from the axis stays as it is but for the component along the axis."""
        axis = segment.at(v)
        speed = dr.norm(axis.dc)
        t = axis.dc / speed
        dt = (axis.ddc - t * dr.dot(t, axis.ddc)) / speed
        q = outward - t * dr.dot(t, outward)
        length = dr.norm(q)
        rho = q / length
        onto = lambda x: (x - rho * dr.dot(rho, x)) / length  # noqa: E731
        sweep = -names.tangent * dr.dot(names.turn, outward)
        rho_v = onto(sweep - dt * dr.dot(t, outward) - t * (dr.dot(dt, outward) + dr.dot(t, sweep)))
        rim = dr.cross(names.tangent, outward)
        rho_u = onto(rim - t * dr.dot(t, rim))
        bend = dr.squared_norm(axis.dc) - axis.r * dr.dot(axis.ddc, rho)
        along, around = axis.dc + axis.dr * rho + axis.r * rho_v, axis.r * rho_u
        return Patch(axis.c + axis.r * rho, dr.normalize(bend * rho - axis.dr * axis.dc), along, around, t, rho)

    def slid(self, v: Any, names: Names, radius: Any, shift: Any, forth: Any, aside: Any) -> tuple[Any, Any]:
        """Along v, the direction turns with the axis."""
        rim, sweep = dr.cross(names.tangent, names.outward), -names.tangent * dr.dot(names.turn, names.outward)
        return v + forth, names.outward + aside * rim + sweep * forth

    def tangent_of(self, now: Patch) -> Any:
        """Around the axis."""
        return dr.normalize(dr.cross(now.tangent, now.outward))

    # ------------------------------------------------------------------ rows of the table

    def spans_of(self, shape: Any, points: Any, starts: Any) -> list[tuple[Any, ...]]:
        """Two silhouettes a span, and the ends."""
        _refuse_folds(shape, points, starts)
        after = {int(a): int(b) for a, b in itertools.pairwise(starts) if b == a + 1}
        before = {b: a for a, b in after.items()}
        zero, found = np.zeros(3), []
        for prim, first in enumerate(map(int, starts)):
            gap = tolerance(points, first)
            ends = [blend(points, first, v) for v in (0.0, 1.0)]
            chord = ends[1][:3] - ends[0][:3]
            found += [(TUBE, ends[0][:3], chord, zero, s, first, prim, prim, gap) for s in (1.0, -1.0)]
            for v, neighbours in ((0, before), (1, after)):
                if first not in neighbours:
                    size = np.array([2 * np.pi * ends[v][3], 0, 0])
                    found.append((TUBE_END, ends[v][:3], size, zero, float(v), first, prim, prim, gap))
        return found

    def curve(self, row: Any, view: View, u: Any, here: Any) -> Curve:
        """Silhouette or end."""
        points = [dr.select(here, self.control(row, k, here), mi.Vector4f(k, 0, 0, 1)) for k in range(4)]
        segment = Cubic(points)
        found = tube_end(segment, row.sign, u).over(tube(segment, view, u, row.sign), row.of(TUBE_END))
        return straight(row, u).under(found)

    def inside(self, edge: Any, which: Any, inward: Any, active: Any) -> Inside:
        """As for all curves, but off the end of the last span, also where rounding makes v one."""
        found = super().inside(edge, which, inward, active)
        last = 1 - max(LAST, dr.width(self.points) * 2.0**-24)
        return Inside(mi.Point2f(dr.minimum(found.uv.x, last), 0))

    # ------------------------------------------------------------------ on the host

    @staticmethod
    def ring(points: Any, first: int, v: float) -> Any:
        """Axis and radius on the host."""
        return blend(points, first, v)

    def gpu_refusal(self, features: Any, max_depth: int) -> str:
        """Measured on an H100."""
        return "motion in scenes with B-spline curves (up to 50 % off)" if features.moving else ""


def tube(segment: Segment, view: Any, v: Any, branch: Any) -> Curve:
    """Silhouette of a B-spline tube at v; `branch` = ±1 chooses one of the two angles."""
    axis = segment.at(v)
    t, x, y = _frame(axis, offset(view, axis.c)[0])
    q, near = offset(view, axis.c)
    across, cone = dr.norm(q - t * dr.dot(t, q)), axis.dr * dr.dot(axis.dc, q)
    speed2 = dr.squared_norm(axis.dc)
    bend = lambda sine, cosine: speed2 - axis.r * dr.dot(axis.ddc, cosine * x + sine * y)  # noqa: E731

    def height(phi: Any) -> tuple[Any, Any]:
        """n·(p − o), divided by a positive factor, and its derivative with respect to the angle."""
        sine, cosine = dr.sincos(phi)
        b = bend(sine, cosine)
        slope = axis.r * dr.dot(axis.ddc, cosine * y - sine * x)
        return across * cosine + near * axis.r - cone / b, -across * sine - cone * slope / dr.square(b)

    low, high = mi.Float(0), branch * dr.pi
    at_low, at_high = height(low)[0], height(high)[0]
    exists = (at_low > 0) & (at_high < 0) & (across > 0)
    start = (cone / bend(branch, 0) - near * axis.r) / dr.select(across > 0, across, 1)
    phi = branch * dr.safe_acos(start)
    for _ in range(NEWTON):
        value, slope = height(phi)
        low, high = dr.select(value > 0, phi, low), dr.select(value > 0, high, phi)
        guess = phi - value / dr.select(slope != 0, slope, -branch)
        inside = (guess - low) * (guess - high) <= 0
        phi = dr.select(inside, guess, 0.5 * (low + high))
    sine, cosine = dr.sincos(phi)
    rho, side = cosine * x + sine * y, cosine * y - sine * x
    b = bend(sine, cosine)
    surface = _surface(axis, t, rho, b)
    # Second fundamental form, up to a positive factor, in the orthogonal directions around the tube and along it.
    k = dr.dot(axis.ddc, rho) / dr.sqrt(speed2)
    turn = (dr.dot(axis.dddc, rho) - 2 * k * dr.dot(t, axis.ddc)) / dr.sqrt(speed2)
    outward = dr.dot(axis.ddc, rho) + axis.ddr - axis.r * k * k
    forward = dr.dot(axis.ddc, t) - 2 * axis.dr * k - axis.r * turn
    uu, uv = b * axis.r, -axis.r * axis.dr * dr.dot(axis.ddc, side)
    vv = axis.dr * dr.sqrt(speed2) * forward - b * outward
    position = axis.c + axis.r * rho
    sight, _ = offset(view, position)
    along_u = dr.dot(sight, side) / dr.select(axis.r > 0, axis.r, 1)
    along_v = dr.dot(sight, surface.along) / dr.squared_norm(surface.along)
    on_u, on_v = along_u * uu + along_v * uv, along_u * uv + along_v * vv
    # The outline's direction is conjugate to the line of sight; it is seen where the surface curves away from the eye.
    exposed = exists & (dr.abs(on_u) > TINY * dr.abs(on_v)) & (along_u * on_u + along_v * on_v > 0)
    derivative = surface.along - on_v / dr.select(exposed, on_u, 1) * axis.r * side
    return Curve(
        mi.Point3f(position), derivative, -surface.n, mi.Vector3f(0), mi.Bool(False), exposed, None, None, (v, v)
    )


def tube_end(segment: Segment, v: Any, u: Any) -> Curve:
    """The circle at v = 0 or 1, where a tube is open."""
    axis = segment.at(v)
    t = dr.normalize(axis.dc)
    x, y = mi.coordinate_system(t)
    sine, cosine = dr.sincos(dr.two_pi * u)
    rho, side = cosine * x + sine * y, cosine * y - sine * x
    bend = dr.squared_norm(axis.dc) - axis.r * dr.dot(axis.ddc, rho)
    surface = _surface(axis, t, rho, bend)
    into = surface.along * dr.select(v < 0.5, 1, mi.Float(-1))
    facing = (mi.Vector3f(surface.n), mi.Vector3f(0))
    position = mi.Point3f(axis.c + axis.r * rho)
    return Curve(
        position, dr.two_pi * axis.r * side, into, mi.Vector3f(0), mi.Bool(False), axis.r > 0, facing, None, (v, v)
    )


@dataclass
class Tangents:
    """Normal, and tangent along v, of a tube."""

    n: Any
    along: Any


def _surface(axis: Axis, t: Any, rho: Any, bend: Any) -> Tangents:
    along = t * (bend / dr.norm(axis.dc)) + axis.dr * rho
    return Tangents(dr.normalize(bend * rho - axis.dr * axis.dc), along)


def _frame(axis: Axis, q: Any) -> tuple[Any, Any, Any]:
    """Tangent of the axis, the direction orthogonal to it that points away from the eye, and the third one."""
    t = dr.normalize(axis.dc)
    flat = q - t * dr.dot(t, q)
    x = flat * dr.rsqrt(dr.maximum(dr.squared_norm(flat), 1e-30))
    return t, x, dr.cross(t, x)


def tolerance(points: Any, first: int) -> float:
    """How far from a tube rays may pass and still be hits to Embree; 0 where that is less than every ray's own distance from edges.

    Embree takes a point for a hit as soon as its distance from the tube is below a bound of rounding (`f_err`, `g_err`) that adds
    lengths to their squares and to plain numbers. In large or small units it is so large that only cylinders about parts of the
    tube, which Embree asks first, end it: their distance from it was measured (spans of radius 0.1, in units of 2⁻¹² to 2¹⁰).
    """
    four = points[first : first + 4]
    ends = [blend(points, first, v) for v in (0.0, 1.0)]
    chord = max(float(np.linalg.norm(ends[1][:3] - ends[0][:3])), 1e-30)
    radius = four[:, 3].max()
    rounding_ = EVALUATION * np.ptp(four[:, :3], axis=0).max()
    across = (1 + radius) * rounding_ + (1 + radius) * rounding_ / chord
    found = min(rounding_ + across + EVALUATION * radius, BOUNDED * chord + TAPERED * abs(ends[1][3] - ends[0][3]))
    return float(found) if found > rounding.AWAY_ROUGH * chord else 0.0


def blend(points: Any, first: int, v: float) -> Any:
    """Axis and radius of the segment that begins with control point `first`, on the host: (x, y, z, r)."""
    weights = np.array([(1 - v) ** 3, 3 * v**3 - 6 * v**2 + 4, -3 * v**3 + 3 * v**2 + 3 * v + 1, v**3]) / 6
    return weights @ points[first : first + 4]


def _refuse_folds(shape: Any, points: Any, starts: Any) -> None:
    """Where the radius exceeds the radius of curvature, the surface passes through itself."""
    four = np.stack([points[starts + k] for k in range(4)], 1)
    for v in np.linspace(0, 1, 9):
        w = 1 - v
        first = np.array([-0.5 * w * w, 0.5 * (3 * v * v - 4 * v), 0.5 * (-3 * v * v + 2 * v + 1), 0.5 * v * v])
        second = np.array([w, 3 * v - 2, -3 * v + 1, v])
        dc, ddc = np.einsum("k,nki->ni", first, four[..., :3]), np.einsum("k,nki->ni", second, four[..., :3])
        radius = np.einsum(
            "k,nk->n",
            [w**3 / 6, (3 * v**3 - 6 * v**2 + 4) / 6, (-3 * v**3 + 3 * v**2 + 3 * v + 1) / 6, v**3 / 6],
            four[..., 3],
        )
        speed2 = (dc**2).sum(1)
        curvature = np.linalg.norm(np.cross(dc, ddc), axis=1)
        if (radius * curvature >= speed2**1.5).any():
            raise SceneError(
                f"shape '{shape.id()}' bends more sharply than its radius allows, so that its surface folds through itself: that "
                "has no boundary term. Make it thinner, move its control points apart, or use boundary='none'."
            )
