"""[loss], [optim] and [gauge]: what is minimised, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ...errors import OptionError
from ...inverse.exposure import FIXES
from ...inverse.losses import LOSSES, Losses
from ...inverse.optimisers import OPTIMISERS
from ...inverse.problem import JOB
from ...inverse.schedules import DECAYS
from ...inverse.soft import WarmStart
from ...registry import Choice
from ..choices import entries_of, entry_of, one_of, weighed
from .section import Count, Positive, Section, as_tuple


class LossSection(Section):
    """What is minimised. Other losses are added by name: `silhouette = 1.0`, a weight, or a table of `weight` and options."""

    model_config = ConfigDict(extra="allow")

    image: Annotated[Losses, entries_of(LOSSES)] = JOB.loss
    """Image loss: its name, or a table of its type and options, { type = "relmse", floor = 0.1 }; or a list of these, which are
    added, [{ type = "l1", weight = 0.8 }, { type = "ssim", weight = 0.2 }]."""
    views: dict[str, Positive] = Field(default_factory=dict)
    """Weights of views, by their names or those of their images, globs allowed: { "r_01*" = 0.5 }. Others have 1."""

    @model_validator(mode="before")
    @classmethod
    def _further_losses(cls, given: Any) -> Any:
        """Other keys are names of losses."""
        others = {k: v for k, v in given.items() if k not in cls.model_fields} if isinstance(given, Mapping) else {}
        for name, value in others.items():
            if name not in LOSSES:
                known = [*cls.model_fields, *LOSSES]
                raise PydanticCustomError("unknown_key", "no such key", {"key": name, "known": known})
            options = dict(value) if isinstance(value, Mapping) else {"weight": value}
            try:
                weighed(options.pop("weight", 1.0))
                LOSSES.make({"type": name, **options})
            except (OptionError, ValueError) as error:
                raise ValueError(f"{name}: {error}") from error
        return given

    @property
    def terms(self) -> list[Choice]:
        """All losses, with their weights, those that weigh nothing left out."""
        image: Any = self.image
        found: list[Choice] = list(image) if isinstance(image, list) else [image]
        for name, value in (self.model_extra or {}).items():
            found.append({"type": name, **(value if isinstance(value, Mapping) else {"weight": value})})
        return [term for term in found if isinstance(term, str) or term.get("weight", 1.0) > 0]


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


class WarmStartSection(Section):
    """Steps of soft silhouettes before the fit, for starts that are far off: blurred outlines of meshes are moved onto the masks.

    Images need alpha or masks; those of `[data] target` are rendered with the masks that this needs. Whatever moves outlines moves:
    positions of meshes, poses of cameras.
    """

    steps: Count = WarmStart.steps
    """Number of these steps; they cost no rendering."""
    shape: str = WarmStart.shape
    """Id of the mesh that masks show; without it all shapes of the scene, which must be meshes then."""
    sigma: tuple[Positive, Positive] = WarmStart.sigma
    """Blur at the first and at the last of these steps, in squared halves of the image's longer side."""
    lr: Positive = WarmStart.lr
    """Learning rate of poses, points and rigid motions, in radians and in shares of their size. Other unknowns have their own."""
    resolution: Count = WarmStart.resolution
    """Pixels of the longer side of the silhouettes."""
    tries: Count = WarmStart.tries
    """How often: after the first time, meshes with map = "rigid" are turned at random before; the best of all counts."""

    @field_validator("sigma", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return as_tuple(value)


class GaugeSection(Section):
    """Which unobservable scale is fixed: images show the product of albedo and light only."""

    fix: str
    """What is kept, for instance "mean_luminance(mat-*/base_color) = 0.5"."""
    lr: Positive | None = JOB.gauge_lr
    """Learning rate of the tint that these albedos and the lights exchange in a step of their own, which highlights settle."""


class ExposureSection(Section):
    """Exposures of the images as unknowns: a factor for each view, which multiplies the render."""

    lr: Positive = 2e-2
    """Learning rate of their logarithms."""
    fix: Annotated[str, one_of(FIXES)] = JOB.exposure_fix
    """What is fixed, since images show the product of exposure and light only: "mean", their geometric mean is 1; "first", that of
    the first training view is 1; "none", for scenes whose light is known."""
