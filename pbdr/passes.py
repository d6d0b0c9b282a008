"""One gradient pass: the terms of equation (2) on the device, in reverse and in forward mode.

The plugin prepares what a pass needs (`Inputs`); nothing here waits for the device, except where mirrors
and glass are searched for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mitsuba as mi

from pbdr import interior, seeds, sequence
from pbdr.boundary import (
    chains,
    clipped,
    direct,
    frustum,
    guiding,
    horizon,
    indirect,
    mapped,
    patterns,
    primary,
    reflected,
    segment,
    shadows,
    sightlines,
    specular,
    terminator,
    terms,
)
from pbdr.boundary.edges import EdgeTable
from pbdr.transport import path
from pbdr.transport.features import Features
from pbdr.transport.film import FilmMap, Magnitude
from pbdr.transport.pixels import Pixels

TERMS = ("interior", "primary", "direct", "indirect")
#: Default budgets of the boundary terms, as shares of the camera samples; docs/explanation/performance.md says why.
SHARES = {"primary": 1 / 3, "direct": 1 / 4, "indirect": 1 / 6}


@dataclass
class Inputs:
    """What changes from call to call, on the device.

    `h`: blend distance; `weights`: normalisation of the film; `adjoint`: image, in reverse mode; `table`: None when no edge is seen
    to move; `slot`: of `segment.Motion`; `learned`: None without guiding; `curve`: order of the pixels, if δL favours some.
    """

    seed: Any
    h: Any
    weights: Any
    adjoint: Any
    sequence: str
    table: EdgeTable | None = None
    outlines: direct.Outlines | None = None
    slot: Any = None
    learned: guiding.State | None = None
    curve: Any = None

    def stream(self, name: str, count: int) -> Any:
        """The sampler with this name, for this number of lanes."""
        if self.sequence == "independent":
            return seeds.lanes(count, self.seed, name)
        return sequence.over_lanes(count, seeds.stream(self.seed, name))


@dataclass
class GradientPass:
    """What stays the same from call to call: features and options, sample counts, the terms asked for."""

    integrator: Any
    features: Features
    options: path.PathOptions
    spp: int
    budgets: dict[str, int]
    chosen: tuple[str, ...]

    def backward(self, scene: Any, sensor: Any, given: Inputs) -> Any:
        """Accumulate the gradients of the attached parameters; returns the number of samples that were not finite."""
        features = self.features
        options, film_map, mirrors, motion = self._begin(scene, sensor, given)
        field = film_map.transpose(given.adjoint)
        magnitude = field.magnitude() if self.integrator.options.follows_adjoint else None
        nonfinite = mi.UInt32(0)
        if "interior" in self.chosen:
            sampler, starts = self._starts(sensor, given, magnitude)
            nonfinite += interior.backward(scene, sensor, self.integrator, features, options, field, sampler, starts)
        for samples in self._boundary(scene, sensor, given, motion, magnitude):
            nonfinite += terms.backward(samples, field)
        for drawn in self._indirect(scene, sensor, options, given, motion, mirrors):
            nonfinite += indirect.backward(scene, features, options, field, drawn)
        return nonfinite

    def forward(self, scene: Any, sensor: Any, given: Inputs) -> Any:
        """Derivative image (H, W, C) for the tangents of the attached parameters."""
        features = self.features
        options, film_map, mirrors, motion = self._begin(scene, sensor, given)
        parts = []
        if "interior" in self.chosen:
            sampler, starts = self._starts(sensor, given, None)
            parts += interior.forward(scene, sensor, self.integrator, features, options, film_map, sampler, starts)
        for samples in self._boundary(scene, sensor, given, motion, None):
            parts += terms.forward(samples)
        for drawn in self._indirect(scene, sensor, options, given, motion, mirrors):
            parts += indirect.forward(scene, features, options, drawn)
        return film_map.splat(parts)

    def _begin(self, scene: Any, sensor: Any, given: Inputs) -> tuple[path.PathOptions, FilmMap, Any, segment.Motion]:
        """What both modes start with: (path options, film, mirrors that the camera sees, motion of the edges)."""
        options = dataclasses.replace(self.options, h=given.h)
        film_map = FilmMap(sensor, self.integrator.aov_names(), given.weights)
        mirrors = self._mirrors(scene, sensor, given)
        return options, film_map, mirrors, segment.Motion(scene, self.features, given.slot)

    def _starts(self, sensor: Any, given: Inputs, magnitude: Magnitude | None) -> tuple[Any, Pixels]:
        """Sampler of the interior's paths and the pixels that they start from: all alike without `magnitude`."""
        film, curve = sensor.film(), None if magnitude is None else given.curve
        sampler, spp = self.integrator._sampler(sensor, given.seed, self.spp, "interior", curve=curve)
        if magnitude is None:
            return sampler, Pixels.alike(film, spp)
        offset = sequence.number(seeds.stream(given.seed, "pixels"))
        return sampler, Pixels.favoured(curve, spp, magnitude.values, offset)

    def _mirrors(self, scene: Any, sensor: Any, given: Inputs) -> Any:
        """Where the camera sees mirrors and glass; None if nowhere."""
        if given.table is None or not self.features.delta_bsdfs or self.integrator.max_depth < 2:
            return None
        return chains.cells(scene, sensor, self.integrator, given.stream)

    def _boundary(
        self, scene: Any, sensor: Any, given: Inputs, motion: segment.Motion, magnitude: Magnitude | None
    ) -> Iterator[list[terms.Contribution]]:
        """Samples of the boundary terms asked for; nothing when nothing moves. `magnitude`: what edges on film are favoured by."""
        features, table, stream, tracer = self.features, given.table, given.stream, self.integrator
        options = tracer._path_options()
        count = self.budgets["primary"]
        if tracer.options.boundary == "edge" and features.moving and "primary" in self.chosen and count:
            yield mapped.sample(scene, sensor, tracer, features.maps, options, stream, count)
        if table is None or not features.moving_edges:
            return
        if "primary" in self.chosen and features.patterns_on_film and count:
            technique = reflected.Technique(scene, sensor, tracer, features, table, motion, self.options)
            yield patterns.sample(technique, stream, options, max(count // 2, 1))
        if "primary" in self.chosen and (features.moving_shapes or features.sensor_moves) and count:
            yield primary.sample(
                scene, sensor, tracer, features, table, motion, options, stream("primary", count), count, magnitude
            )
            half = max(count // 2, 1)
            rims = stream("horizon", half)
            smooth = frozenset(range(len(scene.shapes()))) if features.sensor_moves else features.moving_shapes
            yield horizon.sample(scene, sensor, tracer, smooth, options, rims, half, magnitude)
            for plane in sorted(features.clipped):
                lines = stream(f"{plane} plane", half)
                yield clipped.sample(scene, sensor, tracer, features, options, lines, half, plane)
        count = self.budgets["direct"]
        if "direct" in self.chosen and tracer.max_depth > 1 and count:
            points = stream("direct edges", count)
            yield direct.sample(scene, sensor, tracer, features, table, motion, given.outlines, points, count)
            half = max(count // 2, 1)
            for side in (1, -1):  # with the same random numbers
                yield terminator.sample(scene, sensor, tracer, features, stream("terminator", half), half, side)

    def _indirect(
        self, scene: Any, sensor: Any, options: path.PathOptions, given: Inputs, motion: segment.Motion, mirrors: Any
    ) -> Iterator[indirect.Sample]:
        """Samples of the boundary terms whose x_S lies on a kept path: edges in mirrors and glass, and the indirect term."""
        features, table, stream = self.features, given.table, given.stream
        tracer, chosen = self.integrator, self.chosen
        technique = reflected.Technique(scene, sensor, tracer, features, table, motion, options, given.learned)
        deeper = "indirect" in chosen and tracer.max_depth > 2 and self.budgets["indirect"] > 0
        sixth = max(self.budgets["indirect"] // 6, 1)
        if tracer.options.boundary == "edge" and features.moving:
            count = self.budgets["primary"]
            lengths = sightlines.lengths(features, mirrors, tracer.max_depth - 2)
            if "primary" in chosen and count and lengths is not None:
                drawn = sightlines.seen_by_camera(technique, stream, max(count // 2, 1), lengths)
                if drawn is not None:
                    yield drawn
            lengths = sightlines.lengths_from_surfaces(features, tracer.max_depth - 3)
            if deeper and lengths is not None:
                yield sightlines.seen_from_surfaces(technique, stream, sixth, lengths)
            if deeper:
                drawn = mapped.seen_from_surfaces(technique, features.maps, stream, sixth)
                if drawn is not None:
                    yield drawn
        if table is None:
            return
        ways = (None,) if mirrors is None or tracer.max_depth == 2 else (None, mirrors)
        if mirrors is not None and "primary" in chosen and count:
            yield specular.draw(scene, sensor, tracer, table, motion, options, stream, count, mirrors)
        if features.patterns is not None:
            yield from self._patterns(technique, given, mirrors, deeper)
        count = self.budgets["direct"]
        if "direct" in chosen and tracer.max_depth > 1 and count:
            yield from filter(
                None, (frustum.draw(scene, sensor, tracer, features, options, stream, count, x) for x in ways)
            )
        count = self.budgets["indirect"]
        if deeper:
            third = max(count // 3, 1)
            yield reflected.from_camera(technique, stream("indirect from the camera", third), third)
            for way in ways:
                if way is None or tracer.max_depth > 3:
                    sampler = stream("indirect from edges" if way is None else "mirrored edges", third)
                    yield reflected.from_edges(technique, sampler, third, way)
                if way is None or tracer.max_depth > 3 or features.delta_lights:
                    drawn = shadows.draw(
                        scene, sensor, tracer, features, table, motion, options, given.outlines, stream, third, way
                    )
                    if drawn is not None:
                        yield drawn
            for rims in (horizon.seen_from_surfaces, terminator.on_paths):
                drawn = rims(technique, stream, sixth)
                if drawn is not None:
                    yield drawn

    def _patterns(
        self, technique: reflected.Technique, given: Inputs, mirrors: Any, deeper: bool
    ) -> Iterator[indirect.Sample]:
        """Textures that jump inside faces, as they are seen in mirrors, through glass and from other surfaces."""
        stream, limit, count = given.stream, self.integrator.max_depth - 1, self.budgets["primary"]
        if mirrors is not None and "primary" in self.chosen and count:
            drawn = patterns.seen_in_mirrors(technique, stream, max(count // 2, 1), mirrors.lengths(limit))
            if drawn is not None:
                yield drawn
        if deeper and self.features.patterns_from_surfaces:
            lengths = patterns.lengths_from_surfaces(self.features, limit - 1)
            yield patterns.seen_from_surfaces(technique, stream, max(self.budgets["indirect"] // 6, 1), lengths)
