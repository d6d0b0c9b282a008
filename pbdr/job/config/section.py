"""What all sections share: no unknown keys, no silent conversions; and the types of their keys."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Define = str | bool | int | float


class Section(BaseModel):
    """Base of every section: no unknown keys, no silent conversions, immutable. The text below a key is its description."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def as_tuple(value: Any) -> Any:
    """A list of TOML as the tuple of numbers that a model keeps; anything else as it is."""
    return tuple(float(v) if isinstance(v, int) else v for v in value) if isinstance(value, list) else value
