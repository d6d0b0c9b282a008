"""What `verify` is asked for: the parameter, the integrator, the size of the image; and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pbdr.errors import OptionError, ParameterError
from pbdr.parameters import Parameter, resolve
from pbdr.scene import Scene


@dataclass(frozen=True)
class Effort:
    """How much is done for an answer.

    budget, tolerance, resolution   seconds of measuring, relative error, longest side in pixels; None: the film's own
    spp     of the first images; `pilot` replicas at `steps` steps choose the step
    whole   all directions, reverse mode and the other estimator as well, if they are asked for
    """

    budget: float
    tolerance: float
    resolution: int | None
    spp: int
    pilot: int
    steps: int
    whole: bool = True


FULL = Effort(20.0, 0.02, 64, spp=64, pilot=4, steps=4)
#: A call takes about as long with 64 as with 256 samples a pixel of so small an image: preparing it is most of it.
QUICK = Effort(0.5, 0.1, 16, spp=256, pilot=3, steps=2, whole=False)


def effort_of(quick: bool, budget: float | None, tolerance: float | None, resolution: int | None) -> Effort:
    """The effort that is asked for; a quick look keeps to the budget and tolerance given, and its image stays small.

    Raises OptionError for numbers out of range.
    """
    usual = QUICK if quick else FULL
    side = min(resolution or QUICK.resolution or 1, QUICK.resolution or 1) if quick else resolution
    found = replace(
        usual, budget=usual.budget if budget is None else budget, resolution=side,
        tolerance=usual.tolerance if tolerance is None else tolerance,
    )  # fmt: skip
    for name, value, low, high in (("budget", found.budget, 0.1, 1e6), ("tolerance", found.tolerance, 1e-4, 0.5)):
        if not low <= value <= high:
            raise OptionError(f"{name} = {value}: give a number from {low:g} to {high:g}")
    if resolution is not None and resolution < 4:
        raise OptionError(f"resolution = {resolution}: give at least 4 pixels")
    return found


def one_parameter(scene: Any, param: str) -> Parameter:
    """The parameter of this name or raw key; ParameterError when it is none or several."""
    from pbdr.parameters import list_parameters

    raw = any(parameter.raw == param for parameter in list_parameters(scene))
    found = resolve(scene, raw=param) if raw else resolve(scene, param)
    if len(found) > 1:
        raise ParameterError(
            f"'{param}' matches {len(found)} parameters; give one of {', '.join(p.name for p in found[:6])}"
        )
    return found[0]


def with_depth(scene: Any, integrator: Any) -> dict[str, Any]:
    """The integrator as a dictionary, with the scene's path depth where it names none."""
    if integrator is not None and not isinstance(integrator, Mapping):
        raise OptionError(f"integrator: give a dictionary such as {{'type': 'prb'}}, not {type(integrator).__name__}")
    options = {"type": "pathspace", **(integrator or {})}
    depth = scene.integrator_options().get("max_depth") if isinstance(scene, Scene) else None
    options.setdefault("max_depth", 6 if depth is None else int(depth))
    return options


def fitting_size(camera: Any, resolution: int | None) -> tuple[int, int]:
    """(width, height) of the film, made smaller so that no side is longer than `resolution`."""
    width, height = (int(n) for n in camera.film().size())
    if resolution is None or max(width, height) <= resolution:
        return width, height
    scale = resolution / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def check_step(step: float | None) -> None:
    """Raise OptionError for a step that is none."""
    if step is not None and not (np.isfinite(step) and step > 0):
        raise OptionError(f"step = {step}: give a positive number, in units of the parameter along the direction")
