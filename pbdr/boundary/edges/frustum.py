"""Borders of the images that projectors throw, and hard edges of the beams of spots: light that jumps at a direction of the light.

The border is at rest in the frame of the light. A lit point x_S crosses it when it moves as the interior says, or when the light
does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.boundary import segment
from pbdr.boundary.connect import walk
from pbdr.boundary.context import Context
from pbdr.boundary.edges import specular
from pbdr.boundary.sample import Kept, Sample, Side
from pbdr.boundary.sampling.masses import systematic
from pbdr.boundary.term import Term
from pbdr.parameters import traverse
from pbdr.transport import camera, cones, emission, spectra
from pbdr.transport.features import Features

INSIDE = 1e-5  # of the image's width: distance from the border at which the light is evaluated
WITHIN = 1e-3  # the same for beams, of their angle: single precision does not know their edges better
DIM = 0.05  # of a narrow fall-off: no light is evaluated closer to its outer end
PROBE = 0.1  # slope of the directions that tell where image coordinates lie
#: Light is evaluated this many times as far from its light as that is from the origin: at a point that is nearer, the coordinates
#: have too few digits to say on which side of a border it lies.
FAR = 64.0


@dataclass
class Point:
    """A point of a border, in its light's frame: a direction of any length, its derivative along the border, a vector outwards;
    `inside`: the direction in which the light is evaluated, `share`: what a fall-off leaves of it there."""

    light: Any
    direction: Any
    along: Any
    outward: Any
    inside: Any
    share: Any


class Borders:
    """Borders of the images of all projectors, four sides each, in planes at distance 1 from them; then edges of beams."""

    def __init__(self, projectors: list[Any], beams: list[cones.Cone]) -> None:
        spots = [cone.spot for cone in beams]
        self.emitters, self.cones = [*projectors, *spots], beams
        self.first, self.count = 4 * len(projectors), 4 * len(projectors) + len(spots)
        corners = np.array([_corners(emitter) for emitter in projectors]).reshape(-1, 4, 2)
        starts, ends = corners.reshape(-1, 2), np.roll(corners, -1, axis=1).reshape(-1, 2)
        rest = np.zeros((len(spots), 2))
        plane = lambda points: mi.Vector3f(*map(aligned, np.concatenate([points, rest]).T), 1.0)  # noqa: E731
        self.start, self.side = plane(starts), plane(ends) - plane(starts)
        self.centre = plane(np.repeat(corners.mean(1), 4, axis=0))
        lights = [*np.repeat(np.arange(len(projectors)), 4), *range(len(projectors), len(self.emitters))]
        self.light = mi.UInt32(aligned(lights, np.uint32))

    @staticmethod
    def of(scene: Any, beams: cones.Cones | None) -> Borders | None:
        """Those of a scene; None if it has none."""
        projectors = [e for e in scene.emitters() if e.class_name() == "Projector"]
        found = [] if beams is None else beams.found
        return Borders(projectors, found) if projectors or found else None

    def at(self, index: Any, t: Any, u: Any) -> Point:
        """The point at `t` in [0, 1) of border number `index`, of a fall-off at `u`; attached to the angles of beams."""
        get = lambda x: dr.gather(type(x), x, index)  # noqa: E731
        side = get(self.side)
        centre, direction = get(self.centre), mi.Vector3f(get(self.start) + t * side)
        inside = centre + (direction - centre) * (1 - INSIDE)
        found = Point(get(self.light), direction, side, direction - centre, inside, mi.Float(1))
        for k, cone in enumerate(self.cones):
            mine = _on_cone(cone, found.light, t, u)
            here = index == self.first + k
            found = Point(
                *(dr.select(here, x, y) for x, y in zip(vars(mine).values(), vars(found).values(), strict=True))
            )
        return found

    def to_world(self, light: Any, local: Any) -> tuple[Any, Any]:
        """Attached positions of the lights and directions with these local ones."""
        place, turned = mi.Point3f(0), mi.Vector3f(0)
        for k, emitter in enumerate(self.emitters):
            x, y, z, origin = cones.axes(emitter)
            here = light == k
            place = dr.select(here, origin, place)
            turned = dr.select(here, local.x * x + local.y * y + local.z * z, turned)
        return place, turned


def _on_cone(cone: cones.Cone, light: Any, t: Any, u: Any) -> Point:
    """The point at `t` around a beam, and at `u` of its fall-off."""
    sine, cosine = dr.sincos(dr.two_pi * t)
    at = lambda angle: mi.Vector3f(dr.sin(angle) * cosine, dr.sin(angle) * sine, dr.cos(angle))  # noqa: E731
    beam, cutoff = cone.angles()
    bare, share = dr.detach(beam) * (1 - WITHIN), mi.Float(1)
    if cone.soft and not cone.tight:
        share = dr.maximum(1 - u, DIM)
        bare = dr.detach(cutoff) - share * dr.detach(cutoff - beam)
    angle = beam + u * (cutoff - beam)  # Eq. (14a)
    held = dr.detach(angle)
    along = dr.two_pi * dr.sin(held) * mi.Vector3f(-sine, cosine, 0)
    outward = mi.Vector3f(dr.cos(held) * cosine, dr.cos(held) * sine, -dr.sin(held))
    return Point(light, at(angle), along, outward, at(bare), share)


def _corners(emitter: Any) -> Any:
    """Corners of a projector's image, in order around it, in the plane z = 1 of its frame: (4, 2)."""
    matrix = dr.detach(traverse(emitter)["to_world"]).matrix
    frame = np.array(matrix, dtype=np.float64).reshape(4, 4, -1)[..., 0]
    slopes = np.array([[0, 0], [PROBE, 0], [0, PROBE]])
    far = FAR * float(np.abs(frame[:3, 3]).max()) or 1.0
    local = np.column_stack([far * slopes, np.full(3, far), np.ones(3)])
    si = dr.zeros(mi.SurfaceInteraction3f, 3)
    si.p = mi.Point3f(*(frame @ local.T)[:3])
    with dr.suspend_grad():
        sampled, _ = emitter.sample_direction(si, mi.Point2f(0.5), True)
    uv = np.array(sampled.uv, dtype=np.float64).T
    scale = (uv[1:] - uv[0]) / PROBE  # rows: along x, along y
    return (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - uv[0]) @ np.linalg.inv(scale)


