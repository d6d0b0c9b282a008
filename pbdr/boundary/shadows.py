"""Shadows that the camera sees after further scatterings: emission past an edge, from the light's side, equations (5) and (8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import direct, indirect, segment, walk
from pbdr.boundary.edges import EdgeTable
from pbdr.transport import camera
from pbdr.transport.features import Features
from pbdr.transport.path import PathOptions


def draw(
    scene: Any, sensor: Any, integrator: Any, features: Features, table: EdgeTable, motion: segment.Motion,
    options: PathOptions, stream: Callable[[str, int], Any], count: int,
) -> indirect.Sample | None:  # fmt: skip
    """`count` shadows that the camera sees after one or more scatterings beyond x_S; None if no edge casts any."""
    shadow = direct.cast(scene, sensor, table, stream, "indirect shadow", count)
    if shadow is None:
        return None
    edge = shadow.edge
    sampler = stream("indirect shadow walk", count)
    lengths = options.max_depth - 2
    steps = dr.minimum(mi.UInt32(sampler.next_1d() * lengths), lengths - 1) + 1
    walked = walk.to_camera(
        scene, sensor, integrator, shadow.receiver_hit, shadow.receiver_ray, edge.omega, steps, sampler,
        options.max_depth, shadow.active,
    )  # fmt: skip
    factor = walked.throughput * shadow.spectral_weight * (direct.shadow_measure(shadow) * lengths)

    def sides(origin: Any, _: Any) -> list[tuple[Any, Any]]:
        """Equations (5) and (6b): only the side that sees the light carries it."""
        ray_point, radiance = direct.light_seen(scene, features, shadow, origin, walked.active)
        speed = segment.rule(edge.normal, motion.position(edge, walked.active), ray_point)
        return [(segment.weigh(-edge.front_side, radiance, factor), speed)]

    seen = walked.connection
    receiver = mi.Point3f(shadow.receiver_ray(shadow.receiver_hit.t))
    attached_ray = camera.ray_through(sensor, seen.position, seen.aperture, shadow.light_ray.wavelengths)
    return indirect.Sample(
        attached_ray, seen.position, walked.store, walked.count, receiver, edge.omega, sides, walked.active
    )
