"""Images as they are shown: exposure, error, gradient, and two of them with a slider between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..job.results import error_image
from ..page import signed_limit, signed_pixels
from ..srgb import linear_to_srgb

Linear = NDArray[Any]
Pixels = NDArray[np.uint8]

#: Pixels along the longer side of what is sent, at least: smaller images are enlarged by whole numbers, without smoothing.
LEAST = 384
GAP = 4  # pixels between images


@dataclass(frozen=True)
class Pictures:
    """Of one view: linear images (H, W, 3), None where there is none. `gradient` is δL, the derivative of the loss."""

    current: Linear
    target: Linear | None = None
    gradient: Linear | None = None
    step: int = 0


def shown(image: Linear, stops: float) -> Pixels:
    """(H, W, 3) sRGB codes of a linear image at an exposure in stops; what is not finite is magenta."""
    factor = 2.0**stops
    pixels = np.rint(255 * np.clip(linear_to_srgb(np.nan_to_num(image) * factor), 0, 1)).astype(np.uint8)
    pixels[~np.isfinite(image).all(axis=2)] = (255, 0, 255)
    return pixels


def compared(pictures: Pictures, place: float, stops: float) -> Pixels:
    """The target left of the slider, the current image right of it; `place` in [0, 1]. Without a target, the current image."""
    right = shown(pictures.current, stops)
    if pictures.target is None:
        return enlarged(right)
    left, right = enlarged(shown(pictures.target, stops)), enlarged(right)
    column = round(place * right.shape[1])
    result = right.copy()
    result[:, :column] = left[:, :column]
    if 0 < column < right.shape[1]:
        result[:, max(0, column - 1) : column + 1] = (255, 170, 0)
    return result


def grid(pictures: Pictures, stops: float) -> Pixels:
    """Target | current over error | gradient; what there is not is left grey."""
    current, factor = pictures.current, 2.0**stops
    empty = np.full(current.shape[:2] + (3,), 128, np.uint8)
    target = pictures.target
    cells = [
        empty if target is None else shown(target, stops),
        shown(current, stops),
        empty if target is None else error_image(current * factor, target * factor),
        empty if pictures.gradient is None else signed_pixels(pictures.gradient, signed_limit(pictures.gradient)),
    ]
    return tiled([enlarged(cell, LEAST // 2) for cell in cells], 2)


def tiled(cells: Sequence[Pixels], columns: int) -> Pixels:
    """Images of one size in rows of `columns`, with a gap between."""
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    result = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for number, cell in enumerate(cells):
        top, left = (number // columns) * (height + GAP), (number % columns) * (width + GAP)
        result[top : top + height, left : left + width] = cell
    return result


def enlarged(image: Pixels, least: int = LEAST) -> Pixels:
    """The image with its pixels repeated until its longer side has `least`, or as it is."""
    factor = max(1, least // max(image.shape[:2]))
    return np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)


def small(image: Linear, longest: int = 160) -> Pixels:
    """An image for a frustum: every n-th pixel of it."""
    step = max(1, -(-max(image.shape[:2]) // longest))
    return shown(image[::step, ::step], 0.0)
