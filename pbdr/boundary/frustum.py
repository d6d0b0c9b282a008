"""Borders of the images that projectors throw: light that jumps at a direction of the light, not at an edge of the scene.

The border is at rest in the projector's frame. A lit point x_S crosses it when it moves as the interior says, or when the light
does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.boundary import indirect, segment, specular, walk
from pbdr.boundary.sampling import systematic
from pbdr.parameters import traverse
from pbdr.transport import camera, emission, spectra
from pbdr.transport.features import Features
from pbdr.transport.path import PathOptions

INSIDE = 1e-5  # of the image's width: distance from the border at which the light is evaluated
PROBE = 0.1  # slope of the directions that tell where image coordinates lie


@dataclass
class Border:
    """Sides of the images of all projectors, four each, in planes at distance 1 from them.

    `projector` its number; `start`, `side`: a side runs from there along this vector; `centre`: of the image.
    """

    projector: Any
    start: Any
    side: Any
    centre: Any
    emitters: list[Any]

    @staticmethod
    def of(scene: Any) -> Border | None:
        """The borders of a scene's projectors; None if it has none."""
        emitters = [e for e in scene.emitters() if e.class_name() == "Projector"]
        if not emitters:
            return None
        corners = np.array([_corners(emitter) for emitter in emitters])
        starts, ends = corners.reshape(-1, 2), np.roll(corners, -1, axis=1).reshape(-1, 2)
        plane = lambda points: mi.Vector3f(*map(aligned, points.T), 1.0)  # noqa: E731
        return Border(
            mi.UInt32(aligned(np.repeat(np.arange(len(emitters)), 4), np.uint32)),
            plane(starts),
            plane(ends) - plane(starts),
            plane(np.repeat(corners.mean(1), 4, axis=0)),
            emitters,
        )

    def at(self, index: Any) -> Border:
        """The sides at `index`."""
        get = lambda x: dr.gather(type(x), x, index)  # noqa: E731
        return Border(get(self.projector), get(self.start), get(self.side), get(self.centre), self.emitters)

    def to_world(self, local: Any) -> tuple[Any, Any]:
        """Attached positions of the projectors and directions with these local ones."""
        place, turned = mi.Point3f(0), mi.Vector3f(0)
        for k, emitter in enumerate(self.emitters):
            matrix = traverse(emitter)["to_world"].matrix
            x, y, z, origin = (mi.Vector3f(matrix[0, j], matrix[1, j], matrix[2, j]) for j in range(4))
            here = self.projector == k
            place = dr.select(here, mi.Point3f(origin), place)
            turned = dr.select(here, local.x * x + local.y * y + local.z * z, turned)
        return place, turned


def _corners(emitter: Any) -> Any:
    """Corners of a projector's image, in order around it, in the plane z = 1 of its frame: (4, 2)."""
    matrix = dr.detach(traverse(emitter)["to_world"]).matrix
    frame = np.array(matrix, dtype=np.float64).reshape(4, 4, -1)[..., 0]
    slopes = np.array([[0, 0], [PROBE, 0], [0, PROBE]])
    local = np.column_stack([slopes, np.ones((3, 2))])
    si = dr.zeros(mi.SurfaceInteraction3f, 3)
    si.p = mi.Point3f(*(frame @ local.T)[:3])
    with dr.suspend_grad():
        sampled, _ = emitter.sample_direction(si, mi.Point2f(0.5), True)
    uv = np.array(sampled.uv, dtype=np.float64).T
    scale = (uv[1:] - uv[0]) / PROBE  # rows: along x, along y
    return (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - uv[0]) @ np.linalg.inv(scale)


def draw(
    scene: Any, sensor: Any, integrator: Any, features: Features, options: PathOptions, stream: Callable[[str, int], Any],
    count: int, mirrors: Any = None,
) -> indirect.Sample | None:  # fmt: skip
    """`count` points on borders and what they light, seen by the camera directly or after scatterings; None without projectors.

    With `mirrors` (of `chains.cells`), the camera sees the end of the walk in mirrors or through glass.
    """
    borders = Border.of(scene)
    if borders is None:
        return None
    sampler = stream("projected border" if mirrors is None else "mirrored border", count)
    wavelengths, spectral_weight = spectra.sample(sensor, sampler)
    link = specular.link(scene, sensor, integrator, mirrors, sampler, options.max_depth, wavelengths)
    sides_of_all = 4 * len(borders.emitters)
    u = systematic(sampler, count) * sides_of_all
    index = dr.minimum(mi.UInt32(u), sides_of_all - 1)
    border = borders.at(index)
    local = mi.Vector3f(border.start + (u - mi.Float(index)) * border.side)
    distance = dr.norm(local)
    place, aim = dr.detach(border.to_world(local / distance))
    _, side = dr.detach(border.to_world(border.side))
    _, outward = dr.detach(border.to_world(local - border.centre))
    omega = -aim  # from x_S to the light
    turn = (side - aim * dr.dot(aim, side)) / distance  # derivative of `aim` along the side
    normal = dr.normalize(dr.cross(turn, aim))
    normal = dr.mulsign(normal, dr.dot(normal, outward))

    receiver_ray = spectra.carry(mi.Ray3f(place, aim), wavelengths)
    receiver_hit = scene.ray_intersect_preliminary(receiver_ray, coherent=False)
    walked = walk.to_camera(
        scene, link, receiver_hit, receiver_ray, omega, (0, options.max_depth - 2), sampler, options.max_depth,
        features.delta_bsdfs, receiver_hit.is_valid(),
    )  # fmt: skip
    # Light from a projector never comes by way of a mirror.
    active = walked.active & ~walked.chained
    lit = dr.zeros(mi.SurfaceInteraction3f, count)
    lit.wavelengths = receiver_ray.wavelengths
    inside = border.centre + (local - border.centre) * (1 - INSIDE)
    lit.p = mi.Point3f(place + dr.detach(border.to_world(dr.normalize(inside)))[1])
    radiance = mi.Spectrum(0)
    for k, emitter in enumerate(borders.emitters):
        here = active & (border.projector == k)
        _, value, _ = emission.delta_emission(emitter, lit, here)
        radiance = dr.select(here, dr.detach(value), radiance)
    weight = walked.throughput * spectral_weight * radiance * (dr.norm(turn) * sides_of_all / count)  # Eq. (14)
    toward = local / distance

    def sides(origin: Any, _: Any) -> list[tuple[Any, Any]]:
        """The border gains what it overtakes."""
        light, edge = border.to_world(toward)
        seen = dr.normalize(mi.Vector3f(origin - light))
        return [(weight, segment.rule(normal, dr.normalize(edge), seen))]

    seen = walked.connection
    attached_ray = camera.ray_through(sensor, seen.position, seen.aperture, wavelengths)
    receiver = mi.Point3f(receiver_ray(receiver_hit.t))
    return indirect.Sample(attached_ray, seen.position, walked.store, walked.count, receiver, omega, sides, active)
