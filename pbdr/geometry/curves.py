"""Curve shapes (`bsplinecurve`, `linearcurve`): their geometry, and their hits re-evaluated with derivatives.

A B-spline curve is a tube, open at its ends: circles of radius r(v) about its axis c(v), in the planes normal to it. A linear curve
is the surface of a ball that moves from control point to control point while its radius changes linearly: cones that touch balls.
Rays meet both from outside only. Mitsuba's own derivatives of hits are missing for linear curves; for B-splines, those of normals
and texture coordinates leave out how the frame of the axis twists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.parameters import traverse

TUBES, CONES = "BSplineCurve", "LinearCurve"
NOWHERE = 0xFFFFFFFF
ON_CONE = 1e-3  # cosine within which a hit on a linear curve belongs to the cone, where cone and ball touch
CUT = 2.0**-23  # Embree's cones begin where (p − p₀)·(p₁ − p₀) exceeds this, in whatever unit (isInsideCappedCone)


def is_curve(shape: Any) -> bool:
    """Whether a shape is made of B-spline or linear curves."""
    return bool(shape.class_name() in (TUBES, CONES))


def on_host(shape: Any) -> tuple[Any, Any]:
    """Control points (N, 4), detached, and the first one of each segment (S,)."""
    parameters = traverse(shape)
    points = np.array(dr.detach(parameters["control_points"]), dtype=np.float64).reshape(-1, 4)
    return points, np.array(parameters["segment_indices"]).astype(np.int64)


def lost(shape: Any) -> float:
    """Share of the length of linear curves that Embree takes for empty where cones begin; it grows as units get smaller."""
    points, starts = on_host(shape)
    length = np.linalg.norm(points[starts + 1, :3] - points[starts, :3], axis=1)
    return float(np.minimum(CUT / np.maximum(length, CUT), length).sum() / max(length.sum(), CUT))


@dataclass
class Axis:
    """Axis and radius at a parameter v: values and derivatives with respect to v. `ddc`, `ddr`, `dddc` vanish for linear curves."""

    c: Any
    dc: Any
    ddc: Any
    dddc: Any
    r: Any
    dr: Any
    ddr: Any


class Segment:
    """One span of a curve: four control points (two for linear curves, `linear`), each a position and a radius."""

    def __init__(self, points: list[Any], linear: Any) -> None:
        self.points, self.linear = points, linear

    def at(self, v: Any) -> Axis:
        """Axis at v in [0, 1]."""
        w = 1 - v
        cubic = (
            [w * w * w / 6, (3 * v * v * v - 6 * v * v + 4) / 6, (-3 * v * v * v + 3 * v * v + 3 * v + 1) / 6, v * v * v / 6],
            [-0.5 * w * w, 0.5 * (3 * v * v - 4 * v), 0.5 * (-3 * v * v + 2 * v + 1), 0.5 * v * v],
            [w, 3 * v - 2, -3 * v + 1, v],
            [mi.Float(-1), mi.Float(3), mi.Float(-3), mi.Float(1)],
        )  # fmt: skip
        zero, one = mi.Float(0), mi.Float(1)
        straight = ([w, v, zero, zero], [-one, one, zero, zero], [zero] * 4, [zero] * 4)
        rows = []
        for bent, flat in zip(cubic, straight, strict=True):
            weights = [dr.select(self.linear, a, b) for a, b in zip(flat, bent, strict=True)]
            rows.append(sum((p * b for p, b in zip(self.points, weights, strict=True)), mi.Vector4f(0)))
        c, r = [mi.Vector3f(x.x, x.y, x.z) for x in rows], [x.w for x in rows]
        return Axis(c[0], c[1], c[2], c[3], r[0], r[1], r[2])


@dataclass
class Patch:
    """A point of the surface: position, outward normal, tangents along v and around the axis (orthogonal), and the axis's own."""

    p: Any
    n: Any
    along: Any
    around: Any
    tangent: Any
    outward: Any  # unit direction from the axis


@dataclass
class Family:
    """How the points of the surface are named while it moves, detached: the axis's tangent at the named point, how that turns, and
    whether the point is on a tube, a cone or (neither) a ball.

    On a tube, v and a direction, projected into the plane normal to the axis, name a point; on cones and balls, v and the
    normal. Only what is tangential depends on these names: the convention's blend sees it, the total does not.
    """

    tangent: Any
    turn: Any
    tube: Any
    cone: Any


