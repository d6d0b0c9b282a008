"""Colours by their codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import numpy as np

from pbdr.parameters.maps.map import Array, Map, clip, clipped_straight
from pbdr.parameters.place import Place
from pbdr.srgb import linear_to_srgb


@dataclass(frozen=True)
class SRGB(Map):
    """The latent is the code of sRGB, so that equal steps look alike; clipped as `clamp` does."""

    name: ClassVar[str] = "srgb"

    def refusal(self, place: Place) -> str:
        return "" if place.bounds[0] >= 0 and place.bounds[1] <= 1 else "needs bounds within [0, 1]"

    def to_latent(self, value: Array, place: Place) -> Array:
        return linear_to_srgb(value)

    def to_value(self, latent: Any, place: Place) -> Any:
        code = clipped_straight(latent, *_codes(place))
        power = ((dr.maximum(code, 0.04045) + 0.055) / 1.055) ** 2.4
        return dr.select(code > 0.04045, power, code / 12.92)

    def project(self, latent: Any, place: Place) -> Any:
        return clip(latent, *_codes(place))


def _codes(place: Place) -> tuple[float, float]:
    lo, hi = (float(linear_to_srgb(np.array(bound))) for bound in place.bounds)
    return lo, hi
