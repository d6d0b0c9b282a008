"""Fitting a field to views: every step follows rays of all views at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr import inverse
from pbdr.errors import DataError, DivergedError, OptionError
from pbdr.fields import occupancy, rays
from pbdr.fields.field import Box
from pbdr.fields.integrator import NAME, FieldVariables
from pbdr.fields.march import march
from pbdr.fields.priors import FIELD_PRIORS, FieldPrior, Seen
from pbdr.fields.registry import FIELDS
from pbdr.inverse import ending, schedules
from pbdr.inverse.fit import Info
from pbdr.inverse.losses import Loss, Losses, get_losses
from pbdr.inverse.losses.pointwise import L1, L2, Log, RelMSE
from pbdr.inverse.own import OwnProblem
from pbdr.inverse.priors import get_priors
from pbdr.inverse.problem import Options, View
from pbdr.inverse.state import State
from pbdr.inverse.workers import Workers
from pbdr.registry import Choice
from pbdr.scene import load_scene, mitsuba_scene, sensor_of
from pbdr.seeds import hashed
from pbdr.sequence import over_lanes

#: What may lie behind a field while it is fitted.
BACKGROUNDS = ("auto", "random", "known")
#: Losses that a batch of rays has a value of.
POINTWISE = (L1, L2, Log, RelMSE)
STEPS = 1500  # of `fit`, where nothing is said
LOOKED = "occupancy"  # name of the grid in `State.learned`


@dataclass(frozen=True)
class FieldOptions:
    """What `inverse.Options` do not say of the fit of a field.

    kind        one of `fields.registry.FIELDS`: its name, or a table of type and options
    box         two corners, between which the field is
    rays        rays a step, drawn from all pixels of all views
    samples     samples along the way of a ray through the box
    background  "random": images have alpha, and a colour that is new for every ray lies behind object and field alike, so that
                no field can pass for background; "known": `colour` lies behind the field; "auto": random, where images have alpha
    colour      what lies behind the object in the images, linear
    coarse      fraction of the steps over which levels of detail come in, coarse ones first; 0: all are there from the start
    skip        leave out what lies in cells that are nearly empty
    prior       weights of `fields.priors.FIELD_PRIORS` by name, or tables of weight and options
    """

    kind: Choice = "hash"
    box: Sequence[Sequence[float]] = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
    rays: int = 2048
    samples: int = 32
    background: str = "auto"
    colour: tuple[float, float, float] = (0.0, 0.0, 0.0)
    coarse: float = 0.25
    skip: bool = True
    prior: Mapping[str, float | Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        Box.of(self.box), FIELDS.make(self.kind), get_priors(self.prior, FIELD_PRIORS)
        for name, low, high in (("rays", 1, 1 << 22), ("samples", 2, 4096), ("coarse", 0, 1)):
            if not low <= getattr(self, name) <= high:
                raise OptionError(f"{name} = {getattr(self, name)!r}: it is from {low} to {high}")
        if self.background not in BACKGROUNDS:
            raise OptionError(f"background = {self.background!r}: it is {', '.join(map(repr, BACKGROUNDS))}")


def pointwise(losses: Losses) -> list[tuple[float, Loss]]:
    """Return weights and losses; OptionError for one that rays have no value of. "auto" is l2, since rays have hardly any noise."""
    found = [(weight, L2() if loss.name == "auto" else loss) for weight, loss in get_losses(losses)]
    for _, loss in found:
        if not isinstance(loss, POINTWISE):
            known = ", ".join(kind.name for kind in POINTWISE)
            raise OptionError(
                f"loss {loss.name!r} compares whole images; a field is compared ray by ray, with one of {known}"
            )
    return found


def bound(scene: Any, how: FieldOptions, seed: int) -> FieldVariables:
    """Return the latents of a field, and what renders them."""
    kind, box = FIELDS.make(how.kind), Box.of(how.box)
    return FieldVariables(scene, kind, box, how.samples, how.colour, hashed(seed, NAME))


@dataclass(frozen=True, eq=False)
class FieldProblem(OwnProblem):
    """The problem of a field: `scene` gives sensors alone, and `variables` are none."""

    how: FieldOptions = field(default_factory=FieldOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.how.background == "random":
            lacking = [self.label(i) for i, view in enumerate(self.views) if rays.ALPHA not in view.planes]
            if lacking:
                raise DataError(
                    f'{lacking[0]}: the image has no alpha, which background = "random" needs; use background = "known"'
                )
        if self.variables:
            raise OptionError(f"variables {', '.join(self.variables)} cannot be fitted together with a field")

    def shared(self, workers: Workers) -> FieldProblem:
        """Return the problem itself: one process fits a field. Raises OptionError for several."""
        if workers.size > 1:
            raise OptionError(f"{workers.size} processes: a radiance field is fitted by one; leave torchrun out")
        return self

    @cached_property
    def bound(self) -> FieldVariables:
        """The field's latents, and the integrator that renders them."""
        return bound(self.scene, self.how, self.options.seed)

    @property
    def box(self) -> Box:
        """Where the field is."""
        return Box.of(self.how.box)

    @cached_property
    def integrator(self) -> Any:
        """What renders the field."""
        return self.bound.integrator

    @cached_property
    def losses(self) -> list[tuple[float, Loss]]:
        """Weights and losses that are added up."""
        return pointwise(self.options.loss)

    @cached_property
    def pixels(self) -> rays.Rays:
        """The rays of all views."""
        return rays.of_views(self.views, [self.sensor(index) for index in range(len(self.views))])

    @cached_property
    def field_priors(self) -> list[tuple[float, FieldPrior]]:
        """Weights and priors that are added up."""
        return get_priors(self.how.prior, FIELD_PRIORS)

    @property
    def random(self) -> bool:
        """Whether a random colour lies behind everything."""
        return self.how.background != "known" and self.pixels.clear is not None

    def first(self) -> State:
        latents = self.bound.init()
        learned = {LOOKED: occupancy.everywhere()} if self.how.skip else {}
        return State(0, latents, self.optimiser.init(latents), learned=learned)

    def advanced(self, state: State) -> tuple[State, Info]:
        start, options = time.perf_counter(), self.options
        learned = self._looked(state)
        latents = {key: mi.TensorXf(value) for key, value in state.latents.items()}
        dr.enable_grad(*latents.values())
        loss, prior = self._differentiate(latents, learned, state.step)
        found = {key: mi.TensorXf(dr.grad(value)) for key, value in latents.items()}
        norm = dr.sqrt(sum(dr.sum(dr.square(gradient.array)) for gradient in found.values()))
        dr.eval(norm, found)
        numbers = [float(x[0]) for x in (loss, prior, norm)]
        names = ("the loss", "a prior", f"the gradient of {NAME!r}")
        wrong = " and ".join(name for name, x in zip(names, numbers, strict=True) if not math.isfinite(x))
        reason = f"{wrong} is not finite" if wrong else ""
        decay = options.rate * schedules.decay(options.lr_decay, state.step, options.steps)
        latents, memory, skipped = dict(state.latents), state.memory, state.skipped + bool(wrong)
        if not wrong:
            rates = {key: leaf.lr * decay for key, leaf in self.bound.leaves.items()}
            latents, memory = self.optimiser.step(memory, latents, found, rates)
        elif options.nonfinite == "stop" or skipped > options.max_skips:
            raise DivergedError(f"step {state.step + 1}: {reason}; {skipped} step(s) skipped. Lower lr")
        seconds = time.perf_counter() - start
        progress = state.progress if wrong else ending.progressed(options, state, numbers[0] + numbers[1])
        rate = max(leaf.lr for leaf in self.bound.leaves.values()) * decay
        info = Info(
            state.step, numbers[0], numbers[1], {NAME: numbers[2]}, {NAME: rate}, (), 1.0, seconds, bool(wrong), reason
        )
        after = State(state.step + 1, latents, memory, skipped, state.seconds + seconds, progress, learned)
        return after, info

    def _looked(self, state: State) -> dict[str, Any]:
        """The occupancy grid, looked at again now and then."""
        learned = {key: mi.Float(value) for key, value in state.learned.items()}
        if LOOKED not in learned or state.step % occupancy.EVERY or not state.step:
            return learned
        seed = dr.opaque(mi.UInt32, hashed(self.options.seed, LOOKED, state.step))
        return {LOOKED: occupancy.looked(self.bound.field, state.latents, self.box, learned[LOOKED], seed)}

    def _differentiate(self, latents: Mapping[str, Any], learned: Mapping[str, Any], step: int) -> tuple[Any, Any]:
        """Add the gradient of loss and priors of the rays of a step to `latents`; return both values."""
        count, how, kind = self.how.rays, self.how, self.bound.field
        seed = dr.opaque(mi.UInt32, hashed(self.options.seed, "rays", step))
        drawn = self.pixels.drawn(mi.sample_tea_32(dr.arange(mi.UInt32, count), seed, 8)[0] % self.pixels.count)
        jitter = over_lanes(count * how.samples, seed).next_1d()
        grid = occupancy.of(learned[LOOKED], self.box) if learned else None
        detail = None
        if how.coarse > 0 and kind.levels > 1:
            done = min(1.0, (step + 1) / (how.coarse * self.options.steps))
            detail = dr.opaque(mi.Float, 1 + (kind.levels - 1) * done)
        marched = march(kind, latents, self.box, drawn.origin, drawn.direction, how.samples, jitter, grid, detail)
        behind, target = mi.Color3f(*how.colour), drawn.target
        if self.random:
            other = over_lanes(count, seed + 1)
            pair = other.next_2d()
            new = mi.Color3f(pair.x, pair.y, other.next_1d())
            behind, target = new, target + drawn.clear * (new - behind)
        image, target = (_as_image(colour) for colour in (marched.over(behind), target))
        weight = mi.TensorXf(drawn.weight, (count, 1))
        loss = sum((w * one(image, target, weight).array for w, one in self.losses), mi.Float(0))
        seen = Seen(kind, latents, self.box, marched, detail, seed + 2)
        prior = sum((w * one(seen) for w, one in self.field_priors), mi.Float(0))
        dr.backward(loss + prior)
        return dr.detach(loss), dr.detach(prior)


