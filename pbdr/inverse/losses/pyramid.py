"""Errors on several scales: the Laplacian pyramid (Burt and Adelson 1983)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr

from pbdr.inverse.losses.filters import expanded, reduced
from pbdr.inverse.losses.loss import Loss, mean, weight_of
from pbdr.registry import option


@dataclass(frozen=True)
class LaplacianPyramid(Loss):
    """Mean absolute error of every band of the Laplacian pyramid, added up: edges that are far off still pull on coarse scales.

    Bands count alike whatever their size (Lap₁ of Bojanowski et al. 2018, per pixel). Small images have fewer bands.
    """

    name: ClassVar[str] = "laplacian"
    bands: int = option(4, "most bands, the coarse remainder included")

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        weight = weight_of(mask, weights)
        level = image - target
        if weight is not None:
            level = dr.select(weight > 0, level, 0)
        total: Any = None
        for band in range(max(1, self.bands)):
            last = band == self.bands - 1 or min(level.shape[:2]) < 4
            coarse = level if last else reduced(level)
            detail = level if last else level - expanded(coarse, level.shape)
            error = mean(dr.abs(detail), None if weight is None else dr.reshape(weight, tuple(level.shape[:2])), None)
            total = error if total is None else total + error
            if last:
                break
            level, weight = coarse, None if weight is None else reduced(weight)
        return total
