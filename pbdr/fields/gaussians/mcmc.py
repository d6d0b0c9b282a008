"""A fixed number of Gaussians that find their places: 3DGS as Markov chain Monte Carlo (Kheradmand et al. 2024).

Two things besides Adam: noise moves those that are hardly seen, more where they are large; and those that have become invisible
go to the place of others, which are chosen by opacity, so that the image stays what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.aligned import aligned
from pbdr.fields.gaussians.model import logit

DEAD = 0.005  # opacity below which a Gaussian moves to another one
MOST = 51  # Gaussians that share a place, at most
STEEP, HALF = 100.0, 0.005  # of the noise: it is half as large where the opacity is `HALF`

Values = dict[str, NDArray[np.float32]]


def shared(opacity: NDArray[np.float64], count: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Opacity, and factor of the scales, of each of `count` Gaussians that take the place of one, and look like it (equation 9)."""
    own = 1 - (1 - opacity) ** (1 / count)
    total = np.zeros_like(own)
    for n in range(1, int(count.max(initial=1)) + 1):
        # Σ_k C(n − 1, k) (−1)^k o^(k + 1) / √(k + 1)
        terms = sum(comb(n - 1, k) * (-1) ** k * own ** (k + 1) / np.sqrt(k + 1) for k in range(n))
        total += np.where(n <= count, terms, 0)
    return own, opacity / total


def relocated(values: Values, random: np.random.Generator) -> tuple[Values, NDArray[np.int64]]:
    """Return the arrays with dead Gaussians at the places of others, and the numbers of all that changed.

    `values` are arrays (N, …) by the names of `project.on_device`.
    """
    opacity = 1 / (1 + np.exp(-values["logits"].astype(np.float64)))
    dead, alive = np.flatnonzero(opacity <= DEAD), np.flatnonzero(opacity > DEAD)
    if not len(dead) or not len(alive):
        return values, np.zeros(0, np.int64)
    chance = opacity[alive] / opacity[alive].sum()
    source = alive[random.choice(len(alive), size=len(dead), p=chance)]
    places, copies = np.unique(source, return_counts=True)
    room = np.minimum(copies + 1, MOST)
    own, factor = shared(opacity[places], room)
    changed = {name: value.copy() for name, value in values.items()}
    changed["logits"][places] = logit(np.clip(own, DEAD, 1 - 1e-6))
    changed["log_scales"][places] += np.log(factor)[:, None].astype(np.float32)
    for value in changed.values():
        value[dead] = value[source]
    return changed, np.concatenate([places, dead])


def noise(latents: Mapping[str, Any], rate: float, random: np.random.Generator) -> Any:
    """Displacements (N, 3) of one step: Σ · normal numbers · `rate`, for those of low opacity.

    `rate` has the unit of one over length: in a scene of size 1, that of 3DGS-MCMC is 5e5 times the learning rate of positions.
    """
    count = latents["positions"].shape[0]
    number = dr.arange(mi.UInt32, count)
    column = lambda name, width: [dr.gather(mi.Float, latents[name].array, number * width + k) for k in range(width)]  # noqa: E731
    normal = mi.Float(aligned(random.standard_normal(3 * count, dtype=np.float32)))
    scales = [dr.exp(s) for s in column("log_scales", 3)]
    turn = mi.Quaternion4f(*(column("rotations", 4)[k] for k in (1, 2, 3, 0)))
    matrix = dr.quat_to_matrix(mi.Matrix3f, dr.normalize(turn))
    local = matrix.T @ mi.Vector3f(*(dr.gather(mi.Float, normal, number * 3 + k) for k in range(3)))
    spread = matrix @ mi.Vector3f(*(v * dr.square(s) for v, s in zip(local, scales, strict=True)))
    opacity = dr.rcp(1 + dr.exp(-column("logits", 1)[0]))
    share = dr.rcp(1 + dr.exp(STEEP * (opacity - HALF)))
    return mi.TensorXf(dr.ravel(spread * (share * dr.opaque(mi.Float, rate))), (count, 3))
