"""Camera segments that follow the edges near them: film positions move, pixel borders stay (docs/theory.md, section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.table.builder import TableBuilder
from pbdr.boundary.table.incidence import Incidence
from pbdr.boundary.warp import nearby
from pbdr.boundary.warp import support as warp_support
from pbdr.boundary.warp.options import WarpOptions
from pbdr.boundary.warp.rays import Anchor, Warp
from pbdr.errors import SceneError
from pbdr.transport import camera, convention, hits
from pbdr.transport.eye import Eye
from pbdr.transport.features import Features
from pbdr.transport.tracer import Tracer

STEP = 1e-2  # radians, of central differences of the lens's own smooth functions


@dataclass
class Metric:
    """The film around a direction: film area per solid angle relative to that at ω has gradient `density`; `x`, `y`: ∇ of the
    film position in pixels."""

    density: Any
    x: Any
    y: Any


def metric(eye: Eye, omega: Any) -> Metric:
    """By central differences: lenses are smooth, and STEP² is far below the noise of any gradient."""
    axes = [mi.Vector3f(axis) for axis in mi.coordinate_system(omega)]
    density, x, y = mi.Vector3f(0), mi.Vector3f(0), mi.Vector3f(0)
    for axis in axes:
        ahead, behind = (eye.sight(mi.Point3f(eye.point + omega + step * axis)) for step in (STEP, -STEP))
        scale = axis / (2 * STEP)
        density += scale * dr.log(ahead.importance / behind.importance)
        x += scale * (ahead.position.x - behind.position.x)
        y += scale * (ahead.position.y - behind.position.y)
    return Metric(density, x, y)


def pixel(eye: Eye) -> Any:
    """Width of a pixel on the axis, in radians: camera segments reach no further."""
    return dr.rsqrt(dr.abs(eye.focal[0] * eye.focal[1]))


def borders(warp: Warp, eye: Eye, film: Any, position: Any, around: Metric, reach: Any) -> list[Anchor]:
    """Lines of the film that rays must not cross: with a box filter, borders of pixels; else, that of the sampled region."""
    scale = pixel(eye)
    (x0, y0), (width, height) = camera.film_origin(film), camera.film_size(film)
    anchors = []
    for at, slope, start, size in ((position.x, around.x, x0, width), (position.y, around.y, y0, height)):
        low, high = mi.Float(start), mi.Float(start + size)
        if film.rfilter().is_box_filter():
            low = dr.floor(at)
            high = low + 1
        for distance, sign in ((at - low, 1), (high - at, -1)):
            anchors.append(Anchor(*warp.weight(distance * scale, slope * (sign * scale), reach, True)))
    return anchors


class CameraWarp:
    """Camera segments of one sensor. Not a dataclass: Dr.Jit must not take it for loop state."""

    def __init__(self, warp: Warp, sensor: Any, tracer: Tracer, moves: bool) -> None:
        self.warp, self.sensor, self.tracer, self.moves = warp, sensor, tracer, moves

    def find(self, scene: Any, ray: Any, position: Any, sampler: Any) -> tuple[Any, ...]:
        """`Warp.find` for camera rays (detached)."""
        eye = Eye.of(self.sensor)
        self.warp.roll(sampler)

        def shoot(direction: Any, lanes: Any) -> Any:
            start = eye.sight(mi.Point3f(eye.point + direction)).start
            return hits.first_hit(self.tracer, scene, mi.Ray3f(start, direction), lanes)

        reach = dr.minimum(self.warp.options.reach, pixel(eye))
        anchors = borders(self.warp, eye, self.sensor.film(), position, metric(eye, ray.d), reach)
        record = self.warp.draw(eye.point, ray.d, shoot, sampler, mi.Bool(True), anchors, reach)
        if self.moves:  # every number of a pose has a kernel of its own, which must not trace all rays again
            dr.eval(record)
        return record

    def bend(self, record: tuple[Any, ...], ray: Any) -> tuple[Any, Any, Any]:
        """Camera rays, attached, that follow their edges: (ray, Jacobian of the motion over the film, its value 1, motion of the
        film position in pixels, its value 0)."""
        eye, omega = Eye.of(self.sensor), mi.Vector3f(dr.detach(ray.d))
        viewpoint = camera.attached_viewpoint(self.sensor, dr.width(omega))
        shift = convention.together(
            [
                self.warp.shift(one, lambda row, some: self._motion(eye, viewpoint, row, omega, some), True)
                for one in record
            ]
        )
        direction, jacobian = convention.warped(omega, omega, mi.Float(1), shift)
        moved = direction - dr.detach(direction)
        film = metric(eye, omega)
        jacobian += dr.dot(film.density, moved)  # Eq. (9d)
        bent = mi.Ray3f(ray)
        bent.d = ray.d + moved
        bent.o = ray.o + dr.norm(dr.detach(ray.o) - eye.point) * moved  # rays start on the near plane
        return bent, jacobian, mi.Vector2f(dr.dot(film.x, moved), dr.dot(film.y, moved))

    def _motion(self, eye: Eye, viewpoint: Any, index: Any, omega: Any, active: Any) -> convention.EdgeShift:
        """Motion of an edge point relative to the camera ray through its place on the film."""
        row = self.warp.table.row(index, active)
        near = nearby.nearest(row, eye.point, omega, self.warp.curved)
        point, along = self.warp.attached(row, near, active)
        edge = convention.edge_shift(viewpoint, point, along, near.slope, active)
        if not self.moves:
            return edge
        # The lens is smooth: differences along the edge do for the derivative of its own motion there.
        step = STEP * dr.norm(near.point - eye.point) / dr.maximum(dr.norm(near.along), 1e-12)
        here, ahead, behind = (self._own(eye, near.point + x * near.along, active) for x in (0, step, -step))
        turn = dr.dot(near.slope, ahead - behind) / (2 * step)
        return convention.EdgeShift(edge.shift - here, edge.turn - dr.select(active, turn, 0))  # Eq. (9d)

    def _own(self, eye: Eye, point: Any, active: Any) -> Any:
        """Motion, of value 0, of the camera ray that sees a point now."""
        position = dr.detach(eye.sight(mi.Point3f(point)).position)
        direction = camera.ray_through(self.sensor, dr.select(active, position, mi.Point2f(eye.centre))).d
        return dr.select(active, direction - dr.detach(direction), 0)


def build(
    scene: Any, sensor: Any, tracer: Tracer, features: Features, builder: TableBuilder, options: WarpOptions
) -> Warp:
    """Edges that rays follow, of all shapes of a scene."""
    warp_support.check(scene, sensor, features, tracer.max_depth)
    table = builder.build(scene, features.moving_shapes, features)
    if table.pairs is not None:
        raise SceneError(
            "meshes of the scene pass through each other: boundary='warp' does not know where. Move them apart, or use "
            "boundary='edge'."
        )
    moving = features.moving_shapes
    if moving:
        warp_support.warn_of_contacts(scene, table)
    warp = Warp(scene, table, Incidence(scene, builder, table), moving, options)
    warp.left_out = tracer.left_out
    warp.camera = CameraWarp(warp, sensor, tracer, features.sensor_moves)
    return warp
