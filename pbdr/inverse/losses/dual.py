"""A squared error whose value is free of noise bias, from two independent renders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr

from pbdr.inverse.losses.loss import Loss, mean


@dataclass(frozen=True)
class L2Dual(Loss):
    """Mean squared error from two renders with independent seeds: (I₁ − T)(I₂ − T), unbiased in value.

    The derivative is that of `l2` with the residual averaged over both images. `other`, I₂, is not differentiated.
    """

    name: ClassVar[str] = "l2_dual"
    needs: ClassVar[tuple[str, ...]] = ("other",)

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        first, second = image - target, dr.detach(given["other"]) - target
        product = dr.detach(first) * second
        return mean(dr.replace_grad(product, (dr.detach(first) + second) * image), mask, weights)
