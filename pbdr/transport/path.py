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
from pbdr.transport import convention, emission, hits, lobes, measure, spectra
from pbdr.transport.features import Features

UNIFORM_HEMISPHERE = 1 / (2 * dr.pi)
MIN_SURVIVAL = 0.05  # lower bound of the survival probability in gradient passes: black surfaces have derivatives too
UNBOUNDED_DEPTH = 256  # vertices kept for max_depth = -1; Russian roulette (≤ 0.95 a bounce) ends paths long before


@dataclass  # not frozen: Dr.Jit traverses it as loop state
class PathOptions:
    """How paths are sampled.

    `uniform_lobe`, `uniform_environment`: weights of the defensive uniform densities (docs/theory.md, section 3), zero
    for primal rendering. `h`: blend distance of (3a), scene units; a
    device array where it follows the geometry's size, which as a number would make new kernels. `warp`: edges that segments
    follow (boundary/warp/rays.py, not known here), or None.
    """

    max_depth: int
    rr_depth: int
    hide_emitters: bool = False
    uniform_lobe: float = 0.0
    uniform_environment: float = 0.0
    h: Any = 1.0
    warp: Any = None


class PathStore:
    """Local memory for what re-creates the vertices of one path: O(depth) a lane, independent of parameters.

    All of them have the same `wavelengths` (transport/spectra.py).
    """

    def __init__(self, max_depth: int, wavelengths: Any = None, warp: Any = None) -> None:
        self.wavelengths = wavelengths
        zero, vector = mi.Float(0), mi.Vector3f(0)
        hit = hits.pack(hits.no_hit())
        self.vertices = dr.alloc_local(tuple, max_depth, value=(hit, vector, vector, zero))
        light = (hit, vector, zero, mi.UInt32(0))
        bounce = (vector, zero, mi.UInt32(0), zero, mi.Point2f(0), mi.Spectrum(0))
        warps = () if warp is None else (warp.nothing(), warp.nothing())  # of both segments
        self.scatters = dr.alloc_local(tuple, max(max_depth - 1, 1), value=(light, bounce, *warps))

    def keep(self, k: Any, hit: Any, ray: Any, onward: Any, inverse: Any, kind: Any, sample: Any, active: Any) -> None:
        """Vertex `k`, where `ray` hits, scattering `onward`, for sweeps to which motion alone counts.

        `kind`: 1 for a delta lobe, which `sample` chooses.
        """
        nothing, zero = hits.pack(hits.no_hit()), mi.Float(0)
        self.vertices.write((hits.pack(hit), mi.Vector3f(ray.o), ray.d, zero), k, active)
        bounce = (onward, inverse, kind, sample, mi.Point2f(lobes.CENTRE), mi.Spectrum(1))
        self.scatters.write(((nothing, mi.Vector3f(0), zero, mi.UInt32(0)), bounce), k, active)


def sample_direction(bsdf: Any, si: Any, s0: Any, s1: Any, s2: Any, uniform: float, active: Any) -> tuple[Any, ...]:
    """Sample an outgoing direction from the BSDF mixed with a uniform density.

    Returns (local direction, weight = f cosθ / pdf, pdf in solid angle, 1 / pdf (1 / probability of the lobe choice for
    delta lobes), delta?, straight through?, relative IOR).
    """
    context = mi.BSDFContext()
    bs, weight = bsdf.sample(context, si, s1, s2, active)
    delta = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Delta)
    pdf, wo, eta = bs.pdf, bs.wo, bs.eta
    inverse = dr.select(delta, 1, dr.select(pdf > 0, dr.rcp(pdf), 0))
    if uniform > 0:
        flags = bsdf.flags()
        share = dr.select(mi.has_flag(flags, mi.BSDFFlags.Smooth), mi.Float(uniform), 0)
        both = scatters_through(flags)
        pick = s0 < share
        hemisphere = mi.warp.square_to_uniform_hemisphere(s2)
        hemisphere.z = dr.mulsign(hemisphere.z, si.wi.z)
        wo = dr.select(pick, dr.select(both, mi.warp.square_to_uniform_sphere(s2), hemisphere), bs.wo)
        delta &= ~pick
        value, lobe_pdf = bsdf.eval_pdf(context, si, wo, active & ~delta)
        same_side = wo.z * si.wi.z > 0
        uniform_pdf = dr.select(both, emission.UNIFORM_SPHERE, dr.select(same_side, UNIFORM_HEMISPHERE, 0))
        pdf = dr.select(delta, bs.pdf, (1 - share) * lobe_pdf + share * uniform_pdf)
        usable = (pick | (bs.pdf > 0)) & (pdf > 0) & reachable(value, lobe_pdf)
        inverse = dr.select(delta, 1 / (1 - share), dr.select(usable, dr.rcp(pdf), 0))
        weight = dr.select(delta, weight / (1 - share), value * inverse)
        eta = dr.select(pick, 1, bs.eta)
    null = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Null) & delta
    return wo, weight, pdf, inverse, delta, null, eta


