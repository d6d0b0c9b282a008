"""What a boundary sample contributes, in reverse and in forward mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.transport import spectra
from pbdr.transport.film import AdjointField


@dataclass
class Contribution:
    """Samples of a boundary term: film position, detached weights, attached speed m̂·v, active lanes.

    `weight` is that of the radiance at the sample's `wavelengths`, `others` those of alpha and the extra channels (empty: zero).
    """

    position: Any
    weight: Any
    others: list[Any]
    speed: Any
    active: Any
    wavelengths: Any = None  # transport/spectra.py


def backward(contributions: list[Contribution], field: AdjointField) -> Any:
    """Accumulate the gradients of scene parameters; returns the number of samples that were not finite."""
    nonfinite = mi.UInt32(0)
    for sample in contributions:
        adjoint, adjoint_others = field.read(sample.position, sample.active, sample.wavelengths)
        weight = dr.sum(adjoint * sample.weight)
        for along, other in zip(adjoint_others, sample.others, strict=False):
            weight += along * other
        with dr.resume_grad():
            objective = dr.select(sample.active, dr.detach(weight) * sample.speed, 0)
            wrong = sample.active & ~dr.isfinite(dr.detach(objective))
            # With what the backward pass evaluates first, else all of it would be computed once more.
            dr.schedule(wrong)
            if dr.grad_enabled(objective):
                dr.backward_from(objective)
        nonfinite += dr.count(wrong)
    return nonfinite


def forward(contributions: list[Contribution]) -> list[tuple[Any, Any, list[Any], Any]]:
    """Derivatives at film positions: (film position, of the colour, of the other channels, active)."""
    parts = []
    for sample in contributions:
        with dr.resume_grad():
            if not dr.grad_enabled(sample.speed):
                continue
            speed = dr.forward_to(sample.speed, flags=dr.ADFlag.ClearEdges)
        speed = dr.select(sample.active, speed, 0)
        colour = spectra.to_rgb(sample.weight * speed, sample.wavelengths)
        parts.append((sample.position, colour, [x * speed for x in sample.others], sample.active))
    return parts
