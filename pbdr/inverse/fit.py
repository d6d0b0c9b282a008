"""The fit loop: `init(problem) → state`, `step(problem, state) → (state, info)`, `fit(problem) → result`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr import rendering
from pbdr.errors import DataError, DivergedError
from pbdr.inverse import ending, exposure, gauge, guards, least_squares, remeshing, schedules
from pbdr.inverse.own import OwnProblem
from pbdr.inverse.problem import Options, Problem, View
from pbdr.inverse.state import State
from pbdr.inverse.workers import Task
from pbdr.parameters import Variables
from pbdr.parameters.film import resized_film
from pbdr.seeds import hashed

__all__ = ["Info", "Options", "Problem", "Result", "State", "View", "fit", "init", "render_view", "step"]


@dataclass(frozen=True)
class Info:
    """What one step did.

    loss            image loss, mean over the step's views; `prior`: what the priors added
    gradient_norms  Euclidean norm of the latent gradient, by variable; absent before a variable's start
    learning_rates  by variable, after decay
    skipped         True when something was not finite and nothing moved; `reason` says what
    notes           what else happened: meshes with new faces, steps that a guard has shortened
    """

    step: int
    loss: float
    prior: float
    gradient_norms: dict[str, float]
    learning_rates: dict[str, float]
    views: tuple[str, ...]
    scale: float
    seconds: float
    skipped: bool
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """Outcome of `fit`: the last state, the Info of every step run, and why it stopped.

    values   final values as arrays by parameter name; `scene` holds them too
    reason   steps, patience, max_minutes, callback, or settled: further steps would only shake the estimate
    """

    state: State
    infos: list[Info]
    reason: str
    values: dict[str, NDArray[np.float32]]
    scene: Any

    @property
    def losses(self) -> list[float]:
        """Image loss of every step."""
        return [info.loss for info in self.infos]


def init(problem: Problem) -> State:
    """Return the state before the first step, with the gauge fixed. Raises ParameterError for a bad `init`."""
    if isinstance(problem, OwnProblem):
        return problem.first()
    latents = problem.bound.project(problem.bound.init())
    if problem.tint_lr is not None:
        latents[gauge.TINT] = gauge.no_tint()
    if problem.options.exposure_lr is not None:
        latents |= exposure.init([problem.label(index) for index in range(len(problem.views))])
    if problem.gauge is not None:
        latents = gauge.fix(problem.gauge, problem.bound, latents)
    return State(0, latents, problem.optimiser.init(latents))


def step(problem: Problem, state: State) -> tuple[State, Info]:
    """Take one step. A non-finite loss or gradient moves nothing; too many of them raise DivergedError."""
    if isinstance(problem, OwnProblem):
        return problem.advanced(state)
    start = time.perf_counter()
    state, notes = remeshing.applied(problem, state)
    bound, options = problem.at(state), problem.options
    views = schedules.views(len(problem.views), options.views_per_step, state.step, options.seed)
    scale = schedules.resolution(options.resolution, state.step)
    moving = [key for key, leaf in bound.leaves.items() if leaf.start <= state.step and key not in problem.held]
    active = problem.optimiser.wanting("gradients", moving)

    _recall(problem, state)
    leaves = {key: mi.TensorXf(value) for key, value in state.latents.items()}
    if gauge.TINT in leaves and problem.gauge is not None and set(problem.gauge.keys) <= set(moving):
        active.append(gauge.TINT)
    active += [key for key in (exposure.key(problem.label(index)) for index in views) if key in leaves]
    dr.enable_grad(*[leaves[key] for key in active])
    loss, extra, found = gradients(problem, bound, leaves, active, views, scale, state.step)
    norms = _norms(problem, found)
    rates = _rates(problem, leaves, active, state.step)
    wrong = _not_finite(loss, extra, norms)
    latents, memory, skipped = state.latents, state.memory, state.skipped + bool(wrong)
    if not wrong:
        latents, memory = problem.optimiser.step(memory, latents, found, {key: rates[key] for key in found})
        latents = {**latents, **bound.project(latents), **exposure.fixed(latents, options.exposure_fix)}
        latents, memory = least_squares.moved(problem, bound, memory, latents, moving, views, scale, state.step)
        latents = problem.workers.latents(latents)
        latents, told = guards.kept(options.collapse, bound, state.latents, latents)
        notes += told
        if problem.gauge is not None and (gauge.TINT in active or problem.gauge.target is not None):
            latents = gauge.fix(problem.gauge, bound, latents)
        dr.eval(latents)
    # What this step attached must not live on in the scene.
    bound.apply(latents)
    seconds = time.perf_counter() - start
    progress = state.progress if wrong else ending.progressed(options, state, loss + extra)
    labels = tuple(problem.label(i) for i in views)
    named = {_variable(problem, key): rate for key, rate in rates.items()}
    info = Info(state.step, loss, extra, norms, named, labels, scale, seconds, bool(wrong), wrong, notes)
    if wrong and (options.nonfinite == "stop" or skipped > options.max_skips):
        raise DivergedError(
            f"step {state.step + 1}: {wrong}; {skipped} step(s) skipped, max_skips = {options.max_skips}. "
            "Lower lr, raise spp, or tighten the bounds of the variable"
        )
    learned = problem.learned.kept() if problem.learned is not None else {}
    return State(
        state.step + 1, latents, memory, skipped, state.seconds + seconds, progress, learned, state.meshes
    ), info


def fit(
    problem: Problem,
    callback: Callable[[State, Info], object] | None = None,
    resume_state: State | None = None,
) -> Result:
    """Run `step` until `options.steps`, `patience` or `max_minutes` is reached, or `callback(state, info)` is truthy.

    `resume_state` continues an earlier run: the sequence is the same as without the interruption. The callback gets
    the state after every step; what it keeps is a complete checkpoint.
    """
    state = init(problem) if resume_state is None else _checked(problem, resume_state)
    infos: list[Info] = []
    reason = "steps"
    while state.step < problem.options.steps:
        state, info = step(problem, state)
        infos.append(info)
        wanted = "callback" if callback is not None and callback(state, info) else ending.reason(problem, state)
        ended = problem.workers.reason(wanted or "")
        if ended:
            reason = ended
            break
    bound = problem.at(state)
    bound.apply(state.latents)
    return Result(state, infos, reason, bound.numpy(state.latents), bound.scene)


def render_view(problem: Problem, state: State, index: int, *, spp: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Return the image (H, W, C) of view `index` with the values of `state`, at full size, without derivatives.

    Where exposures are unknown, it has that of the state.
    """
    params = problem.at(state).apply(state.latents, time=problem.views[index].time)
    with dr.suspend_grad():
        image = render_of(problem, params, index, spp, spp, hashed(seed, "view", index), 1)
        return np.array(_radiance(problem, image, index, state.latents))


