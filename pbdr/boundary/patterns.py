"""Textures that jump inside faces, as the camera and other surfaces see them, in mirrors and through glass, too.

pattern_lines.py finds the lines along which they jump (docs/theory.md, section 7f).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import chains, vertex
from pbdr.boundary.context import Context
from pbdr.boundary.pattern_lines import Crossing, Sights, Step
from pbdr.boundary.sample import Kept, Sample, Side
from pbdr.boundary.sampling import one_trial, random_direction, trial_lanes
from pbdr.boundary.term import Term
from pbdr.geometry import surfaces
from pbdr.transport import camera, channels, convention, emission, path, spectra
from pbdr.transport.features import Features

STEP = 0.01  # of the film's width, or radians
TRIALS = 16  # steps for each sample: looking is cheap
ANYWHERE = 0.25  # share of directions that are spread over the sphere, for surfaces that let light through, too
FROM_SURFACES = 4  # delta lobes by way of which other surfaces than the camera see them


@dataclass
class Drawn:
    """Steps over the film that cross lines. `density`: of all steps that were tried, over film positions, as many as are kept."""

    sights: Sights
    step: Step
    reach: float
    density: Any
    spectral_weight: Any
    number: int

    @staticmethod
    def of(context: Context, count: int, lengths: chains.Lengths) -> Drawn | None:
        """Of `TRIALS * count` steps those that cross lines, but `count` at most; None if there are none."""
        t, stream, trials = context, context.stream, TRIALS * count
        sampler = stream(f"steps over patterns {lengths.first}", trials)
        wavelengths, spectral_weight = spectra.sample(t.sensor, sampler)
        chain = chains.random_chain(t, sampler, lengths, wavelengths)
        sights = Sights(chain, t.features, sampler.next_1d())
        film = t.sensor.film()
        size, corner = mi.ScalarVector2f(camera.film_size(film)), mi.ScalarVector2f(camera.film_origin(film))
        reach = STEP * chain.width  # steps may start beyond the border
        start = mi.Point2f(sampler.next_2d() * (size + 2 * reach) + (corner - reach))
        area = (size.x + 2 * reach) * (size.y + 2 * reach)
        step, crosses = Step.try_out(sights, start, reach * random_direction(sampler), mi.Bool(True))
        dr.eval(crosses, step, chain.length, chain.probability, chain.bits, chain.aperture, sights.pick)
        chosen = dr.compress(crosses)
        number = dr.width(chosen)
        if number == 0:
            return None
        kept = min(number, count)
        if kept < number:  # each with the same probability
            u = stream(f"kept steps over patterns {lengths.first}", kept).next_1d()
            place = mi.UInt32((mi.Float(dr.arange(mi.UInt32, kept)) + u) * dr.opaque(mi.Float, number / kept))
            chosen = dr.gather(mi.UInt32, chosen, dr.minimum(place, dr.opaque(mi.UInt32, number) - 1))
        if mi.is_spectral:
            spectral_weight = dr.gather(mi.Spectrum, spectral_weight, chosen)
        density = dr.opaque(mi.Float, trials * kept / (area * number))
        return Drawn(sights.at(chosen), step.at(chosen), reach, density, spectral_weight, kept)

    def crossing(self, sampler: Any, store: Any) -> Crossing:
        """The lines that they cross."""
        return Crossing.of(
            self.sights, self.step, self.reach, sampler.next_1d(), store, dr.full(mi.Bool, True, self.number)
        )


class PatternsOnFilm(Term):
    """Lines of textures as the camera sees them in a straight line, from `TRIALS` steps over the film for each sample."""

    part, divisor, memory = "primary", 2, 64 * TRIALS

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where textures move on the film."""
        return features.moving_edges and features.patterns_on_film

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """Those that the steps cross."""
        drawn = Drawn.of(context, count, chains.Lengths(0, 0))
        if drawn is not None:
            yield sample(context, drawn)


def sample(context: Context, drawn: Drawn) -> Sample:
    """What the camera sees on either side of the lines that were found."""
    t, options = context, context.tracer.path_options()
    sampler = t.stream("light on patterns", drawn.number)
    found = drawn.crossing(sampler, None)
    chain, twin = drawn.sights.chain, sampler.clone()
    ray = camera.ray_through(t.sensor, found.position, chain.aperture, chain.wavelengths)
    along = dr.detach(ray)
    values = []
    for look, numbers in ((found.ahead, sampler), (found.behind, twin)):
        light, _, valid = path.trace(t.scene, look.ray, look.hit, numbers, options, active=found.active)
        others = channels.values(t.tracer.channels, t.scene, look.hit, look.ray, along, found.active)
        values.append([light * drawn.spectral_weight, dr.select(valid, mi.Float(1), 0), *others])
    factor = found.weight / drawn.density
    weight, *others = [dr.select(found.active, (a - b) * factor, 0) for a, b in zip(*values, strict=True)]
    with dr.resume_grad():
        speed = found.speed(drawn.sights, ray.o, ray.d)
    return Sample.on_film(found.position, Side(weight, speed, others), found.active, chain.wavelengths)


