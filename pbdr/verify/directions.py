"""Directions in which a parameter is moved: what a directional derivative is taken along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbdr.errors import OptionError, ParameterError
from pbdr.parameters import Parameter, of_sensor, read
from pbdr.scene import mitsuba_scene
from pbdr.seeds import hashed

Array = NDArray[np.float64]
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
NAMES = (*AXES, "smooth", "all", "random")
FEW = 16  # entries of a parameter up to which a random direction has a random number for each


def defaults(parameter: Parameter) -> tuple[str, ...]:
    """Names of the directions tried when none is asked for, as the table of roles has them.

    Vertices: the three translations, and a smooth deformation; poses and points: the translations; all else: every entry alike.
    """
    return parameter.row.directions


def direction(scene: Any, parameter: Parameter, name: str, seed: int = 0) -> Array:
    """The direction `name`, of the parameter's shape; lengths are scene units, its largest entry is about 1.

    x, y, z   translation: of vertices, of a pose's origin, of a point
    smooth    waves over the vertices (or entries), the same in every run
    all       every entry by 1
    random    by `seed`: of a pose a rotation (not of sensors) and a translation; a number for each of few entries; waves over many
    "1,0.5,0" one number for each column of the parameter

    Raises OptionError for an unknown name, ParameterError where the parameter has no such direction.
    """
    if parameter.kind == "integer":
        raise ParameterError(f"{parameter.name!r} is stored as integers, which have no derivative")
    numbers = AXES.get(name) or _numbers(name)
    if numbers is not None:
        return _constant(parameter, name, numbers)
    if name == "all":
        return np.ones(parameter.shape)
    if name == "random":
        random = np.random.default_rng(hashed(seed, "direction", parameter.name))
        if parameter.kind == "transform":
            return _rigid(scene, parameter, random)
        if int(np.prod(parameter.shape)) <= FEW:
            values = random.standard_normal(parameter.shape)
            return np.asarray(values / np.abs(values).max())
        return _smooth(scene, parameter, random.uniform(0, 2 * np.pi))
    return _smooth(scene, parameter)


def _numbers(name: str) -> tuple[float, ...] | None:
    if name in NAMES:
        return None
    try:
        values = tuple(float(word) for word in name.split(","))
    except ValueError:
        values = ()
    if not values or not np.isfinite(values).all() or not any(values):
        raise OptionError(f"direction '{name}': give one of {', '.join(NAMES)}, or numbers such as 1,0.5,0")
    return values


def _constant(parameter: Parameter, name: str, numbers: Sequence[float]) -> Array:
    shape = parameter.shape
    if parameter.kind == "transform":
        if len(numbers) == 3:
            result = np.zeros(shape)
            result[:, 3] = numbers
            return result
    elif name in AXES and parameter.kind not in ("mesh", "vector"):
        raise ParameterError(
            f"{parameter.name!r} cannot be moved along {name}: it is no position. Use 'all' or 'smooth'"
        )
    elif shape[-1] == len(numbers) or len(numbers) == 1:
        return np.array(np.broadcast_to(np.asarray(numbers, dtype=np.float64), shape))
    raise ParameterError(f"direction '{name}' has {len(numbers)} numbers; {parameter.name!r} has shape {shape}")


def _rigid(scene: Any, parameter: Parameter, random: np.random.Generator) -> Array:
    """A random rotation about the origin of a pose, and a translation that moves as far: shapes that must stay rigid do.

    Sensors are only translated: Mitsuba refuses their poses already for what is of second order in a rotation.
    """
    value = np.asarray(read(scene, parameter), dtype=np.float64)
    x, y, z = random.standard_normal(3)
    turn = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) @ value[:, :3]
    if of_sensor(scene, parameter):
        turn = np.zeros((3, 3))
    shift = random.standard_normal(3) * 0.5 * _size(scene, parameter)
    result = np.concatenate([turn, shift[:, None]], axis=1)
    return np.asarray(result / np.abs(result).max())


def _smooth(scene: Any, parameter: Parameter, phase: float = 1.0) -> Array:
    """Waves of about one period over the object: of position for vertices, of the index for anything else."""
    shape = parameter.shape
    if parameter.kind == "mesh":
        positions = _vertices(scene, parameter)
        size = float(np.ptp(positions, axis=0).max()) or 1.0
        points = (positions - positions.mean(0)) / size
        phases = np.stack([points @ k for k in ([5.0, 2.0, -3.0], [-2.0, 4.0, 5.0], [3.0, -5.0, 2.0])], axis=-1)
        columns = [np.sin(phases[:, j % 3] + phase + 2.0 * j) for j in range(shape[1])]
        return np.stack(columns, axis=-1)
    grids = np.meshgrid(*[np.arange(n) / max(n, 1) for n in shape], indexing="ij")
    return np.asarray(np.sin(phase + sum((5.0 + 2.0 * j) * grid for j, grid in enumerate(grids))))


def _vertices(scene: Any, parameter: Parameter) -> Array:
    from pbdr.parameters import list_parameters

    raw = parameter.raw.rsplit(".", 1)[0] + ".vertex_positions"
    found = next(p for p in list_parameters(scene) if p.raw == raw)
    return np.asarray(read(scene, found))


def feasible(value: Array, tangent: Array, bounds: tuple[float, float]) -> tuple[Array, int]:
    """Where a value can go along `tangent` without leaving its bounds: (tangent, side).

    Side 0: both ways, so that differences are central. 1 or -1: forwards or backwards only, because some entries lie at an end of
    their range, as the channels of a black or saturated colour do, where a renderer may clamp. Entries that could only move the
    other way rest: their tangent is 0.
    """
    low, high = bounds
    margin = 1e-3 * (high - low if np.isfinite(high - low) else float(np.abs(value).mean()) or 1.0)
    moved = tangent != 0
    forwards = ~moved | np.where(tangent > 0, value < high - margin, value > low + margin)
    backwards = ~moved | np.where(tangent > 0, value > low + margin, value < high - margin)
    if (forwards & backwards).all():
        return tangent, 0
    side = 1 if forwards.sum() >= backwards.sum() else -1
    return np.where(forwards if side > 0 else backwards, tangent, 0.0), side


def longest_step(scene: Any, parameter: Parameter, tangent: Array, side: int = 0) -> float:
    """Longest step of finite differences along `tangent`: what moves by 4 % of the object's size, or 4 % of a value's range.

    `side` from `feasible`: one-sided differences go twice as far.
    """
    largest = float(np.abs(tangent).max())
    if parameter.row.length:
        return 0.04 * _size(scene, parameter) / largest
    value = np.asarray(read(scene, parameter))
    size = float(np.abs(value).mean()) or 1.0
    low, high = parameter.bounds
    step = 0.1 * size / largest
    # Stay where the parameter means something: a negative roughness or a colour above 1 is not what the scene can be.
    up, down = high - value, value - low
    ahead, behind = np.where(tangent > 0, up, down), np.where(tangent > 0, down, up)
    room = np.minimum(ahead, behind) if side == 0 else (ahead if side > 0 else behind) / 2
    nearest = float(np.where(tangent != 0, room, np.inf).min())
    if 0 < nearest < np.inf:
        step = min(step, 0.9 * nearest / largest)
    return float(step)


def _size(scene: Any, parameter: Parameter) -> float:
    target = mitsuba_scene(scene)
    owner = parameter.raw.split(".")[0]
    boxes = [shape.bbox() for shape in target.shapes() if shape.id() == owner] or [target.bbox()]
    sizes = [max(float(x) for x in (box.max - box.min)) for box in boxes]
    size = min((s for s in sizes if 0 < s < float("inf")), default=1.0)
    return size