def render_of(problem: Problem, params: Any, index: int, spp: int, spp_grad: int, seed: int, seed_grad: int) -> Any:
    """Return the attached image of view `index` with all channels, at the seeds of image and derivative."""
    return rendering.render(
        problem.bound.scene,
        params,
        sensor=problem.sensor(index),
        integrator=problem.integrator,
        seed=seed,
        seed_grad=seed_grad,
        spp=spp,
        spp_grad=spp_grad,
    )


def view_loss(problem: Problem, params: Any, latents: Mapping[str, Any], task: Task, step: int, views: int = 1) -> Any:
    """Render one of the `views` of a step and return its loss, a tensor with one number. Image and derivative have own seeds."""
    options, index = problem.options, task.index
    spp, spp_grad = task.samples(options.spp), task.samples(problem.spp_grad)
    seeds = [hashed(options.seed, stream, step, index, *task.stream) for stream in ("primal", "gradient", "residual")]
    image = render_of(problem, params, index, spp, spp_grad, seeds[0], seeds[1])
    image = problem.workers.image(image, task, views)
    radiance, given = _radiance(problem, image, index, latents), {}
    if any("other" in loss.needs for _, loss in problem.losses):
        with dr.suspend_grad():
            other = render_of(problem, params, index, spp, spp_grad, seeds[2], seeds[1])
            other = problem.workers.image(other, task, views)
            given["other"] = _radiance(problem, other, index, latents)
    total: Any = None
    for weight, loss in problem.losses:
        if loss.plane:
            channel = problem.channel(image, loss)
            target, measured = problem.targets.plane(index, loss.plane, image.shape, loss.measured)
            value = loss(channel, target, measured)
        else:
            target, mask = problem.targets.radiance(index, image.shape)
            value = loss(radiance, target, mask, **{need: given[need] for need in loss.needs})
        value = value * (weight * problem.views[index].weight)
        total = value if total is None else total + value
    return total


