"""Replicas that a judge decides on: their mean and error, and what of a derivative image they look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def mean_and_error(samples: Sequence[Any] | np.ndarray) -> tuple[Any, Any]:
    """Mean over replicas (the first axis) and its standard error; not finite where samples are not, for a judge to see."""
    array = np.asarray(samples, dtype=np.float64)
    return array.mean(axis=0), array.std(axis=0, ddof=1) / np.sqrt(len(array))


def block_signs(images: np.ndarray) -> np.ndarray:
    """The adjoint image of these derivative images (N, H, W, C): signs of their blocks, so that nothing cancels."""
    from pbdr.verify.functionals import Functionals, tents

    signs = Functionals.fitted(images).signs
    rows, columns = tents(images.shape[1]), tents(images.shape[2])
    rows, columns = rows / rows.sum(1, keepdims=True), columns / columns.sum(1, keepdims=True)
    weights = rows.T @ signs @ columns / signs.size
    return np.repeat(weights[..., None], images.shape[3], 2) / images.shape[3]
