"""The estimate of a run, finished or not: its newest state written into its scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import read_text
from ..errors import DataError
from ..inverse import View, exposure
from ..inverse.state import State
from ..parameters import Variables
from ..scene import Scene, sensor_of
from ..seeds import hashed
from . import live, statement, views
from .config import Job, parse_job
from .rundir import RunDirectory


@dataclass(frozen=True)
class Estimate:
    """A run's scene with the values that it has found so far.

    run        where it is kept
    job        what was asked for
    scene      holds the values; `variables` and `latents` are what they were made of
    step       after how many steps
    """

    run: RunDirectory
    job: Job
    scene: Scene
    variables: Variables
    latents: dict[str, Any] = field(repr=False)
    step: int

    @property
    def integrator(self) -> Any:
        """What renders it: an integrator of Mitsuba, or the description of one."""
        return integrator_of(self.job, self.variables)

    def views(self, progress: Callable[[str], None]) -> views.Dataset:
        """Return the views of the job, with their images. DataError where an image or the target is not there any more."""
        return views.load(self.job, self.scene, self.run, progress)


def integrator_of(job: Job, variables: Variables) -> Any:
    """Return what renders the estimate of a job: fields and Gaussians have integrators of their own."""
    return getattr(variables, "integrator") if job.own else job.render.integrator  # noqa: B009


def stored_job(directory: RunDirectory) -> Job:
    """Return the job of a run directory, as it was understood. DataError where its file cannot be read."""
    path = directory.path / "job.toml"
    try:
        return parse_job(read_text(path), str(path))
    except FileNotFoundError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def load(directory: RunDirectory, allow_code: bool = False) -> Estimate:
    """Load the scene of a run and write its newest state into it; functions of time are taken at time 0.

    `allow_code`: whether functions that the job names may be executed. Raises DataError for a run without a checkpoint, SceneError,
    ParameterError, OptionError.
    """
    job = stored_job(directory)
    saved = live.newest(directory)
    if saved is None:
        raise DataError(
            f"{directory.path}: there is no checkpoint, so there is no estimate yet; go on with `pbdr resume {directory.path}`"
        )
    variables = statement.variables(job, statement.load(job), allow_code)
    state = State.from_arrays(saved.arrays, saved.meta)
    strange = sorted(set(state.meshes) - set(variables.latents))
    if state.meshes and not strange:
        variables = variables.on(state.meshes)
    wanted = {key: tuple(value.shape) for key, value in variables.init().items()}
    strange += sorted(
        key for key in wanted if key not in state.latents or tuple(state.latents[key].shape) != wanted[key]
    )
    if strange:
        raise DataError(
            f"{directory.path}: the checkpoint is of another problem or version: {', '.join(strange)} differ in name or shape"
        )
    variables.apply(state.latents)
    return Estimate(directory, job, variables.scene, variables, state.latents, saved.step)


def render_view(job: Job, integrator: Any, variables: Variables, latents: dict[str, Any], view: View) -> NDArray[Any]:
    """Return the image (H, W, 3) of a view, at its time and exposure, with the samples that scored images have."""
    variables.apply(latents, time=view.time)
    seed = hashed(job.optim.seed, "evaluation", view.name)
    sensor = sensor_of(variables.scene, view.sensor)
    image = views.render(variables.scene, sensor, integrator, job.output.eval_spp, seed)[..., :3]
    factor = exposure.of_view(latents, view.name, image, np.asarray(view.target), view.mask)
    return np.asarray(image * np.float32(factor))
