"""Where a map or a prior is at work: what these may look at besides the value itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pbdr.parameters.meshes import Surface, surface_of
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

    @property
    def of_mesh(self) -> bool:
        """Whether the value is the vertex positions of a triangle mesh, so that there is a `surface`."""
        return self.parameter is not None and self.parameter.kind == "mesh" and self.parameter.row.surface

    @cached_property
    def surface(self) -> Surface:
        """The mesh whose positions the value is, as it was in the scene when it was first asked for."""
        assert self.parameter is not None
        return surface_of(self.scene, self.parameter)
