"""Losses of what the camera sees without any light: outlines, depth, normals. They compare extra channels of `pathspace`.

They know where things are even where nothing can be seen of their colour: an outline pulls on geometry that black pixels leave
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import numpy as np

from pbdr.inverse.losses.loss import Loss, mean
from pbdr.registry import option


@dataclass(frozen=True)
class Silhouette(Loss):
    """Mean squared difference between the part of each pixel that objects cover and the alpha, or the mask, of the image.

    It looks at all pixels, whatever `[data] mask` leaves out of other losses.
    """

    name: ClassVar[str] = "silhouette"
    plane: ClassVar[str] = "silhouette"
    shape: str = option(
        "", "id of the one shape that the mask shows; otherwise everything in the scene that is not a sky"
    )

    def channel(self) -> str:
        return f"mask({self.shape})" if self.shape else "mask"

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        return mean(dr.square(image - target), mask, weights)


@dataclass(frozen=True)
class Depth(Loss):
    """Mean absolute error of the distance from the camera, where it was measured: robust to a few wrong measurements."""

    name: ClassVar[str] = "depth"
    plane: ClassVar[str] = "depth"
    relative: bool = option(True, "divide by the measured distance; false: in the units of the scene")

    def channel(self) -> str:
        return "depth"

    def measured(self, plane: Any) -> Any:
        return np.asarray(plane)[..., 0] > 0

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        return mean(dr.abs(image - target) / self._unit(target), mask, weights)

    def weights(self, image: Any, target: Any) -> Any:
        error = dr.abs(image - target)  # as of `l1`
        return 1 / (self._unit(target) * (error + 0.1 * dr.mean(error, axis=None) + 1e-6))

    def _unit(self, target: Any) -> Any:
        return dr.select(target > 0, target, 1) if self.relative else 1


@dataclass(frozen=True)
class Normal(Loss):
    """Mean squared difference of unit normals in world space, where they were measured."""

    name: ClassVar[str] = "normal"
    plane: ClassVar[str] = "normal"
    interpolated: bool = option(
        True, "compare interpolated normals (`sh_normal`); false: those of the faces (`geo_normal`)"
    )

    def channel(self) -> str:
        return "sh_normal" if self.interpolated else "geo_normal"

    def measured(self, plane: Any) -> Any:
        return np.square(np.asarray(plane)).sum(axis=2) > 0.25

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        return mean(dr.square(image - target), mask, weights)
