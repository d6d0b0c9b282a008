"""Disks, spheres and cylinders: one kind, since scenes with one of them share kernels with scenes that have another."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.geometry import poses, seams
from pbdr.geometry.edges import column, columns, numbers
from pbdr.geometry.intersections import Solid
from pbdr.geometry.kind import Form, Kind, Part
from pbdr.geometry.near import Line, Round, orthogonal
from pbdr.geometry.placed import Placed
from pbdr.geometry.view import Curve, View
from pbdr.parameters import traverse

DISK, SPHERE, CYLINDER = "Disk", "Sphere", "Cylinder"
SIDES = 64  # of the polygons, drawn inside disks and cylinders, that stand for them where intersections are looked for

#: Borders of disks and cylinders: centre a, half axes b, c; d: into the surface of cylinders, zero for disks.
ELLIPSE = Form("ellipse", fixed=True, probed=1, partial=True)
#: Where texture coordinates start again: from a along b or, where `sign` is 1, half an ellipse about a from b through c. d: across.
SEAM = Form("seam", fixed=True, probed=2)
#: The silhouette of a sphere: centre a, radius |b|.
CIRCLE = Form("silhouette of a sphere", round=True, convex=True)
#: One of the two silhouette lines of a cylinder, chosen by `sign`: base centre a, axis b, radius |c|.
LINE = Form("silhouette of a cylinder", round=True, convex=True)


class Analytic(Kind):
    """Shapes of one formula each, which follow their pose."""

    name = "analytic shapes"
    plugins = (DISK, SPHERE, CYLINDER)
    forms = (ELLIPSE, SEAM, CIRCLE, LINE)
    follows_pose = wraps = replayed = True

    @classmethod
    def of(cls, scene: Any) -> Analytic:
        """The same object always: what is recorded (`dr.freeze`) compares it."""
        return ANALYTIC

    # ------------------------------------------------------------------ rows of the table

    def rows(self, placed: Placed, kept: Any) -> list[Part]:
        """Silhouettes, borders, and seams of texture coordinates where something jumps there."""
        shape, kind = placed.shape, placed.shape.class_name()
        matrix = poses.on_host(traverse(shape)["to_world"].matrix)
        x, y, z, o = matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3]
        zero = np.zeros(3)
        if kind == DISK:
            rows = [(ELLIPSE, o, x, y, zero, 0.0)]
        elif kind == SPHERE:
            rows = [(CIRCLE, o, x, zero, zero, 0.0)]
        else:
            rows = [(ELLIPSE, o, x, y, z, 0.0), (ELLIPSE, o + z, x, y, -z, 0.0),
                    (LINE, o, z, x, zero, 1.0), (LINE, o, z, x, zero, -1.0)]  # fmt: skip
        if seams.opens(shape):
            start, along = {DISK: (o, x), SPHERE: (o, z), CYLINDER: (o + x, z)}[kind]
            rows.append((SEAM, start, along, x, y, float(kind == SPHERE)))
        forms, *values = zip(*rows, strict=True)
        given = {name: column(name, np.array(v)) for name, v in zip(("a", "b", "c", "d", "sign"), values, strict=True)}
        given["form"] = numbers([form.code for form in forms])
        return [Part(columns(placed, given), tuple(forms))]

    def curve(self, row: Any, view: View, u: Any, here: Any) -> Curve:
        """Each form's curve."""
        phi = dr.two_pi * u
        sine, cosine = dr.sincos(phi)
        ellipse, circle, line = row.of(ELLIPSE), row.of(CIRCLE), row.of(LINE)
        # ---- borders
        arm = cosine * row.b + sine * row.c
        # ---- silhouettes
        axis, lift, ring = outline(row, view)
        s, t = mi.coordinate_system(axis)
        foot, toward = silhouette_line(row, view)
        position = dr.select(line, foot + u * row.b, row.a + arm)
        position = dr.select(circle, row.a + lift * axis + ring * (cosine * s + sine * t), position)
        derivative = dr.select(line, mi.Vector3f(row.b), dr.two_pi * (cosine * row.c - sine * row.b))
        derivative = dr.select(circle, dr.two_pi * ring * (cosine * t - sine * s), derivative)
        into0 = dr.select(
            ellipse, dr.select(dr.squared_norm(row.d) > 0, row.d, -arm), dr.select(line, toward, row.a - position)
        )
        into1, two_sided = mi.Vector3f(0), mi.Bool(False)
        if SEAM in row.layout.forms:
            seam, arc = row.of(SEAM), row.of(SEAM) & (row.sign > 0)
            sine, cosine = dr.sincos(dr.pi * u)
            position = dr.select(seam, row.a + u * row.b, position)
            position = dr.select(arc, row.a + cosine * row.b + sine * row.c, position)
            derivative = dr.select(seam, mi.Vector3f(row.b), derivative)
            derivative = dr.select(arc, dr.pi * (cosine * row.c - sine * row.b), derivative)
            into0, into1 = dr.select(seam, row.d, into0), dr.select(seam, -row.d, into1)
            two_sided = seam
        return Curve(mi.Point3f(position), mi.Vector3f(derivative), mi.Vector3f(into0), into1, two_sided)

    def exists(self, row: Any, view: View, here: Any) -> Any:
        """False for silhouettes that a view inside the sphere or cylinder, or along the cylinder, does not have."""
        offset = row.view_offset(view)
        inside_sphere = ~view.distant & (dr.squared_norm(offset) <= dr.squared_norm(row.b))
        axis = row.b * dr.rsqrt(dr.maximum(dr.squared_norm(row.b), 1e-30))
        radial2 = dr.squared_norm(offset - axis * dr.dot(axis, offset))
        inside_cylinder = ~view.distant & (radial2 <= dr.squared_norm(row.c))
        along = radial2 <= 1e-12 * dr.squared_norm(offset)
        return ~(row.of(CIRCLE) & inside_sphere) & ~(row.of(LINE) & (inside_cylinder | along))

    def near(self, row: Any, view: View, omega: Any) -> list[tuple[Any, Line | Round]]:
        """Silhouette lines, borders, silhouette circles."""
        origin = view.point
        return [
            (row.of(LINE), Line(silhouette_line(row, view)[0])),
            (row.of(ELLIPSE), _on_ellipse(row, origin, omega)),
            (row.of(CIRCLE), _on_sphere(row, origin, omega)),
        ]

    # ------------------------------------------------------------------ on the host

    def solid(self, placed: Placed, kept: Any) -> Solid:
        """Inscribed polygons; none for spheres, which are `ball`s."""
        kind, matrix = placed.shape.class_name(), placed.matrix()
        angle = 2 * np.pi * (np.arange(SIDES) + 0.37) / SIDES  # no corner on an axis
        ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
        k, following = np.arange(SIDES), (np.arange(SIDES) + 1) % SIDES
        if kind == CYLINDER:
            points = np.concatenate([ring, ring + [0, 0, 1]])
            triangles = ((k, following, k + SIDES), (following, following + SIDES, k + SIDES))
            faces = np.concatenate([np.stack(t, 1) for t in triangles])
        elif kind == DISK:
            points, faces = np.concatenate([ring, [[0, 0, 0]]]), np.stack([k, following, np.full(SIDES, SIDES)], 1)
        else:
            return Solid.empty()
        return Solid(faces.astype(np.uint32), points @ matrix[:3, :3].T + matrix[:3, 3])

    def ball(self, placed: Placed) -> Any | None:
        """The pose of a sphere."""
        return placed.matrix() if placed.shape.class_name() == SPHERE else None

    def unwarped(self, shape: Any) -> str:
        """Seams of texture coordinates are no outlines."""
        seam = "has a texture that jumps where its texture coordinates start again, which is no outline."
        return seam if seams.opens(shape) else ""


