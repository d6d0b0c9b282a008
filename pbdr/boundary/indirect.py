"""Every other segment: visibility of edges from surfaces, for light that arrives after more than one scattering.

x_S lies on a camera path that is kept and swept like the interior's, so that x_S moves as its attached chain says. Three ways to
find samples: `reflected.py` goes from vertices of camera paths to edges, and from edges outwards to both sides; `shadows.py` from
lights past edges. This file knows what becomes of a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import guiding
from pbdr.transport import path, spectra, sweep
from pbdr.transport.features import Features
from pbdr.transport.film import AdjointField


@dataclass
class Sample:
    """Detached samples of the indirect boundary, and the attached speeds of their sides.

    `store`, `count`: the camera path up to and including x_S; `sides(x_S, ω)`: list of (detached weight
    spectrum, attached speed); ω is the attached direction of the segment where a delta lobe gives it, else not used.
    """

    ray: Any
    position: Any
    store: path.PathStore
    count: Any
    receiver: Any
    direction: Any
    sides: Callable[[Any, Any], list[tuple[Any, Any]]]
    active: Any
    lesson: guiding.Lesson | None = None  # for guiding: wants to know what the samples contribute


def radiance(
    scene: Any, starts: Sequence[tuple[Any, Any]], sampler: Any, options: path.PathOptions, active: Any, depth: Any,
    reflected_only: bool,
) -> list[Any]:  # fmt: skip
    """Radiance along each ray of `starts`, (hit, ray), by primal paths with common random numbers, after `depth` vertices."""
    primal = path.PathOptions(options.max_depth, options.rr_depth)
    numbers = [sampler, *(sampler.clone() for _ in starts[1:])]
    return [
        path.trace(scene, ray, hit, own, primal, active=active, depth=depth, reflected_only=reflected_only)[0]
        for (hit, ray), own in zip(starts, numbers, strict=True)
    ]


def backward(scene: Any, features: Features, options: path.PathOptions, field: AdjointField, sample: Sample) -> Any:
    """Accumulate the gradients of scene parameters; returns the number of samples that were not finite."""
    adjoint, _ = field.read(sample.position, sample.active, sample.ray.wavelengths)
    with dr.resume_grad():
        origin, direction = mi.Point3f(sample.receiver), mi.Vector3f(sample.direction)
        dr.enable_grad(origin, direction)
        objective, jump = _objective(sample, origin, direction, adjoint)
        if sample.lesson is not None:
            sample.lesson.learn(dr.select(sample.active, dr.abs(jump), 0))
        wrong = sample.active & ~dr.isfinite(dr.detach(objective))
        dr.schedule(wrong)  # with what the backward pass evaluates first, else all of it would be computed once more
        dr.backward_from(objective)
        adjoint_origin, adjoint_direction = mi.Vector3f(dr.grad(origin)), mi.Vector3f(dr.grad(direction))
    count = dr.select(sample.active, sample.count, 0)
    nothing = mi.Spectrum(0)
    _, d_origin, d_direction = sweep.sweep_backward(
        scene, features, options, sample.store, count, nothing, adjoint_origin, adjoint_direction
    )
    with dr.resume_grad():
        last = dr.select(sample.active, dr.dot(d_origin, sample.ray.o) + dr.dot(d_direction, sample.ray.d), 0)
        if dr.grad_enabled(last):
            dr.backward_from(last)
    return dr.count(wrong)


def _objective(sample: Sample, origin: Any, direction: Any, adjoint: Any) -> tuple[Any, Any]:
    """Attached scalar whose derivative the samples contribute; and, detached, its derivative by the speed of the edge alone."""
    total, jump = mi.Float(0), mi.Float(0)
    for weight, speed in sample.sides(origin, direction):
        scale = dr.detach(dr.sum(adjoint * weight))
        total += dr.select(sample.active & (scale != 0), scale * speed, 0)
        jump += scale
    return total, jump


def forward(
    scene: Any, features: Features, options: path.PathOptions, sample: Sample
) -> list[tuple[Any, Any, list[Any], Any]]:
    """Derivatives at film positions: (film position, of the colour, of other channels, active)."""
    with dr.resume_grad():
        ray_origin, ray_direction = mi.Vector3f(sample.ray.o), mi.Vector3f(sample.ray.d)
        d_origin, d_direction = sweep.tangents(ray_origin, ray_direction)
    count = dr.select(sample.active, sample.count, 0)
    _, d_receiver, d_onward, _ = sweep.sweep_forward(
        scene, features, options, sample.store, count, d_origin, d_direction
    )
    with dr.resume_grad():
        origin, direction = mi.Point3f(sample.receiver), mi.Vector3f(sample.direction)
        dr.enable_grad(origin, direction)
        dr.set_grad(origin, mi.Point3f(d_receiver))
        dr.set_grad(direction, d_onward)
        weights, speeds = zip(*sample.sides(origin, direction), strict=True)
        rates = sweep.tangents(*speeds)
    derivative = mi.Spectrum(0)
    for weight, rate in zip(weights, rates, strict=True):
        derivative += dr.select(sample.active & (dr.max(dr.abs(weight)) > 0), weight * rate, 0)
    if sample.lesson is not None:
        sample.lesson.learn(dr.select(sample.active, dr.sum(dr.abs(derivative)), 0))
    return [(sample.position, spectra.to_rgb(derivative, sample.ray.wavelengths), [], sample.active)]
