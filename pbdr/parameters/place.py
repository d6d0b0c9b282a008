"""Where a map or a prior is at work: what these may look at besides the value itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pbdr.parameters.names import Parameter

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Place:
    """The range that a value must keep; the scene's `parameter` whose value it is, and the scene, where there are any.

    `prepared`: what the map there has made once, of the scene as it was when the problem was stated (`Map.prepare`).
    """

    bounds: Bounds
    parameter: Parameter | None = None
    scene: Any = None
    prepared: Any = field(default=None, repr=False, compare=False)

    @property
    def wraps(self) -> bool:
        """Whether the left and the right edge of the value's texels touch, as those of an environment do."""
        return self.parameter is not None and self.parameter.kind == "environment"
