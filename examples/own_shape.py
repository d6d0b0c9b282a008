"""A kind of geometry of your own: Mitsuba's `ellipsoids`, which pbdr refuses until somebody says where their edges are.

    python examples/own_shape.py

Mitsuba traces the shape, but its hits carry no derivative, and nothing says where it has its silhouette. `Ellipsoid` says both.
With it, an ellipsoid that casts a shadow is fitted to an image; without it, pbdr refuses by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import pbdr

import drjit as dr  # isort: skip  (after pbdr, which finds LLVM)
import mitsuba as mi

from pbdr.errors import SceneError
from pbdr.geometry import poses, registry
from pbdr.geometry.edges import column, columns, numbers
from pbdr.geometry.intersections import Solid
from pbdr.geometry.kind import Form, Kind, Part
from pbdr.geometry.numbering import Numbering
from pbdr.geometry.view import Curve
from pbdr.parameters import traverse

SIZE = 16
TRUTH = (0.1, 0.0, 1.0, 0.6, 0.4, 0.3, 0.0, 0.0, 0.0, 1.0)  # centre, half axes, quaternion
STEPS, RATE = 12, 0.05

#: The silhouette: centre a, half axes b, c, d.
OUTLINE = Form("silhouette of an ellipsoid", round=True, rough=True)


@registry.register
class Ellipsoid(Kind):
    """Shapes `ellipsoids` of one ellipsoid each: the unit sphere, stretched by `scale`, turned and moved."""

    name = "ellipsoids"
    plugins = ("Ellipsoids",)
    forms = (OUTLINE,)
    tells = textured = False  # Mitsuba does not say whether it moves, and it has no texture coordinates

    def __init__(self, shapes: list[Any]) -> None:
        self.shapes, self.numbering = shapes, Numbering(shapes)
        data = [traverse(shape)["data"] for shape in shapes]
        self.values = dr.concat([dr.detach(x) for x in data])
        self.extents = mi.Float([traverse(shape)["extent"] for shape in shapes])
        self.attached = [k for k, x in enumerate(data) if dr.grad_enabled(x)]
        dr.eval(self.values, self.extents)

    @classmethod
    def of(cls, scene: Any) -> Ellipsoid:
        """The ellipsoids of a scene."""
        shapes = [shape for shape in scene.shapes() if cls.matches(shape)]
        for shape in shapes:
            if dr.width(traverse(shape)["data"]) != 10:
                raise SceneError(
                    f"shape '{shape.id()}' has several ellipsoids, which may overlap. Make a shape of each."
                )
        return cls(shapes)

    def frame(self, number: Any, active: Any) -> tuple[list[Any], Any]:
        """Half axes and centre of the ellipsoids with these numbers, attached. A unit sphere at the origin on all other lanes."""
        data = [dr.gather(mi.Float, self.values, 10 * number + i, active) for i in range(10)]
        for k in self.attached:
            chosen, own = active & (number == k), traverse(self.shapes[k])["data"]
            data = [dr.select(chosen, dr.gather(mi.Float, own, mi.UInt32(i), chosen), x) for i, x in enumerate(data)]
        still = (0, 0, 0, 1, 1, 1, 0, 0, 0, 1)
        data = [dr.select(active, x, mi.Float(value)) for x, value in zip(data, still, strict=True)]
        turn = dr.quat_to_matrix(mi.Matrix3f, mi.Quaternion4f(*data[6:]))
        size = dr.select(active, dr.gather(mi.Float, self.extents, number, active), 1)
        axes = [mi.Vector3f(turn[0, i], turn[1, i], turn[2, i]) * data[3 + i] * size for i in range(3)]
        return axes, mi.Vector3f(*data[:3])

    # ------------------------------------------------------------------ its edge

    def rows(self, placed: Any, kept: Any) -> list[Part]:
        """One row: the silhouette."""
        axes, centre = (
            np.array(x)[..., 0] for x in self.frame(mi.UInt32(self.shapes.index(placed.shape)), mi.Bool(True))
        )
        given = {name: column(name, value[None]) for name, value in zip("abcd", (centre, *axes), strict=True)}
        return [Part(columns(placed, given | {"form": numbers([OUTLINE.code])}), self.forms)]

    def curve(self, row: Any, view: Any, u: Any, here: Any) -> Curve:
        """In the frame in which the ellipsoid is the unit sphere, its silhouette is a circle."""
        eye = poses.solve(row.b, row.c, row.d, row.view_offset(view))
        towards = dr.normalize(eye)
        lift = dr.select(view.distant, 0, dr.rcp(dr.norm(eye)))
        ring = dr.safe_sqrt(1 - dr.square(lift))
        s, t = mi.coordinate_system(towards)
        sine, cosine = dr.sincos(dr.two_pi * u)
        local = lift * towards + ring * (cosine * s + sine * t)
        world = lambda v: row.b * v.x + row.c * v.y + row.d * v.z  # noqa: E731
        inwards = -dr.normalize(upright([row.b, row.c, row.d], local)) * dr.norm(row.b)
        along = world(dr.two_pi * ring * (cosine * t - sine * s))
        return Curve(mi.Point3f(row.a + world(local)), along, inwards, mi.Vector3f(0), mi.Bool(False))

    def exists(self, row: Any, view: Any, here: Any) -> Any:
        """Not as seen from within."""
        return view.distant | (dr.squared_norm(poses.solve(row.b, row.c, row.d, row.view_offset(view))) > 1)

    def moved(self, scene: Any, edge: Any, which: Any, here: Any) -> Any:
        """The material point: the same point of the unit sphere."""
        own = dr.gather(mi.ShapePtr, scene.shapes_dr(), edge.row.shape, here)
        hit = dr.zeros(mi.PreliminaryIntersection3f, dr.width(own))
        hit.t, hit.shape, hit.valid = mi.Float(1), own, mi.Bool(here)
        lanes, number = self.numbering.of(hit, here)
        axes, centre = self.frame(number, lanes)
        return mi.Point3f(carried(axes, centre, edge.point)[0])

    # ------------------------------------------------------------------ hits

    def hits(self, evaluate: Any, hit: Any, ray: Any, active: Any, follow: bool) -> Any:
        """Mitsuba's, with the derivatives that they lack."""
        with self.at_rest():
            si = evaluate(hit, ray, active)
        here, number = self.numbering.of(hit, active)
        axes, centre = self.frame(number, here)
        point, local = carried(axes, centre, dr.select(here, dr.detach(si.p), mi.Point3f(1, 0, 0)))
        distance = dr.norm(point - ray.o) * dr.rcp(dr.norm(ray.d))
        if not follow:  # where the attached ray meets the plane that touches the attached surface
            normal = dr.detach(upright(axes, local))
            slope = dr.dot(normal, dr.detach(ray.d))
            slope = dr.select(here & (dr.abs(slope) > 0), slope, -1)
            distance = dr.replace_grad(
                hit.t, dr.dot(normal, point - ray.o) / dr.select(here, dr.dot(normal, ray.d), slope)
            )
            point = ray.o + distance * ray.d
            local = dr.replace_grad(local, poses.solve(*axes, point - centre))
        normal = dr.normalize(upright(axes, local))
        s, t = mi.coordinate_system(dr.detach(local))
        value = lambda old, new: dr.select(here, dr.replace_grad(old, new), old)  # noqa: E731
        si.p, si.t = mi.Point3f(value(mi.Vector3f(si.p), mi.Vector3f(point))), value(si.t, distance)
        si.n = mi.Normal3f(value(mi.Vector3f(si.n), normal))
        si.sh_frame.n = mi.Normal3f(value(mi.Vector3f(si.sh_frame.n), normal))
        for name, old in zip("st", mi.coordinate_system(normal), strict=True):
            setattr(si.sh_frame, name, value(getattr(si.sh_frame, name), old))
        # The area that belongs to a material point: only how it changes matters.
        si.dp_du, si.dp_dv = (dr.select(here, stretched(axes, v), x) for v, x in ((s, si.dp_du), (t, si.dp_dv)))
        return si

    def at_rest(self) -> Any:
        """Mitsuba's own are of normals alone."""
        moving = [traverse(self.shapes[k])["data"] for k in self.attached]
        return dr.suspend_grad(*moving, when=bool(moving))

    # ------------------------------------------------------------------ what passes through it

    def state(self, placed: Any) -> list[Any]:
        """Its numbers say where it is."""
        return [dr.detach(traverse(placed.shape)["data"])]

    def solid(self, placed: Any, kept: Any) -> Solid:
        """Triangles inside it, so that what passes through it is refused."""
        axes, centre = (
            np.array(x)[..., 0] for x in self.frame(mi.UInt32(self.shapes.index(placed.shape)), mi.Bool(True))
        )
        polar, azimuth = np.meshgrid(np.linspace(0.01, np.pi - 0.01, 17), np.arange(32) * np.pi / 16, indexing="ij")
        ball = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], -1).reshape(
            -1, 3
        )
        i, j = (x.ravel() for x in np.meshgrid(np.arange(16), np.arange(32), indexing="ij"))
        corner = lambda di, dj: (i + di) * 32 + (j + dj) % 32  # noqa: E731
        faces = [
            np.stack([corner(0, 0), corner(1, 0), corner(1, 1)], 1),
            np.stack([corner(0, 0), corner(1, 1), corner(0, 1)], 1),
        ]
        return Solid(np.concatenate(faces).astype(np.uint32), ball @ axes + centre)


