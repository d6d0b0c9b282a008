"""[vars.NAME]: one estimated quantity."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from ...inverse.optimisers import OPTIMISERS
from ...inverse.priors import PRIORS
from ...parameters import FunctionSpec, VariableSpec
from ...parameters.functions import FRAMEWORKS
from ...parameters.maps import MAPS
from ...registry import Choice
from ..choices import entry_of, keys_of, one_of
from .section import NonNegative, Positive, Section, as_tuple


class RemeshStep(Section):
    """Before this step, a mesh gets new, even faces."""

    step: Annotated[int, Field(ge=0)]
    """Step before which that happens."""
    edge: Annotated[float, Field(gt=0, lt=1)]
    """Length of the new edges, as a fraction of the longest side of the object's bounding box."""


class VarSection(Section):
    """One estimated quantity: which parameters, how a latent maps to their value, and where it starts."""

    match: str | list[str] | None = None
    """Parameters by name: "object/role", a glob, or a list of them; "!x" excludes. `pbdr params SCENE` lists them."""
    raw: str | None = None
    """Instead of `match`: one parameter by Mitsuba's key."""
    texture: Annotated[int, Field(ge=1, le=16384)] | None = None
    """Make a texture of N × N texels of a constant, or resample a texture; an environment gets N rows of 2 N. Meshes without
    texture coordinates get some (`pip install 'pbdr[unwrap]'`)."""
    map: Annotated[Choice, entry_of(MAPS)] | None = VariableSpec.map
    """From the latent that is optimised to the value: its name, or a table of type and options; without it, that of the role."""
    bounds: tuple[float, float] | None = None
    """Range of the value; without it, that of the role."""
    init: float | list[float] | None = None
    """Value at the start; without it, the scene's."""
    lr: Positive | None = VariableSpec.lr
    """Learning rate, in units of the latent; without it, that of the role."""
    optimiser: Annotated[Choice, entry_of(OPTIMISERS)] | None = VariableSpec.optimiser
    """Its name, or a table of its type and options; without it, the one that suits the map, else that of [optim]."""
    share: bool = VariableSpec.share
    """One value for all parameters that it names, which are equal at the start: the focal length of the camera of all views."""
    start: Annotated[int, Field(ge=0)] = VariableSpec.start
    """Step from which on it moves."""
    function: str | None = None
    """Instead of a map: "file.py:function" (or "module:function"), from `latents` to the values of what `match` names. It is
    executed only if the command says --allow-code."""
    latents: dict[str, float | list[Any]] = Field(default_factory=dict)
    """Arguments of `function` by name, and where they start."""
    framework: Annotated[str, one_of(FRAMEWORKS)] = FunctionSpec.framework
    """What `function` is written with."""
    prior: Annotated[dict[str, NonNegative | dict[str, Any]], keys_of(PRIORS)] = Field(default_factory=dict)
    """What is added to the loss: for names of priors the weight, or { weight = 1e-3 } with the prior's options."""

    remesh: list[RemeshStep] = Field(default_factory=list)
    """New faces for the mesh whose positions are unknown: a list of { step, edge } with increasing steps, coarse ones first."""

    @field_validator("bounds", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return as_tuple(value)

    @field_validator("remesh")
    @classmethod
    def _ordered(cls, value: list[RemeshStep]) -> list[RemeshStep]:
        steps = [entry.step for entry in value]
        if steps != sorted(set(steps)):
            raise ValueError("steps must increase")
        return value

    @model_validator(mode="after")
    def _named_once(self) -> VarSection:
        if (self.match is None) == (self.raw is None):
            raise ValueError('give either match = "object/role" or raw = "mitsuba.key"')
        if (self.function is None) != (not self.latents):
            raise ValueError('function = "file.py:function" and latents = { name = 0.5 } belong together')
        if self.function is not None:
            self._nothing_else()
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"bounds = [{self.bounds[0]:g}, {self.bounds[1]:g}] are not in increasing order")
        return self

    def _nothing_else(self) -> None:
        module, _, name = (self.function or "").rpartition(":")
        if not module or not name.isidentifier():
            raise ValueError(f'function = "{self.function}": write "file.py:function" or "module:function"')
        given = {"map": self.map, "bounds": self.bounds, "init": self.init, "prior": self.prior or None}
        for key, value in given.items():
            if value is not None:
                raise ValueError(f"{key} has no meaning beside function: the function decides the values")
