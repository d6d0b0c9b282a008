"""Jobs of a radiance field: what their section [field] states, in the words of `pbdr.fields`."""

from __future__ import annotations

from ..fields.integrator import FieldVariables
from ..fields.problem import FieldOptions, FieldProblem, bound, pointwise
from ..inverse import Options, View
from ..scene import Scene
from .config import Job


def how(job: Job) -> FieldOptions:
    """Return what `[field]` says of the fit."""
    section = job.field
    assert section is not None
    colour = (0.0, 0.0, 0.0) if job.data.background is None else job.data.background
    return FieldOptions(
        kind=section.kind, box=section.box, rays=section.rays, samples=section.samples, background=section.background,
        colour=colour, coarse=section.coarse, skip=section.skip, prior=section.prior,
    )  # fmt: skip


def check(job: Job) -> None:
    """Raise OptionError for what `[field]` or the losses of its job cannot be."""
    how(job)
    pointwise(job.loss.terms)


def problem(job: Job, scene: Scene, views: list[View], options: Options) -> FieldProblem:
    """Return the problem of the training views. Raises DataError, OptionError."""
    return FieldProblem(scene, views, {}, options, how=how(job))


def variables(job: Job, scene: Scene) -> FieldVariables:
    """Return the field's latents, and what renders them."""
    return bound(scene, how(job), job.optim.seed)
