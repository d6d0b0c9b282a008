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

#: What a view may hold besides radiance (`View.planes`): its name → (number of its components, where it comes from).
PLANES = {
    "silhouette": (1, "images with alpha, mask_path of a transforms.json, or [data] masks"),
    "depth": (1, "[data] depth"),
    "normal": (3, "[data] normal"),
}


class Loss(ABC):
    """A loss of one view. A new one is a frozen dataclass below this class, whose fields are its options (`pbdr.registry`).

    name    what job files and `Options.loss` call it
    needs   names of `NEEDS`: `fit` hands each over as an argument of that name
    plane   the one of `PLANES` that it compares with the extra channel `channel()`; "": it compares radiance

    A loss of a plane is called with the rendered channel as `image` and the plane as `target`; `mask` is where it was `measured`,
    not the mask of the view.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    plane: ClassVar[str] = ""

    def channel(self) -> str:
        """Return the entry of `pathspace`'s option `aovs` that renders what a `plane` is compared with."""
        raise NotImplementedError(f"loss {self.name} has a plane, and must say which channel it is compared with")

    def refusal(self) -> str:
        """Return why the loss cannot be used as it is chosen, which is an error before anything is rendered; "" if it can."""
        return ""

    def suited(self, still: bool) -> Loss:
        """Return the loss that is meant where unknowns move nothing (`still`), or something; most mean themselves."""
        return self

    def measured(self, plane: Any) -> Any:
        """Return where the plane (H, W, C), a NumPy array, holds a measurement, as booleans (H, W); None: everywhere."""
        return None

    @abstractmethod
    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        """Return one number, a tensor of one entry that is differentiable in `image`.

        `image`, `target`: tensors (H, W, C) of linear radiance, or of a plane. `mask`, `weights`: tensors (H, W) or None, which
        multiply; the result is the mean over pixels and channels weighted by them (`mean`). `given`: what the loss `needs`. `fit`
        calls it once for every view of a step. It must hand on NaN, which `fit` counts and refuses.
        """

    def weights(self, image: Any, target: Any) -> Any:
        """Return the weight (H, W, C) of the squared difference of every pixel that stands for this loss near `image`; None: 1.

        Optimisers that solve least-squares problems (`lm`) ask for it once a step.
        """
        return None


def mean(error: Any, mask: Any, weights: Any) -> Any:
    """Return the mean of `error` (H, W, C) over pixels and channels, weighted by mask · weights (each (H, W) or None)."""
    weight = weight_of(mask, weights)
    if weight is None:
        return dr.mean(error, axis=None)
    return dr.sum(error * weight, axis=None) / (dr.sum(weight, axis=None) * error.shape[-1])


def weight_of(mask: Any, weights: Any) -> Any:
    """Return mask · weights (each (H, W) or None) as a tensor (H, W, 1), or None where both are."""
    weight = None
    for factor in (mask, weights):
        if factor is not None:
            factor = mi.TensorXf(factor)
            weight = factor if weight is None else weight * factor
    return None if weight is None else dr.reshape(weight, (*weight.shape[:2], 1))
