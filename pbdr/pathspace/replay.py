"""Gradient passes that are recorded once and replayed (`dr.freeze`): what tracing and code generation take is saved.

What changes from call to call reaches a recording as its arguments: the arrays of the scene and of `passes.Inputs`. What makes
another kernel has another recording. Scenes in which a pass depends on something else are refused by name, and replays are compared
with traced passes now and then: in place of the first, the second, the fourth, the eighth one and so on.
"""

from __future__ import annotations

import dataclasses
import gc
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy as copy_of
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import on_device
from pbdr.attached import AttachedParameter, storage
from pbdr.boundary.sampling import guiding
from pbdr.errors import SceneError
from pbdr.parameters import roles, traverse
from pbdr.parameters.attach import restored
from pbdr.pathspace.passes import GradientPass, Inputs
from pbdr.transport.features import Features

LIGHTS = (
    "AreaLight", "ConstantBackgroundEmitter", "EnvironmentMapEmitter", "PointLight", "SpotLight", "DirectionalEmitter",
)  # fmt: skip
TEXTURES = ("UniformSpectrum", "SRGBReflectanceSpectrum", "SRGBEmitterSpectrum", "D65Spectrum", "BitmapTextureImpl")
MOST = 8  # recordings kept
TOLERANCE = 1e-3  # of the largest entry; sums in another order differ by 1e-6


class ReplayWarning(UserWarning):
    """A replayed gradient was not what a traced one is."""


class Recording:
    """A pass, and the function that replays it. No dataclass: Dr.Jit must not look into it."""

    def __init__(self, one: GradientPass, made_for: tuple[Any, Any]) -> None:
        self.one, self.calls = one, 0
        self.made_for = made_for  # scene and sensor: kept, so that no others get their addresses
        holder = self

        @dr.freeze
        def frozen(scene: Any, sensor: Any, given: Inputs) -> Any:
            return holder.one.backward(scene, sensor, given)

        self.frozen = frozen

    def backward(self, scene: Any, sensor: Any, given: Inputs) -> Any:
        """As `GradientPass.backward`.

        Without garbage collection: where it frees arrays made of NumPy's while a pass is recorded, Dr.Jit 1.5 ends the process.
        """
        collects = gc.isenabled()
        gc.disable()
        try:
            return self.frozen(scene, sensor, given)
        finally:
            if collects:
                gc.enable()

    def due(self) -> bool:
        """Whether this call, which replays, is compared with a traced one."""
        replays = self.calls - 1
        return replays > 0 and replays & (replays - 1) == 0


class Recordings:
    """Recordings of an integrator, by what tells passes apart."""

    def __init__(self) -> None:
        self.known: dict[Any, Recording] = {}
        self.waiting: list[tuple[Recording, Inputs, Mapping[str, Any]]] = []
        self.distrusted = False

    def backward(
        self, one: GradientPass, scene: Any, sensor: Any, attached: list[AttachedParameter], given: Inputs
    ) -> Any:
        """As `GradientPass.backward`, replayed from the second call of its kind on."""
        if self.distrusted:
            return one.backward(scene, sensor, given)
        given = owned(given)
        recording = self._find(one, scene, sensor, attached)
        recording.calls = recording.calls + 1
        if not recording.due():
            return recording.backward(scene, sensor, given)
        learned = {} if given.learned is None else dr.copy(given.learned.kept())  # passes add to it in place
        self.waiting.append((recording, given, learned))
        return one.backward(scene, sensor, given)

    def examine(self, scene: Any, sensor: Any, attached: list[AttachedParameter]) -> None:
        """Compare replays with traced passes where that is due, once no gradient is on its way any more."""
        waiting, self.waiting = self.waiting, []
        for recording, given, learned in waiting:
            error = _error(recording, scene, sensor, attached, given, learned)
            if not error <= TOLERANCE and not self.distrusted:
                self.distrusted = True
                self.known.clear()
                warnings.warn(
                    f"pathspace: a replayed gradient differs from a traced one by {error:.1e} of its largest entry: from now on, "
                    "this integrator traces every call. Please report the scene.",
                    ReplayWarning,
                    stacklevel=3,
                )

    def _find(self, one: GradientPass, scene: Any, sensor: Any, attached: list[AttachedParameter]) -> Recording:
        names = tuple(p.raw for p in attached)
        key = (
            id(scene), id(sensor), names, one.spp, tuple(one.budgets.items()), one.chosen, static(one.features), constants(scene),
        )  # fmt: skip
        if key not in self.known:
            while len(self.known) >= MOST:
                self.known.pop(next(iter(self.known)))
            self.known[key] = Recording(one, (scene, sensor))
        return self.known[key]


