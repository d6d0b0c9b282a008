"""Smoothness: neighbouring texels are alike, and change slowly where they change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr

from pbdr.inverse.priors.prior import Prior
from pbdr.inverse.priors.texture import constant, neighbour
from pbdr.parameters.place import Place


@dataclass(frozen=True)
class Smooth(Prior):
    """Mean squared difference of neighbouring texels: for what varies gently, as roughness does. It blurs edges, `tv` does not."""

    name: ClassVar[str] = "smooth"

    def __call__(self, value: Any, place: Place) -> Any:
        dx = neighbour(value, 0, 1, wrap=place.wraps) - value.array
        dy = neighbour(value, 1, 0) - value.array
        return dr.mean(dr.square(dx) + dr.square(dy))

    def refusal(self, place: Place) -> str:
        return constant(place)


@dataclass(frozen=True)
class TextureLaplacian(Prior):
    """Mean squared Laplacian of a texture: it may rise and fall, but not bend; noise of single texels costs most."""

    name: ClassVar[str] = "texture_laplacian"

    def __call__(self, value: Any, place: Place) -> Any:
        around = sum(neighbour(value, *step, wrap=place.wraps) for step in ((0, 1), (0, -1), (1, 0), (-1, 0)))
        return dr.mean(dr.square(around - 4 * value.array))

    def refusal(self, place: Place) -> str:
        return constant(place)
