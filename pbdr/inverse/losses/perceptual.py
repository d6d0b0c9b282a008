"""Learned perceptual similarity (Zhang, Isola, Efros, Shechtman, Wang 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.inverse.losses import network, weights
from pbdr.inverse.losses.filters import encoded
from pbdr.inverse.losses.loss import Loss, weight_of
from pbdr.registry import option


@dataclass(frozen=True)
class LPIPS(Loss):
    """Distance of the features that a network finds in both images, LPIPS 0.1: for appearance that no pixel has to match.

    Codes of sRGB in [0, 1]; what is brighter is white. Where a mask does not count, the image is taken for the target, and the
    distance is divided by the mean of the mask. Weights are fetched once by `tools/perceptual_weights.py`. Noise of the render is
    a texture to it: use it at many samples per pixel, with a small weight beside another loss.
    """

    name: ClassVar[str] = "lpips"
    net: str = option("alex", 'network: "alex", which is quick, or "vgg"')

    def refusal(self) -> str:
        if self.net not in weights.FILES:
            return f"net = {self.net!r}: it is {' or '.join(map(repr, weights.FILES))}"
        there = weights.place(self.net).is_file()
        return "" if there else f"its weights are not at {weights.place(self.net)}: {weights.HOW}"

    def __call__(self, image: Any, target: Any, mask: Any = None, weights: Any = None, **given: Any) -> Any:
        first, second = (_codes(x) for x in (image, target))
        weight = weight_of(mask, weights)
        if weight is not None:
            share = dr.minimum(weight, 1)
            first = second + dr.select(share > 0, share * (first - second), 0)
        value, slope = self._compared(np.array(dr.detach(first)), np.array(dr.detach(second)))
        if weight is not None:
            scale = 1 / float(np.mean(np.minimum(np.array(weight), 1)))
            value, slope = scale * value, np.float32(scale) * slope
        linear = dr.sum(first * mi.TensorXf(slope), axis=None)
        return linear - dr.detach(linear) + value

    def _compared(self, first: Any, second: Any) -> tuple[float, Any]:
        """Value and derivative; images too small for the network are enlarged by whole factors."""
        factor = -(-network.LEAST[self.net] // min(first.shape[:2]))
        large = [np.repeat(np.repeat(x, factor, axis=0), factor, axis=1) for x in (first, second)]
        value, slope = network.distance(self.net, weights.load(self.net), *large)
        h, w = first.shape[:2]
        return value, slope.reshape(h, factor, w, factor, 3).sum(axis=(1, 3))


def _codes(image: Any) -> Any:
    """Three channels of codes in [0, 1]."""
    codes = dr.minimum(encoded(image), 1)
    return codes * mi.TensorXf(np.ones((1, 1, 3), np.float32)) if image.shape[2] == 1 else codes
