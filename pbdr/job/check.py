"""A dry run: what a job names, whether its data look right, whether a gradient of it is right, what it will cost."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import inverse
from ..data import split_holdout
from ..data.doctor import Finding, examine
from ..data.doctor.capture import reduced
from ..errors import counted
from ..inverse import Problem, View
from ..parameters import Variables, is_radiometric, of_sensor
from ..parameters.film import resized_film
from ..scene import load_scene, sensor_of
from ..seeds import hashed
from ..verify import WRONG, Verification, verify
from . import capture, results, statement, views
from .config import Job
from .estimate import integrator_of
from .preflight import Prepared

PICTURE, SPP = 96, 16  # longest side of the pictures in pixels, samples per pixel
LONG = 120.0  # seconds of a first step after which no second one is measured
BUDGET, TOLERANCE, SIDE = 3.0, 0.1, 32  # of the gradient: seconds of measuring, relative error, pixels a side
TRIES = 4  # views of which one must see the parameter whose gradient is looked at

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Picture:
    """One view, small: (h, w, 3) linear images of the target and of the start, and (h, w) where the target counts, or None."""

    name: str
    group: str
    source: str
    camera: str
    size: tuple[int, int]
    target: NDArray[Any]
    start: NDArray[Any]
    mask: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Report:
    """What a dry run found. `variables` and `cost` are rows for tables and JSON; `gradient`: None where it was not looked at."""

    variables: list[dict[str, Any]]
    pictures: list[Picture]
    findings: list[Finding]
    gradient: Verification | None = None
    cost: dict[str, Any] = field(default_factory=dict)

    @property
    def problems(self) -> list[Finding]:
        """Findings that are probably mistakes."""
        return [finding for finding in self.findings if finding.level == "problem"]

    @property
    def exit_code(self) -> int:
        """5: the gradient is wrong; 3: the data are probably wrong; else 0."""
        if self.gradient is not None and self.gradient.verdict == WRONG:
            return 5
        return 3 if self.problems else 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON: everything but the images."""
        shown = [
            {"view": p.name, "set": p.group, "image": p.source, "camera": p.camera, "size": p.size, "mask": p.mask is not None}
            for p in self.pictures
        ]  # fmt: skip
        gradient = None
        if self.gradient is not None:
            found = self.gradient
            gradient = {
                "parameter": found.parameter,
                "verdict": found.verdict,
                "text": found.text,
                "seconds": found.seconds,
            }
        return {
            "variables": self.variables, "views": shown, "findings": [vars(finding) for finding in self.findings],
            "gradient": gradient, "cost": self.cost,
        }  # fmt: skip


def check(
    job: Job, prepared: Prepared, tell: Tell, *, gradient: bool = True, timing: bool = True, allow_code: bool = False
) -> Report:
    """Look at a job that the preflight has passed. Raises PbdrError where its first step fails."""
    data = prepared.data if prepared.data is not None else _stand_ins(job, prepared, tell)
    problem = prepared.problem or statement.problem(job, prepared.scene, data, allow_code)
    state = inverse.init(problem)
    problem.bound.apply(state.latents)
    tell(f"rendering the start, {counted(len(data.views), 'view')}")
    starts = {view.name: _start(job, problem, view) for view in data.views}
    training = {view.name for view in data.training}
    pictures = [_picture(view, starts[view.name], data, view.name in training) for view in data.views]
    tell("examining cameras and images")
    seen = capture.capture_of(
        problem.bound.scene, data.views, data.sources, training, starts, job.data.color, job.exposure is not None
    )
    findings = examine(seen)
    found = None
    if gradient and not job.own:
        tell("comparing a gradient with finite differences")
        found = _gradient(job, problem, data.training)
    cost = {}
    if timing:
        tell("measuring a step")
        cost = _cost(job, problem, state)
    return Report(_rows(problem.bound, state.latents), pictures, findings, found, cost)


