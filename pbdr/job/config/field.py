"""[field]: a radiance field as what is estimated, instead of variables."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from ...fields.priors import FIELD_PRIORS
from ...fields.problem import BACKGROUNDS, FieldOptions
from ...fields.registry import FIELDS
from ...registry import Choice
from ..choices import entry_of, keys_of, one_of
from .section import NonNegative, Section, as_tuple

Corner = tuple[float, float, float]


class FieldSection(Section):
    """A radiance field instead of variables: what fills a box, absorbs and shines, so that it looks like the images.

    Of the scene, it sees the sensors alone. Every step follows rays of all views: `[optim] views_per_step`, `[gauge]`,
    `[exposure]`, error bars and audits mean nothing beside it, and of `[render]` only what renders targets."""

    kind: Annotated[Choice, entry_of(FIELDS)] = FieldOptions.kind
    """Its name, or a table of its type and options."""
    box: tuple[Corner, Corner]
    """Two opposite corners of the box that it fills, the lower one first. Nothing is seen outside."""
    rays: Annotated[int, Field(ge=1, le=1 << 22)] = FieldOptions.rays
    """Rays in each step, drawn from the pixels of all training views."""
    samples: Annotated[int, Field(ge=2, le=4096)] = FieldOptions.samples
    """Samples along the way of a ray through the box; those in cells that are nearly empty cost little."""
    background: Annotated[str, one_of(BACKGROUNDS)] = FieldOptions.background
    """What lies behind it while it is fitted: "random", a new colour for every ray, which needs images with alpha, so that nothing
    in the box can pass for background; "known", `[data] background`, or black; "auto", random if all images have alpha."""
    coarse: Annotated[float, Field(ge=0, le=1)] = FieldOptions.coarse
    """Fraction of the steps over which its levels of detail come in, coarse ones first; 0: all are there from the start."""
    skip: bool = FieldOptions.skip
    """Leave out samples in cells that are nearly empty, which are looked at again now and then."""
    prior: Annotated[dict[str, NonNegative | dict[str, Any]], keys_of(FIELD_PRIORS)] = Field(default_factory=dict)
    """What is added to the loss: for names of priors the weight, or { weight = 1e-3 } with the prior's options."""

    @field_validator("box", mode="before")
    @classmethod
    def _as_tuples(cls, value: Any) -> Any:
        return tuple(as_tuple(corner) for corner in value) if isinstance(value, list) else value
