"""Levenberg–Marquardt: Gauss–Newton steps with damping (Moré 1978; Madsen, Nielsen & Tingleff 2004), aware of Monte Carlo noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from pbdr.inverse.optimisers.optimiser import Memory, Optimiser
from pbdr.registry import option

Array = NDArray[np.float64]

#: Blurs that the images are compared under, one after the other, down to that of `System.finest`: standard deviations, as shares
#: of the width of the film; and the least damping for each, for what coarse images hardly show is left to finer ones.
BLURS = (0.125, 0.06, 0.03, 0.015, 0.007)
DAMPINGS = (1e-2, 1e-3, 1e-4, 1e-4, 1e-4)
LAST_DAMPING = 1e-6
DAMPING = 1e-2  # at the start, relative to the diagonal
LEAST = 1e-6  # of the largest: what is smaller beside it is rounding
FLOOR = 0.02  # of the noise: what is left of H below it may be the error of the noise's own estimate
DRAWS = 16  # images that serve one set of derivatives
CHORDS = 3  # of these that may lead far away, where the derivatives are others
TRIES = 6  # steps that are tried with one of them
ENOUGH = 0.05  # where a step lowers the loss by less than this share, the next blur is taken
LITTLE = 0.01  # where a step lowers the loss by less than this share, at the last blur, what it says is averaged, too
CALM, GOES_ON = (
    0.9,
    0.9999,
)  # quantiles of the size of noise, below which a gradient is taken for noise, at first and later


@dataclass(frozen=True)
class LevenbergMarquardt(Optimiser):
    """Gauss–Newton steps from derivative images, for few numbers that all pixels depend on: poses, lenses, points.

    It compares images under a blur that shrinks as it gets nearer, and tries every step before taking it. When what is left of the
    gradient is noise, it averages the next steps, and has settled. Learning rates mean nothing to it.
    """

    name: ClassVar[str] = "lm"
    wants: ClassVar[str] = "least squares"
    slots: ClassVar[tuple[str, ...]] = ("damping", "blur", "averaged")
    average: int = option(192, "images whose answers are averaged at the end")

    def init(self, latents: Mapping[str, Any]) -> Memory:
        values = {"damping": DAMPING, "blur": 0.0, "averaged": 0.0}
        slots = {slot: {key: _number(value) for key in latents} for slot, value in values.items()}
        return Memory(slots, dict.fromkeys(latents, 0))

    def step(
        self, memory: Memory, latents: Mapping[str, Any], gradients: Any, lr: Mapping[str, float]
    ) -> tuple[dict[str, Any], Memory]:
        """As `Optimiser.step`; `gradients` is the `inverse.least_squares.System` of the step."""
        system = gradients
        kept = {slot: {key: float(np.array(memory.slots[slot][key])[0]) for key in system.keys} for slot in self.slots}
        # What other views moved meanwhile may be elsewhere: the widest blur of all, but as many averages as each has had.
        damping, level, averaged = max(kept["damping"].values()), int(min(kept["blur"].values())), kept["averaged"]
        blurs = [blur for blur in BLURS if blur > system.finest]
        at, level, last = system.start, min(level, len(blurs)), len(blurs)
        blurs.append(system.finest)
        for draw in range(DRAWS):
            least = LAST_DAMPING if level == last else DAMPINGS[level]
            normal = system.normal(at, blurs[level], draw)
            calm = is_noise(normal.gradient, normal.scatter, GOES_ON if all(averaged.values()) else CALM)
            if level < last or not calm:
                if draw == CHORDS and level < last:
                    break
                tried, found, gain = self._tried(system, normal, at, max(damping, least), blurs[level], draw)
                if level < last and draw and gain <= ENOUGH:
                    break  # what derivatives of elsewhere do not achieve says nothing; the next step has its own
                if level < last or gain >= LITTLE:
                    at, damping, averaged = tried, found, dict.fromkeys(averaged, 0.0)
                    if level < last and (calm or gain < ENOUGH):
                        level, damping = level + 1, min(damping, 1.0)
                    continue
            # Noise alone: the mean of the points that such steps lead to is nearer than any of them, the later ones most.
            averaged = {key: count + 1 for key, count in averaged.items()}
            step = within(solved(normal, least, system.units), system.reach)
            at = at + step * np.array([2 / (averaged[key] + 1) for key, _ in system.entries])
            if min(averaged.values()) >= self.average:
                break
        slots = {
            "damping": dict.fromkeys(system.keys, _number(damping)),
            "blur": dict.fromkeys(system.keys, _number(level)),
            "averaged": {key: _number(count) for key, count in averaged.items()},
        }
        return system.tensors(at), Memory(slots, {key: count + 1 for key, count in memory.t.items()})

    def settled(self, memory: Memory, keys: Any) -> bool:
        return all(float(np.array(memory.slots["averaged"][key])[0]) >= self.average for key in keys)

    @staticmethod
    def _tried(
        system: Any, normal: Any, start: Array, damping: float, blur: float, draw: int
    ) -> tuple[Array, float, float]:
        """The first step that lowers the loss, the damping after it, and by which share it lowered the loss (0: none did)."""
        for _ in range(TRIES):
            move = within(solved(normal, damping, system.units), system.reach)
            expected = -2 * normal.gradient @ move - move @ normal.matrix @ move
            found = system.loss(start + move, blur, draw)
            gain = normal.loss - found
            if gain > 0:
                ratio = gain / expected if expected > 0 else 1.0
                damping = damping * (0.1 if ratio > 0.75 else 1.0 if ratio > 0.25 else 4.0)
                return start + move, damping, gain / normal.loss
            damping = damping * 8.0
        return start, damping, 0.0


def solved(normal: Any, damping: float, units: Sequence[int] | None = None) -> Array:
    """Return the step −(H + …)⁻¹ g. Directions in which H is far smaller than the noise that was taken out of it are damped.

    `damping` is relative to the diagonal of H, to its largest value among entries that have one unit (`units`: a number for each
    entry): what a blurred image hardly shows of a turn beside a shift stays as it is, and is not blown up to match it.
    """
    size = np.sqrt(np.maximum(np.diag(normal.matrix + normal.noise), 0))
    seen = size > 1e-12 * max(size.max(), 1e-30)
    if units is not None:
        size = np.array([size[np.asarray(units) == unit].max() for unit in units])
    move = np.zeros(len(size))
    if not seen.any():
        return move
    scale = np.outer(size[seen], size[seen])
    values, vectors = np.linalg.eigh(normal.matrix[np.ix_(seen, seen)] / scale)
    noise = np.einsum("ij,ik,kj->j", vectors, normal.noise[np.ix_(seen, seen)] / scale, vectors)
    curvature = np.maximum(values, FLOOR * noise) + damping
    along = vectors.T @ (normal.gradient[seen] / size[seen])
    move[seen] = -(vectors @ (along / curvature)) / size[seen]
    return move


def within(move: Array, reach: Array) -> Array:
    """Return a step, shortened so that no entry goes farther than its reach."""
    return move / max(1.0, float(np.max(np.abs(move) / reach)))


def is_noise(gradient: Array, scatter: Array, quantile: float) -> bool:
    """Whether a gradient's squared size in units of its noise, gᵀ V⁻¹ g, is below this quantile of what noise alone would give."""
    size = np.sqrt(np.maximum(np.diag(scatter), 0))
    seen = size > 0
    if not seen.any():
        return not np.abs(gradient).max() > 0
    values, vectors = np.linalg.eigh(scatter[np.ix_(seen, seen)] / np.outer(size[seen], size[seen]))
    along = vectors.T @ (gradient[seen] / size[seen])
    return bool((along**2 / np.maximum(values, LEAST)).sum() < chi2.ppf(quantile, int(seen.sum())))


def _number(value: float) -> Any:
    return mi.TensorXf(np.array([value], np.float32))
