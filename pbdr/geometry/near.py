"""The point of a row next to a direction ω: what kinds whose rows are not straight answer for boundary = 'warp'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi


@dataclass
class Line:
    """A straight silhouette, from `start` along the row's b."""

    start: Any


@dataclass
class Round:
    """A point of a curve at some angle: `offset` from the viewpoint, derivative `along` by the angle, `slope` ∇angle over ω."""

    offset: Any
    along: Any
    slope: Any
    exists: Any


def orthogonal(vector: Any, direction: Any) -> Any:
    """The part of `vector` orthogonal to a unit vector."""
    return mi.Vector3f(vector - direction * dr.dot(direction, vector))
