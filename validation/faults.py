"""Faults of gradients, put in for the time of a `with` block: what an audit of gradients must find."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import drjit as dr


@dataclass(frozen=True)
class Fault:
    """A fault. `kind`: the kind of problem of `validation.small_problems` that shows it; `patches`: as `mock.patch` takes them."""

    kind: str
    patches: Callable[[], Mapping[str, Any]]

    @contextlib.contextmanager
    def made(self) -> Iterator[None]:
        """Gradients have the fault meanwhile."""
        with contextlib.ExitStack() as stack:
            for target, value in self.patches().items():
                stack.enter_context(mock.patch(target, value))
            yield


def _adjoint(change: Callable[[Any], Any]) -> Callable[[], Mapping[str, Any]]:
    """The gradient of another adjoint image."""

    def patches() -> Mapping[str, Any]:
        from pbdr.pathspace.passes import GradientPass

        right = GradientPass.backward

        def wrong(self: Any, scene: Any, sensor: Any, given: Any) -> Any:
            return right(self, scene, sensor, replace(given, adjoint=change(given.adjoint)))

        return {"pbdr.pathspace.passes.GradientPass.backward": wrong}

    return patches


def _channel(number: int, factor: float) -> Callable[[], Mapping[str, Any]]:
    """One channel counts `factor` times."""

    def change(adjoint: Any) -> Any:
        import mitsuba as mi

        flat = adjoint.array
        mine = dr.arange(mi.UInt32, dr.width(flat)) % adjoint.shape[2] == number
        return mi.TensorXf(dr.select(mine, factor * flat, flat), adjoint.shape)

    return _adjoint(change)


def _term(name: str, factor: float) -> Callable[[], Mapping[str, Any]]:
    """One term of the gradient counts `factor` times."""

    def patches() -> Mapping[str, Any]:
        from pbdr.pathspace.passes import GradientPass

        right = GradientPass.backward

        def wrong(self: Any, scene: Any, sensor: Any, given: Any) -> Any:
            found = right(replace(self, chosen=tuple(t for t in self.chosen if t != name)), scene, sensor, given)
            if factor and name in self.chosen:
                scaled = replace(given, adjoint=factor * given.adjoint)
                found = found + right(replace(self, chosen=(name,)), scene, sensor, scaled)
            return found

        return {"pbdr.pathspace.passes.GradientPass.backward": wrong}

    return patches


def _slope(target: str, factor: float) -> Callable[[], Mapping[str, Any]]:
    """The function of a module or class at `target` has the right values and `factor` times the derivative."""

    def patches() -> Mapping[str, Any]:
        import importlib

        module, owner, name = target.rsplit(".", 2)
        right = getattr(getattr(importlib.import_module(module), owner), name)

        def wrong(*given: Any, **named: Any) -> Any:
            value = right(*given, **named)
            return dr.replace_grad(dr.detach(value), factor * value)

        return {target: wrong}

    return patches


_SIGMOID, _EXP = "pbdr.parameters.maps.bounded.Sigmoid.to_value", "pbdr.parameters.maps.bounded.Exp.to_value"
_LOSS = "pbdr.inverse.losses.pointwise.L2.__call__"

FAULTS = {
    "all x 1.2": Fault("colours", _adjoint(lambda x: 1.2 * x)),
    "all x 0.8": Fault("colours", _adjoint(lambda x: 0.8 * x)),
    "all x 1.2, gloss": Fault("gloss", _adjoint(lambda x: 1.2 * x)),
    "sign": Fault("colours", _adjoint(lambda x: -x)),
    "sign, gloss": Fault("gloss", _adjoint(lambda x: -x)),
    "nothing": Fault("colours", _adjoint(lambda x: 1e-6 * x)),
    "all x 2": Fault("gloss", _adjoint(lambda x: 2 * x)),
    "red x 1.5": Fault("colours", _channel(0, 1.5)),
    "green off": Fault("colours", _channel(1, 0.0)),
    "blue's sign": Fault("gloss", _channel(2, -1.0)),
    "sigmoid x 1.2": Fault("colours", _slope(_SIGMOID, 1.2)),
    "sigmoid's sign": Fault("gloss", _slope(_SIGMOID, -1.0)),
    "exp x 1.2": Fault("colours", _slope(_EXP, 1.2)),
    "exp x 0.8": Fault("gloss", _slope(_EXP, 0.8)),
    "loss x 1.2": Fault("colours", _slope(_LOSS, 1.2)),
    "loss's sign": Fault("gloss", _slope(_LOSS, -1.0)),
    "interior off": Fault("view", _term("interior", 0.0)),
    "primary off": Fault("view", _term("primary", 0.0)),
    "primary x 1.2": Fault("view", _term("primary", 1.2)),
    "primary's sign": Fault("view", _term("primary", -1.0)),
}
