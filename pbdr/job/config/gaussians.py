"""[gaussians]: 3D Gaussians as what is estimated, instead of variables."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from ...fields.gaussians.rendering import Compositing
from ...fields.gaussians.training import TrainingOptions
from .field import Corner
from .section import NonNegative, Positive, Section, as_tuple


class GaussiansSection(Section):
    """3D Gaussians instead of variables, composited as 3DGS does, and fitted as 3DGS-MCMC does: their number stays.

    Of the scene, they see the sensors alone, which are pinholes. Their loss and their rates are those of 3DGS: `[loss]`, `[gauge]`,
    `[exposure]`, `[optim] optimiser`, `lr_decay` and `views_per_step` mean nothing beside them, and of `[render]` only what renders
    targets. 3DGS takes 30,000 steps; small images do with 2,000."""

    start: str = "random"
    """What they are at first: "random", in `box`; a PLY file of 3DGS; or a folder with a sparse model of COLMAP."""
    box: tuple[Corner, Corner] | None = None
    """Two opposite corners of the box in which random ones start, the lower one first. They may leave it."""
    count: Annotated[int, Field(ge=1, le=1 << 22)] = 2000
    """How many; a PLY file has as many as it has."""
    degree: Annotated[int, Field(ge=0, le=3)] = 1
    """Degree of the spherical harmonics with which colours depend on the direction; 0: they do not."""
    views_per_step: Annotated[int, Field(ge=1)] = TrainingOptions.views_per_step
    """Training views in each step."""
    rate: Positive = TrainingOptions.rate
    """Factor of all learning rates."""
    dssim: Annotated[float, Field(ge=0, le=1)] = TrainingOptions.dssim
    """Weight of 1 - SSIM in the loss; that of the mean absolute error is 1 less this."""
    sparse: NonNegative = TrainingOptions.sparse
    """Weight of the mean opacity and of the mean size, which makes Gaussians that are not needed transparent."""
    relocate: Annotated[int, Field(ge=0)] = TrainingOptions.relocate
    """Steps between moves of transparent ones to the places of others; 0: never."""
    noise: NonNegative = TrainingOptions.noise
    """Factor of the noise that moves those that are hardly seen; 0: none."""
    low_pass: NonNegative = Compositing.low_pass
    """Variance in squared pixels that is added to every ellipse on the film."""
    cutoff: Annotated[float, Field(gt=0, lt=1)] = Compositing.cutoff
    """Alpha below which none is drawn; 1e-4 makes derivatives exact, and steps take twice as long."""
    near: Positive = Compositing.near
    """Distance in front of a camera below which none is drawn, in units of the scene."""

    @field_validator("box", mode="before")
    @classmethod
    def _as_tuples(cls, value: object) -> object:
        return tuple(as_tuple(corner) for corner in value) if isinstance(value, list) else value
