"""Camera rays with derivatives, of every sensor; what the boundary terms need besides is in eye.py."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.parameters import traverse
from pbdr.transport import spectra

PERSPECTIVE, ORTHOGRAPHIC, THIN_LENS = "PerspectiveCamera", "OrthographicCamera", "ThinLensCamera"
DISTORTED_CAMERA = "DistortedCamera"  # distorted.py
SUPPORTED = (PERSPECTIVE, ORTHOGRAPHIC, THIN_LENS, DISTORTED_CAMERA)  # sensors with a boundary term


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


def corner(film: Any, pixel: Any) -> Any:
    """Film position of the top left corner of pixels of the sampled region, which are counted row by row."""
    width, _ = film_size(film)
    x0, y0 = film_origin(film)
    y = pixel // width
    x = pixel - y * width
    return mi.Point2f(mi.Float(x) + x0, mi.Float(y) + y0)


def sample_rays(sensor: Any, sampler: Any, pixel: Any) -> tuple[Any, Any, Any]:
    """One camera ray a lane, from somewhere in its pixel: (attached ray, weight, film position in pixels)."""
    return _rays_at(sensor, sampler, corner(sensor.film(), pixel) + sampler.next_2d())


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
    wavelength = spectra.random_number(sampler)
    with dr.resume_grad():
        ray, weight = sensor.sample_ray_differential(time, wavelength, (position - offset) / crop, aperture)
        ray = mi.Ray3f(ray)  # here: while derivatives are suspended, copies lose them
        ray.o, ray.d = at_once(ray.o, ray.d, (position, aperture))
    return ray, weight, position


def ray_through(sensor: Any, position: Any, aperture: Any = None, wavelengths: Any = None) -> Any:
    """Attached ray through film positions in pixels: it follows pose, focal length, distortion, aperture, and so on.

    `aperture`: the sample in the unit square that chose the point of the lens, for sensors that need one; `wavelengths`: those of
    the sample, wherever the ray's spectrum matters.
    """
    if aperture is None and sensor.needs_aperture_sample():
        raise TypeError(f"rays of a {sensor.class_name()} need the aperture sample that the film position belongs to")
    crop, offset = mi.ScalarVector2f(sensor.film().crop_size()), mi.ScalarVector2f(sensor.film().crop_offset())
    at = mi.Point2f(0) if aperture is None else aperture
    with dr.resume_grad():
        ray, _ = sensor.sample_ray_differential(sensor.shutter_open(), 0.0, (position - offset) / crop, at)
        ray = mi.Ray3f(ray)
        ray.o, ray.d = at_once(ray.o, ray.d, (position, at))
        return spectra.carry(ray, wavelengths)


def aperture_sample(sensor: Any, sampler: Any) -> Any:
    """Aperture sample of every lane, or None for sensors without an aperture."""
    return sampler.next_2d() if sensor.needs_aperture_sample() else None


def aperture_of(sensor: Any, point: Any) -> Any:
    """Aperture sample for connecting scene points to the lens: a hash of the (random) points; None without an aperture."""
    if not sensor.needs_aperture_sample():
        return None
    bits = [dr.reinterpret_array(mi.UInt32, mi.Float(x)) for x in (point.x, point.y, point.z)]
    lane = dr.arange(mi.UInt32, dr.width(point))
    seed, stream = mi.sample_tea_32(bits[0] ^ lane, bits[1])
    return mi.Point2f(mi.sample_tea_float32(seed, bits[2]), mi.sample_tea_float32(stream, bits[2] ^ lane))


class _AtOnce(dr.CustomOp):  # type: ignore[misc]
    """Identity; see `at_once`."""

    def eval(self, origin: Any, direction: Any, film: Any) -> Any:
        self.film = film
        return mi.Point3f(origin), mi.Vector3f(direction)

    def forward(self) -> None:
        # Of exactly the types of the output: derivatives of others are left out silently.
        self.set_grad_out((mi.Point3f(self.grad_in("origin")), mi.Vector3f(self.grad_in("direction"))))

    def backward(self) -> None:
        origin, direction = self.grad_out()
        dr.eval(origin, direction, self.film)
        self.set_grad_in("origin", mi.Point3f(origin))
        self.set_grad_in("direction", mi.Vector3f(direction))

    def name(self) -> str:
        return "pathspace: camera rays"


def at_once(origin: Any, direction: Any, film: Any) -> tuple[Any, Any]:
    """The same origins and directions of lanes, whose derivatives reverse mode computes once; `film`: what they come from.

    Each number of a pose is summed over the lanes by a kernel of its own, which would else compute all that the derivatives
    of the rays depend on anew: twelve times.
    """
    if not dr.grad_enabled(origin, direction):
        return origin, direction
    lanes = dr.zeros(mi.Vector3f, dr.width(origin, direction, film))  # one direction may do for all of them
    origin, direction = dr.custom(_AtOnce, mi.Point3f(origin + lanes), mi.Vector3f(direction + lanes), film)
    return origin, direction


def attached_viewpoint(sensor: Any, lanes: int, aperture: Any = None) -> Any:
    """Attached point of the lens (orthographic: the attached unit vector of the axis) that `lanes` look from."""
    with dr.resume_grad():
        point = _viewpoint(sensor, aperture) + dr.zeros(mi.Vector3f, lanes)
        return at_once(point, mi.Vector3f(0), aperture)[0]


def _viewpoint(sensor: Any, aperture: Any) -> Any:
    with dr.resume_grad():
        to_world = sensor.world_transform()
        if sensor.class_name() == ORTHOGRAPHIC:
            return dr.normalize(to_world @ mi.Vector3f(0, 0, 1))
        lens = mi.Point3f(0)
        if aperture is not None:
            disk = mi.warp.square_to_uniform_disk_concentric(aperture) * traverse(sensor)["aperture_radius"]
            lens = mi.Point3f(disk.x, disk.y, 0)
        return mi.Point3f(to_world @ lens)
