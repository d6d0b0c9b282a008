"""A sample of a boundary term, and what it contributes in reverse and in forward mode.

Every term draws these, whatever it samples: a film position, and for each side of the discontinuity a detached weight times the
attached speed of the curve, equation (5). Where x_S is not what the camera sees first, the camera path up to x_S is kept, and
swept like those of the interior, so that x_S moves as its attached chain says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.sampling import guiding
from pbdr.transport import path, spectra, sweep
from pbdr.transport.features import Features
from pbdr.transport.film import AdjointField

#: A derivative on the film: (film position, of the colour, of alpha and the extra channels, active).
Part = tuple[Any, Any, list[Any], Any]


@dataclass
class Side:
    """What one side of the discontinuity carries.

    `weight`: detached, of the radiance at the sample's wavelengths; `speed`: attached, m̂·v; `others`: detached weights of alpha and
    the extra channels, none where these do not jump.
    """

    weight: Any
    speed: Any
    others: Sequence[Any] = ()


@dataclass
class Kept:
    """A camera path up to and including x_S: its attached camera ray, its vertices and their number; x_S and ω, detached."""

    ray: Any
    store: path.PathStore
    count: Any
    receiver: Any
    direction: Any


@dataclass
class Sample:
    """Samples of a boundary term on the lanes that are `active`.

    `sides` (x_S, ω): what both sides carry, for the attached x_S and direction of the segment that leaves it; both are None where
    no path is kept. `kept`: that path. `lesson`: guiding learns from what the samples contribute.
    """

    position: Any
    sides: Callable[[Any, Any], list[Side]]
    active: Any
    wavelengths: Any = None  # transport/spectra.py
    kept: Kept | None = None
    lesson: guiding.Lesson | None = None

    @staticmethod
    def on_film(position: Any, side: Side, active: Any, wavelengths: Any) -> Sample:
        """One whose segment starts at the camera, or whose x_S the term has moved itself: all of it is in one `side`."""
        return Sample(position, lambda *_: [side], active, wavelengths)

    @staticmethod
    def on_path(
        kept: Kept,
        position: Any,
        sides: Callable[[Any, Any], list[Side]],
        active: Any,
        lesson: guiding.Lesson | None = None,
    ) -> Sample:
        """One whose segment leaves the last vertex of a path that is kept."""
        return Sample(position, sides, active, kept.ray.wavelengths, kept, lesson)


@dataclass
class _Start:
    """Attached x_S and ω of a kept path; both None without one."""

    origin: Any = None
    direction: Any = None

    @staticmethod
    def of(kept: Kept | None) -> _Start:
        if kept is None:
            return _Start()
        origin, direction = mi.Point3f(kept.receiver), mi.Vector3f(kept.direction)
        dr.enable_grad(origin, direction)
        return _Start(origin, direction)


def backward(scene: Any, features: Features, options: path.PathOptions, field: AdjointField, sample: Sample) -> Any:
    """Accumulate the gradients of scene parameters; returns the number of samples that were not finite."""
    adjoint, others = field.read(sample.position, sample.active, sample.wavelengths)
    kept = sample.kept
    with dr.resume_grad():
        start = _Start.of(kept)
        objective, jump = _objective(sample, start, adjoint, others)
        if sample.lesson is not None:
            sample.lesson.learn(dr.select(sample.active, dr.abs(jump), 0))
        wrong = sample.active & ~dr.isfinite(dr.detach(objective))
        dr.schedule(wrong)  # with what the backward pass evaluates first, else all of it would be computed once more
        if dr.grad_enabled(objective):
            dr.backward_from(objective)
        if kept is not None:
            adjoint_origin, adjoint_direction = (
                mi.Vector3f(dr.grad(start.origin)),
                mi.Vector3f(dr.grad(start.direction)),
            )
    if kept is None:
        return dr.count(wrong)
    count = dr.select(sample.active, kept.count, 0)
    _, d_origin, d_direction = sweep.sweep_backward(
        scene, features, options, kept.store, count, mi.Spectrum(0), adjoint_origin, adjoint_direction
    )
    with dr.resume_grad():
        last = dr.select(sample.active, dr.dot(d_origin, kept.ray.o) + dr.dot(d_direction, kept.ray.d), 0)
        if dr.grad_enabled(last):
            dr.backward_from(last)
    return dr.count(wrong)


def _objective(sample: Sample, start: _Start, adjoint: Any, others: list[Any]) -> tuple[Any, Any]:
    """Attached scalar whose derivative the samples contribute; and, detached, its derivative by the speed of the edge alone."""
    total, jump = mi.Float(0), mi.Float(0)
    for side in sample.sides(start.origin, start.direction):
        scale = dr.sum(adjoint * side.weight)
        for along, other in zip(others, side.others, strict=False):
            scale += along * other
        scale = dr.detach(scale)
        total += dr.select(sample.active & (scale != 0), scale * side.speed, 0)
        jump += scale
    return total, jump


def forward(scene: Any, features: Features, options: path.PathOptions, sample: Sample) -> list[Part]:
    """Derivatives at film positions, for the tangents of the attached parameters."""
    kept = sample.kept
    if kept is not None:
        with dr.resume_grad():
            tangents = sweep.tangents(mi.Vector3f(kept.ray.o), mi.Vector3f(kept.ray.d))
        count = dr.select(sample.active, kept.count, 0)
        _, d_receiver, d_onward, _ = sweep.sweep_forward(scene, features, options, kept.store, count, *tangents)
    with dr.resume_grad():
        start = _Start.of(kept)
        if kept is not None:
            dr.set_grad(start.origin, mi.Point3f(d_receiver))
            dr.set_grad(start.direction, d_onward)
        sides = sample.sides(start.origin, start.direction)
        rates = sweep.tangents(*(side.speed for side in sides))
    derivative, others = mi.Spectrum(0), [mi.Float(0) for _ in sides[0].others]
    for side, rate in zip(sides, rates, strict=True):
        counts = dr.max(dr.abs(side.weight)) > 0
        for other in side.others:
            counts |= other != 0
        rate = dr.select(sample.active & counts, rate, 0)
        derivative += side.weight * rate
        others = [total + other * rate for total, other in zip(others, side.others, strict=True)]
    if sample.lesson is not None:
        sample.lesson.learn(dr.select(sample.active, dr.sum(dr.abs(derivative)), 0))
    return [(sample.position, spectra.to_rgb(derivative, sample.wavelengths), others, sample.active)]
