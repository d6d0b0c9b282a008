"""The one path loop.

`trace` walks a path without derivatives. It either sums radiance (primal rendering, radiance at an edge) or keeps what
re-creates each vertex (`PathStore`), for `vertices.scatter`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import rounding
from pbdr.transport import emission, hits, lobes, measure, scattering
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
    None where media are not traced. `interfaces`: shapes that bend nothing and move, between media. `glows`: media may shine.
    `directed`: materials that depend on tangents, which at all others follow the normal alone; None leaves them as they are.
    `ends`: opaque shapes that move in fog (media/fog.py); None where none does.
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
    glows: bool = False
    directed: tuple[Any, ...] | None = None
    ends: Any = None

    def stops(self, first: bool = False) -> tuple[Any, ...] | None:
        """Shapes at which a way may stop in gradients; None where none moves in media. `first`: of the camera's way."""
        if not self.interfaces and self.ends is None:
            return None
        return (*self.interfaces, *(self.ends or ())) if first else self.interfaces


class PathStore:
    """Local memory for what re-creates the vertices of one path: O(depth) a lane, independent of parameters.

    All of them have the same `wavelengths` (transport/spectra.py).
    """

    def __init__(self, max_depth: int, wavelengths: Any = None, warp: Any = None, way: Any = None) -> None:
        self.wavelengths = wavelengths
        zero, vector = mi.Float(0), mi.Vector3f(0)
        hit = hits.pack(hits.no_hit())
        arriving: tuple[Any, ...] = ()
        lit: tuple[Any, ...] = ()
        if way is not None:
            moving = way.crossing is not None
            arriving = (flights.nowhere(moving, way.glow is not None).pack(),)
            lit = (flights.nowhere(moving).pack(),)
        self.vertices = dr.alloc_local(tuple, max_depth, value=(hit, vector, vector, zero, *arriving))
        light = (hit, vector, zero, mi.UInt32(0))
        bounce = (vector, zero, mi.UInt32(0), zero, mi.Point2f(0), mi.Spectrum(0))
        warps = () if warp is None else (warp.nothing(), warp.nothing())  # of both segments
        self.scatters = dr.alloc_local(tuple, max(max_depth - 1, 1), value=(light, bounce, *warps, *lit))

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
    flown = flights.fly(
        scene, ray, medium, sampler, options.defensive, hides=options.hide_emitters, interfaces=options.stops(first=True),
        glows=options.glows, last=mi.Bool(True) if options.max_depth <= 1 else None,
    )  # fmt: skip
    return flown.hit, flown


@dataclass
class _Path:
    """Where a path is: what one vertex hands to the next.

    `previous`, `pdf`, `delta`: the last vertex, density of the direction in which it was left, and whether its lobe was a delta.
    `silent`: what this vertex emits does not count. `count`: stored scatterings; `valid`: whether it has met
    anything that bends light.
    """

    ray: Any
    hit: Any
    flown: Any
    active: Any
    depth: Any
    silent: Any
    throughput: Any
    valid: Any
    eta: Any
    previous: Any
    pdf: Any
    delta: Any
    radiance: Any
    count: Any


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
    vertices: Any = store.vertices if store is not None else None
    scatters: Any = store.scatters if store is not None else None
    interfaces = options.interfaces
    active = mi.Bool(active)
    valid = mi.Bool((not options.hide_emitters) and scene.environment() is not None) & active
    throughput = mi.Spectrum(1) if flown is None else mi.Spectrum(flown.weight)
    radiance = mi.Spectrum(0) if flown is None or flown.glow is None else dr.select(active, flown.glow.light, 0)
    at = _Path(
        mi.Ray3f(dr.detach(ray)), mi.PreliminaryIntersection3f(hit), flown, active, mi.UInt32(depth), mi.Bool(reflected_only),
        throughput, valid, mi.Float(1), dr.zeros(mi.Interaction3f), mi.Float(1), mi.Bool(True), radiance, mi.UInt32(0),
    )  # fmt: skip
    while dr.hint(
        at.active, max_iterations=options.max_depth, label="pathspace: trace", exclude=[scene, options, interfaces]
    ):
        si = at.hit.compute_surface_interaction(at.ray, mi.RayFlags.All, at.active)
        bsdf = si.bsdf(at.ray)
        si = scattering.untwisted(si, bsdf, at.ray, options.directed)
        at = _met(scene, si, at, options, vertices)
        if dr.hint(options.max_depth > 1, mode="scalar"):
            at = _scattered(scene, volume.arrive(si, bsdf, at.ray, at.flown), at, sampler, options, scatters)
        else:  # nothing scatters, and nothing of that has to be traced
            at = replace(at, active=mi.Bool(False), valid=at.valid | (at.active & si.is_valid()))
    return at.radiance, at.count, at.valid


