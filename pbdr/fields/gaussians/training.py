"""Gaussians from photographs: Adam with the rates of 3DGS, a fixed number of Gaussians moved as 3DGS-MCMC does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pbdr.aligned import aligned
from pbdr.data.cameras import Camera
from pbdr.errors import DataError, DivergedError, OptionError
from pbdr.fields.gaussians import mcmc
from pbdr.fields.gaussians.model import Gaussians
from pbdr.fields.gaussians.project import from_device, on_device
from pbdr.fields.gaussians.rendering import Cameras, Compositing, images
from pbdr.inverse import schedules
from pbdr.inverse.losses.ssim import SSIM
from pbdr.inverse.optimisers.adam import Adam
from pbdr.inverse.optimisers.optimiser import Memory
from pbdr.seeds import hashed
from pbdr.srgb import linear_to_srgb

#: Learning rates of 3DGS. That of positions is in units of the size of the scene, and falls to a hundredth; it is
#: for 30,000 steps.
RATES = MappingProxyType(
    {"positions": 1.6e-4, "dc": 2.5e-3, "rest": 2.5e-3 / 20, "logits": 5e-2, "log_scales": 5e-3, "rotations": 1e-3}
)
FALL = 0.01  # of the rate of positions, over all steps
LONG, HASTE = 30_000, 10.0  # steps of 3DGS; with fewer, positions move faster by the ratio, by no more than `HASTE`
NOISE = 5e5  # times that rate
REPORTED = 50  # steps between calls of `tell`


@dataclass(frozen=True, eq=False)
class View:
    """A photograph: its `camera` (a pinhole), its linear radiance (H, W, 3), and `alpha` (H, W), with which it is premultiplied."""

    camera: Camera
    target: NDArray[Any]
    alpha: NDArray[Any] | None = None


@dataclass(frozen=True)
class TrainingOptions:
    """How Gaussians are fitted.

    steps        of one view, or of `views_per_step`
    rates        learning rates of `RATES` that differ
    rate         factor of all learning rates
    dssim        weight of 1 − SSIM in the loss; that of the mean absolute error is 1 less this
    sparse       weight of the mean opacity, and of the mean scale in units of the size of the scene, in the loss
    relocate     steps between moves of dead Gaussians; 0: never
    settle       fraction of the steps, at the end, in which none is moved
    noise        factor of the noise of positions; 0: none
    background   "random", a new colour a step, for views with alpha; or the colour behind the scene
    linear       colours are linear radiance; false: codes of sRGB, as viewers of files expect them
    extent       size of the scene; None: the radius of the cameras about their mean, as in 3DGS
    """

    steps: int = 3000
    views_per_step: int = 1
    seed: int = 0
    rates: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    rate: float = 1.0
    dssim: float = 0.2
    sparse: float = 0.01
    relocate: int = 100
    settle: float = 0.2
    noise: float = 1.0
    background: str | tuple[float, float, float] = "random"
    linear: bool = False
    extent: float | None = None
    compositing: Compositing = field(default_factory=Compositing)

    def __post_init__(self) -> None:
        unknown = [name for name in self.rates if name not in RATES]
        if unknown:
            raise OptionError(f"rates has {unknown[0]!r}, which Gaussians do not have. They have {', '.join(RATES)}")
        for name, low, high in (
            ("steps", 1, math.inf), ("views_per_step", 1, math.inf), ("rate", 1e-6, math.inf), ("dssim", 0, 1),
            ("sparse", 0, math.inf), ("relocate", 0, math.inf), ("settle", 0, 1), ("noise", 0, math.inf),
        ):  # fmt: skip
            value = getattr(self, name)
            if not (low <= value <= high and math.isfinite(value)):
                raise OptionError(f"{name} = {value!r}: it is from {low} to {high}")
        if isinstance(self.background, str) and self.background != "random":
            raise OptionError(f"background = {self.background!r}: give 'random', or three numbers")

    def rate_of(self, name: str) -> float:
        """The learning rate of a latent, before it falls."""
        return self.rate * self.rates.get(name, RATES[name])


@dataclass(frozen=True)
class Progress:
    """State after `step` steps: tensors by the names of `project.on_device`, and what Adam remembers. Random numbers need none."""

    step: int
    latents: dict[str, Any]
    memory: Memory
    loss: float = math.nan
    norm: float = math.nan  # of its gradient


@dataclass(frozen=True, eq=False)
class Trained:
    """What a fit ended with: the Gaussians, the loss of every step, and the seconds that it took."""

    gaussians: Gaussians
    losses: list[float]
    seconds: float


class Training:
    """Views and options of a fit, checked; `first` and `advanced` make its states."""

    adam = Adam(epsilon=1e-15)

    def __init__(self, views: Sequence[View], start: Gaussians, options: TrainingOptions | None = None) -> None:
        self.options = options or TrainingOptions()
        if not views:
            raise DataError("there are no views to fit Gaussians to")
        self.views, self.start = list(views), start
        self.cameras = Cameras([view.camera for view in views], self.options.compositing.side)
        self.targets = [self._target(number, view) for number, view in enumerate(views)]
        self.with_alpha = all(view.alpha is not None for view in views)
        eyes = np.stack([view.camera.to_world[:3, 3] for view in views])
        radius = 1.1 * float(np.linalg.norm(eyes - eyes.mean(axis=0), axis=1).max())
        self.extent = self.options.extent or (radius if radius > 0 else 1.0)

    def _target(self, number: int, view: View) -> tuple[Any, Any]:
        """Codes of the colours (H, W, 3), and alpha (H, W, 1)."""
        width, height = self.cameras.size
        image = np.asarray(view.target)
        alpha = np.ones(image.shape[:2]) if view.alpha is None else np.asarray(view.alpha)
        if image.shape != (height, width, 3) or alpha.shape != (height, width):
            raise DataError(
                f"view {number}: the image {image.shape} or its alpha {alpha.shape} is not {width} x {height} pixels"
            )
        if not (np.isfinite(image).all() and np.isfinite(alpha).all()):
            raise DataError(f"view {number}: its image or its alpha has values that are not finite")
        return mi.TensorXf(aligned(self.coded(image, alpha))), mi.TensorXf(aligned(alpha[..., None]))

    def coded(self, image: ArrayLike, alpha: ArrayLike) -> NDArray[Any]:
        """What Gaussians are compared with: codes of straight colours, premultiplied again."""
        image, alpha = np.asarray(image), np.asarray(alpha)[..., None]
        if self.options.linear:
            return image
        straight = np.clip(image / np.maximum(alpha, 1e-6), 0, 1)
        return np.asarray(linear_to_srgb(straight) * alpha)

    def first(self) -> Progress:
        """The state before the first step."""
        latents = on_device(self.start)
        return Progress(0, latents, self.adam.init(latents))

    def advanced(self, state: Progress) -> Progress:
        """The state after one more step. Raises DivergedError where the loss is not finite."""
        step, options = state.step, self.options
        random = np.random.default_rng(hashed(options.seed, "gaussians", step))
        latents = {name: mi.TensorXf(dr.detach(value)) for name, value in state.latents.items()}
        dr.enable_grad(latents)
        loss = self.loss(latents, self.drawn(step), random)
        dr.backward(loss)
        gradients = {name: dr.grad(value) for name, value in latents.items()}
        norm = dr.sqrt(dr.sum([dr.sum(dr.square(value.array)) for value in gradients.values()]))
        latents, memory = self.adam.step(state.memory, state.latents, gradients, self.rates(step))
        if options.noise > 0:
            rate = NOISE * options.noise * RATES["positions"] * FALL ** (step / options.steps) / self.extent
            latents["positions"] = latents["positions"] + mcmc.noise(latents, rate, random)
            dr.eval(latents["positions"])
        value = float(loss.array[0])
        if not math.isfinite(value):
            raise DivergedError(f"the loss of step {step} is not finite: lower the rates, or look at the views")
        return self._moved(Progress(step + 1, latents, memory, value, float(norm[0])), random)

    def drawn(self, step: int) -> list[int]:
        """Numbers of the views of a step."""
        return schedules.views(len(self.views), self.options.views_per_step, step, self.options.seed)

    def rates(self, step: int) -> dict[str, float]:
        """Learning rates of a step, by the names of the latents."""
        options = self.options
        found = {name: options.rate_of(name) for name in RATES}
        haste = min(max(LONG / options.steps, 1.0), HASTE)
        found["positions"] *= self.extent * haste * FALL ** (step / options.steps)
        return found

    def loss(self, latents: Mapping[str, Any], which: Sequence[int], random: np.random.Generator) -> Any:
        """The loss of views at latents."""
        options = self.options
        sums, left = images(latents, self.cameras, which, options.compositing)
        ssim, total = SSIM(codes=False), mi.Float(0)
        for k, number in enumerate(which):
            target, alpha = self.targets[number]
            image, clear = (sums[k], left[k]) if len(which) > 1 else (dr.reshape(v, v.shape[1:]) for v in (sums, left))
            behind = self._background(random)
            image, target = image + clear * behind, target + (1 - alpha) * behind
            error = dr.mean(dr.abs(image - target), axis=None)
            if options.dssim > 0:
                error = (1 - options.dssim) * error + options.dssim * ssim(image, target)
            total = total + error.array / len(which)
        if options.sparse > 0:
            opacity = dr.mean(dr.rcp(1 + dr.exp(-latents["logits"].array)))
            scale = dr.mean(dr.exp(latents["log_scales"].array)) / self.extent
            total = total + options.sparse * (opacity + scale)
        return mi.TensorXf(total, (1,))

    def _background(self, random: np.random.Generator) -> Any:
        given = self.options.background
        color = random.random(3) * self.with_alpha if isinstance(given, str) else np.array(given, dtype=np.float64)
        return mi.TensorXf(aligned(color.reshape(1, 1, 3)))

    def _moved(self, state: Progress, random: np.random.Generator) -> Progress:
        """The state with dead Gaussians in the places of others, where it is time for that."""
        options, step = self.options, state.step
        if not options.relocate or step % options.relocate or step > (1 - options.settle) * options.steps:
            return state
        values = {name: np.array(value.numpy()) for name, value in state.latents.items()}
        wrong = [name for name, value in values.items() if not np.isfinite(value).all()]
        if wrong:
            raise DivergedError(f"{wrong[0]} are not finite after {step} steps: lower the rates, or look at the views")
        values, changed = mcmc.relocated(values, random)
        if not len(changed):
            return state
        slots: dict[str, dict[str, Any]] = {}
        for slot, tensors in state.memory.slots.items():
            slots[slot] = {}
            for name, tensor in tensors.items():
                kept = np.array(tensor.numpy())
                kept[changed] = 0
                slots[slot][name] = mi.TensorXf(aligned(kept))
        latents = {name: mi.TensorXf(aligned(value)) for name, value in values.items()}
        return replace(state, latents=latents, memory=Memory(slots, state.memory.t))


def fit(
    views: Sequence[View], start: Gaussians, options: TrainingOptions | None = None, *, seconds: float | None = None,
    tell: Callable[[Progress], None] | None = None,
) -> Trained:  # fmt: skip
    """Fit the Gaussians `start`, whose number stays, to views; films of all cameras have one size.

    `seconds`: end after this time, too. `tell` is called every 50 steps. Raises DataError for views that do not go together, and
    DivergedError.
    """
    training = Training(views, start, options)
    state, losses, begin = training.first(), [], time.perf_counter()
    while state.step < training.options.steps and (seconds is None or time.perf_counter() - begin < seconds):
        state = training.advanced(state)
        losses.append(state.loss)
        if tell is not None and state.step % REPORTED == 0:
            tell(state)
    return Trained(from_device(state.latents), losses, time.perf_counter() - begin)
