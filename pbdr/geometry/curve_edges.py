"""Silhouettes, ends and creases of B-spline and linear curves, as curves that a view determines exactly.

A tube has, at every v, two silhouette points: angles about the axis where the normal is orthogonal to the line of sight,
n·(p − o) = 0. Those of a cone are straight lines; those of the balls at control points are circles, as far as no cone covers
them. Where a linear curve bends, its cones meet on the inner side in a plane curve, a crease. Tubes are open: their ends are
borders, and only what faces the eye is there at all.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.errors import SceneError
from pbdr.geometry import curves, rounding

NEWTON = 8  # safeguarded steps: the silhouette's angle is known exactly where the radius is constant
STRAIGHT = 1e-4  # sine of a bend below which the normals on either side do not differ
TINY = 1e-12  # of lengths: only keeps divisions from dividing by zero
EVALUATION = 16 * 2.0**-23  # Embree's bound for what evaluating a B-spline costs, relative to its largest coordinate
BOUNDED = 2e-4  # of a tube's length: how far Embree's bounds stand off from it,
TAPERED = 1 / 128  # and this share of the change of its radius


@dataclass
class Found:
    """Points at u: position, dp/du, into the surface on either side, normals that must face the eye (or zero), and whether the
    point is part of the surface's outline."""

    position: Any
    derivative: Any
    into0: Any
    into1: Any
    facing: tuple[Any, Any]
    exposed: Any


def offset(view: Any, point: Any) -> tuple[Any, Any]:
    """From the eye to a point, and 1; for distant views, the line of sight and 0."""
    near = dr.select(view.distant, 0, mi.Float(1))
    return dr.select(view.distant, -view.towards, mi.Vector3f(point - view.point)), near


def tube(segment: curves.Segment, view: Any, v: Any, branch: Any) -> Found:
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
    return Found(position, derivative, -surface.n, mi.Vector3f(0), _anything(), exposed)


def tube_end(segment: curves.Segment, v: Any, u: Any) -> Found:
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
    return Found(axis.c + axis.r * rho, dr.two_pi * axis.r * side, into, mi.Vector3f(0), facing, axis.r > 0)


@dataclass
class Tangents:
    """Normal, and tangent along v, of a tube."""

    n: Any
    along: Any


def _surface(axis: curves.Axis, t: Any, rho: Any, bend: Any) -> Tangents:
    along = t * (bend / dr.norm(axis.dc)) + axis.dr * rho
    return Tangents(dr.normalize(bend * rho - axis.dr * axis.dc), along)


def _frame(axis: curves.Axis, q: Any) -> tuple[Any, Any, Any]:
    """Tangent of the axis, the direction orthogonal to it that points away from the eye, and the third one."""
    t = dr.normalize(axis.dc)
    flat = q - t * dr.dot(t, q)
    x = flat * dr.rsqrt(dr.maximum(dr.squared_norm(flat), 1e-30))
    return t, x, dr.cross(t, x)


def _anything() -> tuple[Any, Any]:
    return mi.Vector3f(0), mi.Vector3f(0)


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


def cone_line(before: Cone | None, cone: Cone, after: Cone | None, ends: Any, view: Any, u: Any, branch: Any) -> Found:
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
    return Found(position, derivative, -n, mi.Vector3f(0), _anything(), exists & ~hidden)


def crease(first: Cone, second: Cone, u: Any) -> tuple[Found, Any, Any]:
    """Where two cones that touch the same ball meet: a plane curve. Both cones start at that ball. Also their distances from it."""
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
    found = Found(
        first.p + away, derivative, orthogonal(ruling), orthogonal(ruling2), (mi.Vector3f(n), mi.Vector3f(n2)), inside
    )
    return found, s / first.length, s2 / second.length


def uncovered(ball: Any, before: Any, after: Any, ends: Any, point: Any) -> Any:
    """Whether no cone to a neighbour covers a point of the ball at a control point."""
    outward = point - mi.Vector3f(ball.x, ball.y, ball.z)
    result = mi.Bool(True)
    for has, other in ((ends.x, before), (ends.y, after)):
        way = mi.Vector3f(other.x - ball.x, other.y - ball.y, other.z - ball.z)
        result &= (has <= 0) | (dr.dot(outward, way) + (other.w - ball.w) * ball.w <= 0)
    return result


