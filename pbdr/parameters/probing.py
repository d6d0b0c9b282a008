"""Whether a gradient reaches a parameter: asked of the renderer, since Mitsuba's flags are unreliable both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.errors import PbdrError
from pbdr.parameters.attach import attached
from pbdr.parameters.film import resized_film
from pbdr.parameters.names import Parameter
from pbdr.scene import integrator_of, mitsuba_scene, sensor_of

#: Edge of the probe's image in pixels, and its samples per pixel.
SIZE, SPP = 16, 8
#: Most views that `probe_sensors` looks at.
VIEWS = 4


def probe(scene: Any, parameter: Parameter, *, sensor: Any = 0, integrator: Any = None, seed: int = 0) -> bool:
    """Return whether a small render by `integrator` (default: `pathspace`) has a non-zero gradient in `parameter`.

    False means that this view's light does not depend on it, or that the integrator refuses it.
    """
    return probe_all(scene, [parameter], sensor=sensor, integrator=integrator, seed=seed)[parameter.name]


def probe_all(
    scene: Any, parameters: Sequence[Parameter], *, sensor: Any = 0, integrator: Any = None, seed: int = 0
) -> dict[str, bool]:
    """Probe many parameters with one backward pass; where the integrator refuses the set, its halves are probed."""
    live = [p for p in parameters if p.kind != "integer"]
    result = {p.name: False for p in parameters}
    # Cameras first and apart: they are what integrators refuse most.
    cameras = {s.id() for s in mitsuba_scene(scene).sensors()}
    views = [p for p in live if p.raw.split(".")[0] in cameras]
    if views and len(views) < len(live):
        rest = [p for p in live if p not in views]
        for part in (views, rest):
            result.update(probe_all(scene, part, sensor=sensor, integrator=integrator, seed=seed))
        return result
    try:
        result.update(_probe(scene, live, sensor, integrator, seed))
    except (PbdrError, RuntimeError):
        half = len(live) // 2
        for part in (live[:half], live[half:]) if half else ():
            result.update(probe_all(scene, part, sensor=sensor, integrator=integrator, seed=seed))
    return result


def probe_sensors(
    scene: Any, parameters: Sequence[Parameter], *, sensors: Sequence[Any], integrator: Any = None, seed: int = 0
) -> dict[str, bool]:
    """Probe parameters in one view after the other, until each has a gradient in one of them; few views are spread over many."""
    found = {p.name: False for p in parameters}
    for sensor in sensors[:: max(1, -(-len(sensors) // VIEWS))]:
        missing = [p for p in parameters if not found[p.name]]
        if missing:
            found |= probe_all(scene, missing, sensor=sensor, integrator=integrator, seed=seed)
    return found


def _probe(scene: Any, parameters: Sequence[Parameter], sensor: Any, integrator: Any, seed: int) -> dict[str, bool]:
    if not parameters:
        return {}
    target, camera = mitsuba_scene(scene), sensor_of(scene, sensor)
    width, height = camera.film().size()
    scale = min(1.0, SIZE / max(width, height))
    small = resized_film(camera, (max(1, round(width * scale)), max(1, round(height * scale))))
    with small, attached(target, {p.name: p for p in parameters}) as leaves:
        image = mi.render(
            target, leaves.params, sensor=camera, integrator=integrator_of(scene, integrator),
            spp=SPP, seed=2 * seed + 1, seed_grad=2 * seed + 2,
        )  # fmt: skip
        # Uneven weights, so that opposite contributions of two pixels do not cancel.
        weights = np.random.default_rng(seed).uniform(0.5, 1.5, image.shape).astype(np.float32)
        dr.backward(dr.sum(image * mi.TensorXf(weights), axis=None))
        return {name: bool(np.any(gradient != 0)) for name, gradient in leaves.gradients().items()}
