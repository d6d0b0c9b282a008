"""Total variation: neighbouring cells of a texture or a grid are probably alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

from pbdr.inverse.priors.prior import Prior
from pbdr.inverse.priors.texture import colour, constant, neighbours
from pbdr.parameters.place import Place
from pbdr.registry import option

#: Default of what rounds the corner of |x| at 0.
SMOOTH = 1e-3


@dataclass(frozen=True)
class TotalVariation(Prior):
    """Total variation of a texture or a grid: its values change seldom."""

    name: ClassVar[str] = "tv"
    relative: ClassVar[bool] = False
    joint: ClassVar[bool] = False
    smooth: float = option(SMOOTH, "rounds the corner of |x| at 0, in the units of the value")

    def __call__(self, value: Any, place: Place) -> Any:
        return variation(value, wrap=place.wraps, smooth=self.smooth, relative=self.relative, joint=self.joint)

    def refusal(self, place: Place) -> str:
        return constant(place)


@dataclass(frozen=True)
class RelativeTotalVariation(TotalVariation):
    """Total variation of a texture or a grid divided by its mean, channel by channel, which leaves the scale alone."""

    name: ClassVar[str] = "tv_relative"
    relative: ClassVar[bool] = True
    smooth: float = option(
        SMOOTH, "rounds the corner of |x| at 0, relative to the mean; the least mean that is divided by"
    )


@dataclass(frozen=True)
class ColourVariation(TotalVariation):
    """Total variation of a texture whose channels have their edges in common: colours change seldom, and all channels at once.

    The length of the difference of two neighbouring colours counts (Bresson & Chan 2008).
    """

    name: ClassVar[str] = "tv_colour"
    joint: ClassVar[bool] = True
    smooth: float = option(SMOOTH, "rounds the corner of |x| at 0, in the units of the value")


def variation(
    value: Any, *, wrap: bool = False, smooth: float = SMOOTH, relative: bool = False, joint: bool = False
) -> Any:
    """Return the total variation of a texture (H, W, C) or grid (Z, Y, X, C): mean over its entries of Σ |∂| over the axes.

    The differences are from cell to cell; `wrap` adds the one across the left and right edge, as environments need.

    `relative`: channels are divided by their means first, so that scaling one does not change it. Images leave the scale of albedo
    times light open, channel by channel; variation of either would settle it by making that one smaller, this does not.
    `joint`: mean over cells of the length of the difference of all channels.
    """
    cells, channels = colour(value)
    if relative:
        channel = dr.arange(mi.UInt32, cells * channels) % channels
        mean = dr.zeros(mi.Float, channels)
        dr.scatter_add(mean, value.array, channel)
        mean = dr.maximum(mean / cells, smooth)
        value = mi.TensorXf(value.array / dr.gather(mi.Float, mean, channel), value.shape)
    total = mi.Float(0)
    for beside in neighbours(value, wrap=wrap):
        square = dr.square(beside - value.array)
        if joint:
            together = dr.zeros(mi.Float, cells)
            dr.scatter_add(together, square, dr.arange(mi.UInt32, cells * channels) // channels)
            square = together
        total += dr.mean(dr.sqrt(square + smooth * smooth) - smooth)
    return total
