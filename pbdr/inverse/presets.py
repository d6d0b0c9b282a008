"""One call for the two commonest problems: what are things made of, and what lights them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbdr.errors import DataError, ParameterError
from pbdr.inverse.fit import fit
from pbdr.inverse.problem import Options, Problem, View
from pbdr.inverse.state import State
from pbdr.parameters import VariableSpec, list_parameters, resolve

MATERIALS = ("*/base_color", "*/roughness", "*/metallic")
LIGHTS = ("*/radiance", "*/intensity", "*/irradiance")


@dataclass(frozen=True)
class Estimate:
    """What a preset found.

    values   estimated arrays by parameter name
    losses   image loss of every step
    reason   why it stopped: steps, patience, max_minutes or callback
    scene    the scene with the estimate in it
    """

    values: dict[str, NDArray[np.float32]]
    losses: list[float]
    reason: str
    scene: Any
    state: State
    problem: Problem


def estimate_materials(
    scene: Any,
    images: Sequence[NDArray[Any]],
    sensors: Sequence[Any] | None = None,
    *,
    match: str | Sequence[str] | None = None,
    masks: Sequence[NDArray[Any] | None] | None = None,
    texture: int | None = None,
    init: float | None = None,
    lr: float = 2e-2,
    options: Options | None = None,
    callback: Callable[..., object] | None = None,
) -> Estimate:
    """Estimate materials from `images` (linear, (H, W, 3) each), the lighting and geometry being known.

    `sensors` gives the camera of each image (index or `mitsuba.Sensor`; default: the scene's, in order). `match`
    selects parameters, one variable per pattern (default: every base_color, roughness and metallic that is there).
    `texture` promotes constant base colours to N × N textures. `init` is the starting value; None starts from the
    scene's. Raises DataError, ParameterError, OptionError, DivergedError.
    """
    specs = {}
    for pattern in _patterns(scene, match, MATERIALS):
        size = texture if pattern.endswith("base_color") else None
        specs[pattern] = VariableSpec(match=pattern, init=init, lr=lr, texture=size)
    return _estimate(scene, images, sensors, masks, specs, options, callback)


def estimate_lighting(
    scene: Any,
    images: Sequence[NDArray[Any]],
    sensors: Sequence[Any] | None = None,
    *,
    match: str | Sequence[str] | None = None,
    masks: Sequence[NDArray[Any] | None] | None = None,
    texture: int | None = None,
    init: float | None = None,
    lr: float = 5e-2,
    tv: float = 0.0,
    options: Options | None = None,
    callback: Callable[..., object] | None = None,
) -> Estimate:
    """Estimate lights from `images`, materials and geometry being known; arguments as in `estimate_materials`.

    Values stay positive through a softplus map. `texture` gives environments N rows × 2N columns, a constant one
    becoming a map; `tv` is the weight of its total-variation prior.
    """
    specs = {}
    for pattern in _patterns(scene, match, LIGHTS):
        skies = _environments(scene, pattern)
        others = [p.name for p in resolve(scene, pattern) if p.name not in skies]
        if skies:
            prior = {"tv": tv} if tv else {}
            specs[f"{pattern} (sky)"] = VariableSpec(
                skies, map="softplus", init=init, lr=lr, texture=texture, prior=prior
            )
        if others:
            specs[pattern] = VariableSpec(others, map="softplus", init=init, lr=lr)
    return _estimate(scene, images, sensors, masks, specs, options, callback)


def _patterns(scene: Any, match: str | Sequence[str] | None, defaults: Sequence[str]) -> list[str]:
    if match is not None:
        return [match] if isinstance(match, str) else list(match)
    roles = {p.role for p in list_parameters(scene) if p.kind != "integer"}
    found = [pattern for pattern in defaults if pattern.split("/")[1] in roles]
    if not found:
        raise ParameterError(f"the scene has none of {', '.join(defaults)}: say with match what to estimate")
    return found


def _environments(scene: Any, pattern: str) -> list[str]:
    """Return the names that `pattern` selects and that light from infinity: maps, and constants that may become one."""
    return [p.name for p in resolve(scene, pattern) if p.role == "radiance" and ".emitter." not in p.raw]


def _estimate(
    scene: Any,
    images: Sequence[NDArray[Any]],
    sensors: Sequence[Any] | None,
    masks: Sequence[NDArray[Any] | None] | None,
    specs: dict[str, VariableSpec],
    options: Options | None,
    callback: Callable[..., object] | None,
) -> Estimate:
    cameras = range(len(images)) if sensors is None else sensors
    shapes = [None] * len(images) if masks is None else masks
    if not len(images) == len(cameras) == len(shapes):
        raise DataError(f"{len(images)} images need as many sensors and masks, got {len(cameras)} and {len(shapes)}")
    views = [View(np.asarray(t), c, m) for t, c, m in zip(images, cameras, shapes, strict=True)]
    problem = Problem(scene, views, specs, options or Options())
    result = fit(problem, callback)
    return Estimate(result.values, result.losses, result.reason, result.scene, result.state, problem)
