"""Textures that jump inside faces, as the camera and other surfaces see them, in mirrors and through glass, too.

pattern_lines.py finds the lines along which they jump (docs/theory.md, section 7f).
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
from pbdr.boundary.inside_faces.pattern_lines import Sights
from pbdr.boundary.inside_faces.steps import FROM_SURFACES, TRIALS
from pbdr.boundary.sample import Sample, Side
from pbdr.boundary.term import Term
from pbdr.transport import camera, channels, emission, path
from pbdr.transport.features import Features

ANYWHERE = 0.25  # share of directions that are spread over the sphere, for surfaces that let light through, too


def over_film(context: Context, count: int, lengths: chains.Lengths) -> steps.OverFilm | None:
    """Of `TRIALS * count` steps over the film those that cross lines, but `count` at most; None if there are none."""
    sights_of = functools.partial(_sights, context.features)
    return steps.OverFilm.of(context, TRIALS * count, lengths, f"steps over patterns {lengths.first}", sights_of, count)


def _sights(features: Features, chain: chains.Chain, sampler: Any) -> Sights:
    return Sights.of(chain, features, sampler)


class PatternsOnFilm(Term):
    """Lines of textures as the camera sees them in a straight line, from `TRIALS` steps over the film for each sample."""

    part, divisor, memory = "primary", 2, 64 * TRIALS

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where textures move on the film."""
        return features.moving_edges and features.patterns_on_film

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """Those that the steps cross."""
        drawn = over_film(context, count, chains.Lengths(0, 0))
        if drawn is not None:
            yield sample(context, drawn)


def sample(context: Context, drawn: steps.OverFilm) -> Sample:
    """What the camera sees on either side of the lines that were found."""
    t, options = context, context.tracer.path_options(directed=context.features.directed)
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
        drawn = over_film(context, count, context.mirrors.lengths(context.tracer.max_depth - 1))
        if drawn is not None:
            yield drawn.seen(context, "light on mirrored patterns")


class PatternsFromSurfaces(Term):
    """The same as vertices of camera paths see it, which look in `TRIALS` directions each."""

    part, divisor, memory = "indirect", 6, 64 * TRIALS

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where points that see such textures move, or the textures do."""
        return features.patterns_from_surfaces and max_depth > 2

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """One direction that crosses a line stands for all.

        What a surface in a straight line emits is left out: its emission follows the material point, and its texture with it.
        """
        lengths = lengths_from_surfaces(context.features, context.tracer.max_depth - 2)
        sights_of = functools.partial(_sights, context.features)
        looking = steps.FromSurfaces("patterns", lengths, _look_around, sights_of, lambda mirrored: ~mirrored)
        yield looking.sample(context, count)


def _look_around(first: vertex.Vertex, lane: Any, sampler: Any) -> tuple[Any, Any]:
    """Directions in which surfaces look, mostly to the side that they are seen from; and their density."""
    normal = dr.gather(type(first.si.n), first.si.n, lane)
    turned = dr.gather(mi.Bool, dr.dot(first.si.n, first.arriving.d) > 0, lane)
    u, v = sampler.next_1d(), sampler.next_2d()
    up = dr.select(turned, -normal, normal)
    cosine = mi.Frame3f(up).to_world(mi.warp.square_to_cosine_hemisphere(v))
    omega = dr.select(u < ANYWHERE, mi.warp.square_to_uniform_sphere(v), cosine)
    along = dr.maximum(dr.dot(omega, up), 0)
    return omega, ANYWHERE * emission.UNIFORM_SPHERE + (1 - ANYWHERE) * dr.inv_pi * along


def lengths_from_surfaces(features: Features, limit: int) -> chains.Lengths:
    """Numbers of delta lobes by way of which other surfaces see patterns; `limit`: as many as the depth allows."""
    return chains.Lengths(0, min(FROM_SURFACES, limit) if features.delta_bsdfs else 0)
