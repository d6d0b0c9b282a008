"""Priors: what is known of a value before any image is seen."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

#: Rounds the corner of |x| at 0, in the units of the value.
SMOOTH = 1e-3


def tv(value: Any, *, wrap: bool = False) -> Any:
    """Return the total variation of a texture (H, W, C): the mean over texels and channels of |∂x| + |∂y|.

    The differences are per texel; `wrap` adds the one across the left and right edge, as environments need.
    """
    h, w, c = value.shape
    lane = dr.arange(mi.UInt32, h * w * c)
    row, column = lane // (w * c), (lane // c) % w
    right = dr.select(column + 1 < w, column + 1, 0 if wrap else column)
    below = dr.select(row + 1 < h, row + 1, row)
    channel = lane % c
    flat = value.array
    dx = dr.gather(mi.Float, flat, (row * w + right) * c + channel) - flat
    dy = dr.gather(mi.Float, flat, (below * w + column) * c + channel) - flat
    return dr.mean(_smooth_abs(dx) + _smooth_abs(dy))


def tv_relative(value: Any, *, wrap: bool = False) -> Any:
    """Return the total variation of a texture (H, W, C) whose channels are divided by their means first.

    Scaling a channel does not change it. Images leave the scale of albedo times light open, channel by channel; `tv` of
    either would settle it by making that one smaller, this does not.
    """
    h, w, c = value.shape
    channel = dr.arange(mi.UInt32, h * w * c) % c
    mean = dr.zeros(mi.Float, c)
    dr.scatter_add(mean, value.array, channel)
    mean = dr.maximum(mean / (h * w), SMOOTH)
    return tv(mi.TensorXf(value.array / dr.gather(mi.Float, mean, channel), value.shape), wrap=wrap)


#: By the name that a variable's `prior` uses.
PRIORS = {"tv": tv, "tv_relative": tv_relative}


def _smooth_abs(x: Any) -> Any:
    return dr.sqrt(dr.square(x) + SMOOTH * SMOOTH) - SMOOTH
