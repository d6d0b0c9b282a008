"""Beams of spot lights whose edge is hard, or so narrow that hardly a sample meets it.

Between the angles `beam_width` and `cutoff_angle` the light falls off linearly: it is the mean of beams with hard edges at angles
uniform between the two. boundary/edges/frustum.py estimates the derivative of the fall-off so, as a boundary; the interior leaves
it out. A hard edge (`beam_width` ≥ `cutoff_angle`) is the limit in which nothing else is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.parameters import traverse

SPOT = "SpotLight"
ANGLES = ("cutoff_angle", "beam_width")  # roles of parameters
NARROW = (
    0.1  # of the cutoff angle: width of a fall-off below which it is a boundary. The interior's variance is ∝ 1 / width
)
TIGHT = 2e-4  # the same, below which rounding forbids to tell the fall-off from the rest: all of its light is held


@dataclass
class Cone:
    """The edge of one beam: `soft` if there is a fall-off, `tight` if it is too narrow to be told from its own light."""

    spot: Any
    soft: bool
    tight: bool

    @staticmethod
    def of(spot: Any) -> Cone | None:
        """Of a spot light; None where its fall-off is wide."""
        cutoff, beam = (float(dr.detach(mi.Float(traverse(spot)[name]))[0]) for name in ANGLES)
        width = (cutoff - beam) / cutoff
        return Cone(spot, width > 0, width <= TIGHT) if width <= NARROW else None

    def angles(self) -> tuple[Any, Any]:
        """Attached inner and outer angle in radians."""
        values = traverse(self.spot)
        beam, cutoff = (mi.Float(values[name]) * (dr.pi / 180) for name in ("beam_width", "cutoff_angle"))
        return beam if self.soft else cutoff, cutoff


def axes(emitter: Any) -> tuple[Any, Any, Any, Any]:
    """Attached frame of a light: three unit axes and the origin."""
    matrix = traverse(emitter)["to_world"].matrix
    x, y, z, origin = (mi.Vector3f(matrix[0, j], matrix[1, j], matrix[2, j]) for j in range(4))
    return dr.normalize(x), dr.normalize(y), dr.normalize(z), mi.Point3f(origin)


class Cones:
    """Spot lights of a scene whose edges are boundaries. Not a dataclass: Dr.Jit must not take it for loop state."""

    def __init__(self, found: list[Cone]) -> None:
        self.found = found

    @staticmethod
    def of(scene: Any) -> Cones | None:
        """None if there are none."""
        spots = [Cone.of(e) for e in scene.emitters() if e.class_name() == SPOT]
        found = [cone for cone in spots if cone is not None]
        return Cones(found) if found else None

    def without_fall_off(self, emitter: Any, value: Any, point: Any, active: Any) -> Any:
        """The light `value` of an emitter at an attached point, without the derivative of its fall-off."""
        for cone in self.found:
            if not cone.soft:
                continue
            beam, cutoff = cone.angles()
            _, _, axis, origin = axes(cone.spot)
            offset = mi.Vector3f(point - origin)
            angle = dr.safe_acos(dr.dot(offset, axis) * dr.rsqrt(dr.squared_norm(offset)))
            share = (cutoff - angle) / (cutoff - beam)
            inside = active & (emitter == mi.EmitterPtr(cone.spot)) & (dr.detach(share) > 0) & (dr.detach(share) < 1)
            if cone.tight:
                value = dr.select(inside, dr.detach(value), value)
                continue
            whole = dr.select(inside, dr.detach(share), 1)
            held = dr.replace_grad(mi.Float(1), -share / whole)  # Eq. (14a)
            value = dr.select(inside, value * held, value)
        return value
