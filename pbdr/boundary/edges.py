"""Edges of a scene as curves: mesh edges, borders of rectangles and disks, silhouettes of spheres and cylinders.

A *view* is a point (or a direction, for distant lights) the silhouettes are taken from. `EdgeTable.curves` gives, for pairs of
an edge and a view, the curve p(u), u in [0, 1), and the adjacent surface on either side of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.boundary import topology
from pbdr.errors import SceneError
from pbdr.parameters import traverse

SEGMENT, ELLIPSE, SPHERE, CYLINDER_LINE = 0, 1, 2, 3


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
class EdgeTable:
    """Device arrays over all edges; `kind` says how `a`, `b`, `c` are read.

    SEGMENT: from a along b, c towards the first face, d towards the second. ELLIPSE: centre a, half axes b, c. SPHERE: centre a,
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
    shape: Any  # index into the scene's shapes
    moving: Any
    has_borders: bool

    @property
    def border(self) -> Any:
        """Rows that are borders of rectangles, disks and cylinders."""
        return (self.corners[0] == 0) & (self.kind <= ELLIPSE)

    def row(self, index: Any, active: Any = True) -> EdgeTable:
        """The rows at `index`."""
        get = lambda array: dr.gather(type(array), array, index, active)  # noqa: E731
        return EdgeTable(
            self.count, get(self.kind), get(self.a), get(self.b), get(self.c), get(self.d), get(self.sign),
            (get(self.face[0]), get(self.face[1])), (get(self.corners[0]), get(self.corners[1])), get(self.jump),
            get(self.shape), get(self.moving), self.has_borders,
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


class TableBuilder:
    """Builds the edge table; keeps mesh topologies between calls as long as the faces and welds stay the same."""

    def __init__(self) -> None:
        self.cache: dict[str, tuple[Any, topology.Topology]] = {}

    def topology(self, mesh: Any, key: str) -> topology.Topology:
        """Cached topology of a mesh, rebuilt when its faces changed or copies of a vertex moved apart."""
        faces = mesh.faces_buffer()
        if key in self.cache and self.cache[key][0].index == faces.index:
            known = self.cache[key][1]
            positions = dr.unravel(mi.Point3f, dr.detach(mesh.vertex_positions_buffer()))
            moved = positions - dr.gather(mi.Point3f, dr.ravel(positions), mi.UInt32(known.weld))
            box = mesh.bbox()
            extent = max(float(x) for x in (box.max - box.min))
            if float(dr.max(dr.norm(moved))[0]) <= 4 * topology.WELD_TOLERANCE * extent:
                return known
        built = topology.of_mesh(mesh)
        self.cache[key] = (faces, built)
        return built

    def build(self, scene: Any, moving: frozenset[int]) -> EdgeTable:
        """Table of every edge of `scene`; `moving`: indices of the shapes whose geometry carries derivatives."""
        parts = [self._rows(shape, index, index in moving) for index, shape in enumerate(scene.shapes())]
        return _concatenate([part for part in parts if part is not None])

    def _rows(self, shape: Any, index: int, moving: bool) -> dict[str, Any] | None:
        if shape.is_mesh():
            return self._mesh_rows(shape, index, moving)
        kind = shape.class_name()
        rows = _analytic_rows(shape, kind)
        if rows is None:
            raise SceneError(
                f"shape '{shape.id()}' is a {kind}: its visibility edges are not supported, so that gradients of moving "
                "geometry would be wrong. Replace it by a mesh, or use boundary='none' for the interior part alone."
            )
        n = len(rows["kind"])
        return {
            **{k: _device(k, v) for k, v in rows.items()},
            "face0": mi.UInt32(np.zeros(n, np.uint32)), "face1": dr.full(mi.UInt32, topology.NO_FACE, n),
            "corners0": dr.zeros(mi.UInt32, n), "corners1": dr.zeros(mi.UInt32, n), "jump": dr.full(mi.Bool, False, n),
            "shape": dr.full(mi.UInt32, index, n), "moving": dr.full(mi.Bool, moving, n),
            "border": kind != "Sphere",
        }  # fmt: skip

    def _mesh_rows(self, mesh: Any, index: int, moving: bool) -> dict[str, Any]:
        known = self.topology(mesh, f"{index}:{mesh.id()}")
        faces, corners = known.faces, known.corners
        triangles = dr.unravel(mi.Vector3u, mesh.faces_buffer())
        positions = dr.detach(mesh.vertex_positions_buffer())
        triangle_array = dr.ravel(triangles)
        n = len(faces)
        second = faces[:, 1] != topology.NO_FACE

        def vertex(which: int, corner: int) -> Any:
            face = np.where(second, faces[:, 1], faces[:, 0]) if which else faces[:, 0]
            vertex_index = dr.gather(mi.UInt32, triangle_array, mi.UInt32(face * 3 + corners[:, which, corner]))
            return dr.gather(mi.Point3f, positions, vertex_index)

        a, b = vertex(0, 0), vertex(0, 1)
        packed = corners[:, :, 0] | corners[:, :, 1] << 2 | corners[:, :, 2] << 4
        into0, into1 = _into(vertex(0, 2), a, b), _into(vertex(1, 2), a, b)
        # Smooth shading does not help: light below the plane of a face is shadowed by the face, whatever its vertex normals say,
        # so that radiance jumps at the edges along the terminator.
        n0, n1 = dr.normalize(dr.cross(b - a, into0)), dr.normalize(dr.cross(b - a, -into1))
        jump = mi.Bool(known.jump) | (dr.squared_norm(n0 - n1) > 1e-10)
        return {
            "kind": dr.zeros(mi.UInt32, n), "a": mi.Point3f(a), "b": mi.Vector3f(b - a), "c": into0,
            "d": dr.select(mi.Bool(second), into1, mi.Vector3f(0)), "sign": dr.zeros(mi.Float, n),
            "face0": mi.UInt32(faces[:, 0]), "face1": mi.UInt32(faces[:, 1]),
            "corners0": mi.UInt32(packed[:, 0].astype(np.uint32)), "corners1": mi.UInt32(packed[:, 1].astype(np.uint32)),
            "jump": jump, "shape": dr.full(mi.UInt32, index, n), "moving": dr.full(mi.Bool, moving, n),
            "border": False,
        }  # fmt: skip


def _into(opposite: Any, a: Any, b: Any) -> Any:
    """Direction from the edge a–b into the face with this opposite vertex, orthogonal to the edge."""
    edge = b - a
    offset = opposite - a
    length2 = dr.squared_norm(edge)
    return mi.Vector3f(offset - edge * dr.select(length2 > 0, dr.dot(offset, edge) / length2, 0))


def _analytic_rows(shape: Any, kind: str) -> dict[str, Any] | None:
    """Rows of a rectangle, disk, sphere or cylinder as host arrays; None for any other shape."""
    parameters = traverse(shape)
    if kind not in ("Rectangle", "Disk", "Sphere", "Cylinder"):
        return None
    matrix = np.array(dr.detach(parameters["to_world"].matrix), dtype=np.float64).reshape(4, 4, -1)[..., 0]
    x, y, z, o = matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3]
    zero = np.zeros(3)
    if kind == "Rectangle":
        corners = [o - x - y, o + x - y, o + x + y, o - x + y]
        rows = [(SEGMENT, corners[i], corners[(i + 1) % 4] - corners[i], inward, zero, 0.0)
                for i, inward in enumerate((y, -x, -y, x))]  # fmt: skip
        rows = [(k, a, b, c - b * (c @ b) / (b @ b), d, s) for k, a, b, c, d, s in rows]
    elif kind == "Disk":
        rows = [(ELLIPSE, o, x, y, zero, 0.0)]
    elif kind == "Sphere":
        rows = [(SPHERE, o, x, zero, zero, 0.0)]
    else:
        rows = [(ELLIPSE, o, x, y, z, 0.0), (ELLIPSE, o + z, x, y, -z, 0.0),
                (CYLINDER_LINE, o, z, x, zero, 1.0), (CYLINDER_LINE, o, z, x, zero, -1.0)]  # fmt: skip
    names = ("kind", "a", "b", "c", "d", "sign")
    return {name: np.array([row[i] for row in rows]) for i, name in enumerate(names)}


