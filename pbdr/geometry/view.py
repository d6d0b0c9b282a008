"""Where silhouettes are seen from, and the curves that edges are from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi


@dataclass
class View:
    """Where silhouettes are seen from: `point`, or infinitely far in direction `towards` where `distant`."""

    point: Any
    towards: Any
    distant: Any

    @staticmethod
    def along(direction: Any) -> View:
        """The view of lines of sight that run in this direction."""
        return View(mi.Point3f(0), -direction, mi.Bool(True))

    def direction_to(self, target: Any) -> Any:
        """Unit direction of the line of sight at `target`: away from a viewpoint at `point`."""
        return dr.select(self.distant, -self.towards, dr.normalize(target - self.point))


@dataclass
class Curve:
    """Curves at parameter u: position, derivative dp/du, and into each adjacent face (zero if there is none)."""

    position: Any
    derivative: Any
    into0: Any
    into1: Any
    two_sided: Any  # a second face exists
    round: Any  # smooth silhouette of an analytic shape: the surface is tangent to the line of sight
    exposed: Any = True  # part of the outline at all
    facing: tuple[Any, Any] | None = None  # normals of one-sided sheets: the segment must come from outside
    place: tuple[Any, Any] | None = None  # parameter v of curve shapes, on either face
