"""Short steps that look for curves along which radiance jumps inside faces, and samples at the points where they cross one.

Some curves have no rows in the edge table: horizons that only lines of sight find (horizon_lines.py), lines of textures
(pattern_lines.py). A step from a film position, or from a direction in which another surface looks, finds them where its two ends
differ, however many delta lobes lie in between. `Sights` is the page that says what a kind of curve must answer; the rest of this
file is the same for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.boundary.connect import chains, vertex
from pbdr.boundary.context import Context
from pbdr.boundary.sample import Kept, Sample, Side
from pbdr.boundary.sampling.masses import one_trial, random_direction, trial_lanes
from pbdr.geometry import rounding, surfaces
from pbdr.transport import camera, convention, path, spectra
from pbdr.transport.features import Features

STEP = 0.01  # of the film's width, or radians
TRIALS = 16  # steps for each sample: few of them cross a curve, and looking is cheap
FROM_SURFACES = 4  # delta lobes by way of which other surfaces than the camera see curves
HALVINGS = 18  # of a step: to 4e-6 of its length, far below the differences that slopes are taken from


class Look(Protocol):
    """What a line of sight meets, without derivatives: `hit` of `ray`, which leaves the last delta vertex of `end`."""

    end: chains.End
    hit: Any
    ray: Any
    known: Any

    def on(self, other: Any) -> Any:
        """Whether it is on the surface that the other one sees."""

    def differs(self, other: Any) -> Any:
        """Whether a curve lies between two looks at one surface."""


class Crossing(Protocol):
    """A point on a curve, detached. `weight`: 1 / density of such points along the curve, for a unit density of steps."""

    position: Any
    look: Any
    weight: Any
    active: Any

    def jump(self, sights: Any, sampler: Any, options: path.PathOptions, depth: Any, silent: Any) -> Any:
        """Radiance where g > 0, minus where g < 0; without what the surface itself emits on lanes that are `silent`."""

    def speed(self, sights: Any, origin: Any, direction: Any) -> Any:
        """Attached speed of the curve over positions, towards the side where g < 0."""


@dataclass
class Sights(ABC):
    """Lines of sight by way of a `chain` of delta lobes, which look for curves g = 0 of one sort."""

    chain: chains.Chain
    features: Features

    @abstractmethod
    def at(self, index: Any) -> Any:
        """Those of some lanes."""

    @abstractmethod
    def look(self, position: Any, active: Any, store: Any = None) -> Any:
        """The `Look` through a film position, or in a direction; with a `store`, the chain's vertices are kept there."""

    @abstractmethod
    def crossing(self, step: Step, reach: float, sampler: Any, store: Any, active: Any) -> Any:
        """The `Crossing` of a step that is `reach` long."""

    @property
    def choices(self) -> int:
        """How many sorts of curves each sight has chosen its own from, all alike."""
        return 1

    def drawn(self) -> tuple[Any, ...]:
        """Random numbers that are evaluated before some lanes are chosen; else what is gathered would be looked for again."""
        chain = self.chain
        return (chain.length, chain.probability, chain.bits, chain.aperture)


def leave(chain: chains.Chain, end: chains.End) -> Any:
    """The ray that leaves the end of a chain, clear of the surface that its last delta vertex lies on."""
    skip = dr.select(chain.length > 0, rounding.blur(end.origin, end.reach, segment.clear_of_round()), 0)
    return spectra.carry(mi.Ray3f(mi.Point3f(end.origin + skip * end.direction), end.direction), chain.wavelengths)


@dataclass
class Step:
    """A step from a film position (or direction) across what may be a curve. `same`: its end is on the same surface."""

    start: Any
    across: Any
    same: Any

    @staticmethod
    def try_out(sights: Sights, start: Any, across: Any, active: Any) -> tuple[Step, Any]:
        """The step, and whether there may be a curve on the surface that is seen at its start."""
        here = sights.look(start, active)
        there = sights.look(mi.Point2f(start + across), here.known)
        same = there.on(here)
        # Where the step leaves the surface, the curve may lie before the rim.
        return Step(start, across, same), here.known & (~same | there.differs(here))

    def at(self, index: Any) -> Step:
        """Those at `index`."""
        return Step(*(dr.gather(type(x), x, index) for x in (self.start, self.across, self.same)))

    def weight(self, slope: Any, steep: Any, reach: float) -> Any:
        """1 / density of the points where steps cross a curve, along it, for a unit density of steps that are `reach` long.

        `slope`: gradient of g over positions, `steep` its norm.
        """
        cosine = dr.abs(dr.dot(self.across, slope)) / (reach * steep)
        # A step with both ends on the surface is found from either; over all angles the squared cosine is a half.
        return cosine * dr.select(self.same, 2, 4) / reach


