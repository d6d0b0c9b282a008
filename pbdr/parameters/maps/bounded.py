"""Maps that keep a range: by clipping, or by a smooth function that reaches its ends at infinity only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import numpy as np

from pbdr.parameters.maps.map import INSIDE, Array, Map, clip, clipped_straight
from pbdr.parameters.place import Place


@dataclass(frozen=True)
class Clamp(Map):
    """The value itself, put back into its bounds after every step."""

    name: ClassVar[str] = "clamp"

    def to_latent(self, value: Array, place: Place) -> Array:
        return value

    def to_value(self, latent: Any, place: Place) -> Any:
        return clipped_straight(latent, *place.bounds)

    def project(self, latent: Any, place: Place) -> Any:
        return clip(latent, *place.bounds)


@dataclass(frozen=True)
class Sigmoid(Map):
    """lo + (hi − lo) / (1 + e⁻ˣ), for two finite bounds."""

    name: ClassVar[str] = "sigmoid"

    def refusal(self, place: Place) -> str:
        return "" if all(math.isfinite(bound) for bound in place.bounds) else "needs two finite bounds"

    def to_latent(self, value: Array, place: Place) -> Array:
        lo, hi = place.bounds
        t = np.clip((value - lo) / (hi - lo), INSIDE, 1 - INSIDE)
        return np.asarray(np.log(t) - np.log1p(-t))

    def to_value(self, latent: Any, place: Place) -> Any:
        lo, hi = place.bounds
        return lo + (hi - lo) / (1 + dr.exp(-latent))


@dataclass(frozen=True)
class Exp(Map):
    """lo + eˣ: equal steps of the latent are equal factors of the value."""

    name: ClassVar[str] = "exp"

    def refusal(self, place: Place) -> str:
        return _lower_bound(place)

    def to_latent(self, value: Array, place: Place) -> Array:
        return np.asarray(np.log(_above(value, place)))

    def to_value(self, latent: Any, place: Place) -> Any:
        return place.bounds[0] + dr.exp(latent)

    def project(self, latent: Any, place: Place) -> Any:
        lo, hi = place.bounds
        return clip(latent, -math.inf, math.log(hi - lo)) if hi < math.inf else latent


@dataclass(frozen=True)
class Softplus(Map):
    """lo + log(1 + eˣ): like `exp` near the lower bound, like the value itself far above it."""

    name: ClassVar[str] = "softplus"

    def refusal(self, place: Place) -> str:
        return _lower_bound(place)

    def to_latent(self, value: Array, place: Place) -> Array:
        t = _above(value, place)
        return np.asarray(t + np.log(-np.expm1(-t)))

    def to_value(self, latent: Any, place: Place) -> Any:
        # log(1 + e^x) without overflow.
        return place.bounds[0] + dr.select(latent > 0, latent, 0) + dr.log(1 + dr.exp(-dr.abs(latent)))

    def project(self, latent: Any, place: Place) -> Any:
        hi = place.bounds[1]
        return clip(latent, -math.inf, float(self.to_latent(np.array(hi), place))) if hi < math.inf else latent


def _above(value: Array, place: Place) -> Array:
    """How far a value is above its lower bound; at least INSIDE of the range, or of 1 where there is no upper bound."""
    lo, hi = place.bounds
    return np.asarray(np.maximum(value - lo, INSIDE * (hi - lo if hi < math.inf else 1.0)))


def _lower_bound(place: Place) -> str:
    return "" if math.isfinite(place.bounds[0]) else "needs a finite lower bound"
