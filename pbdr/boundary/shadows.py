"""Shadows that the camera sees after further scatterings: emission past an edge, from the light's side, equations (5) and (8).

Shadows within caustics are among them: light past an edge that reaches x_S by way of mirrors and glass. What a point or distant
light sends there is no part of the image, since paths cannot find it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import direct, indirect, segment, specular, walk
from pbdr.boundary.edges import EdgeTable
from pbdr.transport import camera, convention, emission
from pbdr.transport.features import Features
from pbdr.transport.path import PathOptions


def draw(
    scene: Any, sensor: Any, integrator: Any, features: Features, table: EdgeTable, motion: segment.Motion,
    options: PathOptions, outlines: direct.Outlines | None, stream: Callable[[str, int], Any], count: int, mirrors: Any = None,
) -> indirect.Sample | None:  # fmt: skip
    """`count` shadows that the camera sees after one or more scatterings beyond x_S; None if no edge casts any.

    With `mirrors` (of `chains.cells`), the camera sees the end of the walk in mirrors or through glass; then only those shadows
    are sampled that camera paths cannot find: of point-like and distant lights, and within caustics.
    """
    name = "indirect shadow" if mirrors is None else "mirrored shadow"
    if outlines is None:
        return None
    shadow = direct.cast(scene, sensor, table, outlines, stream(f"{name} edges", count), count)
    edge = shadow.edge
    sampler = stream(f"{name} walk", count)
    link = specular.link(scene, sensor, integrator, mirrors, sampler, options.max_depth, shadow.light_ray.wavelengths)
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

    def sides(origin: Any, direction: Any) -> list[tuple[Any, Any]]:
        """Equations (5), (6b) and (6d): only the side that sees the light carries it."""
        ray_point, radiance = direct.light_seen(scene, features, shadow, origin, walked.active)
        sliding = convention.ray_point_direction(origin, direction, shadow.depth)
        ray_point = dr.select(chained, sliding, ray_point)
        speed = segment.rule(edge.normal, motion.position(edge, walked.active), ray_point)
        return [(segment.weigh(-edge.front_side, radiance, factor), speed)]

    seen = walked.connection
    receiver = mi.Point3f(shadow.receiver_ray(shadow.receiver_hit.t))
    attached_ray = camera.ray_through(sensor, seen.position, seen.aperture, shadow.light_ray.wavelengths)
    return indirect.Sample(
        attached_ray, seen.position, walked.store, walked.count, receiver, edge.omega, sides, walked.active
    )
