"""Shape groups and their instances: which shapes an instance shows, and its hits re-evaluated with derivatives.

Mitsuba's own hits of an instance that moves follow its position, but not the turn of its normals, nor the slide of texture
coordinates and curved surfaces. Here, the ray is taken into the group's space, where the shape itself is asked, and the result is
taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.errors import SceneError
from pbdr.parameters import traverse
from pbdr.transport import hits, measure


def is_instance(shape: Any) -> bool:
    """Whether a shape of the scene is an instance of a shape group."""
    return bool(shape.class_name() == "Instance")


def members(scene: Any) -> dict[int, list[Any]]:
    """Shapes of every instance, in the order of Mitsuba's `shape_index`: index of the instance in the scene → shapes."""
    instances = [(i, shape) for i, shape in enumerate(scene.shapes()) if is_instance(shape)]
    if not instances:
        return {}
    groups: dict[Any, list[Any]] = {}
    for node, (parent, _) in traverse(scene).hierarchy.items():
        if isinstance(node, mi.Shape) and parent is not None and parent.class_name().startswith("ShapeGroup"):
            groups.setdefault(parent.id(), []).append(node)
    group_of = {_address(shape): name for name, shapes in groups.items() for shape in shapes}
    by_address = {_address(shape): shape for shapes in groups.values() for shape in shapes}
    found = {}
    firsts = _inner([shape for _, shape in instances], [0] * len(instances))
    for (index, instance), first in zip(instances, firsts, strict=True):
        if first not in group_of:
            raise SceneError(f"instance '{instance.id()}' shows a shape group that is not part of the scene.")
        count = len(groups[group_of[first]])
        found[index] = [by_address[a] for a in _inner([instance] * count, list(range(count)))]
    return found


def everything(scene: Any) -> list[Any]:
    """The shapes of the scene, and those that its instances show."""
    shown = {_address(shape): shape for shapes in members(scene).values() for shape in shapes}
    return [*scene.shapes(), *shown.values()]


def _address(shape: Any) -> int:
    return int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(shape))[0])


def _inner(instances: list[Any], numbers: list[int]) -> list[int]:
    """Addresses of the shapes that hits with these instances and shape numbers lie on."""
    result = []
    for instance, number in zip(instances, numbers, strict=True):
        hit = dr.zeros(mi.PreliminaryIntersection3f)
        hit.t, hit.prim_uv, hit.shape_index = mi.Float(1), mi.Point2f(0.3), mi.UInt32(number)
        hit.instance, hit.valid = mi.ShapePtr(instance), mi.Bool(True)
        with dr.suspend_grad():
            si = hit.compute_surface_interaction(mi.Ray3f([0, 0, 0], [0, 0, 1]), mi.RayFlags.Minimal)
        result.append(int(dr.reinterpret_array(mi.UInt32, si.shape)[0]))
    return result


def moving(scene: Any, shapes: Iterable[int]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Of these shapes of the scene, the instances whose own pose carries derivatives: (index, addresses of their shapes) each."""
    chosen = [i for i in sorted(shapes) if is_instance(scene.shapes()[i])]
    chosen = [i for i in chosen if dr.grad_enabled(traverse(scene.shapes()[i])["to_world"].matrix)]
    if not chosen:
        return ()
    inside = members(scene)
    return tuple((i, tuple(_address(shape) for shape in inside[i])) for i in chosen)


def sliding(scene: Any, features: Any, hit: Any, ray: Any, active: Any = True) -> Any:
    """As `hits.sliding`, right for moving instances too."""
    return _moved(scene, features, hit, ray, hits.sliding, active)


def material(scene: Any, features: Any, hit: Any, ray: Any, active: Any = True) -> Any:
    """As `hits.material`, right for moving instances too."""
    return _moved(scene, features, hit, ray, hits.material, active)


def _moved(scene: Any, features: Any, hit: Any, ray: Any, evaluate: Callable[..., Any], active: Any) -> Any:
    si = evaluate(hit, ray, active)
    if not features.moving_instances:
        return si
    shapes = scene.shapes()
    chosen, address = mi.Bool(False), mi.UInt32(0)
    x, y, z, origin = (mi.Vector3f(0) for _ in range(4))
    for index, addresses in features.moving_instances:
        here = mi.Bool(active) & hit.is_valid() & (hit.instance == mi.ShapePtr(shapes[index]))
        matrix = traverse(shapes[index])["to_world"].matrix
        columns = [mi.Vector3f(matrix[0, j], matrix[1, j], matrix[2, j]) for j in range(4)]
        x, y, z, origin = (dr.select(here, new, old) for new, old in zip(columns, (x, y, z, origin), strict=True))
        for number, inner in enumerate(addresses):
            address = dr.select(here & (hit.shape_index == number), inner, address)
        chosen |= here
    x, y, z = (dr.select(chosen, a, b) for a, b in ((x, mi.Vector3f(1, 0, 0)), (y, mi.Vector3f(0, 1, 0)), (z, mi.Vector3f(0, 0, 1))))
    inside = mi.PreliminaryIntersection3f(hit)
    inside.shape = dr.reinterpret_array(mi.ShapePtr, address)
    inside.instance = dr.zeros(mi.ShapePtr, dr.width(address))
    inner_ray = mi.Ray3f(ray)
    inner_ray.o = mi.Point3f(solve(x, y, z, ray.o - origin))
    inner_ray.d = solve(x, y, z, ray.d)
    local = evaluate(inside, inner_ray, chosen)
    to_world = lambda v: v.x * x + v.y * y + v.z * z  # noqa: E731
    turn = dr.sign(dr.dot(x, dr.cross(y, z)))
    upright = lambda n: dr.normalize(turn * (n.x * dr.cross(y, z) + n.y * dr.cross(z, x) + n.z * dr.cross(x, y)))  # noqa: E731
    safe = lambda n: measure.safe(mi.Vector3f(n), chosen)  # noqa: E731
    si.p = mi.Point3f(dr.select(chosen, mi.Vector3f(origin + to_world(local.p)), mi.Vector3f(si.p)))
    si.t, si.uv = dr.select(chosen, local.t, si.t), dr.select(chosen, local.uv, si.uv)
    si.n = mi.Normal3f(dr.select(chosen, upright(safe(local.n)), mi.Vector3f(si.n)))
    si.dp_du, si.dp_dv = dr.select(chosen, to_world(local.dp_du), si.dp_du), dr.select(chosen, to_world(local.dp_dv), si.dp_dv)
    si.sh_frame.n = mi.Normal3f(dr.select(chosen, upright(safe(local.sh_frame.n)), mi.Vector3f(si.sh_frame.n)))
    side = si.dp_du - si.sh_frame.n * dr.dot(si.sh_frame.n, si.dp_du)
    side = dr.normalize(measure.safe(mi.Vector3f(side), chosen & (dr.squared_norm(side) > 0)))
    si.sh_frame.s = dr.select(chosen, side, si.sh_frame.s)
    si.sh_frame.t = dr.select(chosen, dr.cross(si.sh_frame.n, side), si.sh_frame.t)
    return si


def solve(x: Any, y: Any, z: Any, b: Any) -> Any:
    """Coordinates of `b` in the basis x, y, z (Cramer's rule)."""
    yz = dr.cross(y, z)
    inverse = dr.rcp(dr.dot(x, yz))
    return mi.Vector3f(dr.dot(b, yz), dr.dot(b, dr.cross(z, x)), dr.dot(b, dr.cross(x, y))) * inverse