class PatternsInMirrors(Term):
    """The same by way of delta lobes."""

    part, divisor, memory = "primary", 2, 64 * TRIALS

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where there are both."""
        return features.patterns is not None and features.delta_bsdfs

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """Those that the steps cross; none where the camera sees no mirror."""
        if context.mirrors is None:
            return
        drawn = Drawn.of(context, count, context.mirrors.lengths(context.tracer.max_depth - 1))
        if drawn is not None:
            yield seen_in_mirrors(context, drawn)


def seen_in_mirrors(context: Context, drawn: Drawn) -> Sample:
    """Light on either side of the lines that were found, by way of their chains."""
    t = context
    sights, chain = drawn.sights, drawn.sights.chain
    sampler = t.stream("light on mirrored patterns", drawn.number)
    store = path.PathStore(t.options.max_depth, chain.wavelengths)
    found = drawn.crossing(sampler, store)
    end = found.look.end
    jump = found.jump(sights, sampler, t.options, chain.length, False)
    jump *= end.weight * drawn.spectral_weight * (found.weight / (drawn.density * chain.probability))
    carried = lambda origin, direction: [Side(jump, found.speed(sights, origin, direction))]  # noqa: E731
    ray = camera.ray_through(t.sensor, found.position, chain.aperture, chain.wavelengths)
    kept = Kept(ray, store, chain.length, mi.Point3f(end.origin), end.direction)
    return Sample.on_path(kept, found.position, carried, found.active)


class PatternsFromSurfaces(Term):
    """The same as vertices of camera paths see it, which look in `TRIALS` directions each."""

    part, divisor, memory = "indirect", 6, 64 * TRIALS

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where points that see such textures move, or the textures do."""
        return features.patterns_from_surfaces and max_depth > 2

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """One direction that crosses a line stands for all."""
        yield seen_from_surfaces(context, count, lengths_from_surfaces(context.features, context.tracer.max_depth - 2))


def seen_from_surfaces(context: Context, count: int, lengths: chains.Lengths) -> Sample:
    """Lines as vertices of `count` camera paths see them.

    What a surface in a straight line emits is left out: its emission follows the material point, and its texture with it.
    """
    t, stream = context, context.stream
    trials = TRIALS * count
    paths = lambda: vertex.draw(t, stream("paths to patterns", count))  # noqa: E731
    first = paths()
    dr.eval(first.si.p, first.si.n, first.si.t, first.count, first.active, first.wavelengths)
    lane = trial_lanes(trials, count)
    sampler = stream("patterns from surfaces", trials)
    wavelengths = dr.gather(type(first.wavelengths), first.wavelengths, lane) if mi.is_spectral else None
    normal, before = (dr.gather(type(x), x, lane) for x in (first.si.n, first.count))
    omega, density = _look_around(normal, dr.gather(mi.Bool, dr.dot(first.si.n, first.arriving.d) > 0, lane), sampler)
    point, reach = (dr.gather(type(x), x, lane) for x in (first.si.p, first.si.t))
    bundle = chains.Bundle(point, normal, before, omega, reach)
    chain = chains.random_chain(t, sampler, lengths, wavelengths, bundle)
    sights = Sights(chain, t.features, sampler.next_1d())
    possible = dr.gather(mi.Bool, first.active, lane) & (before + chain.length < t.options.max_depth)
    start = dr.zeros(mi.Point2f, trials)
    step, crosses = Step.try_out(sights, start, STEP * random_direction(sampler), possible)
    number, chosen = one_trial(crosses, lane, count, TRIALS, sampler)
    dr.eval(number, chosen, step, chain.length, chain.probability, chain.bits, bundle.omega, sights.pick, density)

    from_here = paths()
    sights, numbers = sights.at(chosen), stream("light on patterns from surfaces", count)
    chain = sights.chain
    store, active = from_here.store, from_here.active & (number > 0)
    found = Crossing.of(sights, step.at(chosen), STEP, numbers.next_1d(), store, active)
    omega = bundle.at(chosen).direction(found.position)
    mirrored = chain.length > 0
    store.keep(
        from_here.count - 1, from_here.hit, from_here.arriving, omega, mi.Float(1), mi.UInt32(0), mi.Float(0), active & mirrored
    )  # fmt: skip
    scattered = from_here.scattered(omega, found.active)
    depth = from_here.count + chain.length
    jump = found.jump(sights, numbers, t.options, depth, ~mirrored)
    density = dr.gather(mi.Float, density, chosen) * trials
    weight = found.weight * mi.Float(number) / (density * chain.probability)
    jump *= found.look.end.weight * scattered * from_here.factor * weight

    def carried(origin: Any, direction: Any) -> list[Side]:
        """The segment leaves a delta lobe, or as the convention says."""
        far = surfaces.material(t.features, found.look.hit, found.look.ray, found.active)
        onward, _ = convention.scattered_direction(origin, omega, far, t.options.h, found.active)
        return [Side(jump, found.speed(sights, origin, dr.select(mirrored, direction, onward)))]

    end = found.look.end
    kept = Kept(from_here.ray, store, depth, mi.Point3f(end.origin), end.direction)
    return Sample.on_path(kept, from_here.position, carried, found.active)


def _look_around(normal: Any, turned: Any, sampler: Any) -> tuple[Any, Any]:
    """Directions in which surfaces look, mostly to the side of their normal (`turned`: the other one); and their density."""
    u, v = sampler.next_1d(), sampler.next_2d()
    up = dr.select(turned, -normal, normal)
    cosine = mi.Frame3f(up).to_world(mi.warp.square_to_cosine_hemisphere(v))
    omega = dr.select(u < ANYWHERE, mi.warp.square_to_uniform_sphere(v), cosine)
    along = dr.maximum(dr.dot(omega, up), 0)
    return omega, ANYWHERE * emission.UNIFORM_SPHERE + (1 - ANYWHERE) * dr.inv_pi * along


def lengths_from_surfaces(features: Features, limit: int) -> chains.Lengths:
    """Numbers of delta lobes by way of which other surfaces see patterns; `limit`: as many as the depth allows."""
    return chains.Lengths(0, min(FROM_SURFACES, limit) if features.delta_bsdfs else 0)
