"""Few colours: base colours of texels are probably those of a few materials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

from pbdr.inverse.priors.prior import Prior
from pbdr.inverse.priors.texture import colour, constant
from pbdr.parameters.place import Place
from pbdr.parameters.roles import Kind
from pbdr.registry import option

GOLDEN = 0.6180339887498949  # fractions of a texture between partners: no two shifts close to each other


@dataclass(frozen=True)
class Cluster(Prior):
    """Quadratic entropy of a texture's colours, −log mean exp(−|a − b|² / 4σ²) over pairs of texels: few materials, anywhere.

    It is the parsimony of reflectance of Barron and Malik (2015), of colours as they are. Each texel is compared with `pairs`
    others at fixed distances; if there are no more than that, with all.
    """

    name: ClassVar[str] = "cluster"
    width: float = option(0.05, "σ, the spread of colours of one material, in the units of the value")
    pairs: int = option(16, "partners of each texel; more cost time in proportion")

    def __call__(self, value: Any, place: Place) -> Any:
        count, channels = colour(value)
        shifts = _shifts(count, max(1, self.pairs))
        texel = dr.tile(dr.arange(mi.UInt32, count), len(shifts))
        shift = dr.repeat(mi.UInt32(shifts), count)
        partner = (texel + shift) % count
        square = dr.zeros(mi.Float, count * len(shifts))
        for channel in range(channels):
            here, there = (dr.gather(mi.Float, value.array, at * channels + channel) for at in (texel, partner))
            square = square + dr.square(here - there)
        return -dr.log(dr.mean(dr.exp(square * (-0.25 / self.width**2))))

    def refusal(self, place: Place) -> str:
        if not self.width > 0:
            return f"width = {self.width:g} is not above 0"
        other = place.parameter is not None and place.parameter.row.kind is not Kind.COLOR
        return "it is no colour of a surface, which this is about; drop it" if other else constant(place)


def _shifts(count: int, pairs: int) -> list[int]:
    """Distances between partners in the order of texels, each from 1 to count − 1 and different; all of these if they are few."""
    most = max(count - 1, 1)
    if most <= pairs:
        return list(range(1, most + 1))
    found: dict[int, None] = {}
    number = 0
    while len(found) < pairs:
        number += 1
        found[1 + int((number * GOLDEN) % 1 * most)] = None
    return list(found)