class BordersOfLight(Term):
    """Borders of projected images and of beams, on what the camera sees directly or after scatterings."""

    part = "direct"
    knows_fog = True  # what has such borders is refused there

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where paths reach a light by way of a surface."""
        return max_depth > 1

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """From the lights, by every way to the camera; none where no light has a border."""
        borders = Borders.of(context.scene, context.features.cones)
        if borders is not None:
            for mirrors in context.ways:
                yield draw(context, borders, count, mirrors)


def draw(context: Context, borders: Borders, count: int, mirrors: Any = None) -> Sample:
    """`count` points on borders and what they light.

    With `mirrors` (of `chains.cells`), the camera sees the end of the walk in mirrors or through glass.
    """
    scene, sensor, options, features = context.scene, context.sensor, context.options, context.features
    sampler = context.stream("projected border" if mirrors is None else "mirrored border", count)
    wavelengths, spectral_weight = spectra.sample(sensor, sampler)
    link = specular.link(context, mirrors, sampler, wavelengths)
    u = systematic(sampler, count) * borders.count
    index = dr.minimum(mi.UInt32(u), borders.count - 1)
    where, between = u - mi.Float(index), sampler.next_1d()
    border = dr.detach(borders.at(index, where, between))
    distance = dr.norm(border.direction)
    place, aim = dr.detach(borders.to_world(border.light, border.direction / distance))
    _, side = dr.detach(borders.to_world(border.light, border.along))
    _, outward = dr.detach(borders.to_world(border.light, border.outward))
    omega = -aim  # from x_S to the light
    turn = (side - aim * dr.dot(aim, side)) / distance  # derivative of `aim` along the border
    normal = dr.normalize(dr.cross(turn, aim))
    normal = dr.mulsign(normal, dr.dot(normal, outward))

    receiver_ray = spectra.carry(mi.Ray3f(place, aim), wavelengths)
    receiver_hit = scene.ray_intersect_preliminary(receiver_ray, coherent=False)
    walked = walk.to_camera(
        scene, link, receiver_hit, receiver_ray, omega, (0, options.max_depth - 2), sampler, options.max_depth,
        features.delta_bsdfs, receiver_hit.is_valid(),
    )  # fmt: skip
    # Light from a point never comes by way of a mirror.
    active = walked.active & ~walked.chained
    radiance = _bare(borders, border, place, receiver_ray.wavelengths, active)
    weight = walked.throughput * spectral_weight * radiance * (dr.norm(turn) * borders.count / count)  # Eq. (14)

    def carried(origin: Any, _: Any) -> list[Side]:
        """The border gains what it overtakes."""
        light, edge = borders.to_world(border.light, borders.at(index, where, between).direction)
        seen = dr.normalize(mi.Vector3f(origin - light))
        return [Side(weight, segment.rule(normal, dr.normalize(edge), seen))]

    seen = walked.connection
    attached_ray = camera.ray_through(sensor, seen.position, seen.aperture, wavelengths)
    receiver = mi.Point3f(receiver_ray(receiver_hit.t))
    return Sample.on_path(
        Kept(attached_ray, walked.store, walked.count, receiver, omega), seen.position, carried, active
    )


def _bare(borders: Borders, border: Point, place: Any, wavelengths: Any, active: Any) -> Any:
    """Intensity just inside of points of borders, as if there were no fall-off."""
    lit = dr.zeros(mi.SurfaceInteraction3f, dr.width(place))
    lit.wavelengths = wavelengths
    away = FAR * dr.max(dr.abs(place))
    away = dr.select(away > 0, away, 1)
    lit.p = mi.Point3f(place + away * dr.detach(borders.to_world(border.light, dr.normalize(border.inside)))[1])
    radiance = mi.Spectrum(0)
    for k, emitter in enumerate(borders.emitters):
        here = active & (border.light == k)
        _, value, _ = emission.delta_emission(emitter, lit, here)
        radiance = dr.select(here, dr.detach(value) / border.share, radiance)
    return radiance * dr.square(away)