def patch(segment: Segment, v: Any, outward: Any, family: Family) -> Patch:
    """The point named by v and `outward`, on the attached surface."""
    axis = segment.at(v)
    speed = dr.norm(axis.dc)
    t = axis.dc / speed
    dt = (axis.ddc - t * dr.dot(t, axis.ddc)) / speed
    # ---- tube: the direction from the axis stays as it is but for the component along the axis
    q = outward - t * dr.dot(t, outward)
    length = dr.norm(q)
    rho = q / length
    onto = lambda x: (x - rho * dr.dot(rho, x)) / length  # noqa: E731
    sweep = -family.tangent * dr.dot(family.turn, outward)
    rho_v = onto(sweep - dt * dr.dot(t, outward) - t * (dr.dot(dt, outward) + dr.dot(t, sweep)))
    rim = dr.cross(family.tangent, outward)
    rho_u = onto(rim - t * dr.dot(t, rim))
    bend = dr.squared_norm(axis.dc) - axis.r * dr.dot(axis.ddc, rho)
    tube_normal = bend * rho - axis.dr * axis.dc
    # ---- cone and ball: the normal stays as it is
    side, other = mi.coordinate_system(dr.detach(outward))
    pick = lambda tube, cone, ball: dr.select(family.tube, tube, dr.select(family.cone, cone, ball))  # noqa: E731
    direction = dr.select(family.tube, rho, outward)
    along = pick(axis.dc + axis.dr * rho + axis.r * rho_v, axis.dc + axis.dr * outward, axis.r * other)
    around = pick(axis.r * rho_u, axis.r * rim, axis.r * side)
    normal = pick(tube_normal, dr.cross(around, along), outward)
    return Patch(axis.c + axis.r * direction, dr.normalize(normal), along, around, t, direction)


def angle(tangent: Any, outward: Any) -> Any:
    """Mitsuba's angular texture coordinate in [0, 1) of a direction from the axis."""
    guide = mi.Vector3f(0, 0, 1)
    flat = guide - tangent * dr.dot(tangent, guide)
    upright = dr.squared_norm(flat) > 1e-6
    x = dr.normalize(dr.select(upright, flat, mi.Vector3f(0, 1, 0)))
    turn = dr.atan2(dr.dot(x, outward), dr.dot(dr.cross(x, tangent), outward)) * dr.inv_two_pi
    return turn + dr.select(turn < 0, 1, 0)


