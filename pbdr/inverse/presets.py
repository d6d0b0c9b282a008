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
from pbdr.parameters.roles import Kind, preset
from pbdr.parameters.textures import is_sky


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
    textured = tuple(row.name for row in preset("materials") if row.kind is Kind.COLOR)
    for pattern in _patterns(scene, match, "materials"):
        size = texture if pattern.endswith(textured) else None
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
    for pattern in _patterns(scene, match, "lighting"):
        found = resolve(scene, pattern)
        skies, others = ([p.name for p in found if is_sky(p) == wanted] for wanted in (True, False))
        if skies:
            prior = {"tv": tv} if tv else {}
            specs[f"{pattern} (sky)"] = VariableSpec(
                skies, map="softplus", init=init, lr=lr, texture=texture, prior=prior
            )
        if others:
            specs[pattern] = VariableSpec(others, map="softplus", init=init, lr=lr)
    return _estimate(scene, images, sensors, masks, specs, options, callback)


def _patterns(scene: Any, match: str | Sequence[str] | None, name: str) -> list[str]:
    """What `match` names; by default all of the roles that the preset `name` estimates, one pattern each."""
    if match is not None:
        return [match] if isinstance(match, str) else list(match)
    wanted = [row.name for row in preset(name)]
    there = {p.role for p in list_parameters(scene) if p.kind != "integer"}
    found = [f"*/{role}" for role in wanted if role in there]
    if not found:
        every = ", ".join(f"*/{role}" for role in wanted)
        raise ParameterError(f"the scene has none of {every}: say with match what to estimate")
    return found


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