def _met(scene: Any, si: Any, at: _Path, options: PathOptions, vertices: Any) -> _Path:
    """Add the emission that the segment met which ends at `si`; or store the vertex, and the weight of its emission."""
    ds = mi.DirectionSample3f(scene, si, at.previous)
    light_pdf = emission.pdf_omega(scene, at.previous, ds, options.uniform_environment, at.active & ~at.delta)
    weight = dr.select(at.delta, 1, measure.mis_power(at.pdf, light_pdf))
    weight = dr.select(at.silent, 0, weight)
    if options.hide_emitters:
        weight = dr.select(~at.valid & ~si.is_valid(), 0, weight)
    if at.flown is not None:
        weight = dr.select(at.flown.collided, 0, weight)
    if vertices is None:
        met = dr.select(at.active, at.throughput * weight * ds.emitter.eval(si, at.active), 0)
        return replace(at, radiance=at.radiance + met)
    way = () if at.flown is None else (at.flown.pack(),)
    vertices.write((hits.pack(at.hit), mi.Vector3f(at.ray.o), at.ray.d, weight, *way), at.depth, at.active)
    return at


def _scattered(scene: Any, vertex: Any, at: _Path, sampler: Any, options: PathOptions, scatters: Any) -> _Path:
    """Let a path scatter: light that is sampled, the next direction, Russian roulette, the next hit; or store the scattering."""
    si, uniform, light = vertex.si, options.uniform_lobe, None
    extra: tuple[Any, ...] = ()
    going = at.active & si.is_valid() & (at.depth + 1 < options.max_depth)
    lit, radiance, count = going & vertex.has_smooth(), at.radiance, at.count
    if scatters is None:
        radiance = radiance + _light(scene, vertex, sampler, options, at.throughput, lit)
    else:
        light, extra = _kept_light(scene, vertex, sampler, options, lit)

    s0 = sampler.next_1d(going) if uniform > 0 else mi.Float(0)
    s1 = sampler.next_1d(going)
    s2 = sampler.next_2d(going)
    onward, weight, pdf, inverse, delta, null, eta = vertex.sample(s0, s1, s2, uniform, going)
    throughput, eta = at.throughput * weight, at.eta * eta
    ray = rounding.leave(si, onward)
    alive, survival = _roulette(
        sampler, options, throughput, eta, None if scatters is None else inverse, at.depth, going
    )
    throughput /= survival
    following = going & alive
    hit, flown, glow = _next_hit(scene, vertex, ray, onward, sampler, options, at, following)
    if flown is not None:
        radiance = radiance + dr.select(following, throughput * glow, 0)
        throughput = throughput * flown.weight

    if scatters is not None:
        inverse = dr.select(following, inverse / survival, 0)
        bounce = (ray.d, inverse, dr.select(delta, mi.UInt32(1), mi.UInt32(0)), s1, s2, at.throughput)
        count = count + dr.select(going, mi.UInt32(1), mi.UInt32(0))
        if options.warp is not None:
            dark = (at.depth + 2 >= options.max_depth) & hit.is_valid() & (hit.shape.emitter() == None)  # noqa: E711
            extra = _warps(scene, si, options.warp, sampler, light, lit, ray.d, following & ~delta & ~dark)
        scatters.write((light, bounce, *extra), at.depth, going)
    valid = at.valid | (at.active & si.is_valid() & ~null)
    previous = mi.Interaction3f(0, si.time, si.wavelengths, si.p, si.n)
    return _Path(
        ray,
        hit,
        flown,
        following,
        at.depth + 1,
        mi.Bool(False),
        throughput,
        valid,
        eta,
        previous,
        pdf,
        delta,
        radiance,
        count,
    )


