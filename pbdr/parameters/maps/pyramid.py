"""Textures as sums over resolutions: what is coarse is found first, by few numbers that many pixels see."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.errors import OptionError
from pbdr.parameters.maps.bounded import Clamp, Exp, Sigmoid, Softplus
from pbdr.parameters.maps.map import Array, Map
from pbdr.parameters.place import Place
from pbdr.parameters.textures import resize
from pbdr.registry import option

#: Maps that a pyramid may lie in.
INNER: dict[str, Map] = {one.name: one for one in (Sigmoid(), Exp(), Softplus(), Clamp())}


@dataclass(frozen=True)
class Pyramid(Map):
    """A sum over resolutions, each half as fine as the next, within another map: large areas move together, details follow.

    An optimiser that moves every number by about its learning rate moves a texel by that much at every level, so that what all
    pixels of an area agree on is reached in fewer steps than texel by texel. What no image sees takes the colour of its
    surroundings instead of keeping the start. Constants have one level: there the map is the inner one.

    The latent is one row of numbers, level after level, the coarsest first; the last level has the texture's own resolution. It
    is in units of the value: where all levels move by x / √levels, a value in the middle of its bounds moves by x of their width,
    and one without an upper bound by a factor of eˣ.
    """

    name: ClassVar[str] = "pyramid"
    of: str = option(
        "auto", "the map within: sigmoid, exp, softplus or clamp; auto: sigmoid or exp, whichever keeps the bounds"
    )
    coarsest: int = option(1, "fewest texels along the shorter edge")

    def __post_init__(self) -> None:
        if self.of != "auto" and self.of not in INNER:
            raise OptionError(f"pyramid of {self.of!r}: it is auto or one of {', '.join(INNER)}")
        if self.coarsest < 1:
            raise OptionError(f"pyramid with coarsest = {self.coarsest!r}: it is at least 1")

    def inner(self, place: Place) -> Map:
        """Return the map that the sum lies in."""
        if self.of != "auto":
            return INNER[self.of]
        lo, hi = place.bounds
        if math.isfinite(lo):
            return INNER["sigmoid" if math.isfinite(hi) else "exp"]
        return INNER["clamp"]

    def refusal(self, place: Place) -> str:
        return self.inner(place).refusal(place)

    def gain(self, place: Place, levels: int) -> float:
        """Return what a latent counts for in the sum."""
        return (4.0 if isinstance(self.inner(place), Sigmoid) else 1.0) / math.sqrt(levels)

    def to_latent(self, value: Array, place: Place) -> Array:
        inner = np.asarray(self.inner(place).to_latent(value, place))
        if value.ndim != 3:
            return inner / self.gain(place, 1)
        levels, rest = [], inner
        for size in self.sizes(value.shape):
            level = resize(rest, size, wrap=place.wraps)
            rest = rest - resize(level, value.shape[:2], wrap=place.wraps)
            levels.append(level.reshape(-1))
        return np.concatenate(levels) / self.gain(place, len(levels))

    def to_value(self, latent: Any, place: Place) -> Any:
        shape = None if place.parameter is None else place.parameter.shape
        textured = shape is not None and len(shape) == 3
        gain = self.gain(place, len(self.sizes(shape)) if shape is not None and textured else 1)
        total = self._sum(latent, shape, place.wraps) if shape is not None and textured else latent
        return self.inner(place).to_value(total * gain, place)

    def sizes(self, shape: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return (height, width) of the levels of a texture (H, W, C), the coarsest first."""
        sizes = [(int(shape[0]), int(shape[1]))]
        while min(sizes[-1]) > self.coarsest:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        return sizes[::-1]

    def _sum(self, latent: Any, shape: tuple[int, ...], wrap: bool) -> Any:
        """Return the levels of `latent`, each interpolated linearly to `shape` (H, W, C) as `textures.resize` does, added up."""
        height, width, channels = shape
        lane = dr.arange(mi.UInt32, height * width * channels)
        row, column, channel = lane // (width * channels), (lane // channels) % width, lane % channels
        total, start = dr.zeros(mi.Float, height * width * channels), 0
        for h, w in self.sizes(shape):
            for i, wi in _neighbours(row, h, height, False):
                for j, wj in _neighbours(column, w, width, wrap):
                    total += wi * wj * dr.gather(mi.Float, latent.array, start + (i * w + j) * channels + channel)
            start += h * w * channels
        return mi.TensorXf(total, shape)


def _neighbours(index: Any, old: int, new: int, wrap: bool) -> Iterator[tuple[Any, Any]]:
    """Yield (entry, weight) of the one or two coarse entries that the fine entry `index` lies between; weights sum to one."""
    if old == new:
        yield index, 1.0
        return
    center = (mi.Float(index) + 0.5) * (old / new) - 0.5
    low = mi.Int32(dr.floor(center))
    weight = center - mi.Float(low)
    for entry, share in ((low, 1 - weight), (low + 1, weight)):
        inside = (entry + old) % old if wrap else dr.clip(entry, 0, old - 1)
        yield mi.UInt32(inside), share
