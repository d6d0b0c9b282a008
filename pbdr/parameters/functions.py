"""Functions of the user's: from latents of their own to values of scene parameters.

A skeleton poses a mesh, a network paints a texture, a simulation moves a body: a few numbers decide many parameters. The function
takes the latents by name, as tensors, and returns the parameters' values; derivatives go through it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import OptionError, ParameterError, closest
from pbdr.parameters.names import Parameter
from pbdr.parameters.roles import EVERYWHERE
from pbdr.registry import Choice

FRAMEWORKS = ("drjit", "torch")
#: Learning rate of latents where nothing is said.
LR = 1e-2


@dataclass(frozen=True)
class FunctionSpec:
    """A variable whose latents are a function's arguments.

    function   is called as `function(**latents)`, with `mitsuba.TensorXf` or torch tensors of the latents' shapes. It returns
               {parameter name: value} for all parameters of `match`, or the value alone where there is one. If it has an argument
               `time`, it gets the time of the view (`inverse.View.time`) and is called for every view
    latents    name → value at the start; arrays of any shape
    match      names, globs and exclusions of the parameters that it gives; or `raw`, Mitsuba keys
    framework  "drjit" or "torch": what the function is written with
    lr         learning rate of the latents, or one by name; None: LR
    optimiser, texture, start   as in `VariableSpec`
    """

    function: Callable[..., Any]
    latents: Mapping[str, Any]
    match: str | Sequence[str] | None = None
    raw: str | Sequence[str] | None = None
    framework: str = "drjit"
    lr: float | Mapping[str, float] | None = None
    optimiser: Choice | None = None
    texture: int | tuple[int, int] | None = None
    start: int = 0
    #: Priors are of ordinary variables; a function may keep its latents where it wants them.
    prior: Mapping[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise OptionError(f"function = {self.function!r}: give a Python function")
        if not self.latents:
            raise OptionError("a function needs latents: name their values at the start")
        if self.framework not in FRAMEWORKS:
            raise OptionError(f"framework = {self.framework!r}: it is {' or '.join(map(repr, FRAMEWORKS))}")
        rates = self.lr if isinstance(self.lr, Mapping) else {"lr": self.lr}
        for name, rate in rates.items():
            if rate is not None and not (np.isfinite(rate) and rate > 0):
                raise OptionError(f"{name} = {rate!r}: a learning rate is a positive number")
        for name in rates if isinstance(self.lr, Mapping) else ():
            if name not in self.latents:
                raise OptionError(f"lr names the latent {name!r}, but there are {', '.join(self.latents)}")
        if self.start < 0:
            raise OptionError(f"start = {self.start!r}: the first step is 0")


class Function:
    """A `FunctionSpec` bound to the parameters that it gives. `timed`: whether it depends on a view's time.

    Raises ParameterError if the function does not return what it should, and OptionError for latents that it does not take.
    """

    def __init__(self, variable: str, spec: FunctionSpec, parameters: Sequence[Parameter]) -> None:
        self.variable, self.spec, self.parameters = variable, spec, tuple(parameters)
        self.timed = _check_signature(variable, spec)
        self._call = _in_framework(spec)
        self._start = {name: _array(variable, name, value) for name, value in spec.latents.items()}
        with dr.suspend_grad():
            for raw, value in self.values(self.init(), 0.0).items():
                if not np.isfinite(np.array(value)).all():
                    given = next(p.name for p in self.parameters if p.raw == raw)
                    raise ParameterError(f"variable {variable!r}: its function gives non-finite values for {given!r}")

    def key(self, latent: str) -> str:
        """Return the key of a latent, `<variable>:<latent>`."""
        return f"{self.variable}:{latent}"

    @property
    def rates(self) -> dict[str, float]:
        """Learning rates by key."""
        lr = self.spec.lr
        rates = lr if isinstance(lr, Mapping) else dict.fromkeys(self._start, lr)
        return {self.key(name): float(rates.get(name) or LR) for name in self._start}

    @property
    def arguments(self) -> list[Parameter]:
        """The latents, described as if they were parameters of the scene: `<variable>/<latent>`, with their key as `raw`."""
        return [
            Parameter(f"{self.variable}/{name}", self.key(name), name, value.shape, EVERYWHERE, "array")
            for name, value in self._start.items()
        ]

    def init(self) -> dict[str, Any]:
        """Return the latents at the start by key."""
        return {self.key(name): mi.TensorXf(value) for name, value in self._start.items()}

    def values(self, latents: Mapping[str, Any], time: float) -> dict[str, Any]:
        """Return the values (attached to `latents`) by Mitsuba's key, tensors of the parameters' shapes."""
        given = {name: mi.TensorXf(latents[self.key(name)]) for name in self._start}
        if self.timed:
            given["time"] = time
        try:
            found = self._call(given)
        except Exception as error:
            raise ParameterError(
                f"variable {self.variable!r}: its function raised {type(error).__name__}: {error}"
            ) from error
        if not isinstance(found, Mapping):
            if len(self.parameters) != 1:
                names = ", ".join(p.name for p in self.parameters[:4])
                raise ParameterError(
                    f"variable {self.variable!r}: its function returns a {type(found).__name__} for {len(self.parameters)} "
                    f"parameters; return a dictionary with values for {names}"
                )
            found = {self.parameters[0].name: found}
        return self._shaped(found)

    def numpy(self, latents: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
        """Return latents as arrays by `<variable>/<latent>`; and the values by parameter name, unless they depend on time."""
        result = {f"{self.variable}/{name}": np.array(latents[self.key(name)], np.float32) for name in self._start}
        if not self.timed:
            values = self.values({key: dr.detach(latents[key]) for key in map(self.key, self._start)}, 0.0)
            result |= {p.name: np.array(values[p.raw], np.float32) for p in self.parameters}
        return result

    def _shaped(self, found: Mapping[str, Any]) -> dict[str, Any]:
        missing = [p.name for p in self.parameters if p.name not in found]
        unknown = [name for name in found if name not in {p.name for p in self.parameters}]
        if missing or unknown:
            near = closest(unknown[0], [p.name for p in self.parameters]) if unknown else []
            told = f"gives {unknown[0]!r}, which `match` does not select" if unknown else f"lacks {missing[0]!r}"
            raise ParameterError(
                f"variable {self.variable!r}: what its function returns {told}.{' Closest: ' + near[0] if near else ''}"
            )
        result = {}
        for parameter in self.parameters:
            try:
                value = mi.TensorXf(found[parameter.name])
            except Exception as error:  # whatever Dr.Jit makes of it
                raise ParameterError(
                    f"variable {self.variable!r}: its function gives {parameter.name!r} a {type(found[parameter.name]).__name__}, "
                    f"not a tensor of shape {parameter.shape}"
                ) from error
            if int(np.prod(value.shape)) != int(np.prod(parameter.shape)):
                raise ParameterError(
                    f"variable {self.variable!r}: its function gives {parameter.name!r} the shape {tuple(value.shape)} "
                    f"instead of {parameter.shape}"
                )
            result[parameter.raw] = mi.TensorXf(value.array, parameter.shape)
        return result


def _check_signature(variable: str, spec: FunctionSpec) -> bool:
    """Return whether the function takes `time`; OptionError unless it can be called with the latents."""
    try:
        signature = inspect.signature(spec.function)
    except (TypeError, ValueError):  # built in: nothing is known
        return False
    arguments = signature.parameters
    timed = "time" in arguments and "time" not in spec.latents
    try:
        signature.bind(**dict.fromkeys(spec.latents), **({"time": 0.0} if timed else {}))
    except TypeError as error:
        raise OptionError(
            f"variable {variable!r}: its function takes ({', '.join(arguments)}), its latents are {', '.join(spec.latents)}: "
            f"{error}"
        ) from None
    return timed


def _in_framework(spec: FunctionSpec) -> Callable[[dict[str, Any]], Any]:
    """The function of a dictionary of tensors; one that is written with torch is part of Dr.Jit's graph."""
    if spec.framework == "drjit":
        return lambda given: spec.function(**given)
    try:
        import torch  # noqa: F401
    except ImportError:
        raise OptionError("framework = 'torch' needs torch: pip install 'pbdr[torch]'") from None

    def wrapped(given: dict[str, Any]) -> Any:
        time = {"time": given["time"]} if "time" in given and "time" not in spec.latents else {}
        names = [name for name in given if name not in time]

        @dr.wrap(source="drjit", target="torch")  # type: ignore[untyped-decorator]
        def inside(*values: Any) -> Any:
            return spec.function(**dict(zip(names, values, strict=True)), **time)

        return inside(*[given[name] for name in names])

    return wrapped


def _array(variable: str, name: str, value: Any) -> NDArray[np.float32]:
    try:
        array = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise OptionError(f"variable {variable!r}: the latent {name!r} is no array of numbers: {value!r}") from None
    if not array.size or not np.isfinite(array).all():
        raise OptionError(f"variable {variable!r}: the latent {name!r} needs finite numbers, got {value!r}")
    return np.atleast_1d(array)
