"""Curve shapes: what `bsplinecurve` and `linearcurve` have in common. Their geometry is in bspline.py and linear_curve.py.

Rays meet both from outside only. Mitsuba's own derivatives of hits are missing for linear curves; for B-splines, those of normals
and texture coordinates leave out how the frame of the axis twists.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.geometry import surfaces, texcoords
from pbdr.geometry.edges import column, columns, numbers
from pbdr.geometry.intersections import Solid
from pbdr.geometry.kind import ALONE, Inside, Kind, Part
from pbdr.geometry.numbering import Numbering
from pbdr.geometry.placed import Placed
from pbdr.parameters import traverse

ROUND = 12  # corners around the polygonal tubes that stand for curve shapes where intersections are looked for


def on_host(shape: Any) -> tuple[Any, Any]:
    """Control points (N, 4), detached, and the first one of each segment (S,)."""
    parameters = traverse(shape)
    points = np.array(dr.detach(parameters["control_points"]), dtype=np.float64).reshape(-1, 4)
    return points, np.array(parameters["segment_indices"]).astype(np.int64)


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

    def detached(self) -> Axis:
        """The same without derivatives."""
        return Axis(*(dr.detach(getattr(self, field.name)) for field in fields(self)))


class Segment:
    """One span of a curve. `points`: its control points, each a position and a radius."""

    count: ClassVar[int]

    def __init__(self, points: list[Any]) -> None:
        self.points = points

    @abstractmethod
    def weights(self, v: Any) -> tuple[list[Any] | None, ...]:
        """Weights of the control points in the value and its first three derivatives at v in [0, 1]; None where all are 0."""

    def at(self, v: Any) -> Axis:
        """Axis at v in [0, 1]."""
        rows = []
        for weights in self.weights(v):
            terms = [] if weights is None else [p * w for p, w in zip(self.points, weights, strict=True)]
            rows.append(sum(terms, mi.Vector4f(0)))
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
class Names:
    """How points of the surface are named while it moves, detached: by v and the direction `outward`.

    `tangent` of the axis at the named point, and its `turn` with v; `cone`: of linear curves, whether the point is on a cone. Only
    what is tangential depends on these names: the convention's blend sees it, the total does not.
    """

    outward: Any
    tangent: Any
    turn: Any
    cone: Any = None


def angle(tangent: Any, outward: Any) -> Any:
    """Mitsuba's angular texture coordinate in [0, 1) of a direction from the axis."""
    guide = mi.Vector3f(0, 0, 1)
    flat = guide - tangent * dr.dot(tangent, guide)
    upright = dr.squared_norm(flat) > 1e-6
    x = dr.normalize(dr.select(upright, flat, mi.Vector3f(0, 1, 0)))
    turn = dr.atan2(dr.dot(x, outward), dr.dot(dr.cross(x, tangent), outward)) * dr.inv_two_pi
    return turn + dr.select(turn < 0, 1, 0)


