"""Straight connections of a surface point to the camera, and what a material scatters towards it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import rounding
from pbdr.transport import camera, hits
from pbdr.transport.eye import Eye
from pbdr.transport.tracer import Tracer


@dataclass
class Connection:
    """A point seen by the camera: film position, camera ray, hit, and importance without the cosine at the point.

    The point of the lens that sees it (`aperture`) belongs to the film position: `camera.ray_through` needs both.
    """

    position: Any
    aperture: Any
    ray: Any
    hit: Any
    importance: Any
    active: Any


def is_met(hit: Any, known: Any, point: Any, distance: Any) -> Any:
    """Whether the hit of a ray towards `point`, `distance` away, is this point, which `known` is a hit of.

    The ray may graze its face: then both lie apart along the ray. On another face of the shape, which may be a sheet close before
    the point, no more than rounding is allowed: as much as there is beside the border of two faces.
    """
    grazing = rounding.blur(point, distance, mi.math.ShadowEpsilon / rounding.GRAZING)
    reach = dr.select(hit.prim_index == known.prim_index, grazing, rounding.blur(point, distance))
    near = dr.abs(hit.t - distance) < rounding.GRAZING * reach
    return hit.is_valid() & near & (hit.shape == known.shape)


def connect(scene: Any, sensor: Any, tracer: Tracer, point: Any, known: Any, active: Any) -> Connection:
    """Connect a surface point, which `known` is a hit of, to the camera, through a random point of its lens if it has one."""
    aperture = camera.aperture_of(sensor, point)
    sight = Eye.of(sensor, aperture).sight(point)
    ray = mi.Ray3f(sight.start, sight.omega)
    active = active & sight.inside
    hit = hits.first_hit(tracer, scene, ray, active)
    active &= is_met(hit, known, point, sight.distance)
    return Connection(sight.position, aperture, ray, hit, sight.importance, active)


@dataclass
class Straight:
    """How walks reach the camera in a straight line."""

    scene: Any
    sensor: Any
    tracer: Tracer

    @property
    def length(self) -> Any:
        """Number of vertices between the camera and the point."""
        return mi.UInt32(0)

    def connect(self, point: Any, known: Any, store: Any, active: Any) -> Connection:
        """Connect a surface point, which `known` is a hit of."""
        return connect(self.scene, self.sensor, self.tracer, point, known, active)


def scattered_without_cosine(si: Any, omega: Any, active: Any) -> Any:
    """f_s cosθ_shading / cosθ_geometric from si.wi towards the world direction `omega`."""
    value = si.bsdf().eval(mi.BSDFContext(), si, si.to_local(omega), active)
    cosine = dr.abs_dot(si.n, omega)
    return dr.select(active & (cosine > 0), value / dr.select(cosine > 0, cosine, 1), 0)
