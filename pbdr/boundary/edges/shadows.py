"""Shadows that the camera sees after further scatterings: emission past an edge, from the light's side, equations (5) and (8).

Shadows within caustics are among them: light past an edge that reaches x_S by way of mirrors and glass. What a point or distant
light sends there is no part of the image, since paths cannot find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.boundary.connect import walk
from pbdr.boundary.context import Context
from pbdr.boundary.edges import direct, specular
from pbdr.boundary.sample import Kept, Sample, Side
from pbdr.boundary.sampling import light_points
from pbdr.boundary.term import Term
from pbdr.transport import camera, convention, emission
from pbdr.transport.features import Features


class IndirectShadows(Term):
    """Shadows that the camera sees after one or more scatterings beyond x_S."""

    part, divisor = "indirect", 3

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where paths are long enough."""
        return max_depth > 2

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """By every way to the camera; none where no edge casts a shadow."""
        if context.outlines is None:
            return
        for mirrors in context.ways:
            if mirrors is None or context.tracer.max_depth > 3 or context.features.delta_lights:
                yield draw(context, context.outlines, count, mirrors)


def draw(context: Context, outlines: light_points.Outlines, count: int, mirrors: Any = None) -> Sample:
    """`count` shadows, and walks from there to the camera.

    With `mirrors` (of `chains.cells`), the camera sees the end of the walk in mirrors or through glass; then only those shadows
    are sampled that camera paths cannot find: of point-like and distant lights, and within caustics.
    """
    scene, sensor, features, options = context.scene, context.sensor, context.features, context.options
    name = "indirect shadow" if mirrors is None else "mirrored shadow"
    shadow = direct.cast(scene, sensor, context.table, outlines, context.stream(f"{name} edges", count), count)
    edge = shadow.edge
    sampler = context.stream(f"{name} walk", count)
    link = specular.link(context, mirrors, sampler, shadow.light_ray.wavelengths)
    least = 1 if mirrors is None else 0
    walked = walk.to_camera(
        scene, link, shadow.receiver_hit, shadow.receiver_ray, edge.omega, (least, options.max_depth - 2), sampler,
        options.max_depth, features.delta_bsdfs, shadow.active,
    )  # fmt: skip
    factor = walked.throughput * shadow.spectral_weight * direct.shadow_measure(shadow)
    chained = walked.chained
    if features.delta_bsdfs:
        shining = shadow.light_hit.compute_surface_interaction(shadow.light_ray, mi.RayFlags.All, walked.active)
        share = emission.share_of_lights(scene, edge.point, shining, walked.active & ~shadow.lights.delta)
        factor *= dr.select(chained, share, 1)
    factor = dr.select(walked.active, factor, 0)
    if mirrors is not None:
        factor *= dr.select(chained | shadow.lights.delta, mi.Float(1), 0)

    def carried(origin: Any, direction: Any) -> list[Side]:
        """Equations (5), (6b) and (6d): only the side that sees the light carries it."""
        ray_point, radiance = direct.light_seen(scene, features, shadow, origin, walked.active)
        sliding = convention.ray_point_direction(origin, direction, shadow.depth)
        ray_point = dr.select(chained, sliding, ray_point)
        speed = segment.rule(edge.normal, context.motion.position(edge, walked.active), ray_point)
        return [Side(segment.weigh(-edge.front_side, radiance, factor), speed)]

    seen = walked.connection
    receiver = mi.Point3f(shadow.receiver_ray(shadow.receiver_hit.t))
    attached_ray = camera.ray_through(sensor, seen.position, seen.aperture, shadow.light_ray.wavelengths)
    kept = Kept(attached_ray, walked.store, walked.count, receiver, edge.omega)
    return Sample.on_path(kept, seen.position, carried, walked.active)
