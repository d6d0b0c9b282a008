"""Reading and writing parameter values in plain shapes: the one place that knows how Mitsuba stores each kind.

| kind | value here | in Mitsuba |
|---|---|---|
| scalar, array | (n,) | `Float` of width n |
| color, coefficients, vector | (n,) | `Color3f`, `Point3f`, … |
| texture | (H, W, C) | `TensorXf` |
| environment | (H, W, C) | `TensorXf` (H, W + 2, C), see `wrap_columns` |
| mesh | (V, n) | `Float` of width V n |
| transform | (3, 4), the rows above (0, 0, 0, 1) | `AffineTransform4f` |
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.aligned import aligned
from pbdr.errors import ParameterError
from pbdr.parameters.names import Parameter, traverse
from pbdr.parameters.roles import find

#: How far attached values stay from those at which Mitsuba's plugins lose the derivative (`Role.dead`).
ASIDE = 1e-6


def read(scene: Any, parameter: Parameter, params: Any = None) -> NDArray[np.float64]:
    """Return the current value of `parameter`, shape `parameter.shape`, as float64."""
    value = (traverse(scene) if params is None else params)[parameter.raw]
    if parameter.kind == "transform":
        return np.array(value.matrix, dtype=np.float64).reshape(4, 4, -1)[:3, :, 0]
    array = np.array(value, dtype=np.float64)
    if parameter.kind == "environment":
        array = array[:, 1:-1]
    return array.reshape(parameter.shape)


def write(params: Any, parameter: Parameter, value: Any) -> None:
    """Write `value` (tensor of shape `parameter.shape`, attached or not) into `params`; call `params.update()` later.

    Raises ParameterError when the parameter is an integer texture or the shape is wrong.
    """
    if parameter.kind == "integer":
        raise ParameterError(
            f"{parameter.name!r} is stored as integers, which have no derivative: load the scene with pbdr.load_scene, "
            "or give its bitmap the property format = 'variant'"
        )
    tensor = mi.TensorXf(aligned(value) if isinstance(value, np.ndarray) else value)
    if dr.grad_enabled(tensor):
        tensor = _alive(parameter, tensor)
    shape = tuple(tensor.shape)
    same_rank = parameter.kind in ("texture", "environment") and len(shape) == len(parameter.shape)
    if shape != parameter.shape and not (same_rank and shape[2:] == parameter.shape[2:]):
        raise ParameterError(f"{parameter.name!r} has shape {parameter.shape}, got a value of shape {shape}")
    params[parameter.raw] = _stored(parameter, tensor, params[parameter.raw])
    params.set_dirty(parameter.raw)


def _alive(parameter: Parameter, tensor: Any) -> Any:
    """`tensor`, moved by ASIDE where it is exactly what its role calls `dead`, with the derivative of what it was."""
    dead = find(parameter.role).dead
    if dead is None:
        return tensor
    values = tensor.array
    aside = ASIDE if dead == 0 else -ASIDE
    return type(tensor)(dr.select(values == dead, values + aside, values), shape=tensor.shape)


def _stored(parameter: Parameter, tensor: Any, current: Any) -> Any:
    if parameter.kind == "texture":
        return tensor
    if parameter.kind == "environment":
        return wrap_columns(tensor)
    if parameter.kind == "transform":
        entries = [[entry(tensor.array, 4 * i + j) for j in range(4)] for i in range(3)]
        matrix = mi.Matrix4f([*entries, [mi.Float(0), mi.Float(0), mi.Float(0), mi.Float(1)]])
        return type(current)(matrix)
    if parameter.kind in ("color", "coefficients", "vector"):
        return type(current)(*[entry(tensor.array, i) for i in range(parameter.shape[0])])
    return mi.Float(tensor.array)


def entry(array: Any, index: int) -> Any:
    """Return one entry of `array`. Not `dr.gather`, whose derivative silently drops NaN (Dr.Jit 1.5)."""
    return dr.sum(dr.select(dr.arange(mi.UInt32, dr.width(array)) == index, array, 0))


def wrap_columns(tensor: Any) -> Any:
    """Return an environment (H, W, C) with its last column before it and its first after it: (H, W + 2, C).

    Mitsuba interpolates across the seam from these copies. Building them here from one set of texels keeps both sides
    of the seam equal while a texel is optimised, and sends the copies' gradient to the texel they came from.
    """
    h, w, c = tensor.shape
    column = dr.arange(mi.UInt32, w + 2)
    source = dr.select(column == 0, w - 1, dr.select(column == w + 1, 0, column - 1))
    lane = dr.arange(mi.UInt32, h * (w + 2) * c)
    row, rest = lane // ((w + 2) * c), lane % ((w + 2) * c)
    picked = dr.gather(mi.UInt32, source, rest // c)
    return mi.TensorXf(dr.gather(mi.Float, tensor.array, (row * w + picked) * c + rest % c), shape=(h, w + 2, c))
