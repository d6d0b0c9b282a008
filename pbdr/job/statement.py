"""What a job states, in the words of `pbdr.inverse`: scene, problem, variables, options."""

from __future__ import annotations

from ..inverse import Options, Problem
from ..inverse.problem import JOB
from ..parameters import VariableSpec
from ..scene import Scene, load_scene
from . import views
from .config import Job


def load(job: Job) -> Scene:
    """Load the scene that is rendered. Raises SceneError."""
    required = job.data.cameras == "scene" and job.data.target is None
    return load_scene(job.scene.file, define=job.scene.define, sensor_required=required, clamp=job.scene.clamp)


def problem(job: Job, scene: Scene, data: views.Dataset) -> Problem:
    """Return the problem of the training views. Raises DataError, ParameterError, OptionError."""
    return Problem(scene, data.training, specs(job), options(job, len(data.training)))


def specs(job: Job) -> dict[str, VariableSpec]:
    """Return the variables by name."""
    return {
        name: VariableSpec(
            match=v.match, raw=v.raw, map=v.map, bounds=v.bounds, init=v.init, lr=v.lr,
            texture=v.texture, start=v.start, prior=v.prior, optimiser=v.optimiser,
        )
        for name, v in job.vars.items()
    }  # fmt: skip


def options(job: Job, training_views: int) -> Options:
    """Return how to optimise, with no more views a step than there are."""
    return Options(
        steps=job.optim.steps,
        views_per_step=min(job.optim.views_per_step, training_views),
        spp=job.render.spp,
        spp_grad=job.render.spp_grad,
        seed=job.optim.seed,
        loss=job.loss.terms,
        optimiser=job.optim.optimiser,
        lr_decay=job.optim.lr_decay,
        resolution=tuple((entry.step, entry.scale) for entry in job.render.resolution) or ((0, 1.0),),
        integrator=job.render.integrator,
        gauge=None if job.gauge is None else job.gauge.fix,
        gauge_lr=None if job.gauge is None else job.gauge.lr,
        nonfinite=job.guard.nonfinite,
        max_skips=job.guard.max_skips,
        patience=job.stop.patience,
        max_minutes=job.stop.max_minutes,
        exposure_lr=None if job.exposure is None else job.exposure.lr,
        exposure_fix=JOB.exposure_fix if job.exposure is None else job.exposure.fix,
    )
