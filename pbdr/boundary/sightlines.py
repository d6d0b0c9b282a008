"""Shading horizons found from lines of sight: those seen in mirrors and through glass, and those on instances and grids.

Neighbouring lines of sight that meet the same surface where its shading normal looks at them and where it does not, have a horizon
between them (horizon.py, mapped.py). Short steps of the film position, or of the direction in which another surface looks, find
it, however many delta lobes lie in between. How fast it moves there follows from how n·ω changes along the attached ray
(docs/theory.md, section 7a).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import chains, vertex
from pbdr.boundary.context import Context
from pbdr.boundary.horizon_lines import Crossing, Sights, Step
from pbdr.boundary.sample import Kept, Sample, Side
from pbdr.boundary.sampling import one_trial, random_direction, trial_lanes
from pbdr.boundary.term import Term
from pbdr.geometry import surfaces
from pbdr.transport import camera, convention, emission, path, spectra
from pbdr.transport.features import Features

STEP = 0.01  # of the film's width, or radians
TRIALS = 16  # steps for each sample: few cross the curve, and looking is cheap
FROM_SURFACES = 4  # delta lobes by way of which other surfaces than the camera see horizons


def lengths(features: Features, mirrors: chains.Mirrors | None, limit: int) -> chains.Lengths | None:
    """Numbers of delta lobes by way of which the camera may see horizons that are found here; None if there are none.

    `mirrors` that it sees; `limit`: how many lobes the depth allows.
    """
    if limit > 0 and mirrors is not None and features.horizons_in_mirrors:
        return mirrors.lengths(limit, features.horizons_in_sight)
    return chains.Lengths(0, 0) if limit >= 0 and features.horizons_in_sight else None


def lengths_from_surfaces(features: Features, limit: int) -> chains.Lengths | None:
    """The same for other surfaces."""
    last = min(FROM_SURFACES, limit) if features.horizons_in_mirrors else 0
    first = 0 if features.horizons_in_sight else 1
    return chains.Lengths(first, last) if first <= last and limit >= 0 else None


class SightsOfCamera(Term):
    """Horizons that lines of sight of the camera find, from `TRIALS` steps over the film for each sample."""

    part, divisor, memory, needs_table = "primary", 2, 64 * TRIALS, False

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where horizons are on instances or grids, or mirrors may show some."""
        return features.moving and (features.horizons_in_mirrors or features.horizons_in_sight)

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """Those that the steps cross."""
        possible = lengths(context.features, context.mirrors, context.tracer.max_depth - 2)
        found = None if possible is None else seen_by_camera(context, count, possible)
        if found is not None:
            yield found


def seen_by_camera(context: Context, count: int, lengths: chains.Lengths) -> Sample | None:
    """Horizons that `TRIALS * count` steps on the film cross; None if they cross none."""
    t, stream = context, context.stream
    trials = TRIALS * count
    sampler = stream("steps of sight", trials)
    wavelengths, spectral_weight = spectra.sample(t.sensor, sampler)
    chain = chains.random_chain(t, sampler, lengths, wavelengths)
    sights = Sights.of(chain, t.features, sampler)
    film = t.sensor.film()
    size, corner = mi.ScalarVector2f(camera.film_size(film)), mi.ScalarVector2f(camera.film_origin(film))
    reach = STEP * chain.width  # steps may start beyond the border
    start = mi.Point2f(sampler.next_2d() * (size + 2 * reach) + (corner - reach))
    area = (size.x + 2 * reach) * (size.y + 2 * reach)
    step, crosses = Step.try_out(sights, start, reach * random_direction(sampler), mi.Bool(True))
    dr.eval(
        crosses, step, chain.length, chain.probability, chain.bits, chain.aperture, sights.kind, sights.light
    )  # else what is gathered is looked for again

    chosen = dr.compress(crosses)
    number = dr.width(chosen)
    if number == 0:
        return None
    sights = sights.at(chosen)
    chain = sights.chain
    if mi.is_spectral:
        spectral_weight = dr.gather(mi.Spectrum, spectral_weight, chosen)
    store = path.PathStore(t.options.max_depth, chain.wavelengths)
    found = Crossing.of(sights, step.at(chosen), reach, store, dr.full(mi.Bool, True, number))
    jump = found.jump(sights, stream("light on sights", number), t.options, chain.length, False)
    weight = found.weight * (area * sights.kinds / trials) / chain.probability
    jump *= found.look.end.weight * spectral_weight * weight
    carried = lambda origin, direction: [Side(jump, found.speed(sights, origin, direction))]  # noqa: E731
    ray = camera.ray_through(t.sensor, found.position, chain.aperture, chain.wavelengths)
    end = found.look.end
    kept = Kept(ray, store, chain.length, mi.Point3f(end.origin), end.direction)
    return Sample.on_path(kept, found.position, carried, found.active)