class Strands:
    """Curve shapes of a scene by number. Not a dataclass: Dr.Jit must not take it for loop state.

    `points`: detached control points of all of them (x, y, z, radius); `first`: the first control point of each segment;
    `start`: where the segments of a shape begin in `first`; `attached`: (number, shape) of those that carry derivatives.
    """

    def __init__(self, scene: Any) -> None:
        shapes = [shape for shape in scene.shapes() if is_curve(shape)]
        parameters = [traverse(shape) for shape in shapes]
        values = [p["control_points"] for p in parameters]
        self.offset = np.cumsum([0, *(dr.width(x) // 4 for x in values)])
        self.points = dr.concat([dr.detach(x) for x in values])
        indices = [on_host(shape)[1] for shape in shapes]
        self.start_host = np.cumsum([0, *map(len, indices)])
        numbers = lambda x: mi.UInt32(aligned(x, np.uint32))  # noqa: E731
        self.first = numbers(np.concatenate([i + o for i, o in zip(indices, self.offset, strict=False)]))
        self.start = numbers(self.start_host[:-1])
        self.linear = mi.UInt32([int(shape.class_name() == CONES) for shape in shapes])
        self.sizes = mi.UInt32([len(i) for i in indices])
        addresses = np.array([int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(s))[0]) for s in shapes], np.uint32)
        number = np.full(int(addresses.max()) + 1, NOWHERE, np.uint32)
        number[addresses] = np.arange(len(shapes))
        self.number = numbers(number)
        self.attached = [
            (k, shape) for k, (shape, x) in enumerate(zip(shapes, values, strict=True)) if dr.grad_enabled(x)
        ]
        dr.eval(self.points, self.first, self.start, self.linear, self.sizes, self.number)

    @staticmethod
    def of(scene: Any) -> Strands | None:
        """The curves of a scene; None if it has none."""
        return Strands(scene) if any(is_curve(shape) for shape in scene.shapes()) else None

    def at(self, hit: Any, active: Any) -> tuple[Any, Any, Segment, Any]:
        """For hits: (whether on a curve, number of the shape, the segment that is hit, attached, the number of segments)."""
        address = dr.reinterpret_array(mi.UInt32, hit.shape)
        here = mi.Bool(active) & hit.is_valid() & (address != 0) & (address < dr.width(self.number))
        number = dr.gather(mi.UInt32, self.number, address, here)
        here &= number != NOWHERE
        row = dr.gather(mi.UInt32, self.start, number, here) + hit.prim_index
        first = dr.gather(mi.UInt32, self.first, row, here)
        linear = dr.gather(mi.UInt32, self.linear, number, here) != 0
        segment = span(self.points, first, linear, here)
        for k, shape in self.attached:
            chosen = here & (number == k)
            moved = span(traverse(shape)["control_points"], first - int(self.offset[k]), linear, chosen)
            segment.points = [dr.select(chosen, a, b) for a, b in zip(moved.points, segment.points, strict=True)]
        # A segment along x on all other lanes, where nothing must divide by zero.
        for k, point in enumerate(segment.points):
            segment.points[k] = dr.select(here, point, mi.Vector4f(k, 0, 0, 1))
        return here, number, segment, dr.gather(mi.UInt32, self.sizes, number, here)

    def moved(self, evaluate: Callable[..., Any], hit: Any, ray: Any, active: Any, follow: bool) -> Any:
        """`evaluate(hit, ray, active)` with the right derivatives on curves: at the material point if `follow`, else sliding."""
        with at_rest(self):
            si = evaluate(hit, ray, active)
        here, _, segment, count = self.at(hit, active)
        v = dr.select(here, hit.prim_uv.x, 0.5)
        base = dr.detach(si.p)
        axis = segment.at(v)
        axis = Axis(*(dr.detach(x) for x in (axis.c, axis.dc, axis.ddc, axis.dddc, axis.r, axis.dr, axis.ddr)))
        speed = dr.norm(axis.dc)
        t = axis.dc / speed
        away = dr.select(here, base - axis.c, mi.Vector3f(0, 1, 0))
        radial = away - t * dr.dot(t, away)
        outward = dr.normalize(dr.select(segment.linear, away, radial))
        cone = segment.linear & (dr.abs(dr.dot(outward, t) + axis.dr / speed) < ON_CONE)
        family = Family(t, (axis.ddc - t * dr.dot(t, axis.ddc)) / speed, ~segment.linear, cone)
        now = patch(segment, v, outward, family)
        p, distance = now.p, dr.norm(now.p - ray.o) * dr.rcp(dr.norm(ray.d))
        if not follow:
            n, along, around = (dr.detach(x) for x in (now.n, now.along, now.around))
            slope = dr.dot(n, dr.detach(ray.d))
            slope = dr.select(here & (dr.abs(slope) > 0), slope, -1)
            # Where the attached ray meets the plane that touches the attached surface.
            met = dr.dot(n, now.p - ray.o) / dr.select(here, dr.dot(n, ray.d), slope)
            distance = dr.replace_grad(hit.t, met)
            p = ray.o + distance * ray.d
            shift = dr.replace_grad(mi.Vector3f(0), p - now.p)
            forth = dr.dot(shift, along) / dr.squared_norm(along)
            round_ = dr.dot(shift, around) / dr.squared_norm(around)
            ball = ~segment.linear | cone
            v = v + dr.select(ball, forth, 0)
            rim = dr.cross(t, outward)
            step = dr.select(segment.linear & ~cone, (shift - outward * dr.dot(outward, shift)) / axis.r, round_ * rim)
            sweep = dr.select(segment.linear, mi.Vector3f(0), -t * dr.dot(family.turn, outward) * forth)
            now = patch(segment, v, outward + step + sweep, family)
        named = segment.at(v)
        off = (
            dr.dot(now.p - named.c, named.dc) + named.r * named.dr
        )  # Mitsuba's v on cones: where the normal meets the axis
        rate = dr.squared_norm(named.dc) - dr.square(named.dr)
        v = v + dr.select(cone, dr.replace_grad(mi.Float(0), off / rate), 0)
        return _written(si, here, now, p, distance, (v + hit.prim_index) / dr.maximum(count, 1), segment.linear)


def at_rest(strands: Strands | None) -> Any:
    """Context in which Mitsuba's own derivatives of curves are switched off: they are wrong, and all of them are replaced."""
    moving = [] if strands is None else [traverse(shape)["control_points"] for _, shape in strands.attached]
    return dr.suspend_grad(*moving, when=bool(moving))


def _written(si: Any, here: Any, now: Patch, p: Any, distance: Any, v: Any, linear: Any) -> Any:
    """`si` with the attached point, normal, frame and texture coordinates of `now` on the lanes `here`."""
    value = lambda old, new: dr.select(here, dr.replace_grad(old, new), old)  # noqa: E731
    si.p = mi.Point3f(value(mi.Vector3f(si.p), mi.Vector3f(p)))
    si.t = value(si.t, distance)
    si.n = mi.Normal3f(value(mi.Vector3f(si.n), now.n))
    si.sh_frame.n = mi.Normal3f(value(mi.Vector3f(si.sh_frame.n), now.n))
    si.uv = value(si.uv, mi.Point2f(angle(now.tangent, now.outward), v))
    si.dp_du, si.dp_dv = dr.select(here, now.around, si.dp_du), dr.select(here, now.along, si.dp_dv)
    # Mitsuba's frame: around the axis on tubes; any frame of the normal on linear curves.
    s = dr.select(linear, mi.coordinate_system(now.n)[0], dr.normalize(dr.cross(now.tangent, now.outward)))
    si.sh_frame.s = value(si.sh_frame.s, s)
    si.sh_frame.t = value(si.sh_frame.t, dr.cross(now.n, s))
    return si


def span(points: Any, first: Any, linear: Any, active: Any) -> Segment:
    """The segment whose control points begin at `first` of the buffer `points`."""
    return Segment([point(points, dr.select(linear & (k > 1), first, first + k), active) for k in range(4)], linear)


def point(points: Any, index: Any, active: Any) -> Any:
    """Control point `index` of the buffer `points`: (x, y, z, radius)."""
    return dr.gather(mi.Vector4f, points, index, active)
