"""Lens models: directions in the camera's frame ↔ image coordinates, in units of the focal length.

The frame is OpenCV's: x to the right, y down, z forward; so are image coordinates. A lens maps a direction to its image (`image`,
with the area of the image per solid angle there) and back (`direction`, attached to the coefficients and to the image point).
Lenses that are `wide` go by the angle to the axis: they may look backwards, and their near and far clips are spheres, not planes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

NEWTON_STEPS = 20  # rounding is reached after four to eight inside the lens's range
ROUND_TRIP = 1e-3  # image → direction must return to where it came from; beyond a fold of the distortion it does not


def _newton(step: Callable[..., Any], target: Any, coefficients: tuple[Any, ...]) -> Any:
    """Iterate `step` from the target itself, as a recorded loop: unrolled, it would make kernels large."""
    fixed = tuple(mi.Float(dr.detach(c)) for c in coefficients)

    def body(k: Any, at: Any, target: Any, *fixed: Any) -> tuple[Any, ...]:
        return (k + 1, step(at, target, fixed), target, *fixed)

    with dr.suspend_grad():
        start = type(target)(target)
        state = (mi.UInt32(0), start, target, *fixed)
        return dr.while_loop(state, lambda k, *_: k < NEWTON_STEPS, body, label="pbdr: undistort")[1]


class Lens(ABC):
    """What a lens model must answer. One with distortion takes its `coefficients` as a tuple of scalars, in the order of `names`.

    names   of its coefficients, as properties and parameters of the sensor
    wide    whether it goes by the angle to the axis; without it, the image is a function of x/z and y/z

    One with distortion also has `distort` and `undistort`, of angles if it is `wide`, else of points (x/z, y/z), and `stretch`, the
    area of the image per area of undistorted points: the sensor asks them whether its whole film can be undone (`distorted.py`).
    """

    names: ClassVar[tuple[str, ...]] = ()
    wide: ClassVar[bool] = False

    @abstractmethod
    def image(self, q: Any) -> tuple[Any, Any, Any]:
        """Vector from the viewpoint → (image point, image area per solid angle there, whether the lens sees it)."""

    @abstractmethod
    def direction(self, image: Any) -> Any:
        """Image point → unit direction, attached to the image point and the coefficients: inverse of `image`."""


@dataclass
class Pinhole(Lens):
    """No distortion: the image is x/z, y/z."""

    wide: ClassVar[bool] = False

    def image(self, q: Any) -> tuple[Any, Any, Any]:
        """Vector from the viewpoint → (image point, image area per solid angle, whether the lens sees it)."""
        inverse = dr.rcp(dr.select(q.z > 0, q.z, 1))
        cosine = q.z * dr.rsqrt(dr.squared_norm(q))
        return mi.Point2f(q.x * inverse, q.y * inverse), dr.rcp(cosine * cosine * cosine), q.z > 0  # Eq. (7)

    def direction(self, image: Any) -> Any:
        """Image point → unit direction."""
        return dr.normalize(mi.Vector3f(image.x, image.y, 1))


@dataclass
class OpenCV(Lens):
    """OpenCV's and COLMAP's OPENCV: radial k1, k2, k3 and tangential p1, p2 on x/z, y/z."""

    names: ClassVar[tuple[str, ...]] = ("k1", "k2", "p1", "p2", "k3")
    wide: ClassVar[bool] = False
    coefficients: tuple[Any, ...]

    def distort(self, at: Any) -> tuple[Any, Any]:
        """Undistorted point → (distorted point, its Jacobian (a, b, c), a symmetric matrix [[a, b], [b, c]])."""
        k1, k2, p1, p2, k3 = self.coefficients
        x, y = at.x, at.y
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = k1 + r2 * (2 * k2 + r2 * 3 * k3)  # d radial / d r²
        point = mi.Point2f(
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        )
        jacobian = mi.Vector3f(
            radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x,
            2 * (x * y * slope + p1 * x + p2 * y),
            radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x,
        )
        return point, jacobian

    def stretch(self, at: Any) -> Any:
        """Area ratio of the distortion at an undistorted point; not positive beyond a fold."""
        return _determinant(self.distort(at)[1])

    def undistort(self, image: Any) -> Any:
        """Distorted point → undistorted point, by Newton's method; not attached."""
        return mi.Point2f(_newton(self._step, mi.Point2f(dr.detach(image)), self.coefficients))

    @staticmethod
    def _step(at: Any, target: Any, coefficients: tuple[Any, ...]) -> Any:
        point, jacobian = OpenCV(coefficients).distort(at)
        return mi.Point2f(at - _solved(jacobian, point - target))

    def image(self, q: Any) -> tuple[Any, Any, Any]:
        """Vector from the viewpoint → (image point, image area per solid angle, whether the lens sees it)."""
        flat, area, front = Pinhole().image(q)
        point, jacobian = self.distort(flat)
        stretch = _determinant(jacobian)
        error = dr.norm(self.undistort(point) - flat)
        seen = front & (stretch > 0) & (error < ROUND_TRIP * (1 + dr.norm(flat)))
        return point, area * stretch, seen

    def direction(self, image: Any) -> Any:
        """Image point → unit direction; one more Newton step carries the derivatives of the implicit function."""
        at = self.undistort(image)
        point, jacobian = self.distort(at)
        at = dr.replace_grad(at, -_solved(dr.detach(jacobian), point - image))
        return Pinhole().direction(at)


