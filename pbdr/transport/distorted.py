"""Perspective cameras with lens distortion as Mitsuba sensors: the plugins `opencv` and `opencv_fisheye`.

They take what `perspective` takes (`to_world`, `near_clip`, `far_clip`, `principal_point_offset_x`, `_y`, in Mitsuba's axes and
signs), `focal_x` and `focal_y` in widths of the film, or `fov` instead, and the coefficients of OpenCV and COLMAP by name, in the
frame of OpenCV (x right, y down): `k1 k2 p1 p2 k3`, of the fisheye `k1 k2 k3 k4`. All of them have derivatives.
"""

from __future__ import annotations

import math
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.errors import OptionError, ParameterError, SceneError
from pbdr.transport import camera, lenses

GRID = 33  # points a side of the film at which the distortion must be invertible
STEPS = 16  # points on the way there from the axis, between which it must not fold


class DistortedMethods:
    """A sensor whose rays go backwards through a lens model; the class is made of this one for each variant.

    `model`: a key of `lenses.DISTORTED`.
    """

    film: Any  # these four are Mitsuba's
    m_to_world: Any
    world_transform: Any
    sample_wavelengths: Any

    def __init__(self, props: Any, model: str) -> None:
        mi.Sensor.__init__(self, props)
        self.m_needs_sample_3 = False  # no aperture
        self.model = lenses.DISTORTED[model]
        self.plugin = model
        self.clip = float(props.get("near_clip", 1e-2)), float(props.get("far_clip", 1e4))
        if not 0 < self.clip[0] < self.clip[1]:
            raise OptionError(f"{model}: near_clip = {self.clip[0]}, far_clip = {self.clip[1]}; give 0 < near < far.")
        self.values: dict[str, Any] = {}
        for name, value in self._focal(props).items():
            self.values[name] = dr.opaque(mi.Float, value)
        for name in ("principal_point_offset_x", "principal_point_offset_y", *self.model.names):
            self.values[name] = dr.opaque(mi.Float, float(props.get(name, 0.0)))
        self.pose = mi.AffineTransform4f(self.m_to_world)
        self._check()

    def _focal(self, props: Any) -> dict[str, float]:
        """Focal lengths in widths of the film, from `focal_x` and `focal_y` or from `fov`."""
        given = [name for name in ("focal_x", "focal_y") if name in props]
        if "fov" in props and given:
            raise OptionError(f"{self.plugin}: both fov and {given[0]} are given; give one of them.")
        if given:
            x = float(props.get("focal_x", props.get("focal_y", 1.0)))
            return {"focal_x": x, "focal_y": float(props.get("focal_y", x))}
        angle = math.radians(float(props.get("fov", 60.0)))
        widest = 2 * math.pi if self.model.wide else math.pi
        if not 0 < angle < widest:
            raise OptionError(
                f"{self.plugin}: fov = {math.degrees(angle):g}; give degrees between 0 and {math.degrees(widest):g}."
            )
        focal = 1 / angle if self.model.wide else 0.5 / math.tan(0.5 * angle)
        return {"focal_x": focal, "focal_y": focal}

    # ------------------------------------------------------------------ Mitsuba's interface

    def traverse(self, callback: Any) -> None:
        """Expose pose, focal lengths, principal point and coefficients."""
        mi.Sensor.traverse(self, callback)
        callback.put("to_world", self.pose, mi.ParamFlags.Differentiable | mi.ParamFlags.Discontinuous)
        for name, value in self.values.items():
            callback.put(name, value, mi.ParamFlags.Differentiable | mi.ParamFlags.Discontinuous)

    def parameters_changed(self, keys: Any = ()) -> None:
        """Take over a new pose; refuse values for which the film is not covered."""
        self.m_to_world = self.pose
        mi.Sensor.parameters_changed(self, keys)
        self._check()

    def class_name(self) -> str:
        """The same for all lenses."""
        return camera.DISTORTED_CAMERA

    def near_clip(self) -> float:
        """Distance at which rays begin, along the axis (fisheye: along the ray)."""
        return self.clip[0]

    def far_clip(self) -> float:
        """Distance at which rays end."""
        return self.clip[1]

    def lens(self) -> Any:
        """The lens model with the current, possibly attached, coefficients."""
        return self.model(tuple(self.values[name] for name in self.model.names))

    def lens_in_pixels(self) -> tuple[Any, list[Any], list[Any]]:
        """(lens, focal lengths, centre of the image), the last two detached and in pixels of the whole film."""
        size = self.film().size()
        value = {name: dr.detach(x) for name, x in self.values.items()}
        focal = [value["focal_x"] * float(size[0]), value["focal_y"] * float(size[0])]
        centre = [(0.5 - value[f"principal_point_offset_{a}"]) * float(size[i]) for i, a in enumerate("xy")]
        return self.lens(), focal, centre

    def image_point(self, sample: Any) -> Any:
        """Attached image point, in focal lengths from the axis, of a sample of the crop window in [0, 1]²."""
        film = self.film()
        size, crop, offset = film.size(), film.crop_size(), film.crop_offset()
        aspect = float(size[1]) / float(size[0])
        x = (sample.x * float(crop[0]) + float(offset[0])) / float(size[0])
        y = (sample.y * float(crop[1]) + float(offset[1])) / float(size[1])
        x = (x - 0.5 + self.values["principal_point_offset_x"]) / self.values["focal_x"]
        y = (y - 0.5 + self.values["principal_point_offset_y"]) * aspect / self.values["focal_y"]
        return mi.Point2f(x, y)

    def sample_ray(self, time: Any, wavelength: Any, position: Any, aperture: Any, active: Any = True) -> Any:
        """The ray through a film position."""
        wavelengths, weight = self.sample_wavelengths(dr.zeros(mi.SurfaceInteraction3f), mi.Float(wavelength), active)
        local = self.lens().direction(self.image_point(position))
        local = mi.Vector3f(-local.x, -local.y, local.z)  # from OpenCV's axes to Mitsuba's
        to_world = self.world_transform()
        ray = dr.zeros(mi.Ray3f, dr.width(position))
        direction = to_world @ local
        inverse = 1 if self.model.wide else dr.rcp(local.z)
        ray.o = mi.Point3f(to_world @ mi.Point3f(0)) + direction * (self.clip[0] * inverse)
        ray.d = direction
        ray.time = time
        ray.wavelengths = wavelengths
        ray.maxt = (self.clip[1] - self.clip[0]) * dr.detach(mi.Float(inverse))
        return ray, weight

    def sample_ray_differential(
        self, time: Any, wavelength: Any, position: Any, aperture: Any, active: Any = True
    ) -> Any:
        """The ray through a film position, without differentials."""
        ray, weight = DistortedMethods.sample_ray(self, time, wavelength, position, aperture, active)
        return mi.RayDifferential3f(ray), weight

    def bbox(self) -> Any:
        """The viewpoint."""
        at = np.array(dr.detach(self.pose.matrix), dtype=np.float64).reshape(4, 4, -1)[:3, 3, 0]
        return mi.ScalarBoundingBox3f(mi.ScalarPoint3f(at.tolist()), mi.ScalarPoint3f(at.tolist()))

    def to_string(self) -> str:
        """One line for logs."""
        values = ", ".join(f"{name} = {float(dr.detach(x)[0]):g}" for name, x in self.values.items())
        return f"{camera.DISTORTED_CAMERA}[{self.plugin}, {values}]"

    # ------------------------------------------------------------------ bad values

    def _check(self) -> None:
        """Raise for values with which some pixel has no ray, or two points of the scene share one."""
        values = {name: np.asarray(dr.detach(x), dtype=np.float64) for name, x in self.values.items()}
        for name, x in values.items():
            if x.size != 1 or not np.isfinite(x).all() or (name.startswith("focal") and not (x > 0).all()):
                allowed = "a positive number" if name.startswith("focal") else "a finite number"
                raise ParameterError(f"{self.plugin}: {name} = {x.ravel().tolist()}; give {allowed}.")
        (a, b, c) = (
            np.array(dr.detach(self.pose.matrix), dtype=np.float64).reshape(4, 4, -1)[:3, i, 0] for i in range(3)
        )
        gram = np.array([[u @ v for u in (a, b, c)] for v in (a, b, c)])
        if not np.allclose(gram, np.eye(3), atol=1e-3):
            raise SceneError(
                f"{self.plugin}: to_world scales or shears; a camera's pose is a rotation and translation."
            )
        film = self.film()
        border = film.rfilter().border_size() if film.sample_border() else 0
        size = np.array(film.crop_size(), dtype=np.float64)
        grid = np.meshgrid(*[np.linspace(-border / n, 1 + border / n, GRID) for n in size])
        at = mi.Point2f(*[mi.Float(g.ravel()) for g in grid])
        with dr.suspend_grad():
            if self._invertible(dr.detach(self.image_point(at))):
                return
        shown = ", ".join(f"{name} = {values[name].item():g}" for name in self.model.names)
        raise SceneError(
            f"{self.plugin}: the distortion {shown} is not invertible on the whole film (it folds, or the film reaches beyond "
            "it). Check the coefficients and their order, or crop the film."
        )

    def _invertible(self, image: Any) -> bool:
        """Whether image points are reached from the axis without passing a fold."""
        model = self.model(tuple(dr.detach(c) for c in self.lens().coefficients))
        if self.model.wide:
            radius = dr.norm(image)
            end = model.undistort(radius)
            found = dr.abs(model.distort(end)[0] - radius) < lenses.ROUND_TRIP
        else:
            end = model.undistort(image)
            found = dr.norm(model.distort(end)[0] - image) < lenses.ROUND_TRIP
        for k in range(STEPS + 1):
            found &= model.stretch(end * (k / STEPS)) > 0
        return bool(dr.all(found)[0])


def make(model: str) -> Any:
    """Function for Mitsuba's registry that makes the sensor of a lens model, for the active variant."""
    members = {k: v for k, v in vars(DistortedMethods).items() if k not in ("__dict__", "__weakref__")}
    plugin = type("DistortedCamera", (mi.Sensor,), members)
    return lambda props: plugin(props, model)
