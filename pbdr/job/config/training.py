"""[loss], [optim] and [gauge]: what is minimised, and how."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ...inverse.losses import LOSSES
from ...inverse.optimisers import OPTIMISERS
from ...inverse.problem import JOB
from ...inverse.schedules import DECAYS
from ...registry import Choice
from ..choices import entry_of, one_of
from .section import Count, Positive, Section


class LossSection(Section):
    """What is minimised."""

    image: Annotated[Choice, entry_of(LOSSES)] = JOB.loss
    """Image loss: its name, or a table of its type and options, { type = "relmse", floor = 0.1 }."""


class OptimSection(Section):
    """How it is minimised."""

    steps: Count = JOB.steps
    """Number of steps."""
    views_per_step: Count = JOB.views_per_step
    """Views in each step: the next ones of a shuffled round."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = JOB.seed
    """Random seed of images, gradients and the order of views."""
    lr_decay: Annotated[str, one_of(DECAYS)] = JOB.lr_decay
    """How learning rates change: "cosine" lowers them to 1 % at the last step, "none" keeps them."""
    optimiser: Annotated[Choice, entry_of(OPTIMISERS)] = JOB.optimiser
    """Its name, or a table of its type and options."""


class GaugeSection(Section):
    """Which unobservable scale is fixed: images show the product of albedo and light only."""

    fix: str
    """What is kept, for instance "mean_luminance(mat-*/base_color) = 0.5"."""
    lr: Positive | None = JOB.gauge_lr
    """Learning rate of the tint that these albedos and the lights exchange in a step of their own, which highlights settle."""