def _determinant(m: Any) -> Any:
    return m.x * m.z - m.y * m.y


def _solved(m: Any, b: Any) -> Any:
    """m⁻¹ b of a symmetric 2 × 2 matrix (a, b, c)."""
    det = _determinant(m)
    inverse = dr.rcp(dr.select(dr.abs(det) > 1e-12, det, 1))
    return mi.Vector2f(m.z * b.x - m.y * b.y, m.x * b.y - m.y * b.x) * inverse


@dataclass
class OpenCVFisheye(Lens):
    """OpenCV's and COLMAP's OPENCV_FISHEYE: θ_d = θ (1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸), θ the angle to the axis."""

    names: ClassVar[tuple[str, ...]] = ("k1", "k2", "k3", "k4")
    wide: ClassVar[bool] = True
    coefficients: tuple[Any, ...]

    def distort(self, theta: Any) -> tuple[Any, Any]:
        """Angle to the axis → (distance from the image's centre, its derivative)."""
        k1, k2, k3, k4 = self.coefficients
        t2 = theta * theta
        radius = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
        return radius, 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))

    def stretch(self, theta: Any) -> Any:
        """How fast the image moves with the angle; not positive beyond a fold."""
        return self.distort(theta)[1]

    def undistort(self, radius: Any) -> Any:
        """Distance from the image's centre → angle to the axis, by Newton's method; not attached."""
        return _newton(self._step, mi.Float(dr.detach(radius)), self.coefficients)

    @staticmethod
    def _step(theta: Any, target: Any, coefficients: tuple[Any, ...]) -> Any:
        reached, slope = OpenCVFisheye(coefficients).distort(theta)
        step = (reached - target) / dr.select(dr.abs(slope) > 1e-6, slope, 1)
        return dr.clip(theta - step, 0, dr.pi)

    def image(self, q: Any) -> tuple[Any, Any, Any]:
        """Vector from the viewpoint → (image point, image area per solid angle, whether the lens sees it)."""
        across = dr.sqrt(q.x * q.x + q.y * q.y)
        theta = dr.atan2(across, q.z)
        radius, slope = self.distort(theta)
        off = across > 1e-6 * dr.norm(q)
        sine = dr.select(off, across * dr.rsqrt(dr.squared_norm(q)), 1)
        scale = dr.select(off, radius / dr.select(off, across, 1), dr.rcp(dr.norm(q)))
        area = slope * dr.select(off, radius / sine, 1)
        seen = (slope > 0) & (radius >= 0) & (dr.abs(self.undistort(radius) - theta) < ROUND_TRIP)
        return mi.Point2f(q.x * scale, q.y * scale), area, seen

    def direction(self, image: Any) -> Any:
        """Image point → unit direction; one more Newton step carries the derivatives of the implicit function."""
        off = dr.detach(dr.squared_norm(image)) > 1e-12
        radius = dr.sqrt(dr.select(off, dr.squared_norm(image), 1))
        theta = self.undistort(radius)
        reached, slope = self.distort(theta)
        theta = dr.replace_grad(theta, (radius - reached) / dr.detach(slope))
        sine, cosine = dr.sincos(theta)
        scale = dr.select(off, sine / radius, 1)
        return mi.Vector3f(image.x * scale, image.y * scale, dr.select(off, cosine, 1))


#: Sensors made of a lens model each, by plugin: a new one is a class, and an entry here.
DISTORTED: dict[str, Any] = {"opencv": OpenCV, "opencv_fisheye": OpenCVFisheye}
