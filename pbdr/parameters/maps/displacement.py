"""Vertex positions that move along the normals of the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.errors import ParameterError
from pbdr.parameters.maps.largesteps import SAME, Diffusion, OfSurface
from pbdr.parameters.maps.map import Array
from pbdr.parameters.place import Place


@dataclass(frozen=True)
class NormalDisplacement(OfSurface):
    """Positions v₀ + size · d n of a mesh, with one number a vertex, d, along its normal n at the start, and the latent (I + λL) d:
    relief on a shape that is known roughly. λ and size are those of `largesteps`."""

    name: ClassVar[str] = "normal_displacement"

    def to_latent(self, value: Array, place: Place) -> Array:
        made: Diffusion = place.prepared
        away, normals = self.displacement(value, place), made.surface.normals[made.moving]
        along = np.sum(away * normals, axis=1, keepdims=True)
        if np.abs(away - along * normals).max() > SAME:
            raise ParameterError(f"vertices are moved sideways, which map {self.name!r} cannot express")
        return np.asarray(made.matrix @ along)

    def to_value(self, latent: Any, place: Place) -> Any:
        made: Diffusion = place.prepared
        along = made.spread(made.solve(latent), 0, 1)
        normals = mi.Float(aligned(made.size * made.surface.normals[made.surface.vertex].reshape(-1)))
        return mi.TensorXf(dr.fma(along, normals, made.base), (dr.width(made.row), 3))
