"""What is checked before a run directory is made: everything about a job that needs no rendering, all mistakes at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import inverse
from ..data import holdout_rule, split_holdout
from ..errors import DataError, Mistakes, OptionError, ParameterError, PbdrError
from ..inverse import gauge
from ..inverse.losses import get_losses
from ..parameters import FunctionSpec, Variables, VariableSpec, list_parameters, resolve
from ..scene import Scene, integrator_of, load_scene
from ..transport import channels, media
from . import field, gaussians, messages, statement, tensorboard, views, warm
from .config import Job
from .overrides import untested

Specs = dict[str, VariableSpec | FunctionSpec]
#: Names that are told of what a glob matches.
SHOWN = 6


@dataclass(frozen=True)
class Prepared:
    """What the preflight has loaded, so that the run need not: the scene; the views and the problem if images are files.

    `told`: what was said while loading them.
    """

    scene: Scene
    data: views.Dataset | None = None
    told: list[str] = dataclasses.field(default_factory=list)
    problem: inverse.Problem | None = None


def check(job: Job, allow_code: bool = False) -> Prepared:
    """Load what the job names and check it, so that a mistake leaves no run directory behind.

    `allow_code`: whether functions that the job names may be executed. Raises SceneError, DataError, ParameterError, OptionError;
    `others` of it are the further mistakes.
    """
    mistakes = Mistakes()
    scene: Scene | None = None
    told = [note for note in (untested(_variant(mistakes)),) if note]
    with mistakes.collected():
        _files(job)
    with mistakes.collected():
        tensorboard.check(job)
    with mistakes.collected():
        statement.options(job, job.optim.views_per_step)
    with mistakes.collected():
        holdout_rule(job.data.holdout)
    with mistakes.collected():
        scene = statement.load(job)
    if scene is None:
        mistakes.raise_any()
        raise AssertionError("a scene that does not load has a mistake")
    bound, moved = None, list[str]()
    with mistakes.collected():
        if not job.own:
            bound = _variables(scene, statement.specs(job, allow_code), mistakes)
        else:
            (field if job.field is not None else gaussians).check(job)
    if bound is not None:
        with mistakes.collected():
            moved = views.camera_unknowns(job, scene)
        with mistakes.collected():
            _gauge(job, bound)
    with mistakes.collected():
        _integrator(job, scene, bound)
    with mistakes.collected():
        _channels(job, scene)
    with mistakes.collected():
        warm.check(job, scene)
    if job.data.target is not None and Path(job.data.target).is_file():
        with mistakes.collected():
            _target(job, scene, bool(moved))
    mistakes.raise_any()
    told += _told(job, scene)
    if job.data.target is not None:
        return Prepared(scene, told=told)
    data = views.load(job, scene, None, told.append)
    problem = statement.problem(job, scene, data, allow_code)
    warm.check(job, scene, problem)
    return Prepared(scene, data, told, problem)


def _told(job: Job, scene: Scene) -> list[str]:
    """What is no mistake, but may not be meant: what globs match, variables and files of which nothing is made."""
    lines = []
    for name, spec in job.vars.items():
        given = spec.match if spec.raw is None else spec.raw
        chosen = resolve(scene, spec.match, raw=spec.raw)
        if len(chosen) > 1 and any(sign in pattern for pattern in _listed(given) for sign in "*?["):
            names = [parameter.name for parameter in chosen]
            shown = ", ".join(names[:SHOWN]) + (f", … and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
            lines.append(f"variable {name!r} is {len(names)} parameters: {shown}")
        if spec.start >= job.optim.steps:
            lines.append(f"variable {name!r} does not move: its start is step {spec.start} of {job.optim.steps}")
        late = [entry.step for entry in spec.remesh if entry.step >= job.optim.steps]
        if late:
            lines.append(f"variable {name!r} gets no new faces at step {late[0]}: the job has {job.optim.steps} steps")
    compared = {loss.plane for _, loss in get_losses(job.loss.terms)}
    for plane in ("depth", "normal"):
        if getattr(job.data, plane) is not None and plane not in compared:
            lines.append(f"[data] {plane} is not compared with: add the loss, [loss] {plane} = 0.1, or leave it out")
    return lines


def _variant(mistakes: Mistakes) -> str:
    """The active variant. Images of a job have three channels, which `mono` variants cannot be compared with."""
    import mitsuba as mi

    name = str(mi.variant())
    with mistakes.collected():
        if mi.is_monochromatic:
            raise OptionError(
                f"[scene] variant {name}: jobs compare colours, and its images have one channel; use {name[:-4]}rgb"
            )
    return name


def _files(job: Job) -> None:
    found = Mistakes()
    for path, what in ((job.data.cameras, "transforms.json"), (job.data.target, "target scene")):
        with found.collected():
            if path not in (None, "scene") and not Path(str(path)).exists():
                raise DataError(messages.missing_file(Path(str(path)), what, Path(str(path)).suffix))
    found.raise_any()


def _variables(scene: Scene, specs: Specs, mistakes: Mistakes) -> Variables | None:
    """The variables of the scene; None after collecting what is wrong with each of them."""
    try:
        return _bound(scene, specs)
    except PbdrError as error:
        first = error
    before = len(mistakes.found)
    for name, spec in specs.items():
        for pattern in _patterns(spec):
            with mistakes.collected():
                _exists(scene, name, spec, pattern)
        with mistakes.collected():
            _bound(scene, {name: spec})
    if len(mistakes.found) == before:  # it concerns several of them
        mistakes.found.extend(first.all)
    return None


def _bound(scene: Scene, specs: Specs) -> Variables:
    bound = Variables(scene, specs)
    inverse.check_variables(bound)
    bound.init()
    return bound


def _patterns(spec: VariableSpec | FunctionSpec) -> list[str]:
    return [pattern for pattern in _listed(spec.match if spec.raw is None else spec.raw) if not pattern.startswith("!")]


def _listed(given: str | Sequence[str] | None) -> list[str]:
    return [pattern for pattern in ([given] if isinstance(given, str) else given or ()) if pattern]


def _exists(scene: Scene, name: str, spec: VariableSpec | FunctionSpec, pattern: str) -> None:
    try:
        resolve(scene, pattern) if spec.raw is None else resolve(scene, raw=pattern)
    except ParameterError as error:
        raise ParameterError(f"variable {name!r}: {error}") from None


def _gauge(job: Job, bound: Variables) -> None:
    if job.gauge is None:
        return
    found = gauge.parse(job.gauge.fix, bound)
    if job.gauge.lr is not None:
        gauge.check_tint(found, bound)


def _integrator(job: Job, scene: Scene, bound: Variables | None) -> None:
    tracer = integrator_of(scene, job.render.integrator)
    if bound is not None and getattr(tracer, "is_pathspace", False) and tracer.options.media != "ignore":
        for sensor in scene.sensors:
            media.check(scene.mi, sensor, bound.moved, tracer.tracer.max_depth)


def _channels(job: Job, scene: Scene) -> None:
    """Shapes that losses name are in the scene."""
    for name, loss in ((loss.name, loss) for _, loss in get_losses(job.loss.terms) if loss.plane):
        try:
            channels.check(channels.parse(loss.channel()), scene.mi)
        except PbdrError as error:
            raise type(error)(f"loss {name!r} in {scene.source}: {str(error).removeprefix('pathspace: ')}") from error


def _target(job: Job, scene: Scene, camera_unknown: bool) -> None:
    """The target's sensors leave views to fit, and it has the parameters that goals compare with."""
    target = load_scene(
        str(job.data.target), define=job.data.target_define, sensor_required=False, clamp=job.scene.clamp
    )
    found = Mistakes()
    with found.collected():
        cameras = views.cameras_of_target(job, scene, target, lambda _: None, camera_unknown)
        split_holdout(cameras, job.data.holdout)
        views.weights(job, views.rendered_sources(job, [label for *_, label in cameras]))
    with found.collected():
        _channels(job, target)
    names = {parameter.name for parameter in list_parameters(target)}
    goals = [("rmse", name) for name in job.goal.rmse] + [("distance", name) for name in job.goal.distance]
    for kind, variable in goals:
        spec = job.vars[variable]
        try:
            chosen = resolve(scene, spec.match, raw=spec.raw)
        except ParameterError:  # told already
            continue
        wanted = [p.name for p in chosen if kind == "rmse" or p.row.surface]
        with found.collected():
            if not wanted:
                raise OptionError(f"[goal] distance of {variable!r}: it is for vertex positions of meshes; use rmse")
            if not names.intersection(wanted):
                raise OptionError(
                    f"[goal] {kind} of {variable!r}: {job.data.target} has none of {', '.join(wanted[:4])} to compare with; "
                    "give its objects the ids of the scene's, or leave this goal out"
                )
    found.raise_any()
