"""What a job states, in the words of `pbdr.inverse`: scene, problem, variables, options."""

from __future__ import annotations

from ..inverse import Options, Problem
from ..inverse.problem import JOB
from ..parameters import FunctionSpec, Variables, VariableSpec
from ..scene import Scene, load_scene
from . import code, field, gaussians, views
from .config import Job, VarSection


def load(job: Job) -> Scene:
    """Load the scene that is rendered; unknown cameras of files are its sensors. Raises SceneError, DataError."""
    required = job.data.cameras == "scene" and job.data.target is None
    scene = load_scene(
        job.scene.file, define=job.scene.define, sensor_required=required, clamp=job.scene.clamp,
        emitter_required=not job.own,
    )  # fmt: skip
    return views.with_cameras(job, scene)


def problem(job: Job, scene: Scene, data: views.Dataset, allow_code: bool = False) -> Problem:
    """Return the problem of the training views. Raises DataError, ParameterError, OptionError."""
    if job.field is not None:
        return field.problem(job, scene, data.training, options(job, len(data.training)))
    if job.gaussians is not None:
        return gaussians.problem(job, scene, data.training, options(job, len(data.training)))
    return Problem(scene, data.training, specs(job, allow_code), options(job, len(data.training)))


def variables(job: Job, scene: Scene, allow_code: bool = False) -> Variables:
    """Return what is unknown, bound to the scene. Raises ParameterError, OptionError."""
    if job.gaussians is not None:
        return gaussians.variables(job, scene)
    return Variables(scene, specs(job, allow_code)) if job.field is None else field.variables(job, scene)


def specs(job: Job, allow_code: bool = False) -> dict[str, VariableSpec | FunctionSpec]:
    """Return the variables by name. Functions are loaded if `allow_code`; OptionError if there are some and it is false."""
    code.check(job, allow_code)
    return {name: _spec(name, section) for name, section in job.vars.items()}


def _spec(name: str, v: VarSection) -> VariableSpec | FunctionSpec:
    if v.function is not None:
        return FunctionSpec(
            code.load(v.function, name), v.latents, match=v.match, raw=v.raw, framework=v.framework, lr=v.lr,
            optimiser=v.optimiser, texture=v.texture, start=v.start,
        )  # fmt: skip
    return VariableSpec(
        match=v.match, raw=v.raw, map=v.map, bounds=v.bounds, init=v.init, lr=v.lr,
        texture=v.texture, share=v.share, start=v.start, prior=v.prior, optimiser=v.optimiser,
        remesh=tuple((entry.step, entry.edge) for entry in v.remesh),
    )  # fmt: skip


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
        collapse=job.guard.collapse,
        patience=job.stop.patience,
        max_minutes=job.stop.max_minutes,
        cache_gb=job.data.cache_gb,
        exposure_lr=None if job.exposure is None else job.exposure.lr,
        exposure_fix=JOB.exposure_fix if job.exposure is None else job.exposure.fix,
    )
