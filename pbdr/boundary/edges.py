"""Edges of a scene as curves: mesh edges, borders of disks, silhouettes of spheres and cylinders.

A *view* is a point (or a direction, for distant lights) the silhouettes are taken from. `EdgeTable.curves` gives, for pairs of
an edge and a view, the curve p(u), u in [0, 1), and the adjacent surface on either side of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import topology

SEGMENT, ELLIPSE, SPHERE, CYLINDER_LINE = 0, 1, 2, 3
NO_MEMBER = NO_PAIR = 0xFFFFFFFF


@dataclass
class View:
    """Where silhouettes are seen from: `point`, or infinitely far in direction `towards` where `distant`."""

    point: Any
    towards: Any
    distant: Any

    def direction_to(self, target: Any) -> Any:
        """Unit direction of the line of sight at `target`: away from a viewpoint at `point`."""
        return dr.select(self.distant, -self.towards, dr.normalize(target - self.point))


@dataclass
class Curve:
    """Curves at parameter u: position, derivative dp/du, and into each adjacent face (zero if there is none)."""

    position: Any
    derivative: Any
    into0: Any
    into1: Any
    two_sided: Any  # a second face exists
    round: Any  # smooth silhouette of an analytic shape: the surface is tangent to the line of sight


@dataclass
class Pairs:
    """Rows at the end of the table whose two faces belong to different shapes, or whose ends are no vertices.

    For each of the two faces: `shape` and `member` as in the table, second and third barycentric coordinate `start` and `end` at
    both ends of the row, and their change `inward` by the vector into the face.
    """

    count: int
    shape: tuple[Any, Any]
    member: tuple[Any, Any]
    start: tuple[Any, Any]
    end: tuple[Any, Any]
    inward: tuple[Any, Any]

    def of(self, which: Any, pair: Any, u: Any, inward: float, active: Any) -> tuple[Any, Any, Any]:
        """Face `which` of rows: (shape, member, barycentric coordinates at u, moved into the face by a fraction of it)."""

        def get(columns: tuple[Any, Any]) -> Any:
            values = [dr.gather(type(c), c, pair, active) for c in columns]
            return dr.select(which == 0, values[0], values[1])

        uv = dr.lerp(get(self.start), get(self.end), u) + inward * get(self.inward)
        return get(self.shape), get(self.member), mi.Point2f(uv)


@dataclass
class EdgeTable:
    """Device arrays over all edges; `kind` says how `a`, `b`, `c` are read.

    SEGMENT: from a along b, c towards the first face, d towards the second; where `sign` is 1, the row counts only as seen from
    the wedge between the first and the second face, turning about b. ELLIPSE: centre a, half axes b, c. SPHERE: centre a,
    radius |b|. CYLINDER_LINE: base centre a, axis b, radius |c|; `sign` chooses the line.
    """

    count: int
    kind: Any
    a: Any
    b: Any
    c: Any
    d: Any
    sign: Any
    face: tuple[Any, Any]
    corners: tuple[Any, Any]  # packed start | end << 2 | opposite << 4
    jump: Any
    shape: Any  # index into the scene's shapes (of the instance, for shapes of a group)
    moving: Any
    has_borders: bool
    member: Any = None  # number of the shape within its group, NO_MEMBER for others; None if the scene has no instance
    pairs: Pairs | None = None  # of the last rows of the table
    pair: Any = None  # number of a row within `pairs`; only after `row`

    @property
    def border(self) -> Any:
        """Rows that are borders of disks and cylinders."""
        return (self.corners[0] == 0) & (self.kind <= ELLIPSE)

    def row(self, index: Any, active: Any = True) -> EdgeTable:
        """The rows at `index`."""
        get = lambda array: dr.gather(type(array), array, index, active)  # noqa: E731
        first = self.count - (self.pairs.count if self.pairs is not None else 0)
        pair = None if self.pairs is None else dr.select(index >= first, index - first, NO_PAIR)
        return EdgeTable(
            self.count, get(self.kind), get(self.a), get(self.b), get(self.c), get(self.d), get(self.sign),
            (get(self.face[0]), get(self.face[1])), (get(self.corners[0]), get(self.corners[1])), get(self.jump),
            get(self.shape), get(self.moving), self.has_borders, None if self.member is None else get(self.member),
            self.pairs, pair,
        )  # fmt: skip

    def curve(self, view: View, u: Any) -> Curve:
        """Points of these rows' curves as seen from `view`."""
        segment = self.kind == SEGMENT
        phi = dr.two_pi * u
        sine, cosine = dr.sincos(phi)
        # ---- straight edges
        position, derivative = self.a + u * self.b, mi.Vector3f(self.b)
        into0, into1 = mi.Vector3f(self.c), mi.Vector3f(self.d)
        two_sided = segment & (self.face[1] != topology.NO_FACE)
        # ---- borders of disks and cylinders: `d` is the direction into the surface for cylinders, zero for disks
        ellipse = self.kind == ELLIPSE
        arm = cosine * self.b + sine * self.c
        rim_into = dr.select(dr.squared_norm(self.d) > 0, self.d, -arm)
        # ---- silhouette circle of a sphere
        sphere = self.kind == SPHERE
        radius2 = dr.squared_norm(self.b)
        offset = self.view_offset(view)
        distance2 = dr.squared_norm(offset)
        axis = dr.select(view.distant, view.towards, offset * dr.rsqrt(distance2))
        lift = dr.select(view.distant, 0, radius2 * dr.rsqrt(distance2))
        ring = dr.sqrt(dr.maximum(radius2 - dr.square(lift), 0))
        s, t = mi.coordinate_system(axis)
        circle_arm = ring * (cosine * s + sine * t)
        # ---- silhouette lines of a cylinder
        line = self.kind == CYLINDER_LINE
        foot, toward = self.cylinder_line(view)
        position = dr.select(ellipse, self.a + arm, position)
        position = dr.select(sphere, self.a + lift * axis + circle_arm, position)
        position = dr.select(line, foot + u * self.b, position)
        derivative = dr.select(ellipse, dr.two_pi * (cosine * self.c - sine * self.b), derivative)
        derivative = dr.select(sphere, dr.two_pi * ring * (cosine * t - sine * s), derivative)
        into0 = dr.select(ellipse, rim_into, into0)
        into0 = dr.select(sphere, self.a - position, into0)
        into0 = dr.select(line, toward, into0)
        return Curve(mi.Point3f(position), mi.Vector3f(derivative), into0, into1, two_sided, sphere | line)

    def view_offset(self, view: View) -> Any:
        """From the row's centre `a` to the viewpoint (its direction, for distant views)."""
        return dr.select(view.distant, view.towards, view.point - self.a)

    def cylinder_line(self, view: View) -> tuple[Any, Any]:
        """Base point of a cylinder's silhouette line and the direction from it to the axis."""
        axis = self.b * dr.rsqrt(dr.maximum(dr.squared_norm(self.b), 1e-30))
        offset = self.view_offset(view)
        radial = offset - axis * dr.dot(axis, offset)
        radius2, distance2 = dr.squared_norm(self.c), dr.maximum(dr.squared_norm(radial), 1e-30)
        x = radial * dr.rsqrt(distance2)
        y = dr.cross(axis, x)
        cosine = dr.select(view.distant, 0, dr.minimum(dr.sqrt(radius2 / distance2), 1))
        arm = dr.sqrt(radius2) * (cosine * x + self.sign * dr.sqrt(dr.maximum(1 - dr.square(cosine), 0)) * y)
        return self.a + arm, -arm

    def exists(self, view: View) -> Any:
        """False for silhouettes that a view inside the sphere or cylinder does not have."""
        inside_sphere = ~view.distant & (dr.squared_norm(self.view_offset(view)) <= dr.squared_norm(self.b))
        axis = self.b * dr.rsqrt(dr.maximum(dr.squared_norm(self.b), 1e-30))
        offset = self.view_offset(view)
        radial2 = dr.squared_norm(offset - axis * dr.dot(axis, offset))
        inside_cylinder = ~view.distant & (radial2 <= dr.squared_norm(self.c))
        along = radial2 <= 1e-12 * dr.squared_norm(offset)
        sphere, line = self.kind == SPHERE, self.kind == CYLINDER_LINE
        return ~(sphere & inside_sphere) & ~(line & (inside_cylinder | along))

    def faces_wedge(self, curve: Curve, omega: Any) -> Any:
        """False on rows for one wedge of an edge of many sheets, where the segment of direction ω comes from another one."""
        one_wedge = (self.kind == SEGMENT) & (self.sign > 0)
        about = lambda x: dr.atan2(  # noqa: E731
            dr.dot(curve.derivative, dr.cross(curve.into0, x)), dr.norm(curve.derivative) * dr.dot(curve.into0, x)
        )
        positive = lambda x: dr.select(x < 0, x + dr.two_pi, x)  # noqa: E731
        return ~one_wedge | (positive(about(-omega)) < positive(about(curve.into1)))
