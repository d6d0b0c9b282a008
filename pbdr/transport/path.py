"""The one path loop, and the attached re-evaluation of one of its vertices.

`trace` walks a path without derivatives. It either sums radiance (primal rendering, radiance at an edge) or keeps what
re-creates each vertex (`PathStore`); `scatter` then evaluates one stored vertex with derivatives, for both modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import rounding, surfaces
from pbdr.transport import convention, emission, hits, lobes, measure, scattering, spectra
from pbdr.transport.features import Features
from pbdr.transport.media import flight as flights
from pbdr.transport.media import volume

MIN_SURVIVAL = 0.05  # lower bound of the survival probability in gradient passes: black surfaces have derivatives too
UNBOUNDED_DEPTH = 256  # vertices kept for max_depth = -1; Russian roulette (≤ 0.95 a bounce) ends paths long before


@dataclass  # not frozen: Dr.Jit traverses it as loop state
class PathOptions:
    """How paths are sampled.

    `uniform_lobe`, `uniform_environment`: weights of the defensive uniform densities (docs/theory.md, section 3), zero
    for primal rendering. `h`: blend distance of (3a), scene units; a
    device array where it follows the geometry's size, which as a number would make new kernels. `warp`: edges that segments
    follow (boundary/warp/rays.py, not known here), or None. `defensive`: collisions with nothing (media/flight.py);
    None where media are not traced. `interfaces`: shapes that bend nothing and move, between media.
    """

    max_depth: int
    rr_depth: int
    hide_emitters: bool = False
    uniform_lobe: float = 0.0
    uniform_environment: float = 0.0
    h: Any = 1.0
    warp: Any = None
    defensive: Any = None
    interfaces: tuple[Any, ...] = ()


class PathStore:
    """Local memory for what re-creates the vertices of one path: O(depth) a lane, independent of parameters.

    All of them have the same `wavelengths` (transport/spectra.py).
    """

    def __init__(self, max_depth: int, wavelengths: Any = None, warp: Any = None, way: Any = None) -> None:
        self.wavelengths = wavelengths
        zero, vector = mi.Float(0), mi.Vector3f(0)
        hit = hits.pack(hits.no_hit())
        way = () if way is None else (flights.nowhere(way.crossing is not None).pack(),)
        self.vertices = dr.alloc_local(tuple, max_depth, value=(hit, vector, vector, zero, *way))
        light = (hit, vector, zero, mi.UInt32(0))
        bounce = (vector, zero, mi.UInt32(0), zero, mi.Point2f(0), mi.Spectrum(0))
        warps = () if warp is None else (warp.nothing(), warp.nothing())  # of both segments
        self.scatters = dr.alloc_local(tuple, max(max_depth - 1, 1), value=(light, bounce, *warps, *way))

    def keep(self, k: Any, hit: Any, ray: Any, onward: Any, inverse: Any, kind: Any, sample: Any, active: Any) -> None:
        """Vertex `k`, where `ray` hits, scattering `onward`, for sweeps to which motion alone counts.

        `kind`: 1 for a delta lobe, which `sample` chooses.
        """
        nothing, zero = hits.pack(hits.no_hit()), mi.Float(0)
        self.vertices.write((hits.pack(hit), mi.Vector3f(ray.o), ray.d, zero), k, active)
        bounce = (onward, inverse, kind, sample, mi.Point2f(lobes.CENTRE), mi.Spectrum(1))
        self.scatters.write(((nothing, mi.Vector3f(0), zero, mi.UInt32(0)), bounce), k, active)


def first_segment(
    tracer: Any, scene: Any, sensor: Any, ray: Any, sampler: Any, options: PathOptions
) -> tuple[Any, Any]:  # fmt: skip
    """First hit of a camera ray; and its way there, a `media.flight.Flight`, where media are traced (else None)."""
    if options.defensive is None:
        return hits.first_hit(tracer, scene, ray, bundled=True), None
    medium = mi.MediumPtr(sensor.get_medium())
    hides, interfaces = options.hide_emitters, options.interfaces
    flown = flights.fly(scene, ray, medium, sampler, options.defensive, hides=hides, interfaces=interfaces)
    return flown.hit, flown


@dr.syntax
def trace(
    scene: Any, ray: Any, hit: Any, sampler: Any, options: PathOptions, store: Any = None, active: Any = True,
    depth: Any = 0, reflected_only: bool = False, flown: Any = None,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Trace paths whose first segment `ray` ends at `hit`. Returns (radiance, number of stored scatterings, valid).

    `flown`: the first segment as a `media.flight.Flight`, where media are traced.

    With a `store` no radiance is computed: the vertices are kept instead. `depth`: number of vertices that precede `hit`;
    `reflected_only` leaves out what `hit` itself emits.
    """
    recording = store is not None
    vertices: Any = store.vertices if store is not None else None
    scatters: Any = store.scatters if store is not None else None
    media, uniform, interfaces = options.defensive is not None, options.uniform_lobe, options.interfaces
    ray = mi.Ray3f(dr.detach(ray))
    hit = mi.PreliminaryIntersection3f(hit)
    active = mi.Bool(active)
    depth = mi.UInt32(depth)
    silent = mi.Bool(reflected_only)
    radiance = mi.Spectrum(0)
    throughput = mi.Spectrum(1) if flown is None else mi.Spectrum(flown.weight)
    eta = mi.Float(1)
    previous = dr.zeros(mi.Interaction3f)
    previous_pdf = mi.Float(1)
    previous_delta = mi.Bool(True)
    count = mi.UInt32(0)
    valid = mi.Bool((not options.hide_emitters) and scene.environment() is not None) & active
    while dr.hint(
        active, max_iterations=options.max_depth, label="pathspace: trace", exclude=[scene, options, interfaces]
    ):
        si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
        bsdf = si.bsdf(ray)

        # ---- emission met by the segment that ended here
        ds = mi.DirectionSample3f(scene, si, previous)
        light_pdf = emission.pdf_omega(scene, previous, ds, options.uniform_environment, active & ~previous_delta)
        weight = dr.select(previous_delta, 1, measure.mis_power(previous_pdf, light_pdf))
        weight = dr.select(silent, 0, weight)
        if dr.hint(options.hide_emitters, mode="scalar"):
            weight = dr.select(~valid & ~si.is_valid(), 0, weight)
        if dr.hint(media, mode="scalar"):
            weight = dr.select(flown.collided, 0, weight)
        if dr.hint(recording, mode="scalar"):
            way = (flown.pack(),) if media else ()
            vertices.write((hits.pack(hit), mi.Vector3f(ray.o), ray.d, weight, *way), depth, active)
        else:
            radiance += dr.select(active, throughput * weight * ds.emitter.eval(si, active), 0)

        # ---- light sampling
        vertex = volume.arrive(si, bsdf, ray, flown)
        si = vertex.si
        active_next = active & si.is_valid() & (depth + 1 < options.max_depth)
        active_light = active_next & vertex.has_smooth()
        extra: Any = ()
        if dr.hint(recording, mode="scalar"):
            dl, dl_pdf = emission.sample(scene, si, sampler, options.uniform_environment, active_light)
            if dr.hint(media, mode="scalar"):
                light_hit, seen, lit = volume.lit(
                    scene, vertex, dl, sampler, options.defensive, active_light & (dl_pdf > 0), interfaces
                )
                extra = (lit.pack(),)
            else:
                light_hit, seen = emission.visible_hit(scene, si, dl, active_light & (dl_pdf > 0))
            value, lobe_pdf = vertex.eval_pdf(dl.d, seen)
            seen &= scattering.reachable(value, lobe_pdf)
            if dr.hint(uniform > 0, mode="scalar"):
                lobe_pdf = vertex.mixed_pdf(dl.d, lobe_pdf, uniform)
            mis = dr.select(dl.delta, 1, measure.mis_power(dl_pdf, lobe_pdf))
            light_weight = dr.select(seen, mis / dl_pdf, 0)
            emitter = dr.select(dl.delta, dr.reinterpret_array(mi.UInt32, dl.emitter), 0)
            light = (hits.pack(light_hit), dl.d, light_weight, emitter)
        else:
            dl, dl_weight = scene.sample_emitter_direction(si, sampler.next_2d(active_light), False, active_light)
            seen = active_light & (dl.pdf > 0)
            if dr.hint(media, mode="scalar"):
                _, seen, lit = volume.lit(scene, vertex, dl, sampler, 0.0, seen)
                dl_weight *= lit.weight
            else:
                seen &= ~scene.ray_test(rounding.leave_to(si, dl.p, mi.math.ShadowEpsilon * dl.dist), seen)
            value, lobe_pdf = vertex.eval_pdf(dl.d, seen)
            mis = dr.select(dl.delta, 1, measure.mis_power(dl.pdf, lobe_pdf))
            radiance += dr.select(seen, throughput * mis * value * dl_weight, 0)

        # ---- next direction
        s0 = mi.Float(0)
        if dr.hint(uniform > 0, mode="scalar"):
            s0 = sampler.next_1d(active_next)
        s1 = sampler.next_1d(active_next)
        s2 = sampler.next_2d(active_next)
        onward, weight_next, pdf, inverse, delta, null, eta_next = vertex.sample(s0, s1, s2, uniform, active_next)
        valid |= active & si.is_valid() & ~null
        throughput_next = throughput * weight_next
        eta *= eta_next
        ray_next = rounding.leave(si, onward)

        # ---- Russian roulette
        strength = dr.max(mi.unpolarized_spectrum(throughput_next)) * dr.square(eta)
        alive = strength != 0
        if dr.hint(recording, mode="scalar"):
            alive = inverse > 0
            strength = dr.maximum(strength, MIN_SURVIVAL)
        survival = dr.select(depth >= options.rr_depth, dr.minimum(strength, 0.95), 1)
        alive &= sampler.next_1d(active_next) < survival
        throughput_next /= survival
        active_scatter = mi.Bool(active_next)
        active_next &= alive
        inverse = dr.select(active_next, inverse / survival, 0)
        if dr.hint(recording, mode="scalar"):
            kind = dr.select(delta, mi.UInt32(1), mi.UInt32(0))
            bounce = (ray_next.d, inverse, kind, s1, s2, throughput)
            count += dr.select(active_scatter, mi.UInt32(1), mi.UInt32(0))

        # ---- next hit
        if dr.hint(media, mode="scalar"):
            flown = flights.fly(
                scene,
                ray_next,
                vertex.beyond(onward),
                sampler,
                options.defensive,
                flown.posterior,
                active=active_next,
                interfaces=interfaces,
            )
            hit = flown.hit
            throughput_next *= flown.weight
        else:
            hit = scene.ray_intersect_preliminary(ray_next, coherent=False, active=active_next)
        if dr.hint(recording, mode="scalar"):
            if dr.hint(options.warp is not None, mode="scalar"):
                dark = (depth + 2 >= options.max_depth) & hit.is_valid() & (hit.shape.emitter() == None)  # noqa: E711
                extra = (
                    options.warp.find(scene, si, dl.d, sampler, active_light & (light_weight > 0) & (emitter == 0)),
                    options.warp.find(scene, si, ray_next.d, sampler, active_next & ~delta & ~dark),
                )
            scatters.write((light, bounce, *extra), depth, active_scatter)
        previous = mi.Interaction3f(0, si.time, si.wavelengths, si.p, si.n)
        previous_pdf = pdf
        previous_delta = delta
        silent = mi.Bool(False)
        throughput = throughput_next
        ray = ray_next
        depth += 1
        active = active_next
    return radiance, count, valid


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
    (light_record, light_direction, light_weight, light_pointer), bounce, *warps = record
    omega, inverse, kind, s1, s2, throughput = bounce
    si = surfaces.sliding(features, hits.unpack(vertex[0]), ray, active)
    si.wi = si.to_local(-ray.d)
    media = options.defensive is not None
    at = volume.arrive(si, si.bsdf(), ray, flights.unpack(vertex[4]) if media else None, features)
    si, bsdf = at.si, at.bsdf
    lit_by, warps = (flights.unpack(warps[0]), []) if media else (None, warps)
    detached = mi.Point3f(dr.detach(si.p))

    # ---- light sampling
    lit = active & (light_weight > 0)
    surface = lit & (light_pointer == 0)
    light_ray = spectra.carry(mi.Ray3f(detached, light_direction), ray.wavelengths)
    direction, solid_angle, value, _ = emission.hit_emission(
        scene, features, si.p, hits.unpack(light_record), light_ray, surface
    )
    if warps:
        shift = options.warp.motions(warps[0], si.p, light_direction, surface)
        direction, solid_angle = convention.warped(light_direction, direction, solid_angle, shift)
        value = emission.met(scene, features, si.p, hits.unpack(light_record), direction, surface)
    value = dr.select(surface, value * solid_angle, 0)
    if features.delta_lights:
        delta_light = lit & (light_pointer != 0)
        emitter = dr.reinterpret_array(mi.EmitterPtr, light_pointer)
        delta_direction, delta_value, _ = emission.delta_emission(emitter, si, delta_light)
        if features.cones is not None:
            delta_value = features.cones.without_fall_off(emitter, delta_value, si.p, delta_light)
        direction = dr.select(delta_light, delta_direction, direction)
        value = dr.select(delta_light, delta_value, value)
    if lit_by is not None:
        value *= volume.transmitted(lit_by, light_ray, lit, features)
    reflectance = at.eval(direction, lit)
    local = dr.select(lit, reflectance * value * light_weight, 0)

    # ---- continuation
    next_record, next_origin, _, next_mis, *flown = following
    next_hit = hits.unpack(next_record)
    going = active & (inverse > 0)
    smooth = going & (kind == 0)
    segment = spectra.carry(mi.Ray3f(mi.Point3f(dr.detach(next_origin)), omega), ray.wavelengths)
    towards, solid_angle, value, si_next = emission.hit_emission(scene, features, si.p, next_hit, segment, smooth)
    onward, jacobian = omega, mi.Float(1)
    if features.moving:
        onward, jacobian = convention.scattered_direction(si.p, omega, si_next, options.h, smooth & si_next.is_valid())
    if warps:
        shift = options.warp.motions(warps[1], si.p, omega, smooth)
        towards, solid_angle = convention.warped(omega, towards, solid_angle, shift)
        value = emission.met(scene, features, si.p, next_hit, towards, smooth)
        onward, jacobian = convention.warped(omega, onward, jacobian, shift)  # Eq. (9)
    reflected = at.eval(onward, smooth)
    emitted = reflected
    if features.moving:
        emitted = at.eval(towards, smooth)
    weight = dr.select(smooth, reflected * jacobian * inverse, 0)  # Eq. (3)
    met = dr.select(smooth, emitted * solid_angle * value * next_mis * inverse, 0)
    if not flown:
        local += met
    if features.delta_bsdfs:
        specular = going & (kind == 1)
        bs, delta_weight = bsdf.sample(mi.BSDFContext(), si, s1, s2, specular)
        onward = dr.select(specular, si.to_world(bs.wo), onward)
        # The integrand is the product weight · pdf: BSDFs leave derivatives in either. Straight through it has a name of its own.
        straight = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Null)
        through = measure.relative(bsdf.eval_null_transmission(si, specular & straight))
        lobe = dr.select(straight, dr.detach(delta_weight) * through, delta_weight * measure.relative(bs.pdf))
        delta_weight = dr.select(specular, lobe * inverse, 0)
        weight = dr.select(specular, delta_weight, weight)
        attached_ray = spectra.carry(mi.Ray3f(dr.replace_grad(segment.o, si.p), onward), ray.wavelengths)
        si_seen = surfaces.sliding(features, next_hit, attached_ray, specular)
        si_seen.wi = dr.select(si_seen.is_valid(), si_seen.to_local(-onward), -onward)
        seen = si_seen.emitter(scene, specular).eval(si_seen, specular)
        if flown:
            seen = dr.select(next_mis > 0, seen, 0)  # what it would have met behind a collision
            met = dr.select(specular, delta_weight * seen, met)
        else:
            local += dr.select(specular, delta_weight * seen, 0)
    if flown:
        far, onwards = flights.unpack(flown[0]), spectra.carry(mi.Ray3f(segment.o, omega), ray.wavelengths)
        passed = volume.transmitted(far, onwards, going, features)
        local, weight = mi.Spectrum(local + passed * met), mi.Spectrum(weight * passed)  # Eq. (19)
    return local, weight, dr.replace_grad(segment.o, si.p), onward, throughput
