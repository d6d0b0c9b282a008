"""Sensors as the boundary terms need them: the line of sight at world points, their place and weight on the film.

One description serves all sensors with a film: a point per lane that the lens looks from (pinholes: the same one; a thin lens: the
aperture sample's), or one direction for all (orthographic). Everything here is detached; `camera.ray_through` has the derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.parameters import traverse
from pbdr.transport import camera, lenses

BORDER = 64  # points a side of the film at which a lens's field of view is found
MARGIN = 1.05  # by how much it is widened: the border's angle may be larger between these points


@dataclass
class Sight:
    """World points as seen by a sensor.

    `position` on the film in pixels, `omega` the unit direction away from the camera, `start` of the line of sight (on the near
    plane), `distance` from there, `reach` its length up to the far plane, `importance` the film area per area across it,
    `inside` the sensor's range.
    """

    position: Any
    omega: Any
    start: Any
    distance: Any
    reach: Any
    importance: Any
    inside: Any


@dataclass
class Eye:
    """A sensor at one aperture sample a lane (None: the centre of the lens)."""

    to_world: Any
    to_local: Any
    lens: Any
    distant: bool  # orthographic: one direction for all points
    focal: tuple[float, float]  # pixels per unit of the image (orthographic: of the local frame)
    centre: tuple[float, float]  # film position of the axis, in pixels
    near: float
    far: float
    radius: Any = 0.0  # of the aperture
    focus: Any = 1.0  # distance of the plane in focus
    aperture: Any = None

    @staticmethod
    def of(sensor: Any, aperture: Any = None) -> Eye:
        """Read pose, projection and lens from a sensor whose class `camera.SUPPORTED` lists."""
        to_world = dr.detach(sensor.world_transform())
        kind = sensor.class_name()
        film = sensor.film()
        parameters = traverse(sensor)
        lens, rest = lenses.Pinhole(), {}
        if kind == camera.DISTORTED_CAMERA:
            lens, focal, centre = sensor.lens_in_pixels()
            lens = type(lens)(tuple(mi.Float(dr.detach(c)) for c in lens.coefficients))
            dr.make_opaque(lens.coefficients)
        else:
            matrix = dr.detach(sensor.projection_transform().matrix)
            column = 3 if kind == camera.ORTHOGRAPHIC else 2
            crop, offset, size = film.crop_size(), film.crop_offset(), film.size()
            shift = [matrix[i, column] * float(crop[i]) for i in range(2)]
            if kind == camera.PERSPECTIVE:
                for i, axis in enumerate("xy"):
                    shift[i] -= dr.detach(mi.Float(parameters[f"principal_point_offset_{axis}"])) * float(size[i])
            focal = [-matrix[i, i] * float(crop[i]) for i in range(2)]
            centre = [shift[i] + float(offset[i]) for i in range(2)]
        if kind == camera.THIN_LENS:
            radius, focus = parameters["aperture_radius"], parameters["focus_distance"]
            rest = {"radius": dr.detach(mi.Float(radius)), "focus": dr.detach(mi.Float(focus)), "aperture": aperture}
        dr.make_opaque(
            to_world, focal, centre, rest.get("radius"), rest.get("focus")
        )  # literals would make new kernels
        return Eye(
            to_world=to_world, to_local=to_world.inverse(), lens=lens, distant=kind == camera.ORTHOGRAPHIC,
            focal=(focal[0], focal[1]), centre=(centre[0], centre[1]),
            near=float(sensor.near_clip()), far=float(sensor.far_clip()), **rest,
        )  # fmt: skip

    @property
    def has_aperture(self) -> bool:
        """Whether lanes look from different points."""
        return not isinstance(self.radius, float)

    @property
    def lens_point(self) -> Any:
        """Where the lens looks from, in the local frame."""
        if self.aperture is None:
            return mi.Point3f(0)
        at = self.radius * mi.warp.square_to_uniform_disk_concentric(self.aperture)
        return mi.Point3f(at.x, at.y, 0)

    @property
    def point(self) -> Any:
        """The viewpoint in the world (meaningless where `distant`)."""
        return mi.Point3f(self.to_world @ self.lens_point)

    @property
    def forward(self) -> Any:
        """The optical axis, a unit vector in the world."""
        return dr.normalize(self.to_world @ mi.Vector3f(0, 0, 1))

    def towards(self, target: Any) -> Any:
        """Vector from the viewpoint to a world point (orthographic: the unit vector of the axis)."""
        return mi.Vector3f(self.forward) if self.distant else mi.Vector3f(target - self.point)

    def sight(self, target: Any) -> Sight:
        """How world points are seen."""
        local = mi.Point3f(self.to_local @ mi.Point3f(target))
        lens = self.lens_point
        offset = mi.Vector3f(local - lens)
        omega = dr.normalize(self.towards(target))
        if self.distant:
            image = mi.Point2f(-local.x, -local.y)
            x, y = self.to_world @ mi.Vector3f(1, 0, 0), self.to_world @ mi.Vector3f(0, 1, 0)
            area, seen = dr.rcp(dr.abs(dr.dot(dr.cross(x, y), self.forward))), mi.Bool(True)
            along = local.z
            start = mi.Point3f(self.to_world @ mi.Point3f(local.x, local.y, self.near))
            reach = dr.norm(self.to_world @ mi.Vector3f(0, 0, 1)) * (self.far - self.near)
        else:
            distance2 = dr.squared_norm(offset)
            image, area, seen = self.lens.image(mi.Vector3f(-offset.x, -offset.y, offset.z))
            area /= distance2
            # A ray through a point of the aperture is named by where it meets the plane in focus.
            image = mi.Point2f(image.x - lens.x / self.focus, image.y - lens.y / self.focus)
            along = dr.sqrt(distance2) if self.lens.wide else offset.z
            start = mi.Point3f(self.to_world @ mi.Point3f(lens + offset * (self.near / dr.select(seen, along, 1))))
            reach = dr.sqrt(distance2) * ((self.far - self.near) / dr.select(seen, along, 1))
        position = mi.Point2f(
            dr.fma(self.focal[0], image.x, self.centre[0]), dr.fma(self.focal[1], image.y, self.centre[1])
        )
        importance = dr.abs(self.focal[0] * self.focal[1]) * area  # Eq. (7)
        inside = seen & (along > self.near) & (along < self.far)
        return Sight(position, omega, start, dr.norm(mi.Point3f(target) - start), reach, importance, inside)

    def in_front(self, point: Any) -> Any:
        """False only for points that lie behind the camera, from any point of the aperture."""
        if self.lens.wide:
            return mi.Bool(True)
        return (self.to_local @ mi.Point3f(point)).z > self.near

    def may_see(self, a: Any, b: Any, film: Any) -> Any:
        """False only for straight lines from a to b that the film surely does not see, from any point of the aperture."""
        if not isinstance(self.lens, lenses.Pinhole):
            return self._near_axis(a, b, film)
        (x0, y0), (width, height) = camera.film_origin(film), camera.film_size(film)
        margin = film.rfilter().radius() + 1.0
        ends = [mi.Point3f(self.to_local @ mi.Point3f(end)) for end in (a, b)]
        front = [end.z > self.near for end in ends]
        scale = [
            mi.Float(1) if self.distant else dr.rcp(dr.select(f, e.z, 1)) for e, f in zip(ends, front, strict=True)
        ]
        spread = mi.Float(0)
        for s in scale if self.has_aperture else []:
            spread = dr.maximum(spread, self.radius * dr.abs(s - dr.rcp(self.focus)))
        low, high = mi.Bool(True), mi.Bool(True)
        for axis, start, size in ((0, x0, width), (1, y0, height)):
            place = [self.centre[axis] - self.focal[axis] * e[axis] * s for e, s in zip(ends, scale, strict=True)]
            reach = margin + spread * dr.abs(self.focal[axis])
            low &= dr.maximum(*place) > start - reach
            high &= dr.minimum(*place) < start + size + reach
        return (front[0] & front[1] & low & high) | (front[0] != front[1])

    def _near_axis(self, a: Any, b: Any, film: Any) -> Any:
        """Whether the sphere around a line reaches into the cone of directions that the film covers."""
        ends = [mi.Point3f(self.to_local @ mi.Point3f(end)) for end in (a, b)]
        middle, reach = mi.Vector3f(0.5 * (ends[0] + ends[1])), 0.5 * dr.norm(ends[1] - ends[0])
        distance = dr.norm(middle)
        around = distance <= reach
        half = dr.safe_asin(reach / dr.select(around, 1, distance))
        angle = dr.atan2(dr.sqrt(middle.x * middle.x + middle.y * middle.y), middle.z)
        return around | (angle - half < self._widest_angle(film))

    def border(self, film: Any, points: int) -> Any:
        """Where the border of the film, as far out as its filter reaches, lies on the plane at distance 1: `points` a side."""
        (x0, y0), (width, height) = camera.film_origin(film), camera.film_size(film)
        margin = film.rfilter().radius() + 1.0
        t = np.linspace(0, 1, points)
        x = np.concatenate([t, t, 0 * t, 0 * t + 1]) * (width + 2 * margin) + x0 - margin
        y = np.concatenate([0 * t, 0 * t + 1, t, t]) * (height + 2 * margin) + y0 - margin
        return mi.Point2f(
            (mi.Float(aligned(x)) - self.centre[0]) / self.focal[0],
            (mi.Float(aligned(y)) - self.centre[1]) / self.focal[1],
        )

    def _widest_angle(self, film: Any) -> Any:
        """Largest angle to the axis on the film."""
        image = self.border(film, BORDER)
        cosine = self.lens.direction(image).z
        cosine = dr.min(dr.select(dr.isfinite(cosine), cosine, 0))
        return MARGIN * dr.acos(dr.clip(cosine, -1, 1))
