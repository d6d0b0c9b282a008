"""Total variation: neighbouring texels are probably alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

from pbdr.inverse.priors.prior import Prior
from pbdr.inverse.priors.texture import colour, constant, neighbour
from pbdr.parameters.place import Place
from pbdr.registry import option

#: Default of what rounds the corner of |x| at 0.
SMOOTH = 1e-3


@dataclass(frozen=True)
class TotalVariation(Prior):
    """Total variation of a texture: its colours change seldom."""

    name: ClassVar[str] = "tv"
    smooth: float = option(SMOOTH, "rounds the corner of |x| at 0, in the units of the value")

    def __call__(self, value: Any, place: Place) -> Any:
        return tv(value, wrap=place.wraps, smooth=self.smooth)

    def refusal(self, place: Place) -> str:
        return constant(place)


@dataclass(frozen=True)
class RelativeTotalVariation(Prior):
    """Total variation of a texture divided by its mean, channel by channel, which leaves the scale alone."""

    name: ClassVar[str] = "tv_relative"
    smooth: float = option(
        SMOOTH, "rounds the corner of |x| at 0, relative to the mean; the least mean that is divided by"
    )

    def __call__(self, value: Any, place: Place) -> Any:
        return tv_relative(value, wrap=place.wraps, smooth=self.smooth)

    def refusal(self, place: Place) -> str:
        return constant(place)


@dataclass(frozen=True)
class ColourVariation(Prior):
    """Total variation of a texture whose channels have their edges in common: colours change seldom, and all channels at once.

    The length of the difference of two neighbouring colours counts (Bresson & Chan 2008).
    """

    name: ClassVar[str] = "tv_colour"
    smooth: float = option(SMOOTH, "rounds the corner of |x| at 0, in the units of the value")

    def __call__(self, value: Any, place: Place) -> Any:
        return tv_colour(value, wrap=place.wraps, smooth=self.smooth)

    def refusal(self, place: Place) -> str:
        return constant(place)


def tv(value: Any, *, wrap: bool = False, smooth: float = SMOOTH) -> Any:
    """Return the total variation of a texture (H, W, C): the mean over texels and channels of |∂x| + |∂y|.

    The differences are per texel; `wrap` adds the one across the left and right edge, as environments need.
    """
    dx = neighbour(value, 0, 1, wrap=wrap) - value.array
    dy = neighbour(value, 1, 0) - value.array
    return dr.mean(_smooth_abs(dx, smooth) + _smooth_abs(dy, smooth))


def tv_relative(value: Any, *, wrap: bool = False, smooth: float = SMOOTH) -> Any:
    """Return the total variation of a texture (H, W, C) whose channels are divided by their means first.

    Scaling a channel does not change it. Images leave the scale of albedo times light open, channel by channel; `tv` of
    either would settle it by making that one smaller, this does not.
    """
    h, w, c = value.shape
    channel = dr.arange(mi.UInt32, h * w * c) % c
    mean = dr.zeros(mi.Float, c)
    dr.scatter_add(mean, value.array, channel)
    mean = dr.maximum(mean / (h * w), smooth)
    return tv(mi.TensorXf(value.array / dr.gather(mi.Float, mean, channel), value.shape), wrap=wrap, smooth=smooth)


def tv_colour(value: Any, *, wrap: bool = False, smooth: float = SMOOTH) -> Any:
    """Return the mean over texels of ‖∂x‖ + ‖∂y‖, norms over the channels of a texture (H, W, C); differences are per texel."""
    texels, channels = colour(value)
    total = mi.Float(0)
    for step in ((0, 1), (1, 0)):
        square = dr.zeros(mi.Float, texels)
        texel = dr.arange(mi.UInt32, texels * channels) // channels
        dr.scatter_add(square, dr.square(neighbour(value, *step, wrap=wrap) - value.array), texel)
        total += dr.mean(dr.sqrt(square + smooth * smooth) - smooth)
    return total


def _smooth_abs(x: Any, smooth: float) -> Any:
    return dr.sqrt(dr.square(x) + smooth * smooth) - smooth