def stretched(axes: list[Any], local: Any) -> Any:
    """World vector of one in the frame of the unit sphere."""
    return mi.Vector3f(axes[0] * local.x + axes[1] * local.y + axes[2] * local.z)


def upright(axes: list[Any], local: Any) -> Any:
    """Outward normal, of any length, at a point of the unit sphere."""
    x, y, z = axes
    return mi.Vector3f(dr.cross(y, z) * local.x + dr.cross(z, x) * local.y + dr.cross(x, y) * local.z)


def carried(axes: list[Any], centre: Any, point: Any) -> tuple[Any, Any]:
    """A world point as it moves with the ellipsoid, and the point of the unit sphere that it is, detached."""
    local = poses.solve(*(dr.detach(axis) for axis in axes), mi.Vector3f(point) - dr.detach(centre))
    return mi.Vector3f(stretched(axes, local) + centre), local


def scene(values: tuple[float, ...] = TRUTH) -> Any:
    """An ellipsoid over a floor, under a small bright lamp."""
    film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}}
    where = mi.ScalarTransform4f().look_at([0, -3.5, 2.5], [0, 0, 0.5], [0, 0, 1])
    rows = {
        name: mi.TensorXf(np.array([values[a:b]]))
        for name, a, b in (("centers", 0, 3), ("scales", 3, 6), ("quaternions", 6, 10))
    }
    grey = {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.6] * 3}}
    return pbdr.load_scene(
        {
            "type": "scene",
            "camera": {
                "type": "perspective",
                "fov": 45,
                "film": film,
                "to_world": where,
                "sampler": {"type": "ldsampler"},
            },
            "lamp": {"type": "point", "position": [0.5, -0.5, 4], "intensity": {"type": "rgb", "value": [20.0] * 3}},
            "floor": {"type": "rectangle", "to_world": mi.ScalarTransform4f().scale(3), "bsdf": grey},
            "ball": {"type": "ellipsoids", **rows, "extent": 1.0, "bsdf": grey},
        }
    )


def main() -> tuple[float, float]:
    """Fit centre and half axes to an image; returns the largest error in them before and after."""
    tracer = {"type": "pathspace", "max_depth": 2}
    target = np.array(pbdr.render(scene(), spp=256, seed=7, integrator=tracer))
    start = np.array(TRUTH) + np.array([0.15, -0.1, 0.1, -0.1, 0.1, 0.05, 0, 0, 0, 0])
    values, error = start.copy(), lambda v: float(np.abs(v - TRUTH)[:6].max())
    for step in range(STEPS):
        now = scene(tuple(values))
        residual = np.array(pbdr.render(now, spp=32, seed=step, integrator=tracer)) - target
        found = pbdr.gradient(now, ["ball/data"], residual.astype(np.float32), spp=32, seed=step, integrator=tracer)
        slope = found.total["ball/data"].ravel()[:6]
        values[:6] -= RATE * slope / np.abs(slope).max() * 0.9**step
    print(f"largest error: {error(start):.3f} at the start, {error(values):.3f} after {STEPS} steps")
    return error(start), error(values)


if __name__ == "__main__":
    main()
