"""Losses that compare pixel by pixel, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr

from pbdr.inverse.losses.loss import Loss, mean
from pbdr.registry import option


@dataclass(frozen=True)
class L1(Loss):
    """Mean absolute error: robust to outliers, but noise in the image pulls it towards the target's median."""

    name: ClassVar[str] = "l1"

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        return mean(dr.abs(image - target), mask, weights)

    def weights(self, image: Any, target: Any) -> Any:
        error = dr.abs(
            image - target
        )  # large ones count by their first power; the floor keeps small ones from counting alone
        return 1 / (error + 0.1 * dr.mean(error, axis=None) + 1e-6)


@dataclass(frozen=True)
class L2(Loss):
    """Mean squared error."""

    name: ClassVar[str] = "l2"

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        return mean(dr.square(image - target), mask, weights)


@dataclass(frozen=True)
class RelMSE(Loss):
    """Relative mean squared error (I − T)² / (T² + floor): weighs dark and bright regions alike."""

    name: ClassVar[str] = "relmse"
    floor: float = option(1e-2, "added to the squared target, so that black pixels do not dominate")

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        return mean(dr.square(image - target) / (dr.square(target) + self.floor), mask, weights)

    def weights(self, image: Any, target: Any) -> Any:
        return 1 / (dr.square(target) + self.floor)


@dataclass(frozen=True)
class Log(Loss):
    """Mean squared difference of log(1 + I): for high dynamic range. Negative radiance counts as black."""

    name: ClassVar[str] = "log"

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        difference = dr.log(1 + dr.maximum(image, 0)) - dr.log(1 + dr.maximum(target, 0))
        return mean(dr.square(difference), mask, weights)

    def weights(self, image: Any, target: Any) -> Any:
        return 1 / dr.square(1 + dr.maximum(target, 0))
