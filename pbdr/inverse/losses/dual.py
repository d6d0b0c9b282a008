"""Squared errors whose values are free of noise bias, from two independent renders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr

from pbdr.inverse.losses.loss import Loss, mean, weight_of
from pbdr.registry import option


@dataclass(frozen=True)
class L2Dual(Loss):
    """Mean squared error from two renders with independent seeds: (I₁ − T)(I₂ − T), unbiased in value.

    The derivative is that of `l2` with the residual averaged over both images. `other`, I₂, is not differentiated.
    """

    name: ClassVar[str] = "l2_dual"
    needs: ClassVar[tuple[str, ...]] = ("other",)

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        return mean(product(image, given["other"], target), mask, weights)


@dataclass(frozen=True)
class RelativeDual(Loss):
    """`l2_dual` divided, pixel by pixel, by the squared brightness of the target: dark and bright regions count alike.

    Noise of images grows with their brightness, so that bright pixels say less than their error in radiance suggests. A pixel's
    brightness is the mean of its channels; channels are not divided one by one, which would change its colour.
    """

    name: ClassVar[str] = "relative_dual"
    needs: ClassVar[tuple[str, ...]] = ("other",)
    floor: float = option(0.05, "added to the squared brightness, as a part of its mean over the image")

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        return mean(product(image, given["other"], target) * self._share(target, mask, weights), mask, weights)

    def weights(self, image: Any, target: Any) -> Any:
        return 0 * target + self._share(target, None, None)

    def _share(self, target: Any, mask: Any, weights: Any) -> Any:
        """Return the factors (H, W, 1), in units of the target's mean squared brightness, so that the scale of the loss stays."""
        square = dr.square(dr.mean(target, axis=2))
        square = dr.reshape(square, (*target.shape[:2], 1))
        weight = weight_of(mask, weights)
        if weight is None:
            typical = dr.mean(square, axis=None)
        else:
            typical = dr.sum(square * weight, axis=None) / dr.sum(weight, axis=None)
        typical = dr.maximum(typical, 1e-20)
        return typical / (square + self.floor * typical)


@dataclass(frozen=True)
class Auto(Loss):
    """`relative_dual` where nothing that is unknown moves anything (colours, materials, lights), else `l2_dual`."""

    name: ClassVar[str] = "auto"
    needs: ClassVar[tuple[str, ...]] = ("other",)

    def suited(self, still: bool) -> Loss:
        """As `Loss.suited`."""
        return RelativeDual() if still else L2Dual()

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        return self.suited(False)(image, target, mask, weights, **given)


def product(image: Any, other: Any, target: Any) -> Any:
    """Return (I₁ − T)(I₂ − T), with the derivative of the square of the mean residual with respect to I₁."""
    first, second = image - target, dr.detach(other) - target
    return dr.replace_grad(dr.detach(first) * second, (dr.detach(first) + second) * image)
