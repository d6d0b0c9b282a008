"""Smoothness: neighbouring cells of a texture or a grid are alike, and change slowly where they change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr

from pbdr.inverse.priors.prior import Prior
from pbdr.inverse.priors.texture import constant, neighbours
from pbdr.parameters.place import Place


@dataclass(frozen=True)
class Smooth(Prior):
    """Mean squared difference of neighbouring texels: for what varies gently, as roughness does. It blurs edges, `tv` does not."""

    name: ClassVar[str] = "smooth"

    def __call__(self, value: Any, place: Place) -> Any:
        return dr.mean(sum(dr.square(x - value.array) for x in neighbours(value, wrap=place.wraps)))

    def refusal(self, place: Place) -> str:
        return constant(place)


@dataclass(frozen=True)
class TextureLaplacian(Prior):
    """Mean squared Laplacian of a texture: it may rise and fall, but not bend; noise of single texels costs most."""

    name: ClassVar[str] = "texture_laplacian"

    def __call__(self, value: Any, place: Place) -> Any:
        around = [x for step in (1, -1) for x in neighbours(value, step, wrap=place.wraps)]
        return dr.mean(dr.square(sum(around) - len(around) * value.array))

    def refusal(self, place: Place) -> str:
        return constant(place)
