"""Radiance that arrives from infinity in two scenes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export.asset import lat_long
from ..job import metrics
from ..scene import Scene
from . import align

ROWS = 64

PROTOCOL = (
    f"radiance of the environments from {ROWS} × {2 * ROWS} directions, weighted by solid angle: root mean square "
    f"error, also divided by the mean of the true one; aligned: after the best factor for each channel. A scene "
    f"without an environment has a black one"
)


def radiance(scene: Scene) -> NDArray[np.float64]:
    """(ROWS, 2 ROWS, 3) radiance by direction of the world, as in a latitude-longitude map with +y up."""
    import mitsuba as mi

    light = scene.mi.environment()
    if light is None:
        return np.zeros((ROWS, 2 * ROWS, 3))
    hit = mi.SurfaceInteraction3f()
    hit.wi = mi.Vector3f(np.ascontiguousarray(-lat_long(ROWS).T, dtype=np.float32))
    values = np.array(light.eval(hit), dtype=np.float64)
    return np.broadcast_to(values.T, (2 * ROWS * ROWS, 3)).reshape(ROWS, 2 * ROWS, 3)


def scores(estimate: Scene, truth: Scene) -> dict[str, Any]:
    """Errors as PROTOCOL says; {} where neither scene has an environment."""
    if estimate.mi.environment() is None and truth.mi.environment() is None:
        return {}
    ours, theirs = radiance(estimate), radiance(truth)
    weight = metrics.environment_weight(ROWS, 2 * ROWS)
    scale = align.factors(ours, theirs, weight)
    mean = float(np.average(theirs.mean(axis=2), weights=weight))
    raw, aligned = metrics.rmse(ours, theirs, weight), metrics.rmse(scale * ours, theirs, weight)
    relative = {"relative": raw / mean, "relative_aligned": aligned / mean} if mean > 0 else {}
    return {"rmse": raw, "rmse_aligned": aligned, **relative, "factors": scale}
