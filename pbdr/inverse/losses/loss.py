"""What a loss is, and the mean that losses are made of.

A rendered image is noisy, and a nonlinear loss of a noisy image is biased: the mean of (I − T)² is too large by the variance of I.
That shifts the value, not the place of the minimum of `l2`, whose derivative is unbiased when the gradient pass has a seed of its
own; `l2_dual` has an unbiased value as well, from two independent images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

#: What a loss may need besides image and target: its name, which is that of the argument → what it is.
NEEDS = {
    "other": "a second render of the same view, with seeds of its own, without derivatives; it doubles the time of a primal pass"
}


class Loss(ABC):
    """An image loss. A new one is a frozen dataclass below this class, whose fields are its options (`pbdr.registry`).

    name    what job files and `Options.loss` call it
    needs   names of `NEEDS`: `fit` hands each over as an argument of that name
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        """Return one number, a tensor of one entry that is differentiable in `image`.

        `image`, `target`: tensors (H, W, C) of linear radiance. `mask`, `weights`: tensors (H, W) or None, which multiply; the
        result is the mean over pixels and channels weighted by them (`mean`). `given`: what the loss `needs`. `fit` calls it once
        for every view of a step. It must hand on NaN, which `fit` counts and refuses.
        """


def mean(error: Any, mask: Any, weights: Any) -> Any:
    """Return the mean of `error` (H, W, C) over pixels and channels, weighted by mask · weights (each (H, W) or None)."""
    weight = None
    for factor in (mask, weights):
        if factor is not None:
            factor = mi.TensorXf(factor)
            weight = factor if weight is None else weight * factor
    if weight is None:
        return dr.mean(error, axis=None)
    weight = dr.reshape(weight, (*weight.shape[:2], 1))
    return dr.sum(error * weight, axis=None) / (dr.sum(weight, axis=None) * error.shape[-1])