def _device(name: str, values: Any) -> Any:
    if name == "kind":
        return mi.UInt32(values.astype(np.uint32))
    if name == "sign":
        return mi.Float(values.astype(np.float32))
    columns = values.astype(np.float32)
    kind = mi.Point3f if name == "a" else mi.Vector3f
    return kind(*[mi.Float(columns[:, i]) for i in range(3)])


def _concatenate(parts: list[dict[str, Any]]) -> EdgeTable:
    if not parts:
        raise SceneError("the scene has no shape; add one.")
    joined = {}
    for name in parts[0].keys() - {"border"}:
        if name in "abcd":
            kind = mi.Point3f if name == "a" else mi.Vector3f
            joined[name] = kind(*[dr.concat([part[name][i] for part in parts]) for i in range(3)])
        elif name in ("jump", "moving"):
            joined[name] = dr.concat([dr.select(part[name], mi.UInt32(1), 0) for part in parts]) != 0
        else:
            joined[name] = dr.concat([part[name] for part in parts])
    dr.eval(joined)
    return EdgeTable(
        dr.width(joined["kind"]), joined["kind"], joined["a"], joined["b"], joined["c"], joined["d"], joined["sign"],
        (joined["face0"], joined["face1"]), (joined["corners0"], joined["corners1"]), joined["jump"], joined["shape"],
        joined["moving"], any(part["border"] for part in parts),
    )  # fmt: skip
