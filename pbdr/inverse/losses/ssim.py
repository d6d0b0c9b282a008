"""Structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004), on one scale and on several (Wang, Simoncelli, Bovik 2003).

Both are nonlinear in the local variance, so that noise in the render makes images look less alike: use more samples per pixel than
for `l1`, or give them a small weight beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

from pbdr.inverse.losses.filters import blurred, encoded, gaussian, halved
from pbdr.inverse.losses.loss import Loss, mean, weight_of
from pbdr.registry import option

SIGMA, RADIUS = 1.5, 5  # of the window, in pixels
C1, C2 = 0.01**2, 0.03**2  # for a dynamic range of 1
#: Exponents of the scales, from fine to coarse.
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LEAST = 1e-6  # similarity of structure below which its power has no slope
CODES = "compare codes of sRGB, on which the constants of the measure are meant; false: linear radiance"


@dataclass(frozen=True)
class SSIM(Loss):
    """1 − SSIM, structural similarity in windows of 11 × 11 pixels: blind to small shifts of level, keen on structure.

    Gaussian windows (σ = 1.5), channel by channel; borders reflect. Where a mask does not count, the image is taken for the target.
    """

    name: ClassVar[str] = "ssim"
    codes: bool = option(True, CODES)

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        first, second = _prepared(image, target, mask, self.codes)
        luminance, structure = similarity(first, second)
        return mean(1 - luminance * structure, mask, weights)


@dataclass(frozen=True)
class MSSSIM(Loss):
    """1 − MS-SSIM: structure on up to five scales, each half as fine as the one before, luminance on the coarsest.

    Images with less than 11 pixels on a side at some scale have fewer scales, whose exponents are divided by their sum.
    """

    name: ClassVar[str] = "ms_ssim"
    codes: bool = option(True, CODES)

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        first, second = _prepared(image, target, mask, self.codes)
        weight = weight_of(mask, weights)
        side = min(image.shape[:2])
        levels = max(1, sum(side >> k >= 2 * RADIUS + 1 for k in range(len(SCALES))))
        total = mi.TensorXf(dr.ones(mi.Float, int(image.shape[2])), (1, 1, int(image.shape[2])))
        for level in range(levels):
            luminance, structure = similarity(first, second)
            seen = luminance * structure if level == levels - 1 else structure
            power = SCALES[level] / sum(SCALES[:levels])
            total = total * dr.maximum(_by_channel(seen, weight), LEAST) ** power
            first, second = halved(first), halved(second)
            weight = None if weight is None else halved(weight)
        return 1 - dr.mean(total, axis=None)


def similarity(first: Any, second: Any) -> tuple[Any, Any]:
    """Return (luminance, contrast and structure) of two images (H, W, C) in [0, 1], pixel by pixel; SSIM is their product."""
    window = gaussian(SIGMA, RADIUS)
    x, y = blurred(first, window), blurred(second, window)
    xx, yy, xy = (blurred(product, window) for product in (first * first, second * second, first * second))
    luminance = (2 * x * y + C1) / (x * x + y * y + C1)
    structure = (2 * (xy - x * y) + C2) / (xx - x * x + yy - y * y + C2)
    return luminance, structure


def _prepared(image: Any, target: Any, mask: Any, codes: bool) -> tuple[Any, Any]:
    """Both images as they are compared; what the mask leaves out must not reach into windows beside it."""
    if codes:
        image, target = encoded(image), encoded(target)
    if mask is not None:
        share = dr.reshape(dr.minimum(mi.TensorXf(mask), 1), (*image.shape[:2], 1))
        image = target + dr.select(share > 0, share * (image - target), 0)
    return image, target


def _by_channel(value: Any, weight: Any) -> Any:
    """Return the weighted mean (1, 1, C) over pixels."""
    if weight is None:
        return dr.mean(value, axis=(0, 1), keepdims=True)
    return dr.sum(value * weight, axis=(0, 1), keepdims=True) / dr.sum(weight, axis=None)
