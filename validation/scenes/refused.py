"""Materials and shapes that are refused by name."""

from __future__ import annotations

import mitsuba as mi
import numpy as np

from validation.scenes import zoo

BLEND_DELTA = {"type": "blendbsdf", "weight": 0.3, "a": zoo.GREEN, "b": {"type": "conductor"}}
MATERIALS = {
    "roughplastic-roughness": (zoo.MATERIALS["roughplastic"], "roughness"),
    "roughplastic-eta": (zoo.MATERIALS["roughplastic"], "eta"),
    "twosided-roughplastic": (
        lambda: {"type": "twosided", "nested": {"type": "roughplastic", "alpha": 0.2}},
        "roughness",
    ),
    "blend-delta-weight": (lambda: BLEND_DELTA, "weight"),
    "mask-mirror-opacity": (lambda: {"type": "mask", "opacity": 0.5, "nested": {"type": "conductor"}}, "opacity"),
}


def ellipsoids(kind):
    """One ellipsoid, of either kind of shape."""

    def make(folder):
        values = {"centers": [[1.0, 0, 1]], "scales": [[0.2, 0.3, 0.2]], "quaternions": [[0.0, 0, 0, 1]]}
        return {"other": {"type": kind, **{k: mi.TensorXf(np.array(v, np.float32)) for k, v in values.items()}}}

    return make


OTHERS = {
    "ellipsoids": ellipsoids("ellipsoids"),
}
