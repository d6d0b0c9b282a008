"""Edges of a scene as curves: mesh edges, borders of disks, silhouettes of spheres, cylinders, and curve shapes.

A *view* is a point (or a direction, for distant lights) the silhouettes are taken from. `EdgeTable.curves` gives, for pairs of
an edge and a view, the curve p(u), u in [0, 1), and the adjacent surface on either side of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import curve_edges, curves, grid_edges, groups, topology
from pbdr.geometry.grids import Grids
from pbdr.geometry.view import Curve, View

# Up to VOXEL_FACE, where a row lies does not depend on the view.
SEGMENT, ELLIPSE, SEAM, TUBE_END, CREASE, VOXEL_FACE, VOXEL, SPHERE, CYLINDER_LINE, CAP, TUBE, CONE_LINE = range(12)
NO_MEMBER = NO_PAIR = 0xFFFFFFFF


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

    def of(self, which: Any, pair: Any, u: Any, inward: Any, active: Any) -> tuple[Any, Any, Any]:
        """Face `which` of rows: (shape, member, barycentric coordinates at u, moved into the face by a fraction of it)."""

        def get(columns: tuple[Any, Any]) -> Any:
            values = [dr.gather(type(c), c, pair, active) for c in columns]
            return dr.select(which == 0, values[0], values[1])

        uv = dr.lerp(get(self.start), get(self.end), u) + inward * get(self.inward)
        return get(self.shape), get(self.member), mi.Point2f(uv)


@dataclass
class EdgeTable:
    """Device arrays over all edges; `kind` says how `a`, `b`, `c` are read.

    SEGMENT: from a along b, c towards the first face, d towards the second; where `sign` is positive, the row counts only as seen
    from the wedge between the first and the second face, turning about b; where it is 1 among the `pairs`, these pass through each
    other there. ELLIPSE: centre a, half axes b, c. SPHERE: centre a, radius |b|. SEAM, where the texture coordinates of a sphere,
    cylinder or disk start again: from a along b or, where `sign` is 1, half an ellipse about a from b by way of c; d across it.
    CYLINDER_LINE: base centre a, axis b, radius |c|; `sign` chooses the line.

    Curve shapes (`curve_edges.rows`): the second of `corners` is the first control point, |b| about the length. TUBE, CONE_LINE:
    `sign` chooses the silhouette. TUBE_END: at v = `sign`. CAP: a ball, read as SPHERE, at v = `sign` of its segment. CREASE: where
    the segments `face` meet. d: whether there is a segment before and after (x, y).

    Grids of signed distances (`grid_edges.rows`), of number `face`: a: the first corner of the voxel, whose index is the second of
    `corners`; |b|: size of the voxel; `sign`: which row of the voxel. VOXEL: a part of the silhouette within it. VOXEL_FACE: of the
    crease on its first face.
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
    member: Any = None  # id of the shape in its group (groups.member_ids), NO_MEMBER for others; None if the scene has no instance
    pairs: Pairs | None = None  # of the last rows of the table
    pair: Any = None  # number of a row within `pairs`; only after `row`
    points: Any = None  # control points of all curve shapes, detached; None if the scene has none
    grids: Grids | None = None  # None if the scene has none
    straight: bool = False  # every row is a SEGMENT: what the other kinds need is left out of the kernels
    fans: bool = True  # some rows count as seen from one wedge only
    gap: Any = None  # how far two faces are apart whose corners do not quite agree, or how far off tubes are hit; None if all 0
    has_seams: bool = False

    @property
    def fixed(self) -> Any:
        """Rows that lie where they lie, whatever the view."""
        return mi.Bool(True) if self.straight else self.kind <= VOXEL_FACE

    @property
    def segment(self) -> Any:
        """Rows that are straight edges of meshes, or curves of intersection of two."""
        return mi.Bool(True) if self.straight else self.kind == SEGMENT

    @property
    def strand(self) -> Any:
        """Rows of curve shapes."""
        if self.points is None:
            return mi.Bool(False)
        return (self.kind == TUBE_END) | (self.kind == CREASE) | (self.kind >= CAP)

    @property
    def tubular(self) -> Any:
        """Rows of B-spline curves."""
        if self.points is None:
            return mi.Bool(False)
        return (self.kind == TUBE_END) | (self.kind == TUBE)

    @property
    def voxel(self) -> Any:
        """Rows of grids of signed distances."""
        return mi.Bool(False) if self.grids is None else (self.kind == VOXEL_FACE) | (self.kind == VOXEL)

    @property
    def on_voxel_face(self) -> Any:
        """Those of them that are creases."""
        return self.kind == VOXEL_FACE

    @property
    def winding(self) -> Any:
        """Rows of curve shapes and grids: what is there of them, and how long it is, only their points tell."""
        return self.strand | self.voxel

    @property
    def vague(self) -> Any:
        """Rows of which a part may count although their middle does not."""
        return mi.Bool(False) if self.straight else (self.kind == ELLIPSE) | self.winding

    @property
    def size(self) -> Any:
        """Lengths of mesh edges, and about those of the rows of curve shapes and grids."""
        return dr.norm(self.b) * dr.select(self.strand & (self.kind == CAP), dr.two_pi, 1)

    @property
    def extent(self) -> Any:
        """About how large what the rows belong to is: faces of meshes, round shapes; lengths of curve shapes, whole grids."""
        across = dr.maximum(dr.squared_norm(self.c), dr.squared_norm(self.d))
        if self.points is not None:
            across = dr.select(self.strand, 0, across)
        extent = dr.sqrt(dr.maximum(dr.squared_norm(self.b), across))
        if self.grids is None:
            return extent
        number = dr.select(self.voxel, self.face[0], 0)
        return extent * dr.select(self.voxel, mi.Float(dr.gather(mi.UInt32, self.grids.side, number)), 1)

    @property
    def border(self) -> Any:
        """Rows that are borders of disks and cylinders, or seams: the shape itself says what lies beside them."""
        return (self.corners[0] == 0) & (self.kind <= SEAM)

    def own(self, scene: Any, hit: Any, active: Any = True) -> Any:
        """Whether a hit a row is on the shape of that row: of several in an instance, the same one."""
        own = dr.gather(mi.ShapePtr, scene.shapes_dr(), self.shape, active)
        member = mi.UInt32(NO_MEMBER) if self.member is None else self.member
        grouped = hit.instance != None  # noqa: E711 (Dr.Jit comparison)
        return dr.select(grouped, (hit.instance == own) & (groups.member(hit) == member), hit.shape == own)

    def row(self, index: Any, active: Any = True) -> EdgeTable:
        """The rows at `index`."""
        get = lambda array: dr.gather(type(array), array, index, active)  # noqa: E731
        pair = None
        if self.pairs is not None:
            first = dr.opaque(mi.UInt32, self.count - self.pairs.count)
            pair = dr.select(index >= first, index - first, NO_PAIR)
        return EdgeTable(
            self.count, get(self.kind), get(self.a), get(self.b), get(self.c), get(self.d), get(self.sign),
            (get(self.face[0]), get(self.face[1])), (get(self.corners[0]), get(self.corners[1])), get(self.jump),
            get(self.shape), get(self.moving), self.has_borders, None if self.member is None else get(self.member),
            self.pairs, pair, self.points, self.grids, self.straight, self.fans, None if self.gap is None else get(self.gap),
            self.has_seams,
        )  # fmt: skip

    def curve(self, view: View, u: Any) -> Curve:
        """Points of these rows' curves as seen from `view`."""
        # ---- straight edges
        position, derivative = self.a + u * self.b, mi.Vector3f(self.b)
        into0, into1 = mi.Vector3f(self.c), mi.Vector3f(self.d)
        two_sided = self.segment & (self.face[1] != topology.NO_FACE)
        if self.straight:
            return Curve(mi.Point3f(position), derivative, into0, into1, two_sided, mi.Bool(False))
        phi = dr.two_pi * u
        sine, cosine = dr.sincos(phi)
        # ---- borders of disks and cylinders: `d` is the direction into the surface for cylinders, zero for disks
        ellipse = self.kind == ELLIPSE
        arm = cosine * self.b + sine * self.c
        rim_into = dr.select(dr.squared_norm(self.d) > 0, self.d, -arm)
        # ---- silhouette circle of a sphere
        sphere = (self.kind == SPHERE) | (self.kind == CAP)
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
        if self.has_seams:
            seam, arc = self.kind == SEAM, (self.kind == SEAM) & (self.sign > 0)
            sine, cosine = dr.sincos(dr.pi * u)
            position = dr.select(arc, self.a + cosine * self.b + sine * self.c, position)
            derivative = dr.select(arc, dr.pi * (cosine * self.c - sine * self.b), derivative)
            into0, into1 = dr.select(seam, self.d, into0), dr.select(seam, -self.d, into1)
            two_sided = two_sided | seam
        curve = Curve(mi.Point3f(position), mi.Vector3f(derivative), into0, into1, two_sided, sphere | line)
        curve = curve if self.points is None else self._strand(curve, view, u)
        return curve if self.grids is None else self._voxel(self.grids, curve, view, u)

    def _voxel(self, known: Grids, curve: Curve, view: View, u: Any) -> Curve:
        """`curve` with the rows of grids filled in."""
        here = self.voxel
        lane = grid_edges.Lane(known, self, here)
        exposed = curve.exposed & ~here
        for kind, found in (
            (VOXEL, grid_edges.silhouette(lane, view, u)),
            (VOXEL_FACE, grid_edges.crease(lane, view, u)),
        ):
            there = here & (self.kind == kind)
            curve.position = dr.select(there, mi.Point3f(found.position), curve.position)
            curve.derivative = dr.select(there, found.derivative, curve.derivative)
            curve.into0 = dr.select(there, found.into0, curve.into0)
            curve.into1 = dr.select(there, found.into1, curve.into1)
            exposed |= there & found.exposed
        curve.exposed = exposed
        curve.two_sided = curve.two_sided | (self.kind == VOXEL_FACE)
        curve.round = curve.round | (self.kind == VOXEL)
        return curve

    def _strand(self, curve: Curve, view: View, u: Any) -> Curve:
        """`curve` with the rows of curve shapes filled in."""
        kind, here = self.kind, self.strand
        ball = (kind == CAP) | (kind == CREASE)
        first = self.corners[1]
        bent = here & self.tubular
        get = lambda k, lanes: curves.point(self.points, mi.UInt32(mi.Int32(first) + k), lanes)  # noqa: E731
        has_before, has_after = self.d.x > 0, self.d.y > 0
        before = get(-1, here & (has_before | (kind == CREASE)))
        second = get(1, here & ~(ball & ~has_after & (kind == CAP)))
        third = get(2, bent | ((kind == CONE_LINE) & has_after))
        own, fourth = get(0, here), get(3, bent)
        spread = lambda x, k: dr.select(bent, x, mi.Vector4f(k, 0, 0, 1))  # noqa: E731  (no division by zero elsewhere)
        segment = curves.Segment([spread(x, k) for k, x in enumerate((own, second, third, fourth))], mi.Bool(False))
        cone = curve_edges.Cone.between(own, second)
        outlines = [
            (TUBE, curve_edges.tube(segment, view, u, self.sign)),
            (TUBE_END, curve_edges.tube_end(segment, self.sign, u)),
            (CONE_LINE, curve_edges.cone_line(
                curve_edges.Cone.between(own, before), cone, curve_edges.Cone.between(second, third), self.d, view, u, self.sign
            )),
        ]  # fmt: skip
        valley, s0, s1 = curve_edges.crease(curve_edges.Cone.between(own, before), cone, u)
        outlines.append((CREASE, valley))
        nothing = mi.Vector3f(0)
        exposed = ~here | ((kind == CAP) & curve_edges.uncovered(own, before, second, self.d, curve.position))
        facing0, facing1 = nothing, nothing
        for name, found in outlines:
            there = (kind == name) & found.exposed
            curve.position = dr.select(there, mi.Point3f(found.position), curve.position)
            curve.derivative = dr.select(there, mi.Vector3f(found.derivative), curve.derivative)
            curve.into0, curve.into1 = (
                dr.select(there, found.into0, curve.into0),
                dr.select(there, found.into1, curve.into1),
            )
            facing0 = dr.select(there, found.facing[0], facing0)
            facing1 = dr.select(there, found.facing[1], facing1)
            exposed |= there
        v0 = dr.select((kind == TUBE_END) | (kind == CAP), self.sign, u)
        curve.place = dr.select(kind == CREASE, 1 - s0, v0), dr.select(kind == CREASE, s1, v0)
        curve.exposed, curve.facing = exposed, (facing0, facing1)
        curve.two_sided = curve.two_sided | (kind == CREASE)
        curve.round = curve.round | ((kind == TUBE) | (kind == CONE_LINE))
        return curve

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
        """False for silhouettes that a view inside the sphere or cylinder, or of that side of a grid, does not have."""
        if self.straight:
            return mi.Bool(True)
        shown = mi.Bool(True)
        if self.grids is not None:
            lane = grid_edges.Lane(self.grids, self, self.voxel)
            shown = ~self.voxel | grid_edges.may_show(lane, view, self.kind == VOXEL_FACE)
        inside_sphere = ~view.distant & (dr.squared_norm(self.view_offset(view)) <= dr.squared_norm(self.b))
        axis = self.b * dr.rsqrt(dr.maximum(dr.squared_norm(self.b), 1e-30))
        offset = self.view_offset(view)
        radial2 = dr.squared_norm(offset - axis * dr.dot(axis, offset))
        inside_cylinder = ~view.distant & (radial2 <= dr.squared_norm(self.c))
        along = radial2 <= 1e-12 * dr.squared_norm(offset)
        sphere, line = (self.kind == SPHERE) | (self.kind == CAP), self.kind == CYLINDER_LINE
        return shown & ~(sphere & inside_sphere) & ~(line & (inside_cylinder | along))

    def faces_wedge(self, curve: Curve, omega: Any) -> Any:
        """False on rows for one wedge of an edge of many sheets, where the segment of direction ω comes from another one."""
        if not self.fans:
            return mi.Bool(True)
        one_wedge = self.segment & (self.sign > 0)
        about = lambda x: dr.atan2(  # noqa: E731
            dr.dot(curve.derivative, dr.cross(curve.into0, x)), dr.norm(curve.derivative) * dr.dot(curve.into0, x)
        )
        positive = lambda x: dr.select(x < 0, x + dr.two_pi, x)  # noqa: E731
        return ~one_wedge | (positive(about(-omega)) < positive(about(curve.into1)))
