"""Gradient passes that are recorded once and replayed (`dr.freeze`): what tracing and code generation take is saved.

What changes from call to call reaches a recording as its arguments: the arrays of the scene and of `passes.Inputs`. What makes
another kernel has another recording. Scenes in which a pass depends on something else are refused by name, and replays are compared
with traced passes now and then: in place of the first, the second, the fourth, the eighth one and so on. Cameras are inputs, too:
one recording does for all that are of one kind (twins.py).
"""

from __future__ import annotations

import dataclasses
import gc
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from pbdr.geometry import registry
from pbdr.parameters import roles, traverse
from pbdr.parameters.attach import restored
from pbdr.pathspace import twins
from pbdr.pathspace.image import ImagePass
from pbdr.pathspace.passes import GradientPass, Inputs
from pbdr.transport.features import Features

LIGHTS = (
    "AreaLight", "ConstantBackgroundEmitter", "EnvironmentMapEmitter", "PointLight", "SpotLight", "DirectionalEmitter",
)  # fmt: skip
TEXTURES = ("UniformSpectrum", "SRGBReflectanceSpectrum", "SRGBEmitterSpectrum", "D65Spectrum", "BitmapTextureImpl")
MOST = 32  # recordings kept
TOLERANCE = 1e-3  # of the largest entry; sums in another order differ by 1e-6


class ReplayWarning(UserWarning):
    """A replayed gradient was not what a traced one is."""


