"""Texels of materials as the 8-bit images of other formats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.images import encode_png8
from ..srgb import linear_to_srgb


def color_png(image: NDArray[Any]) -> bytes:
    """(H, W, 3) linear colour → PNG of sRGB codes, clipped to [0, 1]."""
    return encode_png8(np.rint(np.clip(linear_to_srgb(image), 0, 1) * 255).astype(np.uint8))


def data_png(image: NDArray[Any]) -> bytes:
    """(H, W, 3) numbers in [0, 1] → PNG of these numbers, as they are (linear)."""
    return encode_png8(np.rint(np.clip(np.asarray(image, dtype=np.float64), 0, 1) * 255).astype(np.uint8))


def same_size(first: Any, second: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two values, (H, W, 1) or numbers, as two images of the larger size, (H, W)."""
    from ..parameters.textures import resize

    arrays = [np.asarray(x, dtype=np.float64) for x in (first, second)]
    sizes = [x.shape[:2] for x in arrays if x.ndim == 3]
    size = max(sizes, key=lambda s: s[0] * s[1]) if sizes else (1, 1)
    out = []
    for array in arrays:
        image = array if array.ndim == 3 else np.full((*size, 1), float(array))
        out.append(
            np.asarray(image if image.shape[:2] == size else resize(image, (int(size[0]), int(size[1]))))[..., 0]
        )
    return out[0], out[1]