ANALYTIC = Analytic()


def outline(row: Any, view: View) -> tuple[Any, Any, Any]:
    """The silhouette circle of a sphere: the unit vector towards the eye, how far along it the circle lies, and its radius."""
    radius2 = dr.squared_norm(row.b)
    offset = row.view_offset(view)
    distance2 = dr.squared_norm(offset)
    axis = dr.select(view.distant, view.towards, offset * dr.rsqrt(distance2))
    lift = dr.select(view.distant, 0, radius2 * dr.rsqrt(distance2))
    return axis, lift, dr.sqrt(dr.maximum(radius2 - dr.square(lift), 0))


def silhouette_line(row: Any, view: View) -> tuple[Any, Any]:
    """Base point of a cylinder's silhouette line and the direction from it to the axis."""
    axis = row.b * dr.rsqrt(dr.maximum(dr.squared_norm(row.b), 1e-30))
    offset = row.view_offset(view)
    radial = offset - axis * dr.dot(axis, offset)
    radius2, distance2 = dr.squared_norm(row.c), dr.maximum(dr.squared_norm(radial), 1e-30)
    x = radial * dr.rsqrt(distance2)
    y = dr.cross(axis, x)
    cosine = dr.select(view.distant, 0, dr.minimum(dr.sqrt(radius2 / distance2), 1))
    arm = dr.sqrt(radius2) * (cosine * x + row.sign * dr.sqrt(dr.maximum(1 - dr.square(cosine), 0)) * y)
    return row.a + arm, -arm


