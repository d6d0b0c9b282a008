"""Shading horizons found from lines of sight: those seen in mirrors and through glass, and those on instances and grids.

Neighbouring lines of sight that meet the same surface where its shading normal looks at them and where it does not, have a horizon
between them (horizon.py, mapped.py). Short steps of the film position, or of the direction in which another surface looks, find
it, however many delta lobes lie in between. How fast it moves there follows from how n·ω changes along the attached ray
(docs/theory.md, section 7a).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.connect import chains, vertex
from pbdr.boundary.context import Context
from pbdr.boundary.inside_faces import steps
from pbdr.boundary.inside_faces.horizon_lines import Sights
from pbdr.boundary.inside_faces.steps import FROM_SURFACES, TRIALS
from pbdr.boundary.sample import Sample
from pbdr.boundary.term import Term
from pbdr.transport import emission
from pbdr.transport.features import Features


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
        if possible is None:
            return
        sights_of = functools.partial(_sights, context.features)
        drawn = steps.OverFilm.of(context, TRIALS * count, possible, "steps of sight", sights_of)
        if drawn is not None:
            yield drawn.seen(context, "light on sights")


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
            sights_of = functools.partial(_sights, context.features)
            # What the surface itself emits does not depend on its normal.
            looking = steps.FromSurfaces("sights", possible, _all_around, sights_of, lambda mirrored: True)
            yield looking.sample(context, count)


def _sights(features: Features, chain: chains.Chain, sampler: Any) -> Sights:
    return Sights.of(chain, features, sampler)


def _all_around(first: vertex.Vertex, lane: Any, sampler: Any) -> tuple[Any, Any]:
    """Directions over the whole sphere, and their density."""
    omega = mi.warp.square_to_uniform_sphere(sampler.next_2d())
    return omega, dr.full(mi.Float, emission.UNIFORM_SPHERE, dr.width(lane))