# ---- internals ---------------------------------------------------------------------------------------------------


def gradients(
    problem: Problem, bound: Variables, leaves: Mapping[str, Any], active: Sequence[str], views: Sequence[int], scale: float,
    step: int,
) -> tuple[float, float, dict[str, Any]]:  # fmt: skip
    """Loss of the views of a step, value of the priors, and the gradient of both, of all processes together."""
    loss, extra = 0.0, 0.0
    for number, tasks in enumerate(_by_time(problem, problem.workers.tasks(views))):
        with_prior = not number and problem.workers.first
        seen = _differentiate(problem, bound, leaves, tasks, scale, step, len(views), bool(active), with_prior)
        loss, extra = loss + seen[0], extra + seen[1]
    found = {key: mi.TensorXf(dr.grad(leaves[key])) for key in active}
    (loss, extra), found = problem.workers.total((loss, extra), found)
    return loss, extra, found


def _by_time(problem: Problem, tasks: Sequence[Task]) -> list[list[Task]]:
    """What is done in a step in groups that see the same scene: all, or the views of one time where functions depend on it."""
    if not problem.bound.timed:
        return [list(tasks)]
    times = [problem.views[task.index].time for task in tasks]
    return [[x for x, t in zip(tasks, times, strict=True) if t == time] for time in dict.fromkeys(times)]


def _differentiate(
    problem: Problem, bound: Variables, leaves: Mapping[str, Any], tasks: Sequence[Task], scale: float, step: int, count: int,
    attached: bool, with_prior: bool,
) -> tuple[float, float]:  # fmt: skip
    """Add the gradient of the loss of `tasks`, of a step of `count` views, and of wanted priors to `leaves`; return both values.

    The derivative of a rendering is taken in the scene as it is then: views of another time come after that.
    """
    values = bound.values(leaves)
    if problem.gauge is not None and gauge.TINT in leaves:
        values = gauge.tinted(problem.gauge, values, leaves[gauge.TINT])
    params = bound.apply(leaves, values, problem.views[tasks[0].index].time)
    with ExitStack() as films:
        image_loss = mi.Float(0)
        for task in tasks:
            films.enter_context(resized_film(problem.sensor(task.index), problem.film(task.index, scale)))
            image_loss += view_loss(problem, params, leaves, task, step, count).array / (count * task.count)
        # What this process sees of the step stands for all of it.
        seen = dr.abs(dr.detach(image_loss)) * (count / sum(1 / task.count for task in tasks))
        prior = _prior(problem, bound, values, seen) if with_prior else mi.Float(0)
        if problem.gauge is not None and problem.gauge.target is None and dr.grad_enabled(leaves[gauge.TINT]):
            prior += gauge.PREFERENCE * seen * gauge.preference(problem.gauge, values)
        dr.backward(image_loss + prior) if attached else None
    return float(dr.detach(image_loss)[0]), float(dr.detach(prior)[0])


