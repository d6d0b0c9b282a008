"""Camera rays with derivatives, and the film importance of points seen by a camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.parameters import traverse


def film_size(film: Any) -> tuple[int, int]:
    """Sampled region in pixels (width, height): the crop window, plus the filter's border if the film samples it."""
    border = 2 * film.rfilter().border_size() if film.sample_border() else 0
    size = film.crop_size()
    return int(size[0]) + border, int(size[1]) + border


def film_origin(film: Any) -> tuple[int, int]:
    """Top-left pixel (x, y) of the sampled region in film coordinates."""
    border = film.rfilter().border_size() if film.sample_border() else 0
    offset = film.crop_offset()
    return int(offset[0]) - border, int(offset[1]) - border


def sample_rays(sensor: Any, sampler: Any, spp: int) -> tuple[Any, Any, Any]:
    """One camera ray a lane, `spp` lanes a pixel, row by row: (attached ray, weight, film position in pixels)."""
    film = sensor.film()
    width, height = film_size(film)
    x0, y0 = film_origin(film)
    index = dr.arange(mi.UInt32, width * height * spp) // dr.opaque(mi.UInt32, spp)
    y = index // width
    x = index - y * width
    return _rays_at(sensor, sampler, mi.Point2f(mi.Float(x) + x0, mi.Float(y) + y0) + sampler.next_2d())


def spread_rays(sensor: Any, sampler: Any) -> tuple[Any, Any, Any]:
    """One camera ray a lane, uniform over the sampled region of the film: (attached ray, weight, film position)."""
    width, height = film_size(sensor.film())
    x0, y0 = film_origin(sensor.film())
    return _rays_at(sensor, sampler, sampler.next_2d() * mi.Point2f(width, height) + mi.Point2f(x0, y0))


def _rays_at(sensor: Any, sampler: Any, position: Any) -> tuple[Any, Any, Any]:
    film = sensor.film()
    crop, offset = mi.ScalarVector2f(film.crop_size()), mi.ScalarVector2f(film.crop_offset())
    aperture = sampler.next_2d() if sensor.needs_aperture_sample() else mi.Point2f(0)
    time = sensor.shutter_open()
    if sensor.shutter_open_time() > 0:
        time += sampler.next_1d() * sensor.shutter_open_time()
    with dr.resume_grad():
        ray, weight = sensor.sample_ray_differential(time, 0.0, (position - offset) / crop, aperture)
        ray = mi.Ray3f(ray)  # here: while derivatives are suspended, copies lose them
    return ray, weight, position


def ray_through(sensor: Any, position: Any) -> Any:
    """Attached ray of a pinhole camera through film positions in pixels: it follows pose, focal length, principal point."""
    crop, offset = mi.ScalarVector2f(sensor.film().crop_size()), mi.ScalarVector2f(sensor.film().crop_offset())
    with dr.resume_grad():
        ray, _ = sensor.sample_ray_differential(sensor.shutter_open(), 0.0, (position - offset) / crop, mi.Point2f(0))
        return mi.Ray3f(ray)


@dataclass
class PinholeView:
    """A perspective camera as the boundary terms need it: centre, film position and importance of world points."""

    origin: Any
    to_local: Any
    scale: tuple[Any, Any]  # crop widths, heights per unit of tan
    shift: tuple[Any, Any]
    crop: tuple[float, float]
    offset: tuple[float, float]
    near: float

    @staticmethod
    def of(sensor: Any) -> PinholeView:
        """Read the projection from a Mitsuba `perspective` sensor."""
        film = sensor.film()
        to_world = dr.detach(sensor.world_transform())
        projection = dr.detach(sensor.projection_transform().matrix)
        crop, size = film.crop_size(), film.size()
        parameters = traverse(sensor)
        ppo = [dr.detach(mi.Float(parameters[f"principal_point_offset_{axis}"])) for axis in "xy"]
        shift = [projection[i, 2] - ppo[i] * (float(size[i]) / float(crop[i])) for i in range(2)]
        return PinholeView(
            origin=to_world @ mi.Point3f(0),
            to_local=to_world.inverse(),
            scale=(projection[0, 0], projection[1, 1]),
            shift=(shift[0], shift[1]),
            crop=(float(crop[0]), float(crop[1])),
            offset=(float(film.crop_offset()[0]), float(film.crop_offset()[1])),
            near=float(sensor.near_clip()),
        )

    def project(self, point: Any) -> tuple[Any, Any, Any]:
        """World point → (film position in pixels, cosine to the optical axis, in front of the near plane?)."""
        local = self.to_local @ mi.Point3f(point)
        inverse = dr.rcp(local.z)
        uv = mi.Point2f(
            dr.fma(self.scale[0] * local.x, inverse, self.shift[0]) * self.crop[0] + self.offset[0],
            dr.fma(self.scale[1] * local.y, inverse, self.shift[1]) * self.crop[1] + self.offset[1],
        )
        return uv, local.z * dr.rsqrt(dr.squared_norm(local)), local.z > self.near

    def film_jacobian(self, cosine: Any) -> Any:
        """J_film = d(film area in pixels)/dω at a direction with this cosine to the optical axis."""
        focal = dr.abs(self.scale[0] * self.crop[0] * self.scale[1] * self.crop[1])
        return focal / (cosine * cosine * cosine)  # Eq. (7)