# ---------------------------------------------------------------------- rows of the edge table


def rows(shape: Any, kinds: dict[str, int], offset: int) -> dict[str, Any]:
    """Rows of one curve shape as host arrays; its control points begin at `offset` of the scene's.

    `first`: the control point that a row's segment or ball begins with; `prim`: Mitsuba's number of its segment; `prim1`: of the
    second segment, for creases; `gap`: how far from a tube rays are hits to Embree. Raises SceneError for curves that fold or
    whose balls swallow each other.
    """
    points, starts = curves.on_host(shape)
    found: list[tuple[Any, ...]] = []
    after = {int(a): int(b) for a, b in itertools.pairwise(starts) if b == a + 1}
    before = {b: a for a, b in after.items()}
    number = {int(a): i for i, a in enumerate(starts)}
    zero = np.zeros(3)
    if shape.class_name() == curves.TUBES:
        _refuse_folds(shape, points, starts)
        for first, prim in number.items():
            ends = [blend(points, first, v) for v in (0.0, 1.0)]
            chord = ends[1][:3] - ends[0][:3]
            found += [(kinds["TUBE"], ends[0][:3], chord, zero, s, first, prim, prim) for s in (1.0, -1.0)]
            for v, neighbours in ((0, before), (1, after)):
                if first not in neighbours:
                    size = np.array([2 * np.pi * ends[v][3], 0, 0])
                    found.append((kinds["TUBE_END"], ends[v][:3], size, zero, float(v), first, prim, prim))
    else:
        _refuse_swallowed(shape, points, starts)
        for first, prim in number.items():
            ends_ = np.array([first in before, first in after, 0], float)
            a, b = points[first], points[first + 1]
            found += [(kinds["CONE_LINE"], a[:3], b[:3] - a[:3], ends_, s, first, prim, prim) for s in (1.0, -1.0)]
            radius = lambda r: np.array([r, 0, 0])  # noqa: E731
            has = np.array([first in before, True, 0], float)
            found.append((kinds["CAP"], a[:3], radius(a[3]), has, 0.0, first, prim, prim))
            if first not in after:
                found.append((kinds["CAP"], b[:3], radius(b[3]), np.array([1.0, 0, 0]), 1.0, first + 1, prim, prim))
            elif _bends(points[first : first + 3]):
                size = np.array([np.pi * b[3], 0, 0])
                found.append((kinds["CREASE"], b[:3], size, zero, 0.0, first + 1, prim, number[after[first]]))
    names = ("kind", "a", "b", "d", "sign", "first", "prim", "prim1")
    columns = {name: np.array([row[i] for row in found]) for i, name in enumerate(names)}
    gap = np.zeros(len(found))
    if shape.class_name() == curves.TUBES:
        gap = np.array([tolerance(points, int(k)) for k in starts])[columns["prim"]]
    return {**columns, "c": np.zeros((len(found), 3)), "first": columns["first"] + offset, "gap": gap}


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


def _bends(three: Any) -> bool:
    back, forth = three[0, :3] - three[1, :3], three[2, :3] - three[1, :3]
    sine = np.linalg.norm(np.cross(back, forth)) / (np.linalg.norm(back) * np.linalg.norm(forth))
    return bool(sine > STRAIGHT or back @ forth > 0)


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


def _refuse_swallowed(shape: Any, points: Any, starts: Any) -> None:
    a, b = points[starts], points[starts + 1]
    if (np.abs(b[:, 3] - a[:, 3]) >= np.linalg.norm(b[:, :3] - a[:, :3], axis=1)).any():
        raise SceneError(
            f"shape '{shape.id()}' has a control point whose ball lies within that of its neighbour: the cone between them has no "
            "outline. Move the control points apart, or use boundary='none' for the interior part alone."
        )
