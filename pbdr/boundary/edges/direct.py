"""Segments from a surface seen by the camera to a light: shadow edges, emitter-driven, equations (5) and (8).

Views are points on lights (or directions to distant lights). For each, the silhouettes of all edges are known exactly; a sample
draws a view and an edge, and finds the receiver x_S behind the edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment, sides
from pbdr.boundary.connect import straight
from pbdr.boundary.context import Context
from pbdr.boundary.sample import Sample, Side
from pbdr.boundary.sampling import light_points
from pbdr.boundary.sampling.masses import systematic
from pbdr.boundary.term import Term
from pbdr.geometry import surfaces
from pbdr.geometry.edges import EdgeTable
from pbdr.transport import camera, convention, emission, spectra
from pbdr.transport.eye import Eye
from pbdr.transport.features import Features
from pbdr.transport.media import fog


@dataclass
class Shadow:
    """An edge point between a light point and the receiver x_S that sees the light past it. All detached."""

    edge: segment.Edge
    lights: light_points.LightViews
    density: Any  # samples per pair of a light point and an edge point
    light_ray: Any
    light_hit: Any
    to_light: Any  # |y − x_B|, infinite for distant lights
    receiver_ray: Any
    receiver_hit: Any
    depth: Any  # |x_B − x_S|
    spectral_weight: Any
    active: Any


def cast(
    scene: Any,
    sensor: Any,
    table: EdgeTable,
    outlines: light_points.Outlines,
    sampler: Any,
    count: int,
    anywhere: bool = False,
) -> Shadow:
    """`count` shadow samples, whose rays carry the wavelengths of a sample of `sensor`.

    `anywhere`: x_S need not be on a surface, so that the ray to it may meet none.
    """
    chosen, row, probability, u = outlines.sample(table, systematic(sampler, count))
    wavelengths, spectral_weight = spectra.sample(sensor, sampler)
    edge = segment.at(row, u, chosen.view, away=False)
    view = chosen.view
    active = edge.silhouette & (probability > 0)
    to_light = dr.select(view.distant, dr.inf, dr.norm(view.point - edge.point))
    start = segment.outside(edge, dr.select(view.distant, 0, to_light))

    # ---- the light beyond the edge
    light_ray = spectra.carry(mi.Ray3f(start, edge.omega), wavelengths)
    light_hit = scene.ray_intersect_preliminary(light_ray, coherent=False, active=active)
    reached = ~light_hit.is_valid() | (light_hit.t >= to_light * (1 - mi.math.ShadowEpsilon))
    same = light_hit.is_valid() & (light_hit.shape.emitter() == chosen.emitter)
    active &= reached & (~chosen.surface | same)

    # ---- the receiver x_S on this side of the edge
    receiver_ray = spectra.carry(mi.Ray3f(start, -edge.omega), wavelengths)
    receiver_hit = scene.ray_intersect_preliminary(receiver_ray, coherent=False, active=active)
    active &= receiver_hit.is_valid() | anywhere
    depth = dr.norm(edge.point - (start - edge.omega * receiver_hit.t))
    size = dr.minimum(to_light, edge.row.extent)
    active &= ~sides.touches(scene, edge, receiver_hit, receiver_ray, size, active)
    active &= ~sides.covered(scene, edge, -edge.omega, size, sides.first_behind(scene), active)
    return Shadow(
        edge, chosen, probability * count, light_ray, light_hit, to_light, receiver_ray, receiver_hit, depth, spectral_weight,
        active,
    )  # fmt: skip


def light_seen(scene: Any, features: Features, shadow: Shadow, origin: Any, active: Any) -> tuple[Any, Any]:
    """Attached point R of the ray from the attached x_S to the light, at x_B's depth, and the light's radiance."""
    edge, lights = shadow.edge, shadow.lights
    _, _, surface_value, light_si = emission.hit_emission(
        scene, features, origin, shadow.light_hit, shadow.light_ray, active & ~lights.delta
    )
    delta_si = dr.zeros(mi.SurfaceInteraction3f, dr.width(edge.u))
    delta_si.p, delta_si.wavelengths = edge.point, shadow.light_ray.wavelengths
    delta_direction, delta_value, delta_point = emission.delta_emission(lights.emitter, delta_si, active & lights.delta)
    light_point = dr.select(lights.delta, delta_point, light_si.p)
    tau = dr.select(lights.view.distant, 0, shadow.depth / (shadow.depth + shadow.to_light))
    fixed = emission.distant_direction(scene, features, edge.omega)
    towards = dr.select(lights.delta, delta_direction, fixed)
    distant_point = convention.ray_point_direction(origin, dr.replace_grad(edge.omega, towards), shadow.depth)
    near_point = convention.ray_point_emission(origin, light_point, tau)
    radiance = dr.select(lights.delta, dr.detach(delta_value), dr.detach(surface_value))
    return dr.select(lights.view.distant, distant_point, near_point), radiance


def shadow_measure(shadow: Shadow) -> Any:
    """|ê×ω|, measures of the edge and the light, and the sampling density, of equations (5) and (8)."""
    measure = shadow.edge.sine * shadow.edge.length / shadow.density
    return measure * light_points.light_factor(shadow.lights, shadow.edge) * shadow.lights.weight  # Eq. (8)


class ShadowEdges(Term):
    """Edges that cast shadows on what the camera sees."""

    part = "direct"
    knows_fog = True

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where edges move, and paths reach a light by way of a surface."""
        return features.moving_edges and max_depth > 1

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """From the lights' side; none where no edge casts a shadow."""
        if context.outlines is not None:
            yield sample(context, context.outlines, context.stream("direct edges", count), count)
            if context.fog is not None:
                yield in_fog(context, context.outlines, context.stream("direct edges in fog", count), count)


