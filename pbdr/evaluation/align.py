"""The best factors between an estimate and the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def factors(value: NDArray[Any], truth: NDArray[Any], weight: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """(C,) factors s that minimise Σ weight (s value − truth)² in each channel of (…, C) arrays; 1 for a channel that is zero."""
    v = np.asarray(value, np.float64).reshape(-1, value.shape[-1])
    t = np.asarray(truth, np.float64).reshape(-1, value.shape[-1])
    w = np.ones(len(v)) if weight is None else np.asarray(weight, np.float64).reshape(-1)
    below = w @ v**2
    return np.asarray(np.where(below > 0, (w @ (v * t)) / np.where(below > 0, below, 1), 1.0))