def _next_hit(
    scene: Any, vertex: Any, ray: Any, onward: Any, sampler: Any, options: PathOptions, at: _Path, active: Any
) -> tuple[Any, Any, Any]:
    """First hit of the next segment, the way there in media, and the light that they add to it. `at`: where the path is."""
    if at.flown is None:
        return scene.ray_intersect_preliminary(ray, coherent=False, active=active), None, 0
    way = flights.fly(
        scene, ray, vertex.beyond(onward), sampler, options.defensive, at.flown.posterior, active=active,
        interfaces=options.stops(), glows=options.glows, last=at.depth + 2 >= options.max_depth,
    )  # fmt: skip
    return way.hit, way, 0 if way.glow is None else way.glow.light


def _kept_light(scene: Any, vertex: Any, sampler: Any, options: PathOptions, active: Any) -> tuple[Any, Any]:
    """A point on a light as it is stored: (first hit towards it, direction, weight, emitter of a delta light); the way in media."""
    si, uniform = vertex.si, options.uniform_lobe
    dl, dl_pdf = emission.sample(scene, si, sampler, options.uniform_environment, active)
    extra: Any = ()
    if options.defensive is not None:
        light_hit, seen, lit = volume.lit(
            scene, vertex, dl, sampler, options.defensive, active & (dl_pdf > 0), options.stops()
        )
        extra = (lit.pack(),)
    else:
        light_hit, seen = emission.visible_hit(scene, si, dl, active & (dl_pdf > 0))
    value, lobe_pdf = vertex.eval_pdf(dl.d, seen)
    seen &= vertex.reachable(dl.d, value, lobe_pdf)
    if uniform > 0:
        lobe_pdf = vertex.mixed_pdf(dl.d, lobe_pdf, uniform)
    mis = dr.select(dl.delta, 1, measure.mis_power(dl_pdf, lobe_pdf))
    light_weight = dr.select(seen, mis / dl_pdf, 0)
    emitter = dr.select(dl.delta, dr.reinterpret_array(mi.UInt32, dl.emitter), 0)
    return (hits.pack(light_hit), dl.d, light_weight, emitter), extra


def _light(scene: Any, vertex: Any, sampler: Any, options: PathOptions, throughput: Any, active: Any) -> Any:
    """Radiance of a point on a light that reaches the camera by way of a vertex."""
    si = vertex.si
    dl, dl_weight = scene.sample_emitter_direction(si, sampler.next_2d(active), False, active)
    seen = active & (dl.pdf > 0)
    if options.defensive is not None:
        _, seen, lit = volume.lit(scene, vertex, dl, sampler, 0.0, seen)
        dl_weight *= lit.weight
    else:
        seen &= ~scene.ray_test(rounding.leave_to(si, dl.p, mi.math.ShadowEpsilon * dl.dist), seen)
    value, lobe_pdf = vertex.eval_pdf(dl.d, seen)
    mis = dr.select(dl.delta, 1, measure.mis_power(dl.pdf, lobe_pdf))
    return dr.select(seen, throughput * mis * value * dl_weight, 0)


def _roulette(
    sampler: Any, options: PathOptions, throughput: Any, eta: Any, inverse: Any, depth: Any, active: Any
) -> tuple[Any, Any]:
    """Whether paths go on, and the probability of it. `inverse`: 1/pdf of a direction that is stored, which has to be above 0."""
    strength = dr.max(mi.unpolarized_spectrum(throughput)) * dr.square(eta)
    alive = strength != 0
    if inverse is not None:
        alive = inverse > 0
        strength = dr.maximum(strength, MIN_SURVIVAL)
    survival = dr.select(depth >= options.rr_depth, dr.minimum(strength, 0.95), 1)
    return alive & (sampler.next_1d(active) < survival), survival


def _warps(
    scene: Any, si: Any, warp: Any, sampler: Any, light: Any, active_light: Any, onward: Any, active: Any
) -> tuple[Any, Any]:
    """Edges near the segment to the light and near the next one, which these follow."""
    _, direction, weight, emitter = light
    return (
        warp.find(scene, si, direction, sampler, active_light & (weight > 0) & (emitter == 0)),
        warp.find(scene, si, onward, sampler, active),
    )