def sample(context: Context, outlines: light_points.Outlines, sampler: Any, count: int) -> Sample:
    """`count` edge points that cast a shadow; x_S is seen by the camera."""
    scene, sensor, features = context.scene, context.sensor, context.features
    shadow = cast(scene, sensor, context.table, outlines, sampler, count)
    edge = shadow.edge
    receiver = shadow.receiver_ray(shadow.receiver_hit.t)
    seen = straight.connect(scene, sensor, context.tracer, receiver, shadow.receiver_hit, shadow.active)
    active = seen.active
    with dr.resume_grad():
        # x_S as the interior moves it, and the light as it moves.
        ray = camera.ray_through(sensor, seen.position, seen.aperture, shadow.light_ray.wavelengths)
        attached = surfaces.sliding(features, seen.hit, ray, active)
        ray_point, radiance = light_seen(scene, features, shadow, attached.p, active)
        speed = segment.rule(edge.normal, context.motion.position(edge, active), ray_point)
    local = dr.detach(attached)
    local.wi = local.to_local(-seen.ray.d)
    scattered = straight.scattered_without_cosine(local, edge.omega, active)
    factor = seen.importance * dr.abs_dot(local.n, seen.ray.d) * scattered * shadow_measure(shadow)
    factor *= shadow.spectral_weight
    if context.fog is not None:
        whole = shadow.depth + shadow.to_light + dr.norm(receiver - seen.ray.o)
        factor *= fog.transmittance(context.fog, shadow.light_ray, whole, active)
    weight = segment.weigh(-edge.front_side, radiance, factor)
    return Sample.on_film(seen.position, Side(dr.select(active, weight, 0), speed), active, ray.wavelengths)


def in_fog(context: Context, outlines: light_points.Outlines, sampler: Any, count: int) -> Sample:
    """`count` edge points whose shadow the camera sees in the fog: shafts of light have edges, too."""
    scene, sensor, features, medium = context.scene, context.sensor, context.features, context.fog
    shadow = cast(scene, sensor, context.table, outlines, sampler, count, anywhere=True)
    edge, along, active = shadow.edge, shadow.receiver_ray, shadow.active

    # ---- x_S: in proportion to the transmittance, up to the surface behind it
    unit = fog.transmittance(medium, along, 1.0)
    rate = -dr.log(dr.max(unit))
    reach = dr.select(shadow.receiver_hit.is_valid(), shadow.receiver_hit.t, dr.inf)
    whole = 1 - dr.exp(-rate * reach)
    far = -dr.log(1 - sampler.next_1d() * whole) * dr.rcp(rate)
    density = rate * dr.exp(-rate * far) * dr.rcp(whole)
    active = active & (density > 0) & dr.isfinite(density)
    point = along(far)
    shadow = replace(shadow, depth=dr.norm(edge.point - point), active=active)

    # ---- seen by the camera
    aperture = camera.aperture_of(sensor, point)
    sight = Eye.of(sensor, aperture).sight(point)
    active = active & sight.inside
    ray = spectra.carry(mi.Ray3f(sight.start, sight.omega), along.wavelengths)
    ray.maxt = sight.distance
    active = active & ~scene.ray_test(ray, active)
    with dr.resume_grad():
        ray_point, radiance = light_seen(scene, features, shadow, dr.detach(point), active)
        speed = segment.rule(edge.normal, context.motion.position(edge, active), ray_point)
    length = shadow.depth + shadow.to_light + dr.norm(point - ray.o)
    factor = fog.scattered(medium, ray, sight.distance, edge.omega, active) * fog.transmittance(
        medium, ray, length, active
    )
    factor *= sight.importance * shadow_measure(shadow) * shadow.spectral_weight * dr.rcp(density)  # Eq. (25)
    weight = segment.weigh(-edge.front_side, radiance, factor)
    return Sample.on_film(sight.position, Side(dr.select(active, weight, 0), speed), active, along.wavelengths)
