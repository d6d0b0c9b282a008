"""Variables: what an optimiser moves. Each is a group of scene parameters with one map, bounds, and learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import OptionError, ParameterError
from pbdr.parameters import maps
from pbdr.parameters.functions import Function, FunctionSpec
from pbdr.parameters.meshes import Triangles
from pbdr.parameters.names import Parameter, resolve, traverse
from pbdr.parameters.place import Bounds, Place
from pbdr.parameters.shared import followers_of
from pbdr.parameters.textures import with_textures
from pbdr.parameters.values import read, write
from pbdr.registry import Choice

#: Learning rate of a map that is not the role's own.
LR = 1e-2


@dataclass(frozen=True)
class VariableSpec:
    """What to optimise, and how. One variable may stand for several scene parameters; each keeps a value of its own.

    match     names, globs and exclusions: `"mat-*/base_color"`, `("mat-*/base_color", "!mat-floor/*")`
    raw       instead of `match`: Mitsuba keys, globs allowed
    map       one of `parameters.maps.MAPS`: its name, or a table of `type` and options; None: the role's
    bounds    (lower, upper) of the value; None: what the role allows
    init      None (the scene's value), a number, one number per channel, or an array of the value's shape
    lr        learning rate of the latent variable; None: the role's with the role's map, else LR
    optimiser one of `inverse.optimisers.OPTIMISERS`; None: the one that suits the map or role, else the problem's
    texture   N, or (height, width): promote a constant to a texture, or change a texture's resolution
    share     one value for all parameters, which are equal at the start: the focal length of a camera that took all views
    start     first step at which the variable moves
    prior     {"tv": weight} adds weight × that prior of the value to the loss; the names are those of `inverse.priors.PRIORS`.
              Instead of a weight, {"weight": weight} and the prior's options
    remesh    ((step, edge), …): before that step, positions get a mesh whose edges are about this fraction of the object's size
    """

    match: str | Sequence[str] | None = None
    raw: str | Sequence[str] | None = None
    map: Choice | None = None
    bounds: tuple[float, float] | None = None
    init: float | Sequence[float] | NDArray[Any] | None = None
    lr: float | None = None
    optimiser: Choice | None = None
    texture: int | tuple[int, int] | None = None
    share: bool = False
    start: int = 0
    prior: Mapping[str, float | Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    remesh: Sequence[tuple[int, float]] = ()

    def __post_init__(self) -> None:
        if self.map is not None:
            maps.MAPS.make(self.map)
        if self.lr is not None and not (np.isfinite(self.lr) and self.lr > 0):
            raise OptionError(f"lr = {self.lr!r}: a learning rate is a positive number")
        if self.start < 0:
            raise OptionError(f"start = {self.start!r}: the first step is 0")
        steps = [step for step, _ in self.remesh]
        if steps != sorted(set(steps)) or any(step < 0 or not 0 < edge < 1 for step, edge in self.remesh):
            raise OptionError(
                f"remesh = {list(self.remesh)}: steps grow from 0 on, and edges are fractions of the object's size, between 0 and 1"
            )


@dataclass(frozen=True)
class Latent:
    """One latent tensor: the `variable` it belongs to, the scene `parameter` it drives, the `map` between them and its `place`.

    lr  its learning rate before decay
    """

    variable: str
    parameter: Parameter
    map: maps.Map
    place: Place
    lr: float

    @property
    def bounds(self) -> Bounds:
        """The range that the map keeps."""
        return self.place.bounds

    @property
    def key(self) -> str:
        """Name of the latent: `<variable>:<raw key>`."""
        return f"{self.variable}:{self.parameter.raw}"


@dataclass(frozen=True)
class Leaf:
    """What an optimiser must know of a latent tensor: its variable, learning rate, first step and optimiser ("": the problem's)."""

    variable: str
    lr: float
    start: int
    optimiser: Choice


class Variables:
    """The variables of a problem, bound to a scene.

    Render with `.scene`: it is the given scene, or a new one when a constant had to become a texture. `.latents`
    describes the latent of every parameter that has one of its own, by its key; `.functions` are the variables that are functions;
    `.leaves` are the latents of both. Raises ParameterError, OptionError.
    """

    def __init__(self, scene: Any, specs: Mapping[str, VariableSpec | FunctionSpec]) -> None:
        if not specs:
            raise ParameterError("there is nothing to optimise: give at least one variable")
        self.specs = dict(specs)
        self.scene = with_textures(scene, self._texture_sizes(scene))
        self.latents: dict[str, Latent] = {}
        self.functions: dict[str, Function] = {}
        #: By the key of a shared latent: the parameters that have its value besides its own.
        self.followers: dict[str, list[Parameter]] = {}
        for name, spec in self.specs.items():
            if isinstance(spec, FunctionSpec):
                self.functions[name] = Function(name, spec, self._select(self.scene, name, spec))
                continue
            chosen_ones = self._select(self.scene, name, spec)
            if spec.share:
                chosen_ones, followers = chosen_ones[:1], followers_of(self.scene, name, chosen_ones)
                self.followers[f"{name}:{chosen_ones[0].raw}"] = followers
            for parameter in chosen_ones:
                row = parameter.row
                bounds = tuple(float(b) for b in (parameter.bounds if spec.bounds is None else spec.bounds))
                if len(bounds) != 2:
                    raise OptionError(f"variable {name!r}: bounds are two numbers, got {spec.bounds!r}")
                place = Place((bounds[0], bounds[1]), parameter, self.scene)
                try:
                    chosen, place = maps.bind(row.map if spec.map is None else spec.map, place)
                except OptionError as error:
                    raise OptionError(f"variable {name!r}, {parameter.name!r}: {error}") from None
                usual = row.lr if chosen.name == row.map else LR
                latent = Latent(name, parameter, chosen, place, usual if spec.lr is None else spec.lr)
                self.latents[latent.key] = latent
        self.meshes: Mapping[str, Triangles] = {}
        self._own: dict[str, Triangles] = {}
        self._installed: dict[str, Mapping[str, Triangles]] = {"meshes": self.meshes}
        self._take_params()

    def _take_params(self) -> None:
        self._params = traverse(self.scene)
        given = [parameter for function in self.functions.values() for parameter in function.parameters]
        self._given = {parameter.raw: parameter for parameter in given}
        self._params.keep([_exactly(raw) for raw in self.moved])

    def on(self, meshes: Mapping[str, Triangles]) -> Variables:
        """Return these variables with other meshes, by latent key, to start from; the scene's own for all other keys.

        Both may be used in turn: each gives the scene its own meshes when it is applied.
        """
        other = copy(self)
        other.meshes, other.latents = meshes, dict(self.latents)
        for key in meshes:
            self._own.setdefault(key, Triangles.of(self.scene, self.latents[key].parameter))
        other._install()
        for key, mesh in meshes.items():
            last = self.latents[key]
            parameter = replace(last.parameter, shape=mesh.positions.shape)
            place = Place(last.bounds, parameter, self.scene)
            place = replace(place, prepared=last.map.prepare(place))
            other.latents[key] = replace(last, parameter=parameter, place=place)
        return other

    def own_faces(self, key: str) -> NDArray[Any]:
        """Return the faces (F, 3) that the scene's own mesh has, for the latent of its positions."""
        if key in self._own:
            return np.asarray(self._own[key].faces)
        return np.asarray(Triangles.of(self.scene, self.latents[key].parameter).faces)

    def faces(self, key: str) -> NDArray[Any]:
        """Return the faces (F, 3) of the mesh whose positions the latent moves."""
        return np.asarray(self.meshes[key].faces) if key in self.meshes else self.own_faces(key)

    def _install(self) -> None:
        """Give the scene the meshes of these variables, if it has others."""
        if self._installed["meshes"] is self.meshes:
            return
        for key, own in self._own.items():
            self.meshes.get(key, own).install(self.scene, self.latents[key].parameter)
        self._installed["meshes"] = self.meshes
        self._take_params()

    @property
    def moved(self) -> list[str]:
        """Mitsuba's keys of all parameters that the variables decide."""
        followers = [parameter.raw for shared in self.followers.values() for parameter in shared]
        return [*(latent.parameter.raw for latent in self.latents.values()), *followers, *self._given]

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        """All latents by key."""
        found: dict[str, Leaf] = {}
        for key, latent in self.latents.items():
            spec = self.spec(latent)
            usual = latent.map.optimiser or latent.parameter.row.optimiser
            found[key] = Leaf(latent.variable, latent.lr, spec.start, spec.optimiser or usual)
        for name, function in self.functions.items():
            own = function.spec
            found |= {key: Leaf(name, lr, own.start, own.optimiser or "") for key, lr in function.rates.items()}
        return found

    @property
    def estimated(self) -> list[tuple[str, Parameter, Bounds]]:
        """What is estimated, with variable and bounds: as `numpy` returns it."""
        found = []
        for key, latent in self.latents.items():
            shared = (latent.parameter, *self.followers.get(key, ()))
            found += [(latent.variable, parameter, latent.bounds) for parameter in shared]
        for name, function in self.functions.items():
            given = () if function.timed else function.parameters
            found += [(name, parameter, parameter.bounds) for parameter in (*function.arguments, *given)]
        return found

    def spec(self, latent: Latent) -> VariableSpec:
        """What was asked for where this latent comes from."""
        spec = self.specs[latent.variable]
        assert isinstance(spec, VariableSpec)  # functions have no `Latent`
        return spec

    @property
    def timed(self) -> bool:
        """Whether values differ from view to view, by their time."""
        return any(function.timed for function in self.functions.values())

    def _select(self, scene: Any, name: str, spec: VariableSpec | FunctionSpec) -> list[Parameter]:
        try:
            chosen = resolve(scene, spec.match, raw=spec.raw)
        except ParameterError as error:
            raise ParameterError(f"variable {name!r}: {error}") from None
        for parameter in chosen:
            if parameter.kind == "integer":
                raise ParameterError(
                    f"variable {name!r}: {parameter.name!r} is stored as integers, which have no derivative: load the "
                    "scene with pbdr.load_scene, or give its bitmap the property format = 'variant'"
                )
        return chosen

    def _texture_sizes(self, scene: Any) -> dict[str, int | Sequence[int]]:
        owner: dict[str, str] = {}
        sizes: dict[str, int | Sequence[int]] = {}
        for name, spec in self.specs.items():
            for parameter in self._select(scene, name, spec):
                if parameter.raw in owner:
                    raise ParameterError(
                        f"{parameter.name!r} belongs to two variables, {owner[parameter.raw]!r} and {name!r}: "
                        "exclude it from one with '!'"
                    )
                owner[parameter.raw] = name
                if spec.texture is not None:
                    sizes[parameter.raw] = spec.texture
        return sizes

    def names(self, variable: str) -> list[str]:
        """Return the latent keys of one variable."""
        return [key for key, leaf in self.leaves.items() if leaf.variable == variable]

    def init(self) -> dict[str, Any]:
        """Return the initial latent tensors, float32, by latent key. Raises ParameterError for a bad `init`."""
        result: dict[str, Any] = {}
        for function in self.functions.values():
            result |= function.init()
        for key, latent in self.latents.items():
            spec, parameter = self.spec(latent), latent.parameter
            what = f"init of variable {latent.variable!r} ({parameter.name})"
            if spec.init is None:
                value = read(self.scene, parameter)
                what = f"the scene's value of {parameter.name!r}"
            else:
                value = _broadcast(np.asarray(spec.init, dtype=np.float64), parameter, what)
            result[key] = mi.TensorXf(maps.to_latent(latent.map, value, latent.place, what).astype(np.float32))
        return result

    def values(self, latents: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value tensors (attached to `latents`) by latent key; those of functions are not among them."""
        return {key: maps.to_value(x.map, latents[key], x.place) for key, x in self.latents.items()}

    def to_latent(self, key: str, value: NDArray[Any]) -> NDArray[np.float32]:
        """Return the latent array of one value array; inverse of `values`. Raises ParameterError if out of bounds."""
        latent = self.latents[key]
        return maps.to_latent(latent.map, value, latent.place, latent.parameter.name).astype(np.float32)

    def project(self, latents: Mapping[str, Any]) -> dict[str, Any]:
        """Return the latents moved back to where their maps keep the bounds."""
        projected = {key: maps.project(x.map, latents[key], x.place) for key, x in self.latents.items()}
        return {key: projected.get(key, latents[key]) for key in self.leaves}

    def apply(self, latents: Mapping[str, Any], values: Mapping[str, Any] | None = None, time: float = 0.0) -> Any:
        """Write the (attached) values of `latents` into the scene and return its `mitsuba.SceneParameters`.

        `values` saves computing them again; functions of time are taken at `time`. The parameters returned are those of this
        problem only; pass them to the renderer so that it knows what to differentiate.
        """
        values = self.values(latents) if values is None else values
        self._install()
        for key, latent in self.latents.items():
            for parameter in (latent.parameter, *self.followers.get(key, ())):
                write(self._params, parameter, values[key])
        for function in self.functions.values():
            for raw, value in function.values(latents, time).items():
                write(self._params, self._given[raw], value)
        self._params.update()
        return self._params

    def numpy(self, latents: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
        """Return the values as NumPy arrays by parameter name, for example `mat/base_color`, and latents of functions."""
        values = self.values({key: dr.detach(latents[key]) for key in self.latents})
        result = {}
        for key, value in values.items():
            for parameter in (self.latents[key].parameter, *self.followers.get(key, ())):
                result[parameter.name] = np.array(value)
        for function in self.functions.values():
            result |= function.numpy(latents)
        return result


def _exactly(raw: str) -> str:
    import re

    return f"{re.escape(raw)}$"


def _broadcast(init: NDArray[np.float64], parameter: Parameter, what: str) -> NDArray[np.float64]:
    if init.ndim == 0 and parameter.kind in ("mesh", "transform"):
        raise ParameterError(f"{what} is one number, and {parameter.shape} have no use for it: leave init out, or give all")
    try:
        return np.broadcast_to(init, parameter.shape).copy()
    except ValueError:
        raise ParameterError(
            f"{what} has shape {init.shape}, the parameter {parameter.shape}: give a number, one per channel, or all"
        ) from None
