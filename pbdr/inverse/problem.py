"""What an inverse-rendering problem is: a scene, views with their target images, variables, options."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbdr.data.cache import GIB, Streamed
from pbdr.errors import DataError, OptionError, ParameterError
from pbdr.inverse import anchor, exposure, gauge, guards, planes, schedules
from pbdr.inverse.losses import Loss, Losses, get_losses
from pbdr.inverse.optimisers import OPTIMISERS, Groups
from pbdr.inverse.priors import Prior
from pbdr.inverse.state import State
from pbdr.inverse.targets import Targets
from pbdr.inverse.unknowns import check_variables, moves_nothing, priors_of, usual_priors
from pbdr.inverse.workers import ALONE, Workers
from pbdr.parameters import FunctionSpec, Variables, VariableSpec
from pbdr.pathspace.options import PathspaceOptions
from pbdr.registry import Choice
from pbdr.scene import integrator_of, sensor_of


@dataclass(frozen=True, eq=False)
class View:
    """One observation. Arrays are what `numpy.asarray` takes, also `pbdr.data.Streamed`, which reads a file on demand.

    target  (H, W, C) linear radiance; C = 3, or 1
    sensor  index of a sensor of the scene, or a `mitsuba.Sensor` with a film of the same size
    mask    (H, W), 1 where the target counts, 0 where not; None: everywhere
    name    what messages and files call it
    planes  what else was observed, by name of `losses.PLANES`: (H, W) or (H, W, C); for losses that compare these
    weight  of this view in the loss, above 0
    time    what functions of time get (`parameters.FunctionSpec`)
    """

    target: NDArray[Any]
    sensor: Any = 0
    mask: NDArray[Any] | None = None
    name: str = ""
    planes: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    weight: float = 1.0
    time: float = 0.0


#: Numbers that are optimised together by least squares, at most: each is a derivative image.
LEAST_SQUARES = 200

#: What a loss or gradient that is not finite may do.
NONFINITE = ("skip", "stop")


@dataclass(frozen=True)
class Options:
    """How to optimise.

    loss         one of `inverse.losses.LOSSES`: its name, or a table of `type` and options; or a list of these, which are added
                 with their `weight`
    optimiser    one of `inverse.optimisers.OPTIMISERS`, likewise; for variables and maps that do not ask for another one
    spp          samples per pixel of the image; `spp_grad` of its derivative (None: `Problem.spp_grad`)
    resolution   ((step, scale), …): from that step on, films have this fraction of their size
    rate         factor of all learning rates
    lr_decay     cosine (to 1 % at the last step) or none
    integrator   a Mitsuba integrator dictionary or object; None: `pathspace` with its defaults
    gauge        for example "mean_luminance(mat-*/base_color) = 0.5"; "auto": a tint where albedo and light are unknown; or None
    gauge_lr     learning rate of the tint that albedo and light may exchange, channel by channel; None: no such step, with "auto"
                 its own
    nonfinite    what a non-finite loss or gradient does: skip the step, or stop
    max_skips    skipped steps after which the run counts as diverged
    patience     stop after this many steps without a lower smoothed loss; None: never
    collapse     what a step does that turns over, folds or collapses faces of a mesh: shorten it around them, or ignore that
    max_minutes  stop after this time, resumed runs included; None: never
    exposure_lr  learning rate of the logarithm of each view's exposure; None: exposures are known, 1
    exposure_fix one of `inverse.exposure.FIXES`: what of the exposures is fixed
    cache_gb     memory for targets at the sizes in use, in GiB; what is beyond is made again when it is needed
    """

    steps: int = 200
    views_per_step: int = 1
    spp: int = 16
    spp_grad: int | None = None
    seed: int = 0
    loss: Losses = "l1"
    optimiser: Choice = "adam"
    rate: float = 1.0
    lr_decay: str = "cosine"
    resolution: Sequence[tuple[int, float]] = ((0, 1.0),)
    integrator: Any = None
    gauge: str | None = gauge.AUTO
    gauge_lr: float | None = None
    nonfinite: str = "skip"
    max_skips: int = 5
    collapse: str = "shorten"
    patience: int | None = None
    max_minutes: float | None = None
    exposure_lr: float | None = None
    exposure_fix: str = "mean"
    cache_gb: float = 2.0

    def __post_init__(self) -> None:
        for _, loss in get_losses(self.loss):
            if loss.refusal():
                raise OptionError(f"loss {loss.name!r}: {loss.refusal()}")
        exposure.check_fix(self.exposure_fix)
        OPTIMISERS.make(self.optimiser)
        schedules.check_decay(self.lr_decay)
        schedules.check_resolution(self.resolution)
        for name, low in (("steps", 1), ("views_per_step", 1), ("spp", 1), ("max_skips", 0)):
            if getattr(self, name) < low:
                raise OptionError(f"{name} = {getattr(self, name)!r}: it is at least {low}")
        if self.nonfinite not in NONFINITE:
            raise OptionError(f"nonfinite = {self.nonfinite!r}: it is {' or '.join(map(repr, NONFINITE))}")
        if self.collapse not in guards.COLLAPSE:
            raise OptionError(f"collapse = {self.collapse!r}: it is {' or '.join(map(repr, guards.COLLAPSE))}")
        if self.gauge_lr is not None and self.gauge in (None, gauge.AUTO):
            raise OptionError("gauge_lr is given without a gauge: name the albedo whose tint it moves")
        for name in ("spp_grad", "patience", "max_minutes", "gauge_lr", "exposure_lr", "cache_gb"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise OptionError(f"{name} = {value!r}: it is a number above 0, or absent")


#: What a job file means where it says nothing. It differs from `Options()` in three things, because nobody waits beside a job: more
#: steps, several views in each, and a loss whose value is free of noise bias, at the price of a second render.
JOB = Options(
    steps=400, views_per_step=4, loss="auto", integrator={"type": "pathspace", "max_depth": PathspaceOptions.max_depth}
)


@dataclass(frozen=True, eq=False)
class Problem:
    """An inverse-rendering problem; everything in it is checked when it is made.

    `workers`: the processes that work on it.

    Raises DataError for unusable targets, ParameterError and OptionError for variables and options.
    """

    scene: Any
    views: Sequence[View]
    variables: Mapping[str, VariableSpec | FunctionSpec]
    options: Options = field(default_factory=Options)
    workers: Workers = ALONE

    def __post_init__(self) -> None:
        if not self.views:
            raise DataError("there is no view: an inverse problem needs at least one target image")
        for index, view in enumerate(self.views):
            self._check(index, view)
        check_variables(self.bound)
        self._check_least_squares()
        names = [self.label(index) for index in range(len(self.views))]
        if self.options.exposure_lr is not None and len(set(names)) != len(names):
            raise DataError("two views have the same name, by which exposures are kept: name them differently")
        if self.gauge is not None and self.options.gauge_lr is not None:
            gauge.check_tint(self.gauge, self.bound)

    def _check_least_squares(self) -> None:
        """Raise OptionError or ParameterError where least squares are asked for that cannot be solved, or would take for ever."""
        leaves, pathspace = self.bound.leaves, getattr(self.integrator, "is_pathspace", False)
        asked = {
            "[optim]": self.options.optimiser,
            **{n: s.optimiser for n, s in self.bound.specs.items() if s.optimiser},
        }
        for where, choice in asked.items():
            one = OPTIMISERS.make(choice)
            if one.wants != "gradients" and not pathspace:
                raise OptionError(
                    f'optimiser "{one.name}" ({where}) needs derivative images of the integrator "pathspace"; use it, or "adam"'
                )
        keys, numbers = self.optimiser.wanting("least squares", leaves), 0
        first = self.bound.init() if keys else {}
        for key in keys:
            name, one = leaves[key].variable, self.optimiser.of(key)
            if self.priors.get(name):
                raise ParameterError(f'variable {name!r}: "{one.name}" knows no priors; use optimiser = "adam"')
            numbers += int(np.prod(first[key].shape))
            if numbers > LEAST_SQUARES:
                raise OptionError(
                    f'variable {name!r}: "{one.name}" renders a derivative for every number, and these are {numbers} or more; it '
                    f'takes {LEAST_SQUARES} at most: use optimiser = "adam"'
                )

    @cached_property
    def bound(self) -> Variables:
        """The variables bound to the scene; `problem.bound.scene` is the scene that is rendered."""
        return Variables(self.scene, self.variables)

    def at_rate(self, factor: float) -> Problem:
        """Return the problem with other learning rates: the same scene and everything made of it."""
        other = copy.copy(self)
        object.__setattr__(other, "options", replace(self.options, rate=factor))
        return other

    def shared(self, workers: Workers) -> Problem:
        """Return the problem for several processes: the same scene and everything made of it."""
        other = copy.copy(self)
        object.__setattr__(other, "workers", workers)
        return other

    def at(self, state: State) -> Variables:
        """Return the variables on the meshes of `state`; applied, they give them to the scene."""
        if not state.meshes:
            return self.bound
        found = self._elsewhere.get("variables")
        if found is None or found.meshes is not state.meshes:
            found = self._elsewhere["variables"] = self.bound.on(state.meshes)
        return found

    @cached_property
    def _elsewhere(self) -> dict[str, Variables]:
        return {}

    @cached_property
    def losses(self) -> list[tuple[float, Loss]]:
        """Weights and losses that are added up."""
        return [(weight, loss.suited(moves_nothing(self.bound))) for weight, loss in get_losses(self.options.loss)]

    @cached_property
    def spp_grad(self) -> int:
        """Samples per pixel of derivatives.

        Where nothing moves, `pathspace` starts their paths where the image differs from the target, and what noise they have is
        small beside that of the image: a quarter of its samples does.
        """
        few = moves_nothing(self.bound) and getattr(self.integrator, "is_pathspace", False)
        return self.options.spp_grad or (max(1, self.options.spp // 4) if few else self.options.spp)

    @cached_property
    def channels(self) -> list[str]:
        """Entries of `pathspace`'s option `aovs` that losses need, in the order in which they follow other channels of the film."""
        return list(dict.fromkeys(loss.channel() for _, loss in self.losses if loss.plane))

    @cached_property
    def optimiser(self) -> Groups:
        """What moves the latents: what the variable says, else what suits its map or role, else the one of the options.

        Least squares are solved with `pathspace` alone; with other integrators, the one of the options does.
        """
        others = {key: OPTIMISERS.make(leaf.optimiser) for key, leaf in self.bound.leaves.items() if leaf.optimiser}
        if not getattr(self.integrator, "is_pathspace", False):  # others lack derivative images of cameras, or raise
            others = {key: one for key, one in others.items() if one.wants == "gradients"}
        return Groups(OPTIMISERS.make(self.options.optimiser), others)

    @cached_property
    def held(self) -> list[str]:
        """Latents that stay as they are, so that the others have a frame: `anchor.held`."""
        return anchor.held(self.bound, [self.sensor(index) for index in range(len(self.views))])

    @property
    def notes(self) -> list[str]:
        """What a user should know of the problem before it is solved."""
        return anchor.notes(self.bound, self.held)

    @cached_property
    def priors(self) -> dict[str, list[tuple[float, Prior]]]:
        """Weights and priors by variable."""
        return {name: priors_of(self.bound, name) for name in self.bound.specs}

    @cached_property
    def usual_priors(self) -> list[tuple[str, float, Prior]]:
        """(latent key, weight in units of the image loss, prior) of what has a prior from its role.

        There are none where the value of the loss is mostly the noise of renders, which says nothing of how well texels are known.
        """
        if not any("other" in loss.needs for _, loss in self.losses):
            return []
        sizes = [math.prod(np.shape(v.target)[:2]) if v.mask is None else np.sum(np.asarray(v.mask)) for v in self.views]
        return usual_priors(self.bound, float(sum(sizes)))

    @cached_property
    def gauge(self) -> gauge.Gauge | None:
        """The gauge to keep, or None."""
        if self.options.gauge == gauge.AUTO:
            return gauge.automatic(self.bound)
        return None if self.options.gauge is None else gauge.parse(self.options.gauge, self.bound)

    @property
    def tint_lr(self) -> float | None:
        """Learning rate of the gauge's tint; None if there is no such step."""
        if self.gauge is None or self.options.gauge_lr is not None:
            return self.options.gauge_lr
        return gauge.AUTO_LR if self.gauge.target is None else None

    def channel(self, image: Any, loss: Loss) -> Any:
        """Return the extra channel (H, W, components) of a rendered image that a loss compares with its plane."""
        return planes.channel(self.channels, image, loss)

    @cached_property
    def integrator(self) -> Any:
        """The `mitsuba.Integrator` that renders; `channels` are the last of its extra ones."""
        return integrator_of(self.bound.scene, planes.with_channels(self.options.integrator, self.channels))

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

    @cached_property
    def targets(self) -> Targets:
        """Targets and planes as tensors."""
        return Targets(self.views, self.options.cache_gb * GIB)

    def _check(self, index: int, view: View) -> None:
        label, shape = self.label(index), np.shape(view.target)
        if not (math.isfinite(view.weight) and view.weight > 0):
            raise DataError(f"{label}: its weight {view.weight!r} is no number above 0; leave the view out instead")
        if len(shape) != 3 or shape[2] not in (1, 3):
            raise DataError(f"{label}: a target is (height, width, 1 or 3), got {shape}")
        width, height = self.sensor(index).film().crop_size()
        if shape[:2] != (height, width):
            raise DataError(f"{label}: its target has {shape[1]}x{shape[0]} pixels, its sensor {width}x{height}")
        if not isinstance(view.target, Streamed):  # whose files were checked when it was made
            finite = np.isfinite(np.asarray(view.target))
            if not finite.all():
                raise DataError(f"{label}: its target has {int((~finite).sum())} non-finite value(s)")
        if view.mask is not None and np.shape(view.mask) != shape[:2]:
            raise DataError(f"{label}: its mask has shape {np.shape(view.mask)}, its target {shape[:2]}")
        if view.mask is not None and not isinstance(view.mask, Streamed):
            mask = np.asarray(view.mask)
            if not np.isfinite(mask).all() or (mask < 0).any() or not (mask > 0).any():
                raise DataError(f"{label}: a mask has values of at least 0, some of them above 0")
        for _, loss in self.losses:
            if loss.plane:
                planes.check(label, loss, view.planes.get(loss.plane), (height, width))