def _recall(problem: Problem, state: State) -> None:
    """Let the integrator know what it knew after `state`, so that a step depends on the state alone."""
    if problem.learned is not None:
        problem.learned.restore(state.learned)


def _radiance(problem: Problem, image: Any, index: int, latents: Mapping[str, Any]) -> Any:
    """What is compared with the target: without alpha and extra channels, which are not part of it, at the view's exposure."""
    radiance = image[:, :, : np.shape(problem.views[index].target)[2]]
    factor = exposure.factor(latents, problem.label(index))
    return radiance if factor is None else radiance * factor


def _prior(problem: Problem, bound: Variables, values: dict[str, Any], loss: Any) -> Any:
    """The priors of variables, and those of roles, whose weights are in units of the image loss."""
    total = mi.Float(0)
    for key, weight, prior in problem.usual_priors:
        # Beside the mean of the value, as a number: a brighter texture must not cost less, where it is seen by nobody least of all.
        size = dr.maximum(dr.mean(dr.detach(values[key].array)), 1e-3)
        total += weight * loss / size * prior(values[key], bound.latents[key].place)
    for key, latent in bound.latents.items():
        for weight, prior in problem.priors[latent.variable]:
            total += weight * prior(values[key], latent.place)
    return total


def _rates(problem: Problem, latents: Mapping[str, Any], active: Sequence[str], step: int) -> dict[str, float]:
    """Learning rates by latent key."""
    options = problem.options
    decay = options.rate * schedules.decay(options.lr_decay, step, options.steps)
    rates = {key: leaf.lr * decay for key, leaf in problem.bound.leaves.items()}
    if problem.tint_lr is not None and gauge.TINT in active:
        rates[gauge.TINT] = problem.tint_lr * decay
    if options.exposure_lr is not None:
        rates |= {key: options.exposure_lr * decay for key in latents if key.startswith(exposure.PREFIX)}
    return rates


def _variable(problem: Problem, key: str) -> str:
    """Variable that a latent belongs to; the tint is one of its own, exposures are one together."""
    if key.startswith(exposure.PREFIX):
        return exposure.NAME
    return key if key == gauge.TINT else problem.bound.leaves[key].variable


def _norms(problem: Problem, gradients: dict[str, Any]) -> dict[str, float]:
    squares: dict[str, float] = {}
    for key, gradient in gradients.items():
        name = _variable(problem, key)
        squares[name] = squares.get(name, 0.0) + float(np.square(np.array(gradient, dtype=np.float64)).sum())
    return {name: float(np.sqrt(square)) for name, square in squares.items()}


def _not_finite(loss: float, prior: float, norms: dict[str, float]) -> str:
    named = {"the loss": loss, "a prior": prior, **{f"the gradient of {n!r}": v for n, v in norms.items()}}
    wrong = [name for name, value in named.items() if not np.isfinite(value)]
    return f"{' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not finite" if wrong else ""


def _checked(problem: Problem, state: State) -> State:
    first = init(problem)
    wanted = {key: tuple(value.shape) for key, value in first.latents.items()}
    _check_meshes(problem, state)
    wanted |= {key: tuple(value.shape) for key, value in problem.at(state).init().items() if key in state.meshes}
    given = {key: tuple(value.shape) for key, value in state.latents.items()}
    if wanted != given:
        differ = sorted(k for k in wanted.keys() | given.keys() if wanted.get(k) != given.get(k))
        raise DataError(f"the checkpoint is of another problem: {', '.join(differ)} differ in name or shape")
    if first.memory.slots.keys() != state.memory.slots.keys():
        raise DataError(f"the checkpoint is of another optimiser than {problem.optimiser.usual.name!r}")
    return state


def _check_meshes(problem: Problem, state: State) -> None:
    strange = [key for key in state.meshes if key not in problem.bound.latents]
    if strange:
        raise DataError(f"the checkpoint is of another problem: it has meshes of {', '.join(strange)}")