@dr.syntax
def last(sights: Sights, step: Step, share: Any, stays: Callable[[Any], Any], active: Any) -> Any:
    """Part of this share of the step up to which `stays` holds of what is seen. By halving."""
    k = mi.UInt32(0)
    low, width = mi.Float(0), mi.Float(share)
    active = mi.Bool(active)
    while dr.hint(active & (k < HALVINGS), label="pathspace: curve in sight", exclude=[sights, step, stays]):
        width *= 0.5
        there = sights.look(mi.Point2f(step.start + step.across * (low + width)), active)
        low = dr.select(stays(there), low + width, low)
        k += 1
    return low


@dataclass
class OverFilm:
    """Steps over the film that cross curves. `density`: of all steps that were tried, over film positions, as many as are kept."""

    sights: Any
    step: Step
    reach: float
    density: Any
    spectral_weight: Any
    number: int

    @staticmethod
    def of(
        context: Context, trials: int, lengths: chains.Lengths, name: str, sights_of: Callable[[chains.Chain, Any], Any],
        most: int | None = None,
    ) -> OverFilm | None:  # fmt: skip
        """Of `trials` steps those that cross curves, but no more than `most` of them; None if there are none.

        `name`: of the stream of random numbers; `sights_of(chain, sampler)`: what looks.
        """
        sampler = context.stream(name, trials)
        wavelengths, spectral_weight = spectra.sample(context.sensor, sampler)
        chain = chains.random_chain(context, sampler, lengths, wavelengths)
        sights = sights_of(chain, sampler)
        film = context.sensor.film()
        size, corner = mi.ScalarVector2f(camera.film_size(film)), mi.ScalarVector2f(camera.film_origin(film))
        reach = STEP * chain.width  # steps may start beyond the border
        start = mi.Point2f(sampler.next_2d() * (size + 2 * reach) + (corner - reach))
        area = (size.x + 2 * reach) * (size.y + 2 * reach)
        step, crosses = Step.try_out(sights, start, reach * random_direction(sampler), mi.Bool(True))
        dr.eval(crosses, step, *sights.drawn())
        chosen = dr.compress(crosses)
        number = dr.width(chosen)
        if number == 0:
            return None
        kept = number if most is None else min(number, most)
        if kept < number:  # each with the same probability
            u = context.stream(f"kept {name}", kept).next_1d()
            place = mi.UInt32((mi.Float(dr.arange(mi.UInt32, kept)) + u) * dr.opaque(mi.Float, number / kept))
            chosen = dr.gather(mi.UInt32, chosen, dr.minimum(place, dr.opaque(mi.UInt32, number) - 1))
        if mi.is_spectral:
            spectral_weight = dr.gather(mi.Spectrum, spectral_weight, chosen)
        density = dr.opaque(mi.Float, trials * kept / (area * number))
        return OverFilm(sights.at(chosen), step.at(chosen), reach, density, spectral_weight, kept)

    def crossing(self, sampler: Any, store: Any) -> Any:
        """Where they cross curves."""
        return self.sights.crossing(self.step, self.reach, sampler, store, dr.full(mi.Bool, True, self.number))

    def seen(self, context: Context, name: str) -> Sample:
        """Light on either side of the curves that were found, by way of their chains. `name`: of the stream of random numbers."""
        sights, chain, sampler = self.sights, self.sights.chain, context.stream(name, self.number)
        store = path.PathStore(context.options.max_depth, chain.wavelengths)
        found = self.crossing(sampler, store)
        end = found.look.end
        jump = found.jump(sights, sampler, context.options, chain.length, False)
        jump *= end.weight * self.spectral_weight * (found.weight * sights.choices / (self.density * chain.probability))
        carried = lambda origin, direction: [Side(jump, found.speed(sights, origin, direction))]  # noqa: E731
        ray = camera.ray_through(context.sensor, found.position, chain.aperture, chain.wavelengths)
        kept = Kept(ray, store, chain.length, mi.Point3f(end.origin), end.direction)
        return Sample.on_path(kept, found.position, carried, found.active)


