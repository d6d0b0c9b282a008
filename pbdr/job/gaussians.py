"""Jobs of Gaussians: what their section [gaussians] states, in the words of `pbdr.fields.gaussians`."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError, OptionError
from ..fields.gaussians.model import Gaussians
from ..fields.gaussians.ply import read_ply
from ..fields.gaussians.problem import GaussianProblem, GaussianVariables
from ..fields.gaussians.rendering import Compositing
from ..fields.gaussians.start import at_random, from_colmap
from ..fields.gaussians.training import TrainingOptions
from ..inverse import Options, View
from ..scene import Scene
from .config import GaussiansSection, Job

RANDOM = "random"


def how(job: Job) -> TrainingOptions:
    """Return what `[gaussians]` says of the fit."""
    section = _section(job)
    return TrainingOptions(
        steps=job.optim.steps, views_per_step=section.views_per_step, seed=job.optim.seed, rate=section.rate, dssim=section.dssim,
        sparse=section.sparse, relocate=section.relocate, noise=section.noise,
        compositing=Compositing(section.low_pass, section.cutoff, section.near),
    )  # fmt: skip


def start(job: Job) -> Gaussians:
    """Return what the Gaussians are at first. Raises OptionError, DataError."""
    section = _section(job)
    if section.start == RANDOM:
        if section.box is None:
            raise OptionError(
                '[gaussians] start = "random": give the box in which they start, box = [[-1, -1, -1], [1, 1, 1]]'
            )
        low, high = section.box
        if any(a >= b for a, b in zip(low, high, strict=True)):
            raise OptionError(f"[gaussians] box from {list(low)} to {list(high)}: the lower corner comes first")
        return at_random(section.count, low, high, degree=section.degree, seed=job.optim.seed)
    path = Path(section.start)
    if section.box is not None:
        raise OptionError(
            f"[gaussians] box is for random ones, and start = {section.start!r} says where these are: leave box out"
        )
    if path.is_dir():
        return from_colmap(path, count=section.count, degree=section.degree, seed=job.optim.seed)
    if not path.is_file():
        raise DataError(f'[gaussians] start = {section.start!r}: no such file or folder; or say "random"')
    return read_ply(path).of_degree(section.degree)


def check(job: Job) -> None:
    """Raise OptionError or DataError for what `[gaussians]` cannot be."""
    how(job)
    start(job)


def problem(job: Job, scene: Scene, views: list[View], options: Options) -> GaussianProblem:
    """Return the problem of the training views. Raises DataError, OptionError."""
    return GaussianProblem(scene, views, {}, options, start=start(job), how=how(job), background=_background(job))


def variables(job: Job, scene: Scene) -> GaussianVariables:
    """Return the latents, and what renders them."""
    return GaussianVariables(scene, start(job), how(job), _background(job))


def _section(job: Job) -> GaussiansSection:
    assert job.gaussians is not None
    return job.gaussians


def _background(job: Job) -> tuple[float, float, float]:
    return (0.0, 0.0, 0.0) if job.data.background is None else job.data.background
