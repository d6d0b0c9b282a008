"""Small filters of images (H, W, C) on the device, differentiable: separable convolutions as gathers, and sRGB's code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import drjit as dr
import mitsuba as mi

#: Kernel of Burt and Adelson's pyramid (1983), a = 3/8.
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def gaussian(sigma: float, radius: int) -> tuple[float, ...]:
    """Return the 2 · radius + 1 weights of a Gaussian, whose sum is 1."""
    weights = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-radius, radius + 1)]
    return tuple(w / sum(weights) for w in weights)


def blurred(image: Any, kernel: Sequence[float]) -> Any:
    """Return `image` convolved with a symmetric `kernel` along both axes, in the same shape; borders reflect (b a | a b)."""
    return _along(_along(image, kernel, 0, 1), kernel, 1, 1)


def reduced(image: Any) -> Any:
    """Return the next level of the Gaussian pyramid, (⌈H/2⌉, ⌈W/2⌉, C): `BINOMIAL`, then every second pixel."""
    return _along(_along(image, BINOMIAL, 0, 2), BINOMIAL, 1, 2)


def halved(image: Any) -> Any:
    """Return the means of 2 × 2 pixels, (⌊H/2⌋, ⌊W/2⌋, C); a last odd row or column is left out."""
    h, w = image.shape[:2]
    rows = _linear(image, 0, h // 2, lambda k: ((2 * k, 0.5), (2 * k + 1, 0.5)))
    return _linear(rows, 1, w // 2, lambda k: ((2 * k, 0.5), (2 * k + 1, 0.5)))


def expanded(image: Any, shape: Sequence[int]) -> Any:
    """Return a level of the pyramid at the size (H, W, …) of the level below it: the transpose of `reduced`'s kernel, times 4."""
    for axis in (0, 1):
        last = int(image.shape[axis]) - 1
        image = _linear(image, axis, int(shape[axis]), lambda k, last=last: _expansion(k, last))
    return image


def encoded(image: Any) -> Any:
    """Return the codes of sRGB of linear radiance: negative radiance is black, codes go on above 1. NaN stays NaN."""
    positive = dr.select(image < 0, 0, image)
    power = 1.055 * dr.maximum(positive, 0.0031308) ** (1 / 2.4) - 0.055
    return dr.select(positive <= 0.0031308, 12.92 * positive, power)


def _expansion(k: Any, last: int) -> tuple[tuple[Any, Any], ...]:
    """Even pixels lie on a pixel of the coarse level, odd ones between two: 1 6 1 and 4 4 eighths."""
    odd, at = (k & 1) == 1, k // 2
    before, after = dr.maximum(at - 1, 0), dr.minimum(at + 1, last)
    return (
        (before, dr.select(odd, 0.0, 0.125)),
        (at, dr.select(odd, 0.5, 0.75)),
        (after, dr.select(odd, 0.5, 0.125)),
    )


def _along(image: Any, kernel: Sequence[float], axis: int, stride: int) -> Any:
    """Convolve along one axis at every `stride`-th pixel."""
    size, radius = int(image.shape[axis]), len(kernel) // 2

    def taps(k: Any) -> list[tuple[Any, float]]:
        return [(_reflected(k * stride + offset - radius, size), weight) for offset, weight in enumerate(kernel)]

    return _linear(image, axis, -(-size // stride), taps)


def _reflected(index: Any, size: int) -> Any:
    index = dr.select(index < 0, -1 - index, index)
    index = dr.select(index >= size, 2 * size - 1 - index, index)
    return dr.clip(index, 0, size - 1)  # images that are smaller than the kernel


def _linear(image: Any, axis: int, size: int, taps: Any) -> Any:
    """Return the image whose pixel k along `axis` is Σ weight · pixel `index` over (index, weight) of `taps(k)`."""
    h, w, c = (int(n) for n in image.shape)
    shape = (size, w, c) if axis == 0 else (h, size, c)
    lane = dr.arange(mi.Int32, shape[0] * shape[1] * c)
    row, column, channel = lane // (shape[1] * c), (lane // c) % shape[1], lane % c
    total = dr.zeros(mi.Float, len(lane))
    for index, weight in taps(row if axis == 0 else column):
        at = (index * w + column if axis == 0 else row * w + index) * c + channel
        total = total + weight * dr.gather(mi.Float, image.array, mi.UInt32(at))
    return mi.TensorXf(total, shape)