@dataclass
class FromSurfaces:
    """How vertices of camera paths look for curves, in `TRIALS` directions each; one direction that crosses one stands for all.

    name       of the curves, in streams of random numbers
    lengths    of chains
    around     (the vertices, the vertex of each trial, sampler) → directions, and their density in solid angle
    sights_of  (chain, sampler) → what looks
    silent     what surfaces seen in a straight line emit is left out; else what any of them emits
    """

    name: str
    lengths: chains.Lengths
    around: Callable[[vertex.Vertex, Any, Any], tuple[Any, Any]]
    sights_of: Callable[[chains.Chain, Any], Any]
    silent: Callable[[Any], Any]

    def sample(self, context: Context, count: int) -> Sample:
        """What `count` camera paths find."""
        t, stream, trials = context, context.stream, TRIALS * count
        paths = lambda: vertex.draw(t, stream(f"paths to {self.name}", count))  # noqa: E731
        first = paths()
        dr.eval(first.si.p, first.si.n, first.si.t, first.count, first.active, first.wavelengths)
        lane = trial_lanes(trials, count)
        get = lambda x: dr.gather(type(x), x, lane)  # noqa: E731
        sampler = stream(f"{self.name} from surfaces", trials)
        omega, density = self.around(first, lane, sampler)
        bundle = chains.Bundle(get(first.si.p), get(first.si.n), get(first.count), omega, get(first.si.t))
        wavelengths = get(first.wavelengths) if mi.is_spectral else None
        chain = chains.random_chain(t, sampler, self.lengths, wavelengths, bundle)
        sights = self.sights_of(chain, sampler)
        possible = get(first.active) & (bundle.count + chain.length < t.options.max_depth)
        start = dr.zeros(mi.Point2f, trials)
        step, crosses = Step.try_out(sights, start, STEP * random_direction(sampler), possible)
        number, chosen = one_trial(crosses, lane, count, TRIALS, sampler)
        dr.eval(number, chosen, step, bundle.omega, density, *sights.drawn())

        from_here, numbers = paths(), stream(f"light on {self.name} from surfaces", count)
        sights = sights.at(chosen)
        active = from_here.active & (number > 0)
        found = sights.crossing(step.at(chosen), STEP, numbers, from_here.store, active)
        weight = found.weight * mi.Float(number) * (sights.choices / trials)
        weight /= dr.gather(mi.Float, density, chosen) * sights.chain.probability
        return self._sample(t, from_here, sights, found, weight, numbers, active)

    def _sample(
        self, t: Context, from_here: vertex.Vertex, sights: Any, found: Any, weight: Any, numbers: Any, active: Any
    ) -> Sample:
        """Light on either side of the crossings that were found, scattered at the vertices."""
        chain, store = sights.chain, from_here.store
        omega = chain.bundle.direction(found.position)
        mirrored = chain.length > 0
        store.keep(
            from_here.count - 1, from_here.hit, from_here.arriving, omega, mi.Float(1), mi.UInt32(0), mi.Float(0),
            active & mirrored,
        )  # fmt: skip
        scattered = from_here.scattered(omega, found.active)
        depth = from_here.count + chain.length
        jump = found.jump(sights, numbers, t.options, depth, self.silent(mirrored))
        jump *= found.look.end.weight * scattered * from_here.factor * weight

        def carried(origin: Any, direction: Any) -> list[Side]:
            """The segment leaves a delta lobe, or as the convention says."""
            far = surfaces.material(t.features, found.look.hit, found.look.ray, found.active)
            onward, _ = convention.scattered_direction(origin, omega, far, t.options.h, found.active)
            return [Side(jump, found.speed(sights, origin, dr.select(mirrored, direction, onward)))]

        end = found.look.end
        kept = Kept(from_here.ray, store, depth, mi.Point3f(end.origin), end.direction)
        return Sample.on_path(kept, from_here.position, carried, found.active)