def constants(scene: Any) -> tuple[str, ...]:
    """Entries of a scene that are no arrays of the device, such as sizes of films: kernels hold their values."""
    params = traverse(scene)
    values = ((raw, params[raw]) for raw in params.keys())
    return tuple(f"{raw} {value}" for raw, value in values if not dr.is_jit_v(storage(value)))


def check(scene: Any, sensor: Any, features: Features, attached: list[AttachedParameter]) -> None:
    """Raise SceneError, which names the reason, for scenes whose passes cannot be recorded."""
    reason = _reason(scene, sensor, features, attached)
    if reason:
        raise SceneError(f"pathspace: replay = true: {reason} cannot be replayed. Leave the option out.")


def _reason(scene: Any, sensor: Any, features: Features, attached: list[AttachedParameter]) -> str:
    if sensor.class_name() != "PerspectiveCamera":
        return f"a {sensor.class_name()} (only 'perspective')"
    if not sensor.film().rfilter().is_box_filter():
        return f"films with the filter '{sensor.film().rfilter().class_name()}' (only rfilter = 'box')"
    for parameter in attached:
        if not roles.find(parameter.role).replayed:
            return f"derivatives of '{parameter.raw}'"
    if features.delta_bsdfs:
        return "mirrors, glass and cut-outs"
    if features.maps.shapes:
        return "normal and bump maps"
    if features.cones is not None:
        return "spot lights with a hard or narrow edge"
    for kind in features.kinds:
        if not kind.replayed:
            return kind.name
    textures = [node for node in traverse(scene).hierarchy if isinstance(node, mi.Texture)]
    for name, kinds, things in (("lights", LIGHTS, scene.emitters()), ("textures", TEXTURES, textures)):
        for thing in things:
            if not thing.class_name().startswith(kinds):
                return f"{name} of the kind '{thing.class_name()}'"
    if features.patterns is not None:
        return "motion of textures that jump inside faces"
    return ""


def owned(value: Any) -> Any:
    """The same structure with copies of its arrays in memory of the device. What guiding has learned is there already, and kept."""
    if isinstance(value, guiding.State):
        return value
    if dr.is_array_v(type(value)):
        if dr.is_mask_v(type(value)):
            return value & dr.opaque(mi.Bool, True)
        return value if type(value).__name__.endswith("Ptr") else on_device(value)
    if isinstance(value, (tuple, list)):
        return type(value)(map(owned, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        copy = copy_of(value)
        for field in dataclasses.fields(value):
            setattr(copy, field.name, owned(getattr(value, field.name)))
        return copy
    return value


def static(features: Features) -> tuple[Any, ...]:
    """The features that are plain values; what has arrays on the device is refused by `check`."""
    values = (getattr(features, x.name) for x in dataclasses.fields(features))
    return tuple(x for x in values if isinstance(x, (bool, frozenset)))


def _error(
    recording: Recording, scene: Any, sensor: Any, attached: list[AttachedParameter], given: Inputs,
    learned: Mapping[str, Any],
) -> float:  # fmt: skip
    """Largest difference between a replayed and a traced gradient, relative to the largest entry of the same parameter."""
    after = {} if given.learned is None else given.learned.kept()
    found = []
    with _leaves(scene, attached) as leaves:
        for run in (recording.one.backward, recording.backward):
            if given.learned is not None:
                given.learned.restore(dr.copy(learned))
            with dr.isolate_grad(), dr.suspend_grad():
                dr.eval(run(scene, sensor, given))
            found.append([np.ravel(np.array(dr.grad(x), dtype=np.float64)) for x in leaves])
            dr.clear_grad(leaves)
    if given.learned is not None:
        given.learned.restore(after)
    worst = 0.0
    for traced, replayed in zip(*found, strict=True):
        gap, size = np.abs(replayed - traced).max(), np.abs(traced).max()
        worst = float(np.maximum(worst, gap / size if size > 0 else (np.inf if gap > 0 else 0.0)))  # keeps NaN
    return worst


@contextmanager
def _leaves(scene: Any, attached: list[AttachedParameter]) -> Iterator[list[Any]]:
    """Attached parameters as leaves of their own for the time of a `with` block, so that what they are made of sees nothing.

    Not `parameters.attach.attached`: that one reads values to the host and writes them in the shapes of `Parameter`. Here they are
    copied from device to device in Mitsuba's own types, which is what a recording was made with.
    """
    params = traverse(scene)
    with restored(params, [parameter.raw for parameter in attached]):
        leaves = []
        for parameter in attached:
            leaf = on_device(dr.detach(parameter.value))
            dr.eval(leaf)
            dr.enable_grad(leaf)
            leaves.append(leaf)
            params[parameter.raw] = type(params[parameter.raw])(leaf)
        params.update()
        yield leaves
