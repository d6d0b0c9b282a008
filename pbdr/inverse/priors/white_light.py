"""Lights are nearly white."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.inverse.priors.prior import Prior
from pbdr.inverse.priors.texture import colour
from pbdr.parameters.place import Place
from pbdr.registry import option


@dataclass(frozen=True)
class WhiteLight(Prior):
    """Mean distance of a light's channels from their mean, divided by the mean of all: colours belong to surfaces, not to light.

    Its scale does not matter, so that it leaves brightness to the images. Texels of environments count by their solid angle.
    """

    name: ClassVar[str] = "white_light"
    smooth: float = option(
        1e-3, "rounds the corner of |x| at 0, relative to the mean; the least mean that is divided by"
    )

    def __call__(self, value: Any, place: Place) -> Any:
        count, channels = colour(value)
        weight = dr.repeat(_solid_angles(value, count, place), channels)
        texel = dr.arange(mi.UInt32, count * channels) // channels
        grey = dr.zeros(mi.Float, count)
        dr.scatter_add(grey, value.array / channels, texel)
        scale = dr.maximum(dr.sum(weight * value.array) / dr.sum(weight), self.smooth)
        off = (value.array - dr.gather(mi.Float, grey, texel)) / scale
        return dr.sum(weight * (dr.sqrt(dr.square(off) + self.smooth**2) - self.smooth)) / dr.sum(weight)

    def refusal(self, place: Place) -> str:
        if place.parameter is None:
            return ""
        if not place.parameter.row.emitted:
            return "it is no light, whose colour this is about; drop it"
        shape = place.parameter.shape
        return "" if shape and shape[-1] == 3 else f"it has no three channels, but the shape {tuple(shape)}; drop it"


def _solid_angles(value: Any, count: int, place: Place) -> Any:
    """Relative weights of the texels: the sine of the polar angle in maps of the whole sky, rows from pole to pole."""
    if not place.wraps or len(value.shape) != 3:
        return dr.ones(mi.Float, count)
    rows, columns = int(value.shape[0]), int(value.shape[1])
    sines = np.sin((np.arange(rows) + 0.5) / rows * np.pi)
    return mi.Float(np.repeat(sines, columns).astype(np.float32))