def _as_image(colour: Any) -> Any:
    """Colours of rays as an image (rays, 1, 3), as losses take them."""
    return mi.TensorXf(dr.ravel(colour), (dr.width(colour), 1, 3))


@dataclass(frozen=True)
class Fitted:
    """What `fit` has found: the problem with its field, the last state, the Info of every step, and why it ended."""

    problem: FieldProblem
    state: State
    infos: list[Info]
    reason: str

    def render(self, sensor: Any, spp: int = 4, seed: int = 0) -> NDArray[np.float32]:
        """Return the image (H, W, 3) of the field from a sensor, in front of `FieldOptions.colour`."""
        problem = self.problem
        problem.bound.apply(self.state.latents)
        seer = sensor_of(problem.scene, sensor)
        image = mi.render(mitsuba_scene(problem.scene), sensor=seer, integrator=problem.integrator, spp=spp, seed=seed)
        return np.array(image, dtype=np.float32)[..., :3]


def fit(
    views: Sequence[View], how: FieldOptions | None = None, options: Options | None = None, scene: Any = None,
    callback: Callable[[State, Info], object] | None = None, resume_state: State | None = None,
) -> Fitted:  # fmt: skip
    """Fit a field to views, whose sensors are objects of Mitsuba, or numbers of sensors of `scene`.

    Raises DataError, OptionError, DivergedError.
    """
    scene = load_scene({"type": "scene"}, sensor_required=False, emitter_required=False) if scene is None else scene
    problem = FieldProblem(scene, views, {}, options or Options(loss="auto", steps=STEPS), how=how or FieldOptions())
    found = inverse.fit(problem, callback, resume_state)
    return Fitted(problem, found.state, found.infos, found.reason)
