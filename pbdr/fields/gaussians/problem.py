"""Gaussians as a problem that jobs know: their latents as variables, what renders them, and their steps."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.data.sensors import camera_of, is_pinhole
from pbdr.errors import DataError, OptionError
from pbdr.fields.gaussians.model import Gaussians
from pbdr.fields.gaussians.project import from_device, on_device
from pbdr.fields.gaussians.rendering import Compositing, render
from pbdr.fields.gaussians.training import Progress, Training, TrainingOptions, View
from pbdr.inverse import ending
from pbdr.inverse.fit import Info
from pbdr.inverse.own import OwnProblem
from pbdr.inverse.state import State
from pbdr.parameters import Variables
from pbdr.parameters.variables import Leaf
from pbdr.srgb import srgb_to_linear

NAME = "gaussians"  # of the variable, in records and messages
ALPHA = "silhouette"
TABLES: dict[str, Any] = {}


class GaussianMethods:
    """A Mitsuba integrator that renders Gaussians over a background; the class is made of this one for each variant.

    It sees nothing of the scene but its sensors, and one sample a pixel is all that it needs.
    """

    def __init__(self, options: Compositing, background: tuple[float, float, float], linear: bool) -> None:
        mi.SamplingIntegrator.__init__(self, mi.Properties())  # type: ignore[arg-type]
        self.options, self.background, self.linear = options, background, linear
        self.gaussians: Gaussians | None = None

    def render(
        self, scene: Any, sensor: Any = 0, seed: Any = 0, spp: int = 0, develop: bool = True, evaluate: bool = True
    ) -> Any:
        """The image (H, W, 3) of linear radiance."""
        assert self.gaussians is not None, "there are no Gaussians yet"
        seer = scene.sensors()[sensor] if isinstance(sensor, int) else sensor
        image = render(self.gaussians, pinhole(seer, str(seer.id())), options=self.options)
        white = render(self.gaussians, pinhole(seer, str(seer.id())), background=(1, 1, 1), options=self.options)
        alpha = np.clip(1 - (white - image)[..., :1], 0, 1)
        radiance = image if self.linear else alpha * srgb_to_linear(np.clip(image / np.maximum(alpha, 1e-6), 0, 1))
        return mi.TensorXf(np.asarray(radiance + (1 - alpha) * np.array(self.background), np.float32))

    def to_string(self) -> str:
        """One line for logs."""
        return f"{NAME}[{0 if self.gaussians is None else len(self.gaussians)}]"


def make(options: Compositing, background: tuple[float, float, float], linear: bool) -> Any:
    """The integrator, for the active variant."""
    variant = str(mi.variant())
    if variant not in TABLES:
        members = {k: v for k, v in vars(GaussianMethods).items() if k not in ("__dict__", "__weakref__")}
        TABLES[variant] = type("GaussianIntegrator", (mi.SamplingIntegrator,), members)
    return TABLES[variant](options, background, linear)


def pinhole(sensor: Any, label: str) -> Any:
    """The camera of a sensor. Raises DataError for a lens, or a sensor without a field of view."""
    camera = camera_of(sensor)
    if camera is None or not is_pinhole(sensor):
        raise DataError(
            f"{label}: its sensor is no pinhole without distortion, for which alone Gaussians are composited. Undistort the images"
        )
    return camera


def none() -> Gaussians:
    """No Gaussians."""
    return Gaussians(*(np.zeros((0, *shape), np.float32) for shape in ((3,), (3,), (4,), (), (1, 3))))


class GaussianVariables(Variables):
    """The latents of Gaussians as the variable `gaussians` of a problem: no parameter of a scene is moved by them."""

    def __init__(
        self, scene: Any, start: Gaussians, how: TrainingOptions, background: tuple[float, float, float]
    ) -> None:
        self.scene, self.start, self.how = scene, start, how
        self.specs, self.latents, self.functions, self.followers, self.meshes = {}, {}, {}, {}, {}
        self._given = {}
        self.integrator = make(how.compositing, background, how.linear)

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        return {name: Leaf(NAME, self.how.rate_of(name), 0, "") for name in on_device(self.start)}

    def init(self) -> dict[str, Any]:
        return on_device(self.start)

    def apply(self, latents: Mapping[str, Any], values: Mapping[str, Any] | None = None, time: float = 0.0) -> Any:
        """Let the integrator render these latents."""
        self.integrator.gaussians = from_device({name: latents[name] for name in self.leaves})
        return None


@dataclass(frozen=True, eq=False)
class GaussianProblem(OwnProblem):
    """The problem of Gaussians: `scene` gives sensors alone, and `variables` are none.

    `start`: what they are at first; `how`: how they are fitted, but for steps and seed, which are those of `options`; `background`:
    what lies behind them, linear.
    """

    start: Gaussians = field(default_factory=none)
    how: TrainingOptions = field(default_factory=TrainingOptions)
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.start):
            raise OptionError("there are no Gaussians to start from")
        masked = [self.label(i) for i, view in enumerate(self.views) if view.mask is not None]
        if masked:
            raise DataError(
                f"{masked[0]}: Gaussians are fitted to whole images, masks mean nothing; use images with alpha"
            )

    @cached_property
    def bound(self) -> GaussianVariables:
        """The latents, and the integrator that renders them."""
        return GaussianVariables(self.scene, self.start, self.how, self.background)

    @cached_property
    def integrator(self) -> Any:
        """What renders them."""
        return self.bound.integrator

    @cached_property
    def training(self) -> Training:
        """Views and options of the fit."""
        options = replace(self.how, steps=self.options.steps, seed=self.options.seed)
        return Training([self._view(k) for k in range(len(self.views))], self.start, options)

    def _view(self, index: int) -> View:
        view = self.views[index]
        alpha: NDArray[Any] | None = view.planes.get(ALPHA)
        clear = 0.0 if alpha is None else 1 - np.asarray(alpha).reshape(*np.shape(view.target)[:2], 1)
        return View(
            pinhole(self.sensor(index), self.label(index)),
            np.asarray(view.target) - clear * np.array(self.background),
            None if alpha is None else np.asarray(alpha).reshape(np.shape(view.target)[:2]),
        )

    def first(self) -> State:
        made = self.training.first()
        return State(0, made.latents, made.memory)

    def advanced(self, state: State) -> tuple[State, Info]:
        start, training = time.perf_counter(), self.training
        rates = training.rates(state.step)
        latents = {key: mi.TensorXf(value) for key, value in state.latents.items()}
        done = training.advanced(Progress(state.step, latents, state.memory))
        seconds = time.perf_counter() - start
        names = tuple(self.label(k) for k in training.drawn(state.step))
        norms, rate = {NAME: done.norm}, {NAME: rates["positions"]}
        info = Info(state.step, done.loss, 0.0, norms, rate, names, 1.0, seconds, False)
        progress = ending.progressed(self.options, state, done.loss)
        dr.eval(done.latents)
        after = State(
            done.step, done.latents, done.memory, state.skipped, state.seconds + seconds, progress, state.learned
        )
        assert math.isfinite(done.loss)
        return after, info
