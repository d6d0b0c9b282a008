"""What priors of textures and grids share: cells beside a cell, and where there are none."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.parameters.place import Place


def neighbours(value: Any, step: int = 1, *, wrap: bool = False) -> list[Any]:
    """Return, one for each axis of a texture (H, W, C) or grid (Z, Y, X, C), the flat values of the cells `step` further along it.

    Beyond the border it is the last cell; with `wrap`, the left and the right edge touch.
    """
    *sizes, channels = (int(n) for n in value.shape)
    lane = dr.arange(mi.Int32, len(value.array))
    found, stride = [], channels
    for axis, size in reversed(list(enumerate(sizes))):
        here = (lane // stride) % size
        there = here + step
        across = wrap and axis == len(sizes) - 1
        there = (there + size) % size if across else dr.clip(there, 0, size - 1)
        found.append(dr.gather(mi.Float, value.array, mi.UInt32(lane + (there - here) * stride)))
        stride = stride * size
    return found[::-1]


def constant(place: Place) -> str:
    """Return why a prior of neighbouring cells means nothing for a constant; "" for a texture or a grid."""
    cells = place.parameter is None or len(place.parameter.shape) in (3, 4)
    return "" if cells else "a constant has no variation; give 'texture' or drop it"


def colour(value: Any) -> tuple[int, int]:
    """Return (number of texels, channels) of a value whose last axis is its channels; a number has one of each."""
    channels = int(value.shape[-1]) if len(value.shape) else 1
    return len(value.array) // channels, channels
