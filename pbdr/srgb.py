"""The transfer function of sRGB (IEC 61966-2-1), both ways, on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def srgb_to_linear(value: NDArray[Any]) -> NDArray[np.float64]:
    """Return linear values in [0, 1] of codes in [0, 1], in the same shape."""
    v = np.asarray(value, dtype=np.float64)
    return np.asarray(np.where(v <= 0.04045, v / 12.92, ((np.maximum(v, 0.0) + 0.055) / 1.055) ** 2.4))


def linear_to_srgb(value: NDArray[Any]) -> NDArray[np.float64]:
    """Return the codes of linear values, in the same shape: negative values become 0, values above 1 stay above 1."""
    v = np.maximum(np.asarray(value, dtype=np.float64), 0.0)
    return np.asarray(np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1.0 / 2.4) - 0.055))
