"""Which texels of a colour texture the views see: where an estimate rests on evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..inverse import View
from ..parameters import Parameter
from ..parameters.attach import attached
from ..scene import Scene, load_object, sensor_of
from ..seeds import hashed

SPP = 16
#: A view sees a texel when its share of the image is at least this fraction of the median share of the texels in view.
#: Texels at the rim, which a camera ray hits by chance, would count otherwise.
SHARE = 0.25


def seen(scene: Scene, parameter: Parameter, views: Sequence[View]) -> NDArray[np.int64] | None:
    """(H, W) number of ``views`` that see each texel; None for what is not a colour texture.

    The derivative of Mitsuba's albedo image with respect to a texel is the texel's share of that image, hence zero
    exactly where a view does not see it. The scene's values are left as they were.
    """
    import drjit as dr
    import mitsuba as mi

    if not parameter.row.albedo or parameter.kind != "texture" or parameter.shape[0] * parameter.shape[1] == 1:
        return None
    albedo = load_object({"type": "aov", "aovs": "albedo:albedo"})
    count = np.zeros(parameter.shape[:2], dtype=np.int64)
    for number, view in enumerate(views):
        sensor, seed = sensor_of(scene, view.sensor), hashed(0, "coverage", number)
        with attached(scene.mi, {parameter.name: parameter}) as leaves:
            image = mi.render(scene.mi, leaves.params, sensor=sensor, integrator=albedo, spp=SPP, seed=seed)
            dr.backward(dr.sum(image, axis=None))
            share = leaves.gradients()[parameter.name].max(axis=2)
        if (share > 0).any():
            count += share >= SHARE * np.median(share[share > 0])
    return count
