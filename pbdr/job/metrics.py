"""Image and parameter errors. A number without its protocol means nothing: each carries its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..srgb import linear_to_srgb

PSNR_PROTOCOL = (
    "PSNR in dB of sRGB-encoded images clipped to [0, 1], mean squared error over the pixels of the mask (all without "
    "one) and the three channels, peak 1, no rounding, no resizing, no scale alignment"
)

SSIM_PROTOCOL = (
    "SSIM of sRGB-encoded images clipped to [0, 1]: Gaussian windows of 11 × 11 pixels (σ = 1.5), population covariances, borders "
    "that reflect, mean over the pixels of the mask and the three channels; outside of the mask the image is taken for the target"
)
FLIP_PROTOCOL = (
    "LDR-FLIP (flip-evaluator) of sRGB-encoded images clipped to [0, 1], 67 pixels per degree, mean over the pixels of the mask; "
    "outside of the mask the image is taken for the target. Absent where flip-evaluator is not installed (pip install 'pbdr[eval]')"
)
EXPOSURE_PROTOCOL = (
    "images are multiplied by the exposure found for their view; those that were held out by the one that fits best"
)


def measures(image: NDArray[Any], target: NDArray[Any], mask: NDArray[Any] | None = None) -> dict[str, float]:
    """SSIM, and FLIP where it is installed, by name; (H, W, 3) linear images."""
    found = {"ssim": ssim(image, target, mask), "flip": flip(image, target, mask)}
    return {name: value for name, value in found.items() if value is not None}


def ssim(image: NDArray[Any], target: NDArray[Any], mask: NDArray[Any] | None = None) -> float:
    """As SSIM_PROTOCOL says; 1 for equal images."""
    import mitsuba as mi

    from ..inverse.losses.ssim import SSIM

    first, second = (mi.TensorXf(np.clip(x, 0, 1).astype(np.float32)) for x in (image, target))
    weight = None if mask is None else mi.TensorXf(np.asarray(mask, np.float32))
    return 1.0 - float(SSIM()(first, second, weight).array[0])


def flip(image: NDArray[Any], target: NDArray[Any], mask: NDArray[Any] | None = None) -> float | None:
    """As FLIP_PROTOCOL says; 0 for equal images; None where flip-evaluator is not installed."""
    errors = flip_map(image, target, mask)
    if errors is None:
        return None
    weight = np.ones(errors.shape, np.float32) if mask is None else np.asarray(mask, np.float32)
    return float(np.sum(errors * weight) / np.sum(weight))


def flip_map(
    image: NDArray[Any], target: NDArray[Any], mask: NDArray[Any] | None = None
) -> NDArray[np.float64] | None:
    """(H, W) errors in [0, 1] that `flip` is the mean of; None where flip-evaluator is not installed."""
    try:
        import flip_evaluator
    except ImportError:
        return None
    reference, test = (np.clip(linear_to_srgb(x), 0, 1).astype(np.float32) for x in (target, image))
    weight = np.ones(reference.shape[:2], np.float32) if mask is None else np.asarray(mask, np.float32)
    test = np.where(weight[..., None] > 0, test, reference)
    errors = flip_evaluator.evaluate(reference, test, "LDR", applyMagma=False, computeMeanError=False)[0]
    return np.asarray(np.asarray(errors, np.float64).reshape(*weight.shape, -1).mean(axis=2))


def mean_squared_error(image: NDArray[Any], target: NDArray[Any], mask: NDArray[Any] | None = None) -> float:
    """As PSNR_PROTOCOL says; (H, W, 3) linear images. NaN in, NaN out."""
    difference = np.clip(linear_to_srgb(image), 0, 1) - np.clip(linear_to_srgb(target), 0, 1)
    square = np.mean(difference**2, axis=2)
    return float(square.mean() if mask is None else np.sum(square * mask) / np.sum(mask))


def psnr(image: NDArray[Any], target: NDArray[Any], mask: NDArray[Any] | None = None) -> float:
    """As PSNR_PROTOCOL says, in dB; infinite for equal images."""
    error = mean_squared_error(image, target, mask)
    return float("inf") if error == 0.0 else float(-10.0 * np.log10(error))


def rmse(value: NDArray[Any], truth: NDArray[Any], weight: NDArray[Any] | None = None) -> float:
    """Root mean square of value − truth; ``weight`` has the leading axes of both (texels) and may be None."""
    square = (np.asarray(value, np.float64) - truth) ** 2
    if weight is None:
        return float(np.sqrt(square.mean()))
    square = square.reshape(*weight.shape, -1).mean(axis=-1)
    return float(np.sqrt(np.sum(square * weight) / np.sum(weight)))


def best_scale(value: NDArray[Any], truth: NDArray[Any], weight: NDArray[Any] | None = None) -> float:
    """The factor s that minimises the squared error of s · value against truth: what a scale alignment would use."""
    v, t = np.asarray(value, np.float64), np.asarray(truth, np.float64)
    w = np.ones(v.shape) if weight is None else np.broadcast_to(weight.reshape(*weight.shape, 1), v.shape)
    denominator = float(np.sum(w * v * v))
    return float(np.sum(w * v * t)) / denominator if denominator > 0 else 1.0


def environment_weight(height: int, width: int) -> NDArray[np.float64]:
    """(H, W) solid angle of the texels of a latitude-longitude map, relative to each other."""
    theta = (np.arange(height) + 0.5) / height * np.pi
    return np.repeat(np.sin(theta)[:, None], width, axis=1)


def match_size(truth: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """Truth at the resolution of an estimate of ``shape``: averaged when finer, repeated when constant; None when
    the two cannot be compared."""
    t = np.asarray(truth, dtype=np.float64)
    if t.shape == shape:
        return t
    if t.ndim <= 1 and (t.size == 1 or (len(shape) > 0 and t.size == shape[-1])):
        return np.broadcast_to(t, shape).copy()
    if t.ndim != 3 or len(shape) != 3 or t.shape[2] != shape[2]:
        return None
    height, width = shape[:2]
    if t.shape[0] % height == 0 and t.shape[1] % width == 0:
        blocks = t.reshape(height, t.shape[0] // height, width, t.shape[1] // width, t.shape[2])
        return np.asarray(blocks.mean(axis=(1, 3)))
    return None
