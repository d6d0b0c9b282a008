"""The directions of the unknowns that error bars are given for: single numbers, and how large groups of numbers move together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.inverse.problem import Problem
from pbdr.inverse.state import State
from pbdr.parameters.variables import Latent

Array = NDArray[np.float64]

#: Latents with more numbers than this are seen by their directions.
FEW = 12


@dataclass(frozen=True)
class Column:
    """One direction of the unknowns. `tangent`: of the value of `latent`; `unit`: the step that would be large for it.

    `what`: "" for a single number, else what moves, for example "scale of red".
    """

    name: str
    variable: str
    latent: Latent
    tangent: Array
    unit: float
    value: float | None
    what: str = ""


def columns(problem: Problem, state: State) -> Iterator[Column]:
    """Directions of the unknowns in units of their values."""
    bound = problem.at(state)
    values = bound.values({key: dr.detach(state.latents[key]) for key in bound.latents})
    for key, latent in bound.latents.items():
        value = np.array(values[key], dtype=np.float64)
        if latent.map.poses:
            yield from _of_latent(problem, state, key, latent)
        elif value.size <= FEW:
            for i, number in enumerate(value.reshape(-1)):
                tangent = np.zeros(value.size)
                tangent[i] = 1
                yield Column(
                    _indexed(latent.parameter.name, i, value.size), latent.variable, latent, tangent.reshape(value.shape),
                    natural(number, latent.bounds), float(number),
                )  # fmt: skip
        else:
            yield from _groups(latent, value)


def _groups(latent: Latent, value: Array) -> Iterator[Column]:
    name, channels = latent.parameter.name, value.shape[-1]
    colors = ("red", "green", "blue") if channels == 3 else tuple(str(c) for c in range(channels))
    for c in range(channels if channels <= 4 else 0):
        tangent = np.zeros(value.shape)
        if latent.parameter.row.length:
            tangent[..., c] = 1
            size = float(np.ptp(value.reshape(-1, channels), axis=0).max()) or 1.0
            yield Column(name, latent.variable, latent, tangent, size, None, f"shift along {'xyzw'[c]}")
        else:
            tangent[..., c] = value[..., c]
            yield Column(
                name, latent.variable, latent, tangent, 1.0, None, f"scale of {colors[c]}" if channels > 1 else "scale"
            )


def _of_latent(problem: Problem, state: State, key: str, latent: Latent) -> Iterator[Column]:
    """Directions of the few numbers that stand for a pose, which are about one when they are large."""
    count = int(np.prod(state.latents[key].shape))
    for i in range(count if count <= FEW else 0):
        leaf = mi.TensorXf(state.latents[key])
        dr.enable_grad(leaf)
        value = latent.map.to_value(leaf, latent.place)
        one = np.zeros(count, np.float32)
        one[i] = 1
        dr.set_grad(leaf, mi.TensorXf(one.reshape(leaf.shape)))
        dr.forward_to(value)
        tangent = np.array(dr.grad(value), dtype=np.float64)
        yield Column(
            _indexed(latent.parameter.name, i, count), latent.variable, latent, tangent, 1.0, None, f"number {i}"
        )


def natural(number: float, bounds: tuple[float, float]) -> float:
    """Return a step that would be large for a number: the width of its bounds, else its distance from the finite one, or itself."""
    lo, hi = bounds
    if math.isfinite(lo) and math.isfinite(hi):
        return hi - lo
    distance = abs(number - lo) if math.isfinite(lo) else abs(number - hi) if math.isfinite(hi) else abs(number)
    return distance or 1.0


def _indexed(name: str, i: int, count: int) -> str:
    return name if count == 1 else f"{name}[{i}]"
