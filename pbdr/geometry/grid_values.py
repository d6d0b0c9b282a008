"""Values of grids of signed distances on the host, and the grids that have no boundary term."""

from __future__ import annotations

from typing import Any

import drjit as dr
import numpy as np

from pbdr.errors import SceneError
from pbdr.geometry import poses
from pbdr.parameters import traverse

TURNED = 1e-6  # sine of an angle


def on_host(shape: Any) -> Any:
    """Values (N, N, N), detached, by z, y, x."""
    values = dr.detach(traverse(shape)["grid"])
    return np.array(values, dtype=np.float64).reshape(values.shape[:3])


def check(shape: Any) -> None:
    """Raise SceneError for grids whose surface has no boundary term."""
    values = on_host(shape)
    name = f"the grid of shape '{shape.id()}'"
    if len(set(values.shape)) != 1:
        z, y, x = values.shape
        raise SceneError(
            f"{name} has {x} x {y} x {z} values: Mitsuba traces grids wrongly unless they have as many along every axis. "
            "Resample it."
        )
    linear = poses.on_host(traverse(shape)["to_world"].matrix)[:3, :3]
    if np.abs(linear - np.diag(np.diag(linear))).max() > TURNED * np.abs(linear).max():
        raise SceneError(
            f"{name} is turned or sheared by its to_world, and Mitsuba traces such grids wrongly: its boxes around voxels do "
            "not hold them. Only move and scale it; put it into a shape group and turn an instance of that, or turn its values."
        )
    if not np.isfinite(values).all():
        raise SceneError(f"{name} has values that are not finite.")
    inside = [np.take(values, end, axis).min() <= 0 for axis in range(3) for end in (0, -1)]
    if any(inside):
        raise SceneError(
            f"{name} reaches its border: values there must be positive (outside), else the surface has an open end. Enlarge it."
        )
    zero = values == 0
    along = [np.take(zero, range(1, zero.shape[k]), k) & np.take(zero, range(zero.shape[k] - 1), k) for k in range(3)]
    if any(x.any() for x in along):
        raise SceneError(
            f"{name} is exactly zero at neighbouring points, so that its surface runs along the borders of voxels, where two have "
            "the same edge. Shift its values by a millionth."
        )
