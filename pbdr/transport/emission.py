"""Emitters: sampling them without derivatives, evaluating them in the emission convention (docs/theory.md, section 2)."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import rounding, surfaces
from pbdr.transport import convention, measure

UNIFORM_SPHERE = 1 / (4 * dr.pi)


def is_delta(emitter: Any) -> Any:
    """True for point, spot, directional and projector lights (no surface, no solid angle)."""
    flags = emitter.flags()
    return mi.has_flag(flags, mi.EmitterFlags.DeltaPosition) | mi.has_flag(flags, mi.EmitterFlags.DeltaDirection)


def pdf_omega(scene: Any, reference: Any, ds: Any, uniform: float, active: Any) -> Any:
    """Solid-angle density with which `sample` would have generated `ds` from `reference`."""
    pdf = scene.pdf_emitter_direction(reference, ds, active)
    if uniform > 0:
        infinite = mi.has_flag(ds.emitter.flags(), mi.EmitterFlags.Infinite)
        pdf = (1 - uniform) * pdf + dr.select(infinite, uniform * UNIFORM_SPHERE, 0)
    return pdf


def sample(scene: Any, si: Any, sampler: Any, uniform: float, active: Any) -> tuple[Any, Any]:
    """Direction towards a light, detached and not yet tested for visibility: `DirectionSample3f` and its pdf.

    `uniform` is the weight of a uniform density over the sphere for the environment: the derivative with respect to a
    dark texel does not contain the texel's value, so that a density ∝ radiance would starve it.
    """
    ds, _ = scene.sample_emitter_direction(si, sampler.next_2d(active), False, active)
    pdf = mi.Float(ds.pdf)
    if uniform > 0:
        pick = sampler.next_1d(active) < uniform
        direction = mi.warp.square_to_uniform_sphere(sampler.next_2d(active))
        ds.d = dr.select(pick, direction, ds.d)
        ds.dist = dr.select(pick, dr.largest(mi.Float), ds.dist)
        ds.delta = ds.delta & ~pick
        ds.emitter = dr.select(pick, mi.EmitterPtr(scene.environment()), ds.emitter)
        infinite = ~ds.delta & mi.has_flag(ds.emitter.flags(), mi.EmitterFlags.Infinite)
        environment = scene.pdf_emitter_direction(si, ds, active & infinite)
        pdf = dr.select(infinite, (1 - uniform) * environment + uniform * UNIFORM_SPHERE, (1 - uniform) * pdf)
    return ds, pdf


def share_of_lights(scene: Any, point: Any, si: Any, active: Any) -> Any:
    """Weight of sampling points of lights against uniform directions, for what is emitted towards `point` at `si`; detached.

    `si`: where the segment from `point` ends; its `wi` points back where it meets nothing.
    """
    reference = dr.zeros(mi.Interaction3f, dr.width(point))
    reference.p = point
    ds = mi.DirectionSample3f(scene, dr.detach(si), reference)
    active = active & (ds.emitter != None)  # noqa: E711 (Dr.Jit comparison)
    pdf = dr.select(active, scene.pdf_emitter_direction(reference, ds, active), 0)
    return measure.mis_power(pdf, mi.Float(UNIFORM_SPHERE))


def visible_hit(scene: Any, si: Any, ds: Any, active: Any) -> tuple[Any, Any]:
    """Closest hit from `si` towards the sampled light: (hit, whether the sampled point of the light is unoccluded).

    The ray leaves its surface along itself, not along the normal: beside the line from `si` it would miss the limb of a round
    light, where derivatives are largest. `t` of the hit counts from `si`.
    """
    start = rounding.GRAZING * rounding.offset(si)
    ray = si.spawn_ray(ds.d)
    ray.o = dr.fma(ds.d, start, si.p)
    hit = scene.ray_intersect_preliminary(ray, coherent=False, active=active)
    hit.t = hit.t + start
    reached = ~hit.is_valid() | (hit.t >= ds.dist * (1 - mi.math.ShadowEpsilon))
    surface = mi.has_flag(ds.emitter.flags(), mi.EmitterFlags.Surface)
    same = hit.is_valid() & (hit.shape.emitter() == ds.emitter)
    return hit, active & reached & (~surface | same)


def distant_direction(scene: Any, features: Any, omega: Any) -> Any:
    """Attached direction to the environment: fixed in its local frame.

    The transform is read from the scene here: as part of a loop's state it would lose its derivatives.
    """
    to_world = scene.environment().world_transform() if features.environment_rotates else None
    return convention.rotated_direction(omega, to_world)


def hit_emission(scene: Any, features: Any, origin: Any, hit: Any, ray: Any, active: Any) -> tuple[Any, Any, Any, Any]:
    """Emission met by a segment from the attached `origin`, in the emission convention.

    Returns (attached direction, relative solid angle, radiance, surface interaction at the material point). For a
    miss the direction is fixed in the environment's local frame.
    """
    si = surfaces.material(features, hit, ray, active)
    valid = active & si.is_valid()
    towards, jacobian = convention.emission_direction(origin, si, valid)
    distant = distant_direction(scene, features, ray.d)
    direction = dr.select(valid, dr.replace_grad(ray.d, towards), distant)
    si.wi = dr.select(valid, si.to_local(-direction), -direction)
    radiance = si.emitter(scene, active).eval(si, active)
    return direction, dr.select(valid, jacobian, 1), radiance, si


def met(scene: Any, features: Any, origin: Any, hit: Any, direction: Any, active: Any) -> Any:
    """Radiance of the emitter that the segment with this attached origin and direction meets: its end slides."""
    ray = mi.Ray3f(mi.Point3f(origin), mi.Vector3f(direction))
    si = surfaces.sliding(features, hit, ray, active)
    si.wi = dr.select(active & si.is_valid(), si.to_local(-direction), -direction)
    return si.emitter(scene, active).eval(si, active)


def delta_emission(emitter: Any, si: Any, active: Any) -> tuple[Any, Any, Any]:
    """Attached direction, incident radiance weight and position of a point, spot, directional or projector light."""
    ds, weight = emitter.sample_direction(si, mi.Point2f(0.5), active)
    return ds.d, weight, ds.p
