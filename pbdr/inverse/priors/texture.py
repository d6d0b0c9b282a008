"""What priors of textures share: texels beside a texel, and where there are none."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.parameters.place import Place


def neighbour(value: Any, down: int, right: int, *, wrap: bool = False) -> Any:
    """Return, texel by texel of a texture (H, W, C), the flat value of the texel `down` rows and `right` columns away.

    Beyond the border it is the last texel; with `wrap`, the left and the right edge touch.
    """
    h, w, c = (int(n) for n in value.shape)
    lane = dr.arange(mi.Int32, h * w * c)
    row, column, channel = lane // (w * c), (lane // c) % w, lane % c
    row = dr.clip(row + down, 0, h - 1)
    column = column + right
    column = (column + w) % w if wrap else dr.clip(column, 0, w - 1)
    return dr.gather(mi.Float, value.array, mi.UInt32((row * w + column) * c + channel))


def constant(place: Place) -> str:
    """Return why a prior of neighbouring texels means nothing for a constant; "" for a texture."""
    texels = place.parameter is None or len(place.parameter.shape) == 3
    return "" if texels else "a constant has no variation; give 'texture' or drop it"


def colour(value: Any) -> tuple[int, int]:
    """Return (number of texels, channels) of a value whose last axis is its channels; a number has one of each."""
    channels = int(value.shape[-1]) if len(value.shape) else 1
    return len(value.array) // channels, channels