class Recording:
    """A pass `run(scene, sensor, given)`, and the function that replays it. No dataclass: Dr.Jit must not look into it."""

    def __init__(self, run: Callable[[Any, Any, Any], Any], made_for: tuple[Any, Any], traced: int) -> None:
        self.run, self.calls = run, 0
        self.traced = traced  # calls before anything is recorded
        self.made_for = made_for  # scene and sensor: kept, so that no others get their addresses
        holder = self

        @dr.freeze
        def frozen(scene: Any, sensor: Any, given: Any) -> Any:
            return holder.run(scene, sensor, given)

        self.frozen = frozen

    def again(self, scene: Any, sensor: Any, given: Any) -> Any:
        """As `run`.

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
        replays = self.calls - 1 - self.traced
        return replays > 0 and replays & (replays - 1) == 0


class Recordings:
    """Recordings of an integrator, by what tells passes apart. `traced`: calls of a kind before it is recorded."""

    def __init__(self, traced: int = 0) -> None:
        self.traced = traced
        self.known: dict[Any, Recording] = {}
        self.waiting: list[tuple[Recording, Any, Inputs, Mapping[str, Any]]] = []
        self.distrusted = False
        self.twins = twins.Twins()

    def backward(
        self, one: GradientPass, scene: Any, sensor: Any, attached: list[AttachedParameter], given: Inputs
    ) -> Any:
        """As `GradientPass.backward`, replayed once a pass of its kind is recorded."""
        if self.distrusted:
            return one.backward(scene, sensor, given)
        twin = self.twins.of(sensor)
        recording = self._find(one, scene, sensor, twin, attached)
        recording.calls = recording.calls + 1
        if recording.calls <= self.traced:
            return one.backward(scene, sensor, given)
        seen, given = sensor if twin is None else twin.camera, owned(given)
        if not recording.due():
            return recording.again(scene, seen, given)
        learned = {} if given.learned is None else dr.copy(given.learned.kept())  # passes add to it in place
        self.waiting.append((recording, seen, given, learned))
        return one.backward(scene, sensor, given)

    def examine(self, scene: Any, sensor: Any, attached: list[AttachedParameter]) -> None:
        """Compare replays with traced passes where that is due, once no gradient is on its way any more."""
        waiting, self.waiting = self.waiting, []
        for recording, seen, given, learned in waiting:
            self._judge(_error(recording, scene, (sensor, seen), attached, given, learned), "gradient")

    def _judge(self, error: float, what: str) -> None:
        """Trace all calls from now on, and say so, where a replay was not what tracing gives."""
        if not error <= TOLERANCE and not self.distrusted:
            self.distrusted = True
            self.known.clear()
            warnings.warn(
                f"pathspace: a replayed {what} differs from a traced one by {error:.1e} of its largest entry: from now on, this "
                "integrator traces every call. Please report the scene.",
                ReplayWarning,
                stacklevel=4,
            )

    def _find(
        self, one: GradientPass, scene: Any, sensor: Any, twin: twins.Twin | None, attached: list[AttachedParameter]
    ) -> Recording:
        names = tuple(p.raw for p in attached)
        camera = (id(sensor), *constants(sensor)) if twin is None else twin.key
        key = (
            id(scene), camera, names, one.spp, tuple(one.budgets.items()), one.chosen, static(one.features), constants(scene),
        )  # fmt: skip
        return self._known(key, one.backward, scene, sensor)

    def _known(self, key: Any, run: Callable[[Any, Any, Any], Any], scene: Any, sensor: Any) -> Recording:
        if key not in self.known:
            while len(self.known) >= MOST:
                self.known.pop(next(iter(self.known)))
            self.known[key] = Recording(run, (scene, sensor), self.traced)
        return self.known[key]

    def image(self, one: ImagePass, scene: Any, sensor: Any, seed: Any) -> Any:
        """As `ImagePass.image`, replayed once it is recorded; traced where it cannot be."""
        twin = None if self.distrusted or plainly_refused(scene) else self.twins.of(sensor)
        if twin is None:
            return one.image(scene, sensor, seed)
        recording = self._known((id(scene), twin.key, one.spp, constants(scene)), one.image, scene, sensor)
        recording.calls = recording.calls + 1
        if recording.calls <= self.traced:
            return one.image(scene, sensor, seed)
        image = recording.again(scene, twin.camera, dr.opaque(mi.UInt32, seed))
        if recording.due():
            self._judge(_gap([one.image(scene, sensor, seed)], [image]), "image")
        return image


def constants(scene: Any) -> tuple[str, ...]:
    """Entries of a scene that are no arrays of the device: kernels hold their values. Those of cameras have keys of their own."""
    params, found = traverse(scene), []
    cameras: dict[Any, bool] = {}
    for raw, (held, kind, node, _) in params.properties.items():
        if kind is None and dr.is_jit_v(held):
            continue
        if node not in cameras:
            cameras[node] = _of_camera(params, node)
        if not cameras[node]:
            value = held if kind is None else params.get_property(held, kind, node)
            if value is None or not dr.is_jit_v(storage(value)):
                found.append(f"{raw} {value}")
    return tuple(found)


def _of_camera(params: Any, node: Any) -> bool:
    """Whether a node lies below a camera of what has been traversed."""
    while node is not None:
        owner, depth = params.hierarchy[node]
        if depth and isinstance(node, mi.Sensor):
            return True
        node = owner
    return False


def check(scene: Any, sensor: Any, features: Features, attached: list[AttachedParameter]) -> None:
    """Raise SceneError, which names the reason, for scenes whose passes cannot be recorded."""
    reason = refusal(scene, sensor, features, attached)
    if reason:
        raise SceneError(f"pathspace: replay = true: {reason} cannot be replayed. Leave the option out.")


def refusal(scene: Any, sensor: Any, features: Features, attached: list[AttachedParameter]) -> str:
    """Why passes of a scene cannot be recorded; empty if they can."""
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
    if plainly := plainly_refused(scene):
        return plainly
    if features.patterns is not None:
        return "motion of textures that jump inside faces"
    return ""


def plainly_refused(scene: Any) -> str:
    """What a scene has that cannot be recorded, whatever carries derivatives; empty if nothing."""
    textures = [node for node in traverse(scene).hierarchy if isinstance(node, mi.Texture)]
    for name, kinds, things in (("lights", LIGHTS, scene.emitters()), ("textures", TEXTURES, textures)):
        for thing in things:
            if not thing.class_name().startswith(kinds):
                return f"{name} of the kind '{thing.class_name()}'"
    if any(
        isinstance(node, mi.BSDF) and mi.has_flag(node.flags(), mi.BSDFFlags.Delta)
        for node in traverse(scene).hierarchy
    ):
        return "mirrors, glass and cut-outs"
    return next((kind.name for kind in registry.present(scene) if not kind.replayed), "")


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
    recording: Recording, scene: Any, cameras: tuple[Any, Any], attached: list[AttachedParameter], given: Inputs,
    learned: Mapping[str, Any],
) -> float:  # fmt: skip
    """Largest difference between a replayed and a traced gradient, relative to the largest entry of the same parameter.

    `cameras`: the one that is traced, and the one that the recording sees.
    """
    after = {} if given.learned is None else given.learned.kept()
    found = []
    with _leaves(scene, attached) as leaves:
        for run, camera in zip((recording.run, recording.again), cameras, strict=True):
            if given.learned is not None:
                given.learned.restore(dr.copy(learned))
            with dr.isolate_grad(), dr.suspend_grad():
                dr.eval(run(scene, camera, given))
            found.append([np.ravel(np.array(dr.grad(x), dtype=np.float64)) for x in leaves])
            dr.clear_grad(leaves)
    if given.learned is not None:
        given.learned.restore(after)
    return _gap(*found)


def _gap(traced: Sequence[Any], replayed: Sequence[Any]) -> float:
    """Largest difference between arrays, relative to the largest entry of the same one."""
    worst = 0.0
    for before, after in zip(traced, replayed, strict=True):
        one, other = (np.asarray(x, dtype=np.float64) for x in (before, after))
        gap, size = np.abs(other - one).max(), np.abs(one).max()
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
