"""What images can tell of the unknowns: error bars of an estimate, and the directions that stay open.

Near the minimum an image is linear in the unknowns, I(θ + δ) ≈ I + Jδ, and least squares with weights W moves them by
δ = −H⁻¹ Jᵀ W (I − T), H = JᵀWJ (Gauss–Newton). What is uncertain of it comes from the noise of the target T and of the render I:
C = H⁻¹ S H⁻¹ with S the covariance of JᵀW(I − T), summed pixel by pixel (the sandwich of Huber 1967 and White 1980).

H is the product of two Jacobians with random numbers of their own, so that Monte Carlo noise adds nothing to its mean. Otherwise
noise would look like information in directions that images say nothing about, and such a direction could not be found.

Numbers that a fit moves by the thousand, texels and vertices, stand in the Jacobian by the few directions in which they trade
with other unknowns: a factor for each channel of a texture, a shift for a mesh. `texels` has a bar for each texel, the others
being held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.errors import DivergedError
from pbdr.inverse.directions import FEW, Array, Column, columns, natural
from pbdr.inverse.problem import Problem
from pbdr.inverse.state import State
from pbdr.parameters.attach import attached
from pbdr.seeds import hashed

#: Samples of a derivative image and of an image, over all pixels, and the least and most in a pixel.
JACOBIAN, IMAGE, SPP = 1 << 16, 1 << 18, (4, 256)
#: Pairs of random sign images for the bars of texels, for each view; views that are looked at.
PROBES, VIEWS = 2, 16
#: A direction is open if its standard deviation is above this part of the unknowns' natural units, or if what images seem to say of
#: it is less than this many times its Monte Carlo noise.
OPEN, NOISE = 0.1, 3.0
#: Unknowns belong to an open direction if they take this part in it.
SHARE = 0.25
#: Squared radiance below which pixels count alike, relative to the mean square of the image; above it, relative errors count.
FLOOR = 0.1


@dataclass(frozen=True)
class Bar:
    """Error bar of one unknown, in its own units; of a factor if `value` is None.

    unit    a step that would be large for it
    offset  from the estimate to where Gauss–Newton puts the minimum: how far the fit is from having converged
    sd      standard deviation of value + offset; intervals are about that point
    """

    name: str
    variable: str
    what: str
    value: float | None
    unit: float
    offset: float
    sd: float

    def interval(self, sigmas: float) -> tuple[float, float]:
        """Return the ends of value + offset ± sigmas · sd."""
        middle = (0.0 if self.value is None else self.value) + self.offset
        return middle - sigmas * self.sd, middle + sigmas * self.sd


@dataclass(frozen=True)
class Direction:
    """An open direction: standard deviation in natural units, and the shares of the unknowns that make it, by name."""

    sd: float
    shares: dict[str, float]

    def told(self) -> str:
        """Return the unknowns that trade with each other, largest share first."""
        names = [n for n, s in sorted(self.shares.items(), key=lambda item: -abs(item[1])) if abs(s) >= SHARE]
        return " × ".join(names)


@dataclass(frozen=True)
class Identification:
    """What `identify` finds. `texels`: standard deviations (H, W) by parameter name, every other unknown being held."""

    bars: list[Bar]
    open: list[Direction]
    texels: dict[str, Array] = field(default_factory=dict)


def identify(problem: Problem, state: State, *, seed: int = 0, texels: bool = True) -> Identification:
    """Return error bars of the estimate `state`, and the directions in which images leave it open.

    Values of functions have neither. It renders, of at most VIEWS views, two images and two derivative images for each direction.
    """
    problem.at(state).apply(state.latents)
    found = list(columns(problem, state))
    if not found:  # functions alone
        return Identification([], [])
    chosen = _spread(len(problem.views), VIEWS)
    sums = _Sums(len(found))
    for index in chosen:
        sums.add(*_linearised(problem, found, index, seed))
    bars, directions = _solved(found, sums, len(problem.views) / len(chosen))
    maps = _texels(problem, state, chosen, sums, seed) if texels else {}
    return Identification(bars, directions, maps)


def _spread(count: int, most: int) -> list[int]:
    return sorted({round(i * (count - 1) / max(1, min(count, most) - 1)) for i in range(min(count, most))})


# ---- one view ----------------------------------------------------------------------------------------------------


def _linearised(
    problem: Problem, columns: Sequence[Column], index: int, seed: int
) -> tuple[Array, Array, Array, Array]:
    """Return two Jacobians (pixels, channels, columns) and two residuals (pixels, channels), each times the root of its weight."""
    images = [_image(problem, index, hashed(seed, "identify", half, index)) for half in range(2)]
    shape = images[0].shape
    given, mask = problem.targets.radiance(index, shape)
    target = np.array(given, dtype=np.float64)
    # Each residual has the weight of the other image: with its own, noise that makes a pixel bright would make it count less.
    weights = [_weight(image, mask) for image in images]
    root = np.sqrt(0.5 * (weights[0] + weights[1]))
    parts = [(image - target) * weight for image, weight in zip(images, weights[::-1], strict=True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        residuals = [np.where(root > 0, part / root, 0.0).reshape(-1, shape[2]) for part in parts]
    jacobians = []
    for half in range(2):
        made = [_derivative(problem, c, index, hashed(seed, "jacobian", half, index)) for c in columns]
        jacobians.append(np.stack([(d[..., : shape[2]] * root).reshape(-1, shape[2]) for d in made], axis=-1))
    return jacobians[0], jacobians[1], residuals[0], residuals[1]


def _weight(image: Array, mask: Any) -> Array:
    """Return (H, W, 1): relative errors count where an image is bright, absolute ones where it is dark, times mask²."""
    square = np.square(image).mean(axis=2, keepdims=True)
    weight: Array = 1 / (square + FLOOR * max(float(square.mean()), 1e-12))
    return weight if mask is None else weight * np.square(np.array(mask, dtype=np.float64)[..., None])


def _spp(problem: Problem, index: int, samples: int) -> int:
    """Return samples per pixel that make about as many samples of view `index`; a power of two."""
    width, height = problem.film(index, 1.0)
    return int(np.clip(2 ** round(math.log2(samples / (width * height))), *SPP))


def _image(problem: Problem, index: int, seed: int) -> Array:
    channels = np.asarray(problem.views[index].target).shape[2]
    with dr.suspend_grad():
        image = mi.render(
            problem.bound.scene.mi,
            sensor=problem.sensor(index),
            integrator=problem.integrator,
            spp=_spp(problem, index, IMAGE),
            seed=seed,
        )
    return np.array(image, dtype=np.float64)[..., :channels]


def _derivative(problem: Problem, column: Column, index: int, seed: int) -> Array:
    """Return the derivative image (H, W, C) for a change along `column`."""
    scene, name = problem.bound.scene.mi, column.latent.parameter.name
    with attached(scene, {name: column.latent.parameter}) as leaves:
        leaves.set_tangents({name: column.tangent})
        image = problem.integrator.render_forward(
            scene, leaves.params, sensor=problem.sensor(index), seed=seed, spp=_spp(problem, index, JACOBIAN)
        )
        return np.array(image, dtype=np.float64)


# ---- the normal equations ----------------------------------------------------------------------------------------


class _Sums:
    """Sums over pixels: H, JᵀWr, and the mean square of the weighted residual; and the pixels themselves."""

    def __init__(self, count: int) -> None:
        self.h = np.zeros((count, count))
        self.slope = np.zeros(count)
        self.pixels: list[tuple[Array, Array, Array]] = []
        self.square, self.count = 0.0, 0

    def add(self, j1: Array, j2: Array, r1: Array, r2: Array) -> None:
        """Add the pixels of a view."""
        cross = np.einsum("pca,pcb->ab", j1, j2)
        self.h += 0.5 * (cross + cross.T)
        mean = 0.5 * (r1 + r2)
        self.pixels.append((j1, j2, mean))
        self.slope += np.einsum("pca,pc->a", 0.5 * (j1 + j2), mean)
        self.square += float((r1 * r2).sum())
        self.count += r1.size

    def spread(self, offset: Array) -> Array:
        """Return the covariance of JᵀWr at the minimum, which is `offset` away: what is left there is noise, and what no unknown
        explains.

        Channels of a pixel share their noise; pixels do not.
        """
        total = np.zeros_like(self.h)
        for j1, j2, mean in self.pixels:
            both = 0.5 * (j1 + j2)
            each = np.einsum("pca,pc->pa", both, mean + both @ offset)
            total += each.T @ each
        return total

    def noise(self, direction: Array) -> float:
        """Return the standard error of directionᵀ H direction if images say nothing of it: how far the two Jacobians differ."""
        squares = (np.square((a - b) @ direction).sum(1) for a, b, _ in self.pixels)
        return math.sqrt(sum(float(np.square(0.5 * one).sum()) for one in squares))


def _solved(columns: Sequence[Column], sums: _Sums, share: float) -> tuple[list[Bar], list[Direction]]:
    """Error bars and open directions. `share`: number of all views by that of the views looked at.

    In an open direction, the bar is that of the natural unit: nothing is known there. Raises DivergedError where an image or one of
    its derivatives is not finite.
    """
    if not (np.isfinite(sums.h).all() and np.isfinite(sums.slope).all() and math.isfinite(sums.square)):
        raise DivergedError(
            "at the estimate, an image or its derivative by one of the unknowns is not finite, so nothing tells how sure it is. "
            "The fit has probably diverged: look at its values, and give a smaller learning rate or bounds."
        )
    unit = np.array([column.unit for column in columns])
    values, vectors = np.linalg.eigh(sums.h * np.outer(unit, unit))
    slope = vectors.T @ (sums.slope * unit)
    noise = np.array([sums.noise(vectors[:, k] * unit) for k in range(len(columns))])
    seen = values > NOISE * noise
    inverse = np.where(seen, 1 / np.where(seen, values, 1.0), 0.0)
    spread = vectors.T @ (sums.spread(-(vectors @ (inverse * slope)) * unit) * np.outer(unit, unit)) @ vectors / share
    sd = np.where(seen, np.sqrt(np.diag(spread)) * inverse, math.inf)
    blind = sd > OPEN
    known = np.where(blind, 0.0, inverse)
    covariance = vectors @ (np.outer(known, known) * spread + np.diag(np.where(blind, 1.0, 0.0))) @ vectors.T
    offset = -(vectors @ (known * slope)) * unit
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0.0)) * unit
    bars = [
        Bar(c.name, c.variable, c.what, c.value, c.unit, float(offset[i]), float(deviation[i]))
        for i, c in enumerate(columns)
    ]
    return bars, [_direction(columns, vectors[:, k], float(sd[k])) for k in np.flatnonzero(blind)]


def _direction(columns: Sequence[Column], vector: Array, sd: float) -> Direction:
    shares: dict[str, float] = {}
    for column, part in zip(columns, vector, strict=True):
        label = f"{column.name} ({column.what})" if column.what else column.name
        shares[label] = float(part)
    return Direction(min(sd, 1.0), shares)


# ---- texels ------------------------------------------------------------------------------------------------------


def _texels(problem: Problem, state: State, chosen: Sequence[int], sums: _Sums, seed: int) -> dict[str, Array]:
    """Standard deviation (H, W) of every texel of textures.

    Of a random image z of signs, (Jᵀz)² has the mean Σ J², one number a texel (Hutchinson 1990); two gradients of the same z with
    random numbers of their own keep their noise out of it.
    """
    latents = {
        x.parameter.name: x
        for x in problem.at(state).latents.values()
        if len(x.parameter.shape) == 3 and math.prod(x.parameter.shape) > FEW
    }
    if not latents:
        return {}
    variance = max(sums.square / max(sums.count, 1), 0.0)
    scene, info = problem.bound.scene.mi, {name: np.zeros(x.parameter.shape) for name, x in latents.items()}
    for index in chosen:
        image = _image(problem, index, hashed(seed, "weights", index))
        root = np.sqrt(_weight(image, problem.targets.radiance(index, image.shape)[1]))
        for probe in range(PROBES):
            signs = np.random.default_rng(hashed(seed, "signs", probe, index)).choice((-1.0, 1.0), image.shape)
            halves = []
            for half in range(2):
                with attached(scene, {name: x.parameter for name, x in latents.items()}) as leaves:
                    _backward(problem, leaves, index, signs * root, hashed(seed, "texels", half, probe, index))
                    halves.append(leaves.gradients())
            for name in info:
                info[name] = info[name] + halves[0][name] * halves[1][name] / PROBES
    found = {}
    for name, total in info.items():
        value = np.array(problem.at(state).numpy(state.latents)[name], dtype=np.float64)
        unit = np.array([natural(float(v), latents[name].bounds) for v in (value.mean(),)])[0]
        known = np.maximum(total.mean(axis=2), 0.0) * len(problem.views) / len(chosen)
        found[name] = 1 / np.sqrt(known / max(variance, 1e-30) + 1 / unit**2)
    return found


def _backward(problem: Problem, leaves: Any, index: int, adjoint: Array, seed: int) -> None:
    sensor = problem.sensor(index)
    channels = int(sensor.film().base_channels_count())
    full = np.zeros((*adjoint.shape[:2], channels), np.float32)
    full[..., : adjoint.shape[2]] = adjoint
    problem.integrator.render_backward(
        problem.bound.scene.mi,
        leaves.params,
        mi.TensorXf(full),
        sensor=sensor,
        seed=seed,
        spp=_spp(problem, index, JACOBIAN),
    )


def summary(found: Identification) -> Mapping[str, Any]:
    """Return what metrics.json holds of it."""
    return {
        "bars": [
            {
                "name": bar.name, "variable": bar.variable, "what": bar.what,
                "value": bar.value, "unit": bar.unit, "offset": bar.offset, "sd": bar.sd,
                "interval_68": list(bar.interval(1.0)), "interval_95": list(bar.interval(1.96)),
            }
            for bar in found.bars
        ],
        "open": [{"unknowns": one.told(), "sd": one.sd, "shares": one.shares} for one in found.open],
    }  # fmt: skip
