"""Vertices of stored paths with derivatives, for both modes: what path.py has kept, evaluated again with everything attached."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import poses, surfaces
from pbdr.transport import convention, emission, hits, measure, spectra
from pbdr.transport.features import Features
from pbdr.transport.media import flight as flights
from pbdr.transport.media import volume
from pbdr.transport.path import PathOptions


def scatter(
    scene: Any,
    features: Features,
    options: PathOptions,
    ray: Any,
    vertex: Any,
    following: Any,
    record: Any,
    active: Any,
) -> tuple[Any, Any, Any, Any, Any]:
    """One stored vertex with derivatives.

    `ray` is the attached incoming ray, `vertex` and `following` the stored entries of this and of the next hit, `record`
    the stored scattering. Returns (emission reaching this vertex directly, scattered towards the ray; weight of what the
    next vertex reflects; attached origin and direction of the next segment; detached throughput up to here), the
    summands of equation (3) and the rays of equation (4).
    """
    light, bounce, *warps = record
    inverse, kind, throughput = bounce[1], bounce[2], bounce[5]
    si = surfaces.sliding(features, hits.unpack(vertex[0]), ray, active)
    si.wi = si.to_local(-ray.d)
    media = options.defensive is not None
    at = volume.arrive(si, si.bsdf(), ray, flights.unpack(vertex[4]) if media else None, features)
    lit_by, warps = (flights.unpack(warps[0]), []) if media else (None, warps)
    shift_light, shift_next = warps or (None, None)
    local = _reflected_light(scene, features, options, at, light, lit_by, shift_light, ray.wavelengths, active)

    next_record, next_origin, _, next_mis, *flown = following
    next_hit = hits.unpack(next_record)
    going = active & (inverse > 0)
    segment = spectra.carry(mi.Ray3f(mi.Point3f(dr.detach(next_origin)), bounce[0]), ray.wavelengths)
    sent = _reflected(scene, features, options, at, bounce, segment, next_hit, shift_next, going & (kind == 0))
    met, weight, onward = sent[0] * next_mis * inverse, sent[1] * inverse, sent[2]  # Eq. (3)
    if features.delta_bsdfs:
        specular = going & (kind == 1)
        seen, lobe, direction = _reflected_by_lobe(scene, features, at, bounce, segment, next_hit, specular)
        if flown:
            seen = dr.select(next_mis > 0, seen, 0)  # what it would have met behind a collision
        weight = dr.select(specular, lobe, weight)
        met = dr.select(specular, lobe * seen, met)
        onward = dr.select(specular, direction, onward)
    if flown:
        way = flights.unpack(flown[0])
        passed = volume.transmitted(way, segment, going, features)
        if options.ends is not None:
            met *= volume.longer(way, segment, sent[3], going & next_hit.is_valid())
        met = mi.Spectrum(passed * met + weight * volume.shone(way, segment, going))  # Eq. (23)
        weight = mi.Spectrum(weight * passed)  # Eq. (19)
    return local + met, weight, dr.replace_grad(segment.o, at.si.p), onward, throughput


def _reflected_light(
    scene: Any, features: Features, options: PathOptions, at: Any, light: Any, lit_by: Any, followed: Any, wavelengths: Any,
    active: Any,
) -> Any:  # fmt: skip
    """Light of the stored point on a light that a vertex reflects, attached. `followed`: edges that the segment there follows."""
    record, direction_to, weight, pointer = light
    si = at.si
    lit = active & (weight > 0)
    surface = lit & (pointer == 0)
    ray = spectra.carry(mi.Ray3f(mi.Point3f(dr.detach(si.p)), direction_to), wavelengths)
    direction, solid_angle, value, shown = emission.hit_emission(
        scene, features, si.p, hits.unpack(record), ray, surface
    )
    there = shown.p
    if followed is not None:
        shift = options.warp.motions(followed, si.p, direction_to, surface)
        direction, solid_angle = convention.warped(direction_to, direction, solid_angle, shift)
        value = emission.met(scene, features, si.p, hits.unpack(record), direction, surface)
    value = dr.select(surface, value * solid_angle, 0)
    if features.delta_lights:
        delta_light = lit & (pointer != 0)
        emitter = dr.reinterpret_array(mi.EmitterPtr, pointer)
        delta_direction, delta_value, delta_point = emission.delta_emission(emitter, si, delta_light)
        there = dr.select(delta_light, delta_point, there)
        if features.cones is not None:
            delta_value = features.cones.without_fall_off(emitter, delta_value, si.p, delta_light)
        direction = dr.select(delta_light, delta_direction, direction)
        value = dr.select(delta_light, delta_value, value)
    if lit_by is not None:
        value *= volume.transmitted(lit_by, ray, lit, features)
        if options.ends is not None:
            value *= volume.longer(lit_by, ray, _apart(there, si.p, lit), lit)
    return dr.select(lit, at.eval(direction, lit) * value * weight, 0)


def _reflected(
    scene: Any, features: Features, options: PathOptions, at: Any, bounce: Any, segment: Any, next_hit: Any, followed: Any,
    active: Any,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """What a vertex reflects into the stored direction, attached: emission that is met there; weight of what the next vertex
    reflects, and its direction; before division by the density; and, in fog, the length of the segment. `followed`: edges that
    the segment follows."""
    omega, si = bounce[0], at.si
    towards, solid_angle, value, si_next = emission.hit_emission(scene, features, si.p, next_hit, segment, active)
    onward, jacobian = omega, mi.Float(1)
    if features.moving:
        onward, jacobian = convention.scattered_direction(si.p, omega, si_next, options.h, active & si_next.is_valid())
    if followed is not None:
        shift = options.warp.motions(followed, si.p, omega, active)
        towards, solid_angle = convention.warped(omega, towards, solid_angle, shift)
        value = emission.met(scene, features, si.p, next_hit, towards, active)
        onward, jacobian = convention.warped(omega, onward, jacobian, shift)  # Eq. (9)
    reflected = at.eval(onward, active)
    emitted = at.eval(towards, active) if features.moving else reflected
    length = mi.Float(0) if options.ends is None else _apart(si_next.p, si.p, active & si_next.is_valid())
    return (
        dr.select(active, emitted * solid_angle * value, 0),
        dr.select(active, reflected * jacobian, 0),
        onward,
        length,
    )


def _apart(a: Any, b: Any, active: Any) -> Any:
    """Attached distance of two points."""
    return dr.norm(poses.safe(mi.Vector3f(a - b), active))


def _reflected_by_lobe(
    scene: Any, features: Features, at: Any, bounce: Any, segment: Any, next_hit: Any, active: Any
) -> tuple[Any, Any, Any]:
    """The stored delta lobe of a vertex, attached: emission that is met behind it, its weight, and its direction."""
    (_, inverse, _, s1, s2, _), si = bounce, at.si
    bs, weight = at.bsdf.sample(mi.BSDFContext(), si, s1, s2, active)
    onward = si.to_world(bs.wo)
    # The integrand is the product weight · pdf: BSDFs leave derivatives in either. Straight through it has a name of its own.
    straight = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Null)
    through = measure.relative(at.bsdf.eval_null_transmission(si, active & straight))
    lobe = dr.select(straight, dr.detach(weight) * through, weight * measure.relative(bs.pdf))
    ray = spectra.carry(mi.Ray3f(dr.replace_grad(segment.o, si.p), onward), segment.wavelengths)
    si_seen = surfaces.sliding(features, next_hit, ray, active)
    si_seen.wi = dr.select(si_seen.is_valid(), si_seen.to_local(-onward), -onward)
    seen = si_seen.emitter(scene, active).eval(si_seen, active)
    return seen, dr.select(active, lobe * inverse, 0), onward