def _on_ellipse(row: Any, origin: Any, omega: Any) -> Round:
    """On the border of a disk, at the polar angle where ω meets its plane: as `Round`."""
    centre, b, c = mi.Vector3f(row.a - origin), row.b, row.c
    n = dr.cross(b, c)
    dual_b, dual_c = dr.cross(c, n), dr.cross(n, b)
    scale_b, scale_c = dr.dot(dual_b, b), dr.dot(dual_c, c)
    dual_b, dual_c = (d * dr.select(s != 0, dr.rcp(s), 0) for d, s in ((dual_b, scale_b), (dual_c, scale_c)))
    height, fall = dr.dot(centre, n), dr.dot(omega, n)
    exists = height * fall > 0
    inverse = dr.select(exists, dr.rcp(fall), 0)
    place = height * inverse * omega - centre
    x, y = dr.dot(dual_b, place), dr.dot(dual_c, place)
    r2 = x * x + y * y
    exists &= r2 > 0
    dx, dy = (height * inverse * mi.Vector3f(dual - n * (dr.dot(dual, omega) * inverse)) for dual in (dual_b, dual_c))
    scale = dr.select(exists, dr.rsqrt(r2), 0)
    cosine, sine = x * scale, y * scale
    slope = (cosine * dy - sine * dx) * scale
    return Round(mi.Vector3f(centre + cosine * b + sine * c), mi.Vector3f(cosine * c - sine * b), slope, exists)


def _on_sphere(row: Any, origin: Any, omega: Any) -> Round:
    """On the silhouette of a sphere, at the angle of ω about the line to its centre: as `Round`."""
    centre = mi.Vector3f(row.a - origin)
    distance2, radius2 = dr.squared_norm(centre), dr.squared_norm(row.b)
    axis = centre * dr.rsqrt(dr.maximum(distance2, 1e-30))
    side = orthogonal(omega, axis)
    length = dr.norm(side)
    exists = (distance2 > radius2) & (length > 0)
    inverse = dr.select(exists, dr.rcp(length), 0)
    side *= inverse
    around = dr.cross(axis, side)
    sine2 = dr.select(exists, radius2 / distance2, 0)
    reach = dr.sqrt(dr.maximum(distance2 - radius2, 0))
    offset = reach * (dr.sqrt(1 - sine2) * axis + dr.sqrt(sine2) * side)
    along = mi.Vector3f(reach * dr.sqrt(sine2) * around)
    return Round(mi.Vector3f(offset), along, mi.Vector3f(around * inverse), exists)