def scatters_through(flags: Any) -> Any:
    """True for BSDFs with a smooth transmission lobe (Mitsuba's `Transmission` also covers glass and cut-outs)."""
    return mi.has_flag(flags, mi.BSDFFlags.DiffuseTransmission) | mi.has_flag(flags, mi.BSDFFlags.GlossyTransmission)


def reachable(value: Any, lobe_pdf: Any) -> Any:
    """Directions the BSDF can scatter to. Elsewhere (below the horizon) its value is 0 but its derivative may be 0 · ∞."""
    return (lobe_pdf > 0) | (dr.max(value) > 0)


@dr.syntax
def trace(
    scene: Any, ray: Any, hit: Any, sampler: Any, options: PathOptions, store: Any = None, active: Any = True,
    depth: Any = 0, reflected_only: bool = False,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Trace paths whose first segment `ray` ends at `hit`. Returns (radiance, number of stored scatterings, valid).

    With a `store` no radiance is computed: the vertices are kept instead. `depth`: number of vertices that precede `hit`;
    `reflected_only` leaves out what `hit` itself emits.
    """
    recording = store is not None
    vertices: Any = store.vertices if store is not None else None
    scatters: Any = store.scatters if store is not None else None
    context = mi.BSDFContext()
    ray = mi.Ray3f(dr.detach(ray))
    hit = mi.PreliminaryIntersection3f(hit)
    active = mi.Bool(active)
    depth = mi.UInt32(depth)
    silent = mi.Bool(reflected_only)
    radiance = mi.Spectrum(0)
    throughput = mi.Spectrum(1)
    eta = mi.Float(1)
    previous = dr.zeros(mi.Interaction3f)
    previous_pdf = mi.Float(1)
    previous_delta = mi.Bool(True)
    count = mi.UInt32(0)
    valid = mi.Bool((not options.hide_emitters) and scene.environment() is not None) & active
    while dr.hint(
        active, max_iterations=options.max_depth, label="pathspace: trace", exclude=[scene, options, context]
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
        if dr.hint(recording, mode="scalar"):
            vertices.write((hits.pack(hit), mi.Vector3f(ray.o), ray.d, weight), depth, active)
        else:
            radiance += dr.select(active, throughput * weight * ds.emitter.eval(si, active), 0)

        # ---- light sampling
        active_next = active & si.is_valid() & (depth + 1 < options.max_depth)
        active_light = active_next & mi.has_flag(bsdf.flags(), mi.BSDFFlags.Smooth)
        if dr.hint(recording, mode="scalar"):
            dl, dl_pdf = emission.sample(scene, si, sampler, options.uniform_environment, active_light)
            light_hit, seen = emission.visible_hit(scene, si, dl, active_light & (dl_pdf > 0))
            value, lobe_pdf = bsdf.eval_pdf(context, si, si.to_local(dl.d), seen)
            seen &= reachable(value, lobe_pdf)
            if dr.hint(options.uniform_lobe > 0, mode="scalar"):
                lobe_pdf = mixed_pdf(bsdf, si, si.to_local(dl.d), lobe_pdf, options.uniform_lobe)
            mis = dr.select(dl.delta, 1, measure.mis_power(dl_pdf, lobe_pdf))
            light_weight = dr.select(seen, mis / dl_pdf, 0)
            emitter = dr.select(dl.delta, dr.reinterpret_array(mi.UInt32, dl.emitter), 0)
            light = (hits.pack(light_hit), dl.d, light_weight, emitter)
        else:
            dl, dl_weight = scene.sample_emitter_direction(si, sampler.next_2d(active_light), False, active_light)
            seen = active_light & (dl.pdf > 0)
            seen &= ~scene.ray_test(rounding.leave_to(si, dl.p, mi.math.ShadowEpsilon * dl.dist), seen)
            value, lobe_pdf = bsdf.eval_pdf(context, si, si.to_local(dl.d), seen)
            mis = dr.select(dl.delta, 1, measure.mis_power(dl.pdf, lobe_pdf))
            radiance += dr.select(seen, throughput * mis * value * dl_weight, 0)

        # ---- next direction
        s0 = mi.Float(0)
        if dr.hint(options.uniform_lobe > 0, mode="scalar"):
            s0 = sampler.next_1d(active_next)
        s1 = sampler.next_1d(active_next)
        s2 = sampler.next_2d(active_next)
        wo, weight_next, pdf, inverse, delta, null, eta_next = sample_direction(
            bsdf, si, s0, s1, s2, options.uniform_lobe, active_next
        )
        valid |= active & si.is_valid() & ~null
        throughput_next = throughput * weight_next
        eta *= eta_next
        ray_next = rounding.leave(si, si.to_world(wo))

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
        hit = scene.ray_intersect_preliminary(ray_next, coherent=False, active=active_next)
        if dr.hint(recording, mode="scalar"):
            warps: Any = ()
            if dr.hint(options.warp is not None, mode="scalar"):
                dark = (depth + 2 >= options.max_depth) & hit.is_valid() & (hit.shape.emitter() == None)  # noqa: E711
                warps = (
                    options.warp.find(scene, si, dl.d, sampler, active_light & (light_weight > 0) & (emitter == 0)),
                    options.warp.find(scene, si, ray_next.d, sampler, active_next & ~delta & ~dark),
                )
            scatters.write((light, bounce, *warps), depth, active_scatter)
        previous = mi.Interaction3f(0, si.time, si.wavelengths, si.p, si.n)
        previous_pdf = pdf
        previous_delta = delta
        silent = mi.Bool(False)
        throughput = throughput_next
        ray = ray_next
        depth += 1
        active = active_next
    return radiance, count, valid


def mixed_pdf(bsdf: Any, si: Any, wo: Any, lobe_pdf: Any, uniform: float) -> Any:
    """Density of `sample_direction`'s smooth part at `wo`, given the BSDF's own density there."""
    flags = bsdf.flags()
    share = dr.select(mi.has_flag(flags, mi.BSDFFlags.Smooth), mi.Float(uniform), 0)
    both = scatters_through(flags)
    uniform_pdf = dr.select(both, emission.UNIFORM_SPHERE, dr.select(wo.z * si.wi.z > 0, UNIFORM_HEMISPHERE, 0))
    return (1 - share) * lobe_pdf + share * uniform_pdf


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
    context = mi.BSDFContext()
    (light_record, light_direction, light_weight, light_pointer), bounce, *warps = record
    omega, inverse, kind, s1, s2, throughput = bounce
    si = surfaces.sliding(features, hits.unpack(vertex[0]), ray, active)
    si.wi = si.to_local(-ray.d)
    bsdf = si.bsdf()
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
    reflectance = bsdf.eval(context, si, si.to_local(direction), lit)
    local = dr.select(lit, reflectance * value * light_weight, 0)

    # ---- continuation
    next_record, next_origin, _, next_mis = following
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
    reflected = bsdf.eval(context, si, si.to_local(onward), smooth)
    emitted = reflected
    if features.moving:
        emitted = bsdf.eval(context, si, si.to_local(towards), smooth)
    weight = dr.select(smooth, reflected * jacobian * inverse, 0)  # Eq. (3)
    local += dr.select(smooth, emitted * solid_angle * value * next_mis * inverse, 0)
    if features.delta_bsdfs:
        specular = going & (kind == 1)
        bs, delta_weight = bsdf.sample(context, si, s1, s2, specular)
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
        local += dr.select(specular, delta_weight * seen, 0)
    return local, weight, dr.replace_grad(segment.o, si.p), onward, throughput
