"""Values in place of a scene's parameters for the time of a `with` block: afterwards the scene is as it was, whatever happened.

`restored` puts back what a block writes, `attached` also makes the parameters leaves that derivatives are taken with respect to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.aligned import aligned, on_device
from pbdr.errors import ParameterError
from pbdr.parameters.names import Parameter, traverse
from pbdr.parameters.values import read, write


@contextmanager
def restored(params: Any, keys: Iterable[str]) -> Iterator[None]:
    """After the block, give the entries `keys` (raw) of Mitsuba's `params` the values that they had before, and tell the scene."""
    before = {}
    for raw in keys:
        value = params[raw]
        before[raw] = type(value)(value)  # a copy: Mitsuba hands out references to what it stores
    try:
        yield
    finally:
        for raw, value in before.items():
            params[raw] = value
        params.update()


class Leaves:
    """Parameters of a scene as leaves with gradient tracking. `params` are Mitsuba's, `values` the leaves by name."""

    def __init__(self, params: Any, values: Mapping[str, Any]) -> None:
        self.params, self.values = params, dict(values)

    def gradients(self) -> dict[str, NDArray[np.float32]]:
        """Return the accumulated gradients by name, in the parameters' shapes."""
        return {name: np.array(dr.grad(leaf), dtype=np.float32) for name, leaf in self.values.items()}

    def clear(self) -> None:
        """Set the accumulated gradients to zero."""
        dr.clear_grad(list(self.values.values()))

    def set_tangents(self, tangents: Mapping[str, Any]) -> None:
        """Set tangents, name → scalar or array of the parameter's shape, and hand them to the scene.

        Raises ParameterError for a tangent of another shape.
        """
        for name, leaf in self.values.items():
            try:
                values = np.broadcast_to(np.asarray(tangents[name], dtype=np.float32), leaf.shape)
            except ValueError:
                given = np.shape(tangents[name])
                raise ParameterError(
                    f"the tangent of '{name}' has shape {given}; the parameter has {leaf.shape}."
                ) from None
            dr.set_grad(leaf, mi.TensorXf(aligned(values)))
            dr.enqueue(dr.ADMode.Forward, leaf)
        dr.traverse(dr.ADMode.Forward, dr.ADFlag.ClearEdges)


@contextmanager
def attached(scene: Any, chosen: Mapping[str, Parameter]) -> Iterator[Leaves]:
    """Make the parameters `chosen` (by any names) of a `mitsuba.Scene` leaves for the time of the block.

    Their values stay the same.
    """
    params = traverse(scene)
    with restored(params, [parameter.raw for parameter in chosen.values()]):
        values = {}
        for name, parameter in chosen.items():
            leaf = on_device(mi.TensorXf(aligned(read(None, parameter, params))))
            dr.eval(leaf)
            dr.enable_grad(leaf)
            values[name] = leaf
            write(params, parameter, leaf)
        params.update()
        yield Leaves(params, values)
