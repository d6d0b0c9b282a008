"""Image losses: functions `loss(image, target, mask, weights)` of linear images that return one number.

`image` and `target` are tensors (H, W, C); `mask` and `weights` are (H, W) or None and multiply. The result is the
weighted mean over pixels and channels. All are differentiable in `image`.

A rendered image is noisy, and a nonlinear loss of a noisy image is biased: the mean of (I − T)² is too large by the
variance of I. That shifts the value, not the place of the minimum of `l2`, whose derivative is unbiased when the
gradient pass has a seed of its own; `l2_dual` has an unbiased value as well, from two independent images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.errors import OptionError, closest

#: Added to the squared target in `relmse`, so that black pixels do not dominate.
RELATIVE_FLOOR = 1e-2


def l1(image: Any, target: Any, mask: Any = None, weights: Any = None) -> Any:
    """Mean absolute error: robust to outliers, but noise in `image` pulls it towards the target's median."""
    return _mean(dr.abs(image - target), mask, weights)


def l2(image: Any, target: Any, mask: Any = None, weights: Any = None) -> Any:
    """Mean squared error."""
    return _mean(dr.square(image - target), mask, weights)


def l2_dual(image: Any, target: Any, mask: Any = None, weights: Any = None, *, other: Any) -> Any:
    """Mean squared error from two renders with independent seeds: (I₁ − T)(I₂ − T), unbiased in value.

    The derivative is that of `l2` with the residual averaged over both images. `other` is not differentiated.
    """
    first, second = image - target, dr.detach(other) - target
    product = dr.detach(first) * second
    return _mean(dr.replace_grad(product, (dr.detach(first) + second) * image), mask, weights)


def relmse(image: Any, target: Any, mask: Any = None, weights: Any = None) -> Any:
    """Relative mean squared error (I − T)² / (T² + 0.01): weighs dark and bright regions alike."""
    return _mean(dr.square(image - target) / (dr.square(target) + RELATIVE_FLOOR), mask, weights)


def log(image: Any, target: Any, mask: Any = None, weights: Any = None) -> Any:
    """Mean squared difference of log(1 + I): for high dynamic range. Negative radiance counts as black."""
    difference = dr.log(1 + dr.maximum(image, 0)) - dr.log(1 + dr.maximum(target, 0))
    return _mean(dr.square(difference), mask, weights)


LOSSES: dict[str, Callable[..., Any]] = {"l1": l1, "l2": l2, "l2_dual": l2_dual, "relmse": relmse, "log": log}


def get_loss(name: str) -> Callable[..., Any]:
    """Return the loss function `name`; OptionError with the closest names if there is none."""
    if name not in LOSSES:
        near = closest(name, LOSSES)
        hint = f" Closest: {', '.join(near)}." if near else ""
        raise OptionError(f"loss {name!r} is unknown.{hint} Losses: {', '.join(LOSSES)}")
    return LOSSES[name]


def _mean(error: Any, mask: Any, weights: Any) -> Any:
    weight = None
    for factor in (mask, weights):
        if factor is not None:
            factor = mi.TensorXf(factor)
            weight = factor if weight is None else weight * factor
    if weight is None:
        return dr.mean(error, axis=None)
    weight = dr.reshape(weight, (*weight.shape[:2], 1))
    return dr.sum(error * weight, axis=None) / (dr.sum(weight, axis=None) * error.shape[-1])