def _stand_ins(job: Job, prepared: Prepared, tell: Tell) -> views.Dataset:
    """The views of a job whose targets are rendered: small quick images, enlarged, in their place."""
    scene = prepared.scene
    target = load_scene(
        str(job.data.target), define=job.data.target_define, sensor_required=False, clamp=job.scene.clamp
    )
    moved = bool(views.camera_unknowns(job, scene))
    cameras = views.cameras_of_target(job, scene, target, tell, moved)
    tell(f"rendering {counted(len(cameras), 'small target')}")
    found, seen_by = [], {}
    for number, (sensor, estimate, label) in enumerate(cameras):
        name, (width, height) = f"view-{number:03d}", views.image_size(sensor)
        with resized_film(sensor, small(sensor)):
            image = views.render_path(
                target, sensor, SPP, hashed(job.optim.seed, "check", number), job.render.integrator
            )
            planes = views.planes_of(job, target, sensor, SPP, hashed(job.optim.seed, "check", number))
        rows = np.minimum((np.arange(height) + 0.5) * image.shape[0] / height, image.shape[0] - 1).astype(int)
        columns = np.minimum((np.arange(width) + 0.5) * image.shape[1] / width, image.shape[1] - 1).astype(int)
        image, planes = image[rows][:, columns], {name: x[rows][:, columns] for name, x in planes.items()}
        if image.shape[2] == 4:
            planes.setdefault("silhouette", image[..., 3])
        mask = None if job.data.mask == "none" or image.shape[2] < 4 else image[..., 3]
        found.append(View(image[..., :3], estimate, mask, name, planes))
        seen_by[name] = label
    training, held_out = split_holdout(found, job.data.holdout)
    sources = views.rendered_sources(job, list(seen_by.values()))
    return views.Dataset(training, held_out, sources, target, seen_by)


def small(sensor: Any) -> tuple[int, int]:
    """(width, height) of the picture of a sensor's film."""
    width, height = (int(n) for n in sensor.film().size())
    factor = min(1.0, PICTURE / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _start(job: Job, problem: Problem, view: View) -> NDArray[Any]:
    scene = problem.bound.scene
    sensor = sensor_of(scene, view.sensor)
    with resized_film(sensor, small(sensor)):
        how = integrator_of(job, problem.bound)
        image = views.render_path(scene, sensor, SPP, hashed(job.optim.seed, "check", view.name), how)
    return image[..., :3]


def _picture(view: View, start: NDArray[Any], data: views.Dataset, training: bool) -> Picture:
    target = np.asarray(view.target)
    return Picture(
        view.name, "training" if training else "held-out", data.sources.get(view.name, ""), data.seen_by.get(view.name, ""),
        (target.shape[1], target.shape[0]), reduced(target, PICTURE), start,
        None if view.mask is None else reduced(np.asarray(view.mask), PICTURE),
    )  # fmt: skip


def _rows(bound: Variables, latents: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a parameter: what a variable is."""
    values = bound.numpy(latents)
    return [
        {
            "variable": latent.variable, "parameter": latent.parameter.name, "role": latent.parameter.role,
            "shape": list(latent.parameter.shape), "map": latent.map.name, "bounds": list(latent.bounds),
            "lr": latent.lr, "start": results.summary(values[latent.parameter.name]),
        }
        for latent in bound.latents.values()
    ]  # fmt: skip


def _gradient(job: Job, problem: Problem, training: list[View]) -> Verification:
    """One parameter, one that moves something if there is any, along a random direction, in a view that sees it."""
    parameters = [latent.parameter for latent in problem.bound.latents.values()]
    chosen = next((p for p in parameters if not is_radiometric(p.raw, p.role)), parameters[0])
    scene = problem.bound.scene
    # What belongs to a sensor is seen by that one alone.
    own = [s for s in scene.sensors if of_sensor(scene, chosen) and s.id() == chosen.raw.split(".")[0]]
    sensors = own or [sensor_of(scene, view.sensor) for view in training[:: max(1, len(training) // TRIES)]]
    found = None
    for sensor in sensors[:TRIES]:
        found = verify(
            scene, chosen.name, integrator=job.render.integrator, directions=("random",),
            sensor=sensor, seed=job.optim.seed, budget=BUDGET, tolerance=TOLERANCE,
            resolution=SIDE, other=False, reverse=False,
        )  # fmt: skip
        if found.along[0].scale > 0:
            break
    assert found is not None
    return found


def _cost(job: Job, problem: Problem, state: inverse.State) -> dict[str, Any]:
    """Seconds of a step at each resolution, without compilation, memory, and what they say of the whole run."""
    first, _ = _timed(problem, state, 0)
    stages = [entry.step for entry in job.render.resolution if entry.step < job.optim.steps] or [0]
    seconds = [first if first > LONG else _timed(problem, state, step)[0] for step in stages]
    counts = np.diff([*stages, job.optim.steps])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "first_step": first, "step": seconds, "from_step": stages, "compiled": first <= LONG, "steps": job.optim.steps,
        "to_the_end": float(np.dot(seconds, counts)) + max(0.0, first - seconds[0]), "memory": peak,
    }  # fmt: skip


def _timed(problem: Problem, state: inverse.State, step: int) -> tuple[float, inverse.State]:
    begin = time.perf_counter()
    after, _ = inverse.step(problem, replace(state, step=step))
    return time.perf_counter() - begin, after
