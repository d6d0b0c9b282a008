"""[render]: how the estimate is rendered while fitting."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from ...inverse.problem import JOB
from .section import Count, Section


class ResolutionStep(Section):
    """From this step on, images are 1 / round(1 / scale) of their size."""

    step: Annotated[int, Field(ge=0)]
    """First step at this size; the first entry has 0."""
    scale: Annotated[float, Field(gt=0, le=1)]
    """1 divided by a whole number, such as 0.5 or 0.25."""

    @field_validator("scale", mode="before")
    @classmethod
    def _whole_factor(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if isinstance(value, float) and 0 < value <= 1 and abs(1 / value - round(1 / value)) > 1e-6:
            raise ValueError("scale must be 1 divided by a whole number, such as 0.5 or 0.25")
        return value


class RenderSection(Section):
    """How the estimate is rendered while fitting."""

    integrator: dict[str, Any] = JOB.integrator
    """A Mitsuba integrator as a table of its type and options; [pathspace's](options.md)."""
    spp: Count = JOB.spp
    """Samples per pixel of the image in a step."""
    spp_grad: Count | None = JOB.spp_grad
    """Samples per pixel of its derivative; without it as many as `spp`, or a quarter where nothing that is unknown
    moves anything: colours, materials, lights."""
    resolution: list[ResolutionStep] = Field(default_factory=list)
    """Smaller images in early steps: a list of { step, scale } with increasing steps. Without it images have their size."""

    @field_validator("integrator")
    @classmethod
    def _typed(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(value.get("type"), str):
            raise ValueError('an integrator needs its type: { type = "pathspace", max_depth = 6 }')
        return value

    @field_validator("resolution")
    @classmethod
    def _ordered(cls, value: list[ResolutionStep]) -> list[ResolutionStep]:
        steps = [entry.step for entry in value]
        if value and (steps[0] != 0 or steps != sorted(set(steps))):
            raise ValueError("steps must start at 0 and increase")
        return value
