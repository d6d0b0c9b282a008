"""Unit vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import numpy as np

from pbdr.errors import ParameterError
from pbdr.parameters.maps.map import Array, Map
from pbdr.parameters.place import Place


@dataclass(frozen=True)
class Unit(Map):
    """x / |x| along the last axis; bounds do not matter."""

    name: ClassVar[str] = "unit"

    def check(self, value: Array, place: Place, what: str) -> Array:
        if value.ndim == 0 or (np.linalg.norm(value, axis=-1) == 0).any():
            raise ParameterError(f"{what} has a vector of length zero, which map 'unit' cannot normalise")
        return value

    def to_latent(self, value: Array, place: Place) -> Array:
        return np.asarray(value / np.linalg.norm(value, axis=-1, keepdims=True))

    def to_value(self, latent: Any, place: Place) -> Any:
        length = dr.sqrt(dr.sum(latent * latent, axis=-1))
        return latent / dr.reshape(length, (*latent.shape[:-1], 1))
