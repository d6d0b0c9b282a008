"""Derivative images for `pbdr gradient`: forward mode, term by term."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pbdr.parameters.film import resized_film
from pbdr.scene import integrator_of, sensor_of
from pbdr.verify.arguments import fitting_size, one_parameter, with_depth
from pbdr.verify.directions import defaults, direction
from pbdr.verify.functionals import Array
from pbdr.verify.sources import Derivative


def derivative_images(
    scene: Any, param: str, *, options: Mapping[str, Any] | None = None, directions: Sequence[str] = (), sensor: Any = 0,
    spp: int = 256, seed: int = 0, resolution: int | None = None, progress: Callable[[str, float], None] | None = None,
) -> dict[str, dict[str, Array]]:  # fmt: skip
    """Direction → term → (H, W, C) derivative of the image, by `pathspace` with `options`; `total` comes last.

    Raises ParameterError, OptionError, SceneError as `pbdr.verify` does.
    """
    parameter = one_parameter(scene, param)
    tracer = integrator_of(scene, with_depth(scene, {**(options or {}), "type": "pathspace"}))
    camera = sensor_of(scene, sensor)
    names = tuple(directions) or defaults(parameter)
    tangents = {name: direction(scene, parameter, name) for name in names}
    result = {}
    with resized_film(camera, fitting_size(camera, resolution)):
        for number, (name, tangent) in enumerate(tangents.items()):
            if progress is not None:
                progress(name, number / len(names))
            terms = Derivative(scene, parameter, tangent, sensor=camera, integrator=tracer).images(seed, spp)
            total: Any = sum(terms.values())
            result[name] = {**terms, "total": total}
    return result
