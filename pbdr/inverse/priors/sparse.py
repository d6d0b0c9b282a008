"""Sparsity: most entries have one known value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr

from pbdr.inverse.priors.prior import Prior
from pbdr.parameters.place import Place
from pbdr.registry import option


@dataclass(frozen=True)
class Sparse(Prior):
    """Mean absolute distance of the entries from one value that most of them have: roughness 1, metallic 0, light that is off."""

    name: ClassVar[str] = "sparse"
    at: float = option(0.0, "the value that most entries have")
    smooth: float = option(1e-3, "rounds the corner of |x| at 0, in the units of the value")

    def __call__(self, value: Any, place: Place) -> Any:
        return dr.mean(dr.sqrt(dr.square(value.array - self.at) + self.smooth * self.smooth) - self.smooth)

    def refusal(self, place: Place) -> str:
        lo, hi = place.bounds
        if place.parameter is not None and place.parameter.kind == "transform":
            return "the numbers of a pose have no common value; drop it"
        return "" if lo <= self.at <= hi else f"at = {self.at:g} is outside of the bounds [{lo:g}, {hi:g}]"
