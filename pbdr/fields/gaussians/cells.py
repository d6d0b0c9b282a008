"""Which Gaussians matter in which cell of a box, and how dense they can be there: made on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbdr.fields.gaussians.model import rotation_matrices

REACH = 4.5  # standard deviations beyond which a Gaussian counts for nothing: exp(−½ 4.5²) = 4e-5

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """`side`³ cells of a box; those of cell c are numbers[starts[c] : starts[c + 1]]; `bound`: no density is larger."""

    side: int
    starts: NDArray[np.uint32]
    numbers: NDArray[np.uint32]
    bound: float


def half_sizes(rotations: NDArray[Any], log_scales: NDArray[Any]) -> Doubles:
    """(N, 3) half the sizes of the boxes around Gaussians, `REACH` standard deviations large."""
    axes = rotation_matrices(rotations) * np.exp(np.asarray(log_scales, dtype=np.float64))[:, None, :]
    return np.asarray(REACH * np.sqrt((axes**2).sum(axis=2)))


def box(centers: NDArray[Any], half: Doubles) -> tuple[Doubles, Doubles]:
    """The two corners of the box around all."""
    return (centers - half).min(axis=0), (centers + half).max(axis=0)


def build(
    peaks: NDArray[Any], centers: NDArray[Any], log_scales: NDArray[Any], half: Doubles, low: Doubles, high: Doubles, side: int
) -> Cells:  # fmt: skip
    """Cells of the box between `low` and `high`; arrays are (N,) and (N, 3)."""
    size = (high - low) / side
    first = np.clip(np.floor((centers - half - low) / size), 0, side).astype(np.int64)
    last = np.clip(np.floor((centers + half - low) / size) + 1, 0, side).astype(np.int64)
    extent = np.maximum(last - first, 0)
    counts = extent.prod(axis=1)
    which = np.repeat(np.arange(len(peaks)), counts)
    local = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    wide = extent[which]
    at = (
        np.stack([local % wide[:, 0], local // wide[:, 0] % wide[:, 1], local // (wide[:, 0] * wide[:, 1])], axis=1)
        + first[which]
    )
    corner = low + at * size
    nearest = np.clip(centers[which], corner, corner + size)
    distance = (
        np.linalg.norm(nearest - centers[which], axis=1) / np.exp(log_scales.astype(np.float64).max(axis=1))[which]
    )
    cell = (at[:, 2] * side + at[:, 1]) * side + at[:, 0]
    most = np.bincount(cell, peaks[which] * np.exp(-0.5 * distance**2), minlength=side**3)
    order = np.argsort(cell, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=side**3))])
    bound = float(most.max(initial=0.0)) * (1 + 1e-5)
    return Cells(side, starts.astype(np.uint32), which[order].astype(np.uint32), bound)
