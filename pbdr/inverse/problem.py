"""What an inverse-rendering problem is: a scene, views with their target images, variables, options."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import DataError, Mistakes, OptionError, ParameterError, raise_all
from pbdr.inverse import gauge, schedules
from pbdr.inverse.losses import Loss, get_loss
from pbdr.inverse.optimisers import OPTIMISERS, Groups
from pbdr.inverse.priors import Prior, get_priors
from pbdr.options import Options as Pathspace
from pbdr.parameters import Variables, VariableSpec
from pbdr.parameters.textures import resize
from pbdr.registry import Choice
from pbdr.scene import integrator_of, sensor_of


@dataclass(frozen=True, eq=False)
class View:
    """One observation.

    target  (H, W, C) linear radiance; C = 3, or 1
    sensor  index of a sensor of the scene, or a `mitsuba.Sensor` with a film of the same size
    mask    (H, W), 1 where the target counts, 0 where not; None: everywhere
    name    what messages and files call it
    """

    target: NDArray[Any]
    sensor: Any = 0
    mask: NDArray[Any] | None = None
    name: str = ""


#: What a loss or gradient that is not finite may do.
NONFINITE = ("skip", "stop")


@dataclass(frozen=True)
class Options:
    """How to optimise.

    loss         one of `inverse.losses.LOSSES`: its name, or a table of `type` and options
    optimiser    one of `inverse.optimisers.OPTIMISERS`, likewise; for variables and maps that do not ask for another one
    spp          samples per pixel of the image; `spp_grad` of its derivative (None: the same)
    resolution   ((step, scale), …): from that step on, films have this fraction of their size
    lr_decay     cosine (to 1 % at the last step) or none
    integrator   a Mitsuba integrator dictionary or object; None: `pathspace` with its defaults
    gauge        for example "mean_luminance(mat-*/base_color) = 0.5", or None
    gauge_lr     learning rate of the tint that albedo and light may exchange, channel by channel; None: no such step
    nonfinite    what a non-finite loss or gradient does: skip the step, or stop
    max_skips    skipped steps after which the run counts as diverged
    patience     stop after this many steps without a lower smoothed loss; None: never
    max_minutes  stop after this time, resumed runs included; None: never
    """

    steps: int = 200
    views_per_step: int = 1
    spp: int = 16
    spp_grad: int | None = None
    seed: int = 0
    loss: Choice = "l1"
    optimiser: Choice = "adam"
    lr_decay: str = "cosine"
    resolution: Sequence[tuple[int, float]] = ((0, 1.0),)
    integrator: Any = None
    gauge: str | None = None
    gauge_lr: float | None = None
    nonfinite: str = "skip"
    max_skips: int = 5
    patience: int | None = None
    max_minutes: float | None = None

    def __post_init__(self) -> None:
        get_loss(self.loss)
        OPTIMISERS.make(self.optimiser)
        schedules.check_decay(self.lr_decay)
        schedules.check_resolution(self.resolution)
        for name, low in (("steps", 1), ("views_per_step", 1), ("spp", 1), ("max_skips", 0)):
            if getattr(self, name) < low:
                raise OptionError(f"{name} = {getattr(self, name)!r}: it is at least {low}")
        if self.nonfinite not in NONFINITE:
            raise OptionError(f"nonfinite = {self.nonfinite!r}: it is {' or '.join(map(repr, NONFINITE))}")
        if self.gauge_lr is not None and self.gauge is None:
            raise OptionError("gauge_lr is given without a gauge: name the albedo whose tint it moves")
        for name in ("spp_grad", "patience", "max_minutes", "gauge_lr"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise OptionError(f"{name} = {value!r}: it is a number above 0, or absent")


#: What a job file means where it says nothing. It differs from `Options()` in three things, because nobody waits beside a job: more
#: steps, several views in each, and a loss whose value is free of noise bias, at the price of a second render.
JOB = Options(
    steps=400, views_per_step=4, loss="l2_dual", integrator={"type": "pathspace", "max_depth": Pathspace.max_depth}
)


def check_variables(bound: Variables) -> None:
    """Raise ParameterError for what cannot be estimated, though it has a gradient: entries of poses, and priors that mean nothing.

    Raises OptionError for priors that do not exist. All that is wrong is told (`PbdrError.others`).
    """
    mistakes = Mistakes()
    for key, latent in bound.latents.items():
        name = latent.parameter.name
        with mistakes.collected():
            if latent.parameter.kind == "transform" and not latent.map.poses:
                raise ParameterError(
                    f"variable {latent.variable!r}: {name!r} is a pose, whose twelve numbers are not free: moved one by one, as "
                    f'map {latent.map.name!r} does, they shear and scale. Use map = "se3", the default of poses, or "affine"'
                )
        with mistakes.collected():
            priors = _priors(bound, latent.variable)
            refusals = {prior.name: prior.refusal(latent.place) for _, prior in priors}
            wrong = [ParameterError(f"prior {prior} of {key!r}: {text}") for prior, text in refusals.items() if text]
            if wrong:
                raise_all(wrong)
    mistakes.raise_any()


def _priors(bound: Variables, variable: str) -> list[tuple[float, Prior]]:
    try:
        return get_priors(bound.specs[variable].prior)
    except OptionError as error:
        raise OptionError(f"variable {variable!r}: {error}") from None


@dataclass(frozen=True, eq=False)
class Problem:
    """An inverse-rendering problem; everything in it is checked when it is made.

    Raises DataError for unusable targets, ParameterError and OptionError for variables and options.
    """

    scene: Any
    views: Sequence[View]
    variables: Mapping[str, VariableSpec]
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        if not self.views:
            raise DataError("there is no view: an inverse problem needs at least one target image")
        for index, view in enumerate(self.views):
            self._check(index, view)
        check_variables(self.bound)
        if self.gauge is not None and self.options.gauge_lr is not None:
            gauge.check_tint(self.gauge, self.bound)

    @cached_property
    def bound(self) -> Variables:
        """The variables bound to the scene; `problem.bound.scene` is the scene that is rendered."""
        return Variables(self.scene, self.variables)

    @cached_property
    def loss(self) -> Loss:
        """The image loss."""
        return get_loss(self.options.loss)

    @cached_property
    def optimiser(self) -> Groups:
        """What moves the latents: what the variable says, else what suits its map, else the one of the options."""
        chosen = {k: self.bound.specs[x.variable].optimiser or x.map.optimiser for k, x in self.bound.latents.items()}
        others = {key: OPTIMISERS.make(choice) for key, choice in chosen.items() if choice}
        return Groups(OPTIMISERS.make(self.options.optimiser), others)

    @cached_property
    def priors(self) -> dict[str, list[tuple[float, Prior]]]:
        """Weights and priors by variable."""
        return {name: _priors(self.bound, name) for name in self.bound.specs}

    @cached_property
    def gauge(self) -> gauge.Gauge | None:
        """The gauge to keep, or None."""
        return None if self.options.gauge is None else gauge.parse(self.options.gauge, self.bound)

    @cached_property
    def integrator(self) -> Any:
        """The `mitsuba.Integrator` that renders."""
        return integrator_of(self.bound.scene, self.options.integrator)

    @property
    def learned(self) -> Any:
        """What the integrator keeps from call to call (`boundary.guiding.State`); None if it is not `pathspace`."""
        return getattr(self.integrator, "learned", None)

    def sensor(self, index: int) -> Any:
        """Return the `mitsuba.Sensor` of view `index`."""
        return sensor_of(self.bound.scene, self.views[index].sensor)

    def label(self, index: int) -> str:
        """Return the name of view `index`."""
        return self.views[index].name or f"view-{index:03d}"

    def film(self, index: int, scale: float) -> tuple[int, int]:
        """Return (width, height) of the film of view `index` at `scale`."""
        width, height = self._films[index]
        return max(1, round(width * scale)), max(1, round(height * scale))

    @cached_property
    def _films(self) -> list[tuple[int, int]]:
        return [(int(s[0]), int(s[1])) for s in (self.sensor(i).film().size() for i in range(len(self.views)))]

    def target(self, index: int, shape: Sequence[int]) -> tuple[Any, Any]:
        """Return (target, mask or None) of view `index` as tensors, area-averaged to `shape` (H, W, …).

        Where a reduced pixel is partly masked, its target is the mean over the part that counts.
        """
        key = (index, int(shape[0]), int(shape[1]))
        if key not in self._cache:
            view = self.views[index]
            image, mask, size = np.asarray(view.target, dtype=np.float64), view.mask, key[1:]
            if image.shape[:2] != size:
                if mask is None:
                    image = resize(image, size)
                else:
                    weight = np.asarray(mask, dtype=np.float64)
                    mask = resize(weight, size)
                    covered = np.maximum(mask, 1e-12)[..., None]
                    image = resize(image * weight[..., None], size) / covered
            tensor = mi.TensorXf(np.ascontiguousarray(image, dtype=np.float32))
            self._cache[key] = (tensor, None if mask is None else mi.TensorXf(np.asarray(mask, dtype=np.float32)))
        return self._cache[key]

    @cached_property
    def _cache(self) -> dict[tuple[int, int, int], tuple[Any, Any]]:
        return {}

    def _check(self, index: int, view: View) -> None:
        label, target = self.label(index), np.asarray(view.target)
        if target.ndim != 3 or target.shape[2] not in (1, 3):
            raise DataError(f"{label}: a target is (height, width, 1 or 3), got {target.shape}")
        if not np.isfinite(target).all():
            raise DataError(f"{label}: its target has {int((~np.isfinite(target)).sum())} non-finite value(s)")
        width, height = self.sensor(index).film().crop_size()
        if target.shape[:2] != (height, width):
            raise DataError(
                f"{label}: its target has {target.shape[1]}x{target.shape[0]} pixels, its sensor {width}x{height}"
            )
        if view.mask is not None:
            mask = np.asarray(view.mask)
            if mask.shape != target.shape[:2]:
                raise DataError(f"{label}: its mask has shape {mask.shape}, its target {target.shape[:2]}")
            if not np.isfinite(mask).all() or (mask < 0).any() or not (mask > 0).any():
                raise DataError(f"{label}: a mask has values of at least 0, some of them above 0")