class Curves(Kind):
    """Curve shapes of one kind in a scene, by number.

    `points`: detached control points of all of them (x, y, z, radius); `first`: the first control point of each segment;
    `start`: where the segments of a shape begin in `first`; `attached`: (number, shape) of those that carry derivatives.
    """

    segment: ClassVar[type[Segment]]
    spans: ClassVar[int]  # lengths of the polygonal tubes along a segment
    tells = textured = False
    wraps = True

    def __init__(self, scene: Any) -> None:
        self.shapes = [shape for shape in scene.shapes() if self.matches(shape)]
        values = [traverse(shape)["control_points"] for shape in self.shapes]
        self.offset = np.cumsum([0, *(dr.width(x) // 4 for x in values)])
        self.points = dr.concat([dr.detach(x) for x in values])
        indices = [on_host(shape)[1] for shape in self.shapes]
        self.first = numbers(np.concatenate([i + o for i, o in zip(indices, self.offset, strict=False)]))
        self.start = numbers(np.cumsum([0, *map(len, indices)])[:-1])
        self.sizes = mi.UInt32([len(i) for i in indices])
        self.numbering = Numbering(self.shapes)
        self.attached = [
            (k, shape) for k, (shape, x) in enumerate(zip(self.shapes, values, strict=True)) if dr.grad_enabled(x)
        ]
        dr.eval(self.points, self.first, self.start, self.sizes, self.numbering.number)

    @classmethod
    def of(cls, scene: Any) -> Curves | None:
        """The curves of a scene; None if it has none."""
        return cls(scene) if any(map(cls.matches, scene.shapes())) else None

    # ------------------------------------------------------------------ what differs

    @abstractmethod
    def names(self, axis: Axis, away: Any) -> Names:
        """Names of points that lie `away` from the axis."""

    @abstractmethod
    def patch(self, segment: Segment, v: Any, outward: Any, names: Names) -> Patch:
        """The point named by v and `outward`, on the attached surface."""

    @abstractmethod
    def slid(self, v: Any, names: Names, radius: Any, shift: Any, forth: Any, aside: Any) -> tuple[Any, Any]:
        """(v, outward) of points that have slid by `shift`: by `forth` along the surface in v, by `aside` around the axis."""

    def coordinate(self, segment: Segment, v: Any, now: Patch, names: Names) -> Any:
        """Mitsuba's v of a point."""
        return v

    @abstractmethod
    def tangent_of(self, now: Patch) -> Any:
        """The first axis of Mitsuba's shading frame."""

    @abstractmethod
    def spans_of(self, shape: Any, points: Any, starts: Any) -> list[tuple[Any, ...]]:
        """Rows on the host: (form, a, b, d, sign, first control point, number of the segment, number of the second one, gap)."""

    # ------------------------------------------------------------------ rows of the table

    def rows(self, placed: Placed, kept: Any) -> list[Part]:
        """Of `corners`, the second is the first control point of the row's segment or ball; |b| is about the length.

        Raises SceneError for curves that fold, or whose balls swallow each other.
        """
        points, starts = on_host(placed.shape)
        forms, a, b, d, sign, first, prim, second, gap = zip(*self.spans_of(placed.shape, points, starts), strict=True)
        offset = int(self.offset[self.shapes.index(placed.shape)])
        given = {name: column(name, np.array(x)) for name, x in (("a", a), ("b", b), ("d", d), ("sign", sign))} | {
            "form": numbers([form.code for form in forms]), "face0": numbers(prim), "face1": numbers(second),
            "corners1": numbers(np.array(first) + offset),
        }  # fmt: skip
        if any(gap):
            given["gap"] = column("gap", np.array(gap))
        return [Part(columns(placed, given), tuple(forms))]

    def control(self, row: Any, k: int, active: Any) -> Any:
        """Control point k after the row's own."""
        return point(self.points, mi.UInt32(mi.Int32(row.corners[1]) + k), active)

    def extent(self, row: Any) -> Any:
        """About the length of the row."""
        return dr.norm(row.b)

    # ------------------------------------------------------------------ motion and hits

    def moved(self, scene: Any, edge: Any, which: Any, here: Any) -> Any:
        """The material point."""
        hit, ray = surfaces.beside(scene, edge, which, 0.0, here)
        return self.hits(surfaces.follow_material, hit, ray, here, True).p

    def inside(self, edge: Any, which: Any, inward: Any, active: Any) -> Inside:
        """Where the row itself is: rays meet the surface from outside only, and what is beside its edges is seen at a slant."""
        return Inside(mi.Point2f(dr.select(which == 0, edge.place[0], edge.place[1]), 0))

    def at(self, hit: Any, active: Any) -> tuple[Any, Segment, Any]:
        """For hits: (whether on such a curve, the segment that is hit, attached, the number of segments of the shape)."""
        here, number = self.numbering.of(hit, active)
        row = dr.gather(mi.UInt32, self.start, number, here) + hit.prim_index
        first = dr.gather(mi.UInt32, self.first, row, here)
        points = self._span(self.points, first, here)
        for k, shape in self.attached:
            chosen = here & (number == k)
            moved = self._span(traverse(shape)["control_points"], first - int(self.offset[k]), chosen)
            points = [dr.select(chosen, a, b) for a, b in zip(moved, points, strict=True)]
        # A segment along x on all other lanes, where nothing must divide by zero.
        points = [dr.select(here, x, mi.Vector4f(k, 0, 0, 1)) for k, x in enumerate(points)]
        return here, self.segment(points), dr.gather(mi.UInt32, self.sizes, number, here)

    def _span(self, values: Any, first: Any, active: Any) -> list[Any]:
        return [point(values, first + k, active) for k in range(self.segment.count)]

    def hits(self, evaluate: Any, hit: Any, ray: Any, active: Any, follow: bool) -> Any:
        """All derivatives anew."""
        with self.at_rest():
            si = evaluate(hit, ray, active)
        here, segment, count = self.at(hit, active)
        v = dr.select(here, hit.prim_uv.x, 0.5)
        axis = segment.at(v).detached()
        away = dr.select(here, dr.detach(si.p) - axis.c, mi.Vector3f(0, 1, 0))
        names = self.names(axis, away)
        now = self.patch(segment, v, names.outward, names)
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
            aside = dr.dot(shift, around) / dr.squared_norm(around)
            v, outward = self.slid(v, names, axis.r, shift, forth, aside)
            now = self.patch(segment, v, outward, names)
        v = self.coordinate(segment, v, now, names)
        return self._written(si, here, now, p, distance, (v + hit.prim_index) / dr.maximum(count, 1))

    def _written(self, si: Any, here: Any, now: Patch, p: Any, distance: Any, v: Any) -> Any:
        """`si` with the attached point, normal, frame and texture coordinates of `now` on the lanes `here`."""
        value = lambda old, new: dr.select(here, dr.replace_grad(old, new), old)  # noqa: E731
        si.p = mi.Point3f(value(mi.Vector3f(si.p), mi.Vector3f(p)))
        si.t = value(si.t, distance)
        si.n = mi.Normal3f(value(mi.Vector3f(si.n), now.n))
        si.sh_frame.n = mi.Normal3f(value(mi.Vector3f(si.sh_frame.n), now.n))
        si.uv = value(si.uv, mi.Point2f(angle(now.tangent, now.outward), v))
        si.dp_du, si.dp_dv = dr.select(here, now.around, si.dp_du), dr.select(here, now.along, si.dp_dv)
        s = self.tangent_of(now)
        si.sh_frame.s = value(si.sh_frame.s, s)
        si.sh_frame.t = value(si.sh_frame.t, dr.cross(now.n, s))
        return si

    def at_rest(self) -> Any:
        """They are wrong, and all of them are replaced."""
        moving = [traverse(shape)["control_points"] for _, shape in self.attached]
        return dr.suspend_grad(*moving, when=bool(moving))

    # ------------------------------------------------------------------ on the host

    def state(self, placed: Placed) -> list[Any]:
        """The control points."""
        return [dr.detach(traverse(placed.shape)["control_points"])]

    def solid(self, placed: Placed, kept: Any) -> Solid:
        """Polygonal tubes drawn inside the shape."""
        return tubes(*on_host(placed.shape), self.ring, self.spans)

    @staticmethod
    @abstractmethod
    def ring(points: Any, first: int, v: float) -> Any:
        """Axis and radius on the host, (x, y, z, r), of the segment that begins with control point `first`."""

    def detail(self, shape: Any, size: float) -> float:
        """The radius. (At 11,000 times the radius from the origin, single samples of a linear curve were as large as all others
        together.)"""
        return float(np.median(on_host(shape)[0][:, 3]))

    def refusal(self, shape: Any, names: str) -> str:
        """Texture coordinates jump around the curve, from segment to segment."""
        if not texcoords.varies_over(shape, 0):
            return ""
        return (
            f"curve shape '{shape.id()}' has a texture that changes around the curve, where its texture coordinates jump: the "
            f"gradient of {names} would be wrong. Use a texture that changes along the curve only. {ALONE}"
        )


def point(points: Any, index: Any, active: Any) -> Any:
    """Control point `index` of the buffer `points`: (x, y, z, radius)."""
    return dr.gather(mi.Vector4f, points, index, active)


def tubes(points: Any, starts: Any, ring: Any, spans: int) -> Solid:
    """Polygonal tubes of the segments that begin at `starts`; `ring(points, first, v)`: centre and radius."""
    steps = np.linspace(0, 1, spans + 1)
    angle = 2 * np.pi * (np.arange(ROUND) + 0.37) / ROUND
    vertices: list[Any] = []
    faces: list[Any] = []
    for start in starts:
        rings = np.stack([ring(points, start, v) for v in steps])
        tangent = np.gradient(rings[:, :3], axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        x = np.cross(tangent, np.eye(3)[np.argmin(np.abs(tangent[0]))])
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        y = np.cross(tangent, x)
        arms = np.cos(angle)[None, :, None] * x[:, None] + np.sin(angle)[None, :, None] * y[:, None]
        count = sum(map(len, vertices))
        vertices.append((rings[:, None, :3] + rings[:, None, 3:] * arms).reshape(-1, 3))
        k, following = np.arange(ROUND), (np.arange(ROUND) + 1) % ROUND
        for i in range(len(steps) - 1):
            low, high = count + i * ROUND, count + (i + 1) * ROUND
            faces.append(np.stack([low + k, low + following, high + k], 1))
            faces.append(np.stack([low + following, high + following, high + k], 1))
    return Solid(np.concatenate(faces).astype(np.uint32), np.concatenate(vertices))