class SightsOfSurfaces(Term):
    """The same for vertices of camera paths, which look in `TRIALS` directions each."""

    part, divisor, memory, needs_table = "indirect", 6, 64 * TRIALS, False

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where the vertices may see any."""
        return features.moving and max_depth > 2 and lengths_from_surfaces(features, max_depth - 3) is not None

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """One direction that crosses a horizon stands for all."""
        possible = lengths_from_surfaces(context.features, context.tracer.max_depth - 3)
        if possible is not None:
            yield seen_from_surfaces(context, count, possible)


def seen_from_surfaces(context: Context, count: int, lengths: chains.Lengths) -> Sample:
    """Horizons as vertices of `count` camera paths see them."""
    t, stream = context, context.stream
    trials = TRIALS * count
    paths = lambda: vertex.draw(t, stream("paths to sights", count))  # noqa: E731
    first = paths()
    dr.eval(first.si.p, first.si.n, first.si.t, first.count, first.active, first.wavelengths)
    lane = trial_lanes(trials, count)
    sampler = stream("sights from surfaces", trials)
    wavelengths = dr.gather(type(first.wavelengths), first.wavelengths, lane) if mi.is_spectral else None
    omega = mi.warp.square_to_uniform_sphere(sampler.next_2d())
    get = lambda x: dr.gather(type(x), x, lane)  # noqa: E731
    bundle = chains.Bundle(get(first.si.p), get(first.si.n), get(first.count), omega, get(first.si.t))
    chain = chains.random_chain(t, sampler, lengths, wavelengths, bundle)
    sights = Sights.of(chain, t.features, sampler)
    possible = dr.gather(mi.Bool, first.active, lane) & (bundle.count + chain.length < t.options.max_depth)
    start = dr.zeros(mi.Point2f, trials)
    step, crosses = Step.try_out(sights, start, STEP * random_direction(sampler), possible)
    number, chosen = one_trial(crosses, lane, count, TRIALS, sampler)
    dr.eval(number, chosen, step, chain.length, chain.probability, chain.bits, bundle.omega, sights.kind, sights.light)

    from_here = paths()
    sights = sights.at(chosen)
    chain = sights.chain
    store, active = from_here.store, from_here.active & (number > 0)
    found = Crossing.of(sights, step.at(chosen), STEP, store, active)
    omega = bundle.at(chosen).direction(found.position)
    store.keep(
        from_here.count - 1,
        from_here.hit,
        from_here.arriving,
        omega,
        mi.Float(1),
        mi.UInt32(0),
        mi.Float(0),
        active & (chain.length > 0),
    )
    scattered = from_here.scattered(omega, found.active)
    depth = from_here.count + chain.length
    jump = found.jump(sights, stream("light on sights from surfaces", count), t.options, depth, True)
    weight = found.weight * mi.Float(number) * (sights.kinds / (emission.UNIFORM_SPHERE * trials)) / chain.probability
    jump *= found.look.end.weight * scattered * from_here.factor * weight

    def carried(origin: Any, direction: Any) -> list[Side]:
        """The segment leaves a delta lobe, or as the convention says."""
        far = surfaces.material(t.features, found.look.hit, found.look.ray, found.active)
        onward, _ = convention.scattered_direction(origin, omega, far, t.options.h, found.active)
        return [Side(jump, found.speed(sights, origin, dr.select(chain.length > 0, direction, onward)))]

    end = found.look.end
    kept = Kept(from_here.ray, store, depth, mi.Point3f(end.origin), end.direction)
    return Sample.on_path(kept, from_here.position, carried, found.active)
