"""Surface interactions at hits, re-evaluated with derivatives: right on shapes of every kind.

`slide`, `follow_material` are Mitsuba's own; `sliding`, `material` are right on instances, curves and grids too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import poses


def slide(hit: Any, ray: Any, active: Any = True) -> Any:
    """Surface interaction where the attached `ray` meets the moving surface: it slides along both."""
    si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
    return si


def follow_material(hit: Any, ray: Any, active: Any = True) -> Any:
    """Surface interaction at the material point that was hit (fixed primitive and surface coordinates)."""
    return hit.compute_surface_interaction(ray, mi.RayFlags.All | mi.RayFlags.FollowShape, active)


def material_point(hit: Any, ray: Any, active: Any = True) -> Any:
    """Position of `follow_material`: less to trace."""
    return hit.compute_surface_interaction(ray, mi.RayFlags.Minimal | mi.RayFlags.FollowShape, active).p


def sliding(features: Any, hit: Any, ray: Any, active: Any = True) -> Any:
    """As `slide`, right on instances, curves and grids too."""
    return _everywhere(features, hit, ray, slide, active)


def material(features: Any, hit: Any, ray: Any, active: Any = True) -> Any:
    """As `follow_material`, right on instances, curves and grids too."""
    return _everywhere(features, hit, ray, follow_material, active)


def _everywhere(features: Any, hit: Any, ray: Any, evaluate: Callable[..., Any], active: Any) -> Any:
    follow = evaluate is follow_material
    right = lambda *args: _moved(features, args[0], args[1], evaluate, args[2])  # noqa: E731
    for known in (features.strands, features.grids):
        if known is not None:
            right = partial(known.moved, right, follow=follow)
    return right(hit, ray, active)


def _moved(features: Any, hit: Any, ray: Any, evaluate: Callable[..., Any], active: Any) -> Any:
    si = evaluate(hit, ray, active)
    if features.instances is None:
        return si
    chosen, (x, y, z, origin), address = features.instances.at(hit, active)
    inside = mi.PreliminaryIntersection3f(hit)
    inside.shape = dr.reinterpret_array(mi.ShapePtr, address)
    inside.instance = dr.zeros(mi.ShapePtr, dr.width(address))
    inner_ray = mi.Ray3f(ray)
    inner_ray.o = mi.Point3f(poses.solve(x, y, z, ray.o - origin))
    inner_ray.d = poses.solve(x, y, z, ray.d)
    local = evaluate(inside, inner_ray, chosen)
    to_world = lambda v: v.x * x + v.y * y + v.z * z  # noqa: E731
    turn = dr.sign(dr.dot(x, dr.cross(y, z)))
    upright = lambda n: dr.normalize(turn * (n.x * dr.cross(y, z) + n.y * dr.cross(z, x) + n.z * dr.cross(x, y)))  # noqa: E731
    safe = lambda n: poses.safe(mi.Vector3f(n), chosen)  # noqa: E731
    si.p = mi.Point3f(dr.select(chosen, mi.Vector3f(origin + to_world(local.p)), mi.Vector3f(si.p)))
    si.t, si.uv = dr.select(chosen, local.t, si.t), dr.select(chosen, local.uv, si.uv)
    si.n = mi.Normal3f(dr.select(chosen, upright(safe(local.n)), mi.Vector3f(si.n)))
    si.dp_du, si.dp_dv = (
        dr.select(chosen, to_world(local.dp_du), si.dp_du),
        dr.select(chosen, to_world(local.dp_dv), si.dp_dv),
    )
    si.sh_frame.n = mi.Normal3f(dr.select(chosen, upright(safe(local.sh_frame.n)), mi.Vector3f(si.sh_frame.n)))
    side = si.dp_du - si.sh_frame.n * dr.dot(si.sh_frame.n, si.dp_du)
    side = dr.normalize(poses.safe(mi.Vector3f(side), chosen & (dr.squared_norm(side) > 0)))
    si.sh_frame.s = dr.select(chosen, side, si.sh_frame.s)
    si.sh_frame.t = dr.select(chosen, dr.cross(si.sh_frame.n, side), si.sh_frame.t)
    return si
