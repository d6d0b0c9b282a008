"""[scene]: what is rendered."""

from __future__ import annotations

from pydantic import Field

from ..overrides import Variant
from .section import Define, Section


class SceneSection(Section):
    """What is rendered: a Mitsuba scene, as it is at the start."""

    file: str = Field(min_length=1)
    """Mitsuba scene file (XML)."""
    define: dict[str, Define] = Field(default_factory=dict)
    """Values of the scene file's `$name` defaults, as `mitsuba -D` sets them."""
    clamp: bool = True
    """Negative texels of environments and of lights' textures become 0, and their number is told; `false` keeps them."""
    variant: Variant = "auto"
    """Mitsuba variant. "auto" takes CUDA where there is a GPU, else LLVM, with rgb. Jobs are tested in rgb; what is not tested is
    told, and mono is refused, because images have three channels."""
