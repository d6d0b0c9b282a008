"""One gradient pass: the terms of equation (2) on the device, in reverse and in forward mode.

The plugin prepares what a pass needs (`Inputs`); nothing here waits for the device, except where mirrors
and glass are searched for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import mitsuba as mi

from pbdr import interior, seeds, sequence
from pbdr.boundary import motion, sample
from pbdr.boundary.connect import chains
from pbdr.boundary.context import Context
from pbdr.boundary.sampling import guiding, light_points
from pbdr.boundary.term import Term
from pbdr.boundary.terms import TERMS as BOUNDARY
from pbdr.geometry.edges import EdgeTable
from pbdr.transport import path, pixels
from pbdr.transport.features import Features
from pbdr.transport.film import FilmMap, Magnitude
from pbdr.transport.pixels import Pixels
from pbdr.transport.tracer import Tracer

#: Parts of the boundary, to one of which every class of `boundary.terms` adds, and their default budgets as shares of the camera
#: samples; docs/explanation/performance.md says why.
SHARES = {"primary": 1 / 3, "direct": 1 / 4, "indirect": 1 / 6}
#: Parts of a gradient: the fields of `rendering.Gradient`.
TERMS = ("interior", *SHARES)


@dataclass
class Inputs:
    """What changes from call to call, on the device.

    `h`: blend distance; `weights`: normalisation of the film; `adjoint`: image, in reverse mode; `table`: None when no edge is seen
    to move; `slot`: of `motion.Motion`; `learned`: None without guiding; `curve`: order of the pixels, if δL favours some.
    """

    seed: Any
    h: Any
    weights: Any
    adjoint: Any
    sequence: str
    table: EdgeTable | None = None
    outlines: light_points.Outlines | None = None
    slot: Any = None
    learned: guiding.State | None = None
    curve: Any = None

    def stream(self, name: str, count: int) -> Any:
        """The sampler with this name, for this number of lanes."""
        if self.sequence == "independent":
            return seeds.lanes(count, self.seed, name)
        return sequence.over_lanes(count, seeds.stream(self.seed, name))


def applicable(features: Features, tracer: Tracer) -> list[Term]:
    """Boundary terms of a scene with these features, by edge sampling."""
    return [term for term in BOUNDARY if features.moving and term.applies(features, tracer.max_depth)]


@dataclass
class GradientPass:
    """What stays the same from call to call: settings, features and options, sample counts, the terms asked for.

    `edges`: whether boundaries are sampled, not warped or left out; `follows_adjoint`: whether samples are where δL is large.
    """

    tracer: Tracer
    edges: bool
    follows_adjoint: bool
    features: Features
    options: path.PathOptions
    spp: int
    budgets: Mapping[str, int]
    chosen: tuple[str, ...]

    def backward(self, scene: Any, sensor: Any, given: Inputs) -> Any:
        """Accumulate the gradients of the attached parameters; returns the number of samples that were not finite."""
        options, film_map = self._begin(sensor, given)
        field = film_map.transpose(given.adjoint)
        magnitude = field.magnitude() if self.follows_adjoint else None
        context = self._context(scene, sensor, options, given, magnitude)
        nonfinite = mi.UInt32(0)
        if "interior" in self.chosen:
            sampler, starts = self._starts(sensor, given, magnitude)
            nonfinite += interior.backward(scene, sensor, self.tracer, self.features, options, field, sampler, starts)
        for one in self._samples(context):
            nonfinite += sample.backward(scene, self.features, options, field, one)
        return nonfinite

    def forward(self, scene: Any, sensor: Any, given: Inputs) -> Any:
        """Derivative image (H, W, C) for the tangents of the attached parameters."""
        options, film_map = self._begin(sensor, given)
        context = self._context(scene, sensor, options, given, None)
        parts = []
        if "interior" in self.chosen:
            sampler, starts = self._starts(sensor, given, None)
            parts += interior.forward(scene, sensor, self.tracer, self.features, options, film_map, sampler, starts)
        for one in self._samples(context):
            parts += sample.forward(scene, self.features, options, one)
        return film_map.splat(parts)

    def _begin(self, sensor: Any, given: Inputs) -> tuple[path.PathOptions, FilmMap]:
        options = dataclasses.replace(self.options, h=given.h)
        return options, FilmMap(sensor, self.tracer.aov_names(), given.weights)

    def _context(
        self, scene: Any, sensor: Any, options: path.PathOptions, given: Inputs, magnitude: Magnitude | None
    ) -> Context:
        moves = motion.Motion(scene, self.features, given.slot)
        mirrors = None
        if given.table is not None and self.features.delta_bsdfs and self.tracer.max_depth > 1:
            mirrors = chains.cells(scene, sensor, self.tracer, given.stream)
        return Context(
            scene, sensor, self.tracer, self.features, options, given.table, moves, given.outlines, given.learned, mirrors,
            magnitude, given.stream,
        )  # fmt: skip

    def _starts(self, sensor: Any, given: Inputs, magnitude: Magnitude | None) -> tuple[Any, Pixels]:
        """Sampler of the interior's paths and the pixels that they start from: all alike without `magnitude`."""
        film, curve = sensor.film(), None if magnitude is None else given.curve
        own = given.sequence == "independent"
        sampler, spp = pixels.sampler(sensor, given.seed, self.spp, "interior", own=own, curve=curve)
        if magnitude is None:
            return sampler, Pixels.alike(film, spp)
        offset = sequence.number(seeds.stream(given.seed, "pixels"))
        return sampler, Pixels.favoured(curve, spp, magnitude.values, offset)

    def _samples(self, context: Context) -> Iterator[sample.Sample]:
        """Samples of the boundary terms asked for, one set after the other; nothing when nothing moves."""
        if not self.edges:
            return
        for term in applicable(self.features, self.tracer):
            count = term.count(self.budgets)
            if term.part in self.chosen and count and not (term.needs_table and context.table is None):
                yield from term.draw(context, count)
