"""Voxels: values at the corners of grids, interpolated in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

from pbdr.errors import OptionError
from pbdr.fields.field import Field, Latents, faded
from pbdr.registry import option


@dataclass(frozen=True)
class Voxels(Field):
    """A sum of grids, each twice as fine as the one before: simple, quick, and memory that grows with the cube of the resolution.

    With `degree` above 0, every voxel has spherical harmonics (Fridovich-Keil et al. 2022).
    """

    name: ClassVar[str] = "voxels"
    rates: ClassVar[Mapping[str, float]] = MappingProxyType({"grid": 0.1})
    resolution: int = option(48, "voxels along each side of the finest grid")
    grids: int = option(3, "number of grids that are added")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.grids >= 1 and 2**self.grids <= self.resolution <= 512):
            raise OptionError(
                f"field 'voxels': resolution = {self.resolution}, grids = {self.grids}: the coarsest grid needs 2 voxels a side "
                "or more, the finest has 512 at most"
            )

    @property
    def levels(self) -> int:
        return self.grids

    @property
    def sides(self) -> list[int]:
        """Voxels along each side of the grids, coarse ones first."""
        return [self.resolution >> (self.grids - 1 - level) for level in range(self.grids)]

    def init(self, seed: int) -> dict[str, Any]:
        """Zeros: all grids in one tensor, one after the other."""
        return {"grid": dr.zeros(mi.TensorXf, (sum(side**3 for side in self.sides), self.width))}

    def raw(self, latents: Latents, point: Any, detail: Any = None) -> list[Any]:
        total, first = [mi.Float(0)] * self.width, 0
        for level, side in enumerate(self.sides):
            share = faded(level, detail)
            for index, weight in corners(point, side):
                # `width` numbers at once: one load, and one addition in reverse mode.
                index = index + first
                found = dr.gather(mi.ArrayXf, latents["grid"].array, index, shape=(self.width, dr.width(index)))
                total = [dr.fma(found[c], weight * share, total[c]) for c in range(self.width)]
            first += side**3
        return total


def corners(point: Any, side: int) -> list[tuple[Any, Any]]:
    """(index, weight) of the eight voxels around points of [0, 1]³, to whose centres values belong."""
    at = dr.clip(point * side - 0.5, 0, side - 1)
    low = mi.Vector3u(dr.minimum(dr.floor(at), side - 2)) if side > 1 else mi.Vector3u(0)
    part = at - mi.Vector3f(low)
    found = []
    for corner in range(8):
        bits = [corner >> axis & 1 for axis in range(3)]
        x, y, z = (low[axis] + bits[axis] for axis in range(3))
        weight = mi.Float(1)
        for axis in range(3):
            weight = weight * (part[axis] if bits[axis] else 1 - part[axis])
        found.append(((z * side + y) * side + x, weight))
    return found
