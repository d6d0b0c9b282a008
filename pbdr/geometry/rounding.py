"""Lengths below which single precision does not tell points apart: every clearance and offset grows from them.

They scale with the geometry and with the distance of its coordinates from the origin, so that nothing depends on units, and on the
origin only as far as coordinates lose digits there.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

POSITION = 4e-7  # of the largest coordinate: three roundings of all three coordinates are 3.1e-7
GRAZING = 8.0  # how much further along a ray what rounding displaces sideways
LEAVING = 2.0  # times what rounding may be in a position, by which rays leave surfaces
AWAY = 4e-6  # of the length of the ray that arrives, by which they do, too
AWAY_ROUGH = 3e-5  # the same for curve shapes and grids, whose intersections are less exact
TILT = 1e-3  # cosine given to the line of sight on silhouettes of round shapes, where it is zero up to rounding
DISTANCE = 1e-6  # of the length of a ray, and of the size of what it passes


def largest(point: Any) -> Any:
    """Largest coordinate of a point, without its sign."""
    return dr.max(dr.abs(point))


def blur(point: Any, local: Any, relative: Any = DISTANCE) -> Any:
    """How far a computed point may lie from where it should; `local`: length of the ray or size of the surface that it is on."""
    return POSITION * largest(point) + relative * local


def offset(si: Any) -> Any:
    """How far above a surface rays start that leave it.

    In place of Mitsuba's own offset, which is 9·10⁻⁵ of a unit, and as much of the largest coordinate.
    """
    kinds = (mi.ShapeType.BSplineCurve, mi.ShapeType.LinearCurve, mi.ShapeType.SDFGrid)
    rough = (si.shape.shape_type() & sum(int(kind) for kind in kinds)) != 0
    return blur(si.p, si.t, dr.select(rough, mi.Float(AWAY_ROUGH), AWAY)) + (LEAVING - 1) * POSITION * largest(si.p)


def leave(si: Any, direction: Any) -> Any:
    """The ray that leaves a surface in a direction."""
    ray = si.spawn_ray(direction)
    ray.o = dr.fma(mi.Vector3f(si.n), dr.mulsign(offset(si), dr.dot(si.n, direction)), mi.Point3f(si.p))
    return ray


def leave_to(si: Any, target: Any, clearance: Any) -> Any:
    """The ray that leaves a surface towards a point, and ends this far before it."""
    above = dr.mulsign(offset(si), dr.dot(si.n, target - si.p))
    start = dr.fma(mi.Vector3f(si.n), above, mi.Point3f(si.p))
    way = target - start
    distance = dr.norm(way)
    ray = si.spawn_ray(way / distance)
    ray.o, ray.maxt = start, distance - clearance
    return ray
