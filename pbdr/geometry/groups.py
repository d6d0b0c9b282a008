"""Shape groups: which shapes an instance shows, and which of these a hit is on."""

from __future__ import annotations

import re
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.backend import on_gpu
from pbdr.errors import SceneError
from pbdr.parameters import traverse

INSTANCE = "Instance"
NOWHERE = 0xFFFFFFFF


def is_instance(shape: Any) -> bool:
    """Whether a shape of the scene is an instance of a shape group."""
    return bool(shape.class_name() == INSTANCE)


def numbered() -> bool:
    """Whether hits on instances tell the shape by its number in the group (Embree), or by its address (OptiX)."""
    return not on_gpu()


def member(hit: Any) -> Any:
    """Of a hit on an instance: which shape of the group it lies on; numbers as `member_ids` gives them."""
    return hit.shape_index if numbered() else dr.reinterpret_array(mi.UInt32, hit.shape)


def member_ids(shapes: list[Any]) -> list[int]:
    """Ids of the shapes of an instance, as `members` lists them."""
    return list(range(len(shapes))) if numbered() else [address_of(shape) for shape in shapes]


def name_member(hit: Any, instance: Any, ids: Any, inside: Any) -> None:
    """Make lanes `inside` of a hit ones on the shape `ids` of the group that `instance` shows."""
    nothing = dr.zeros(mi.ShapePtr, dr.width(ids))
    hit.instance = dr.select(inside, instance, nothing)
    hit.shape = dr.select(inside, nothing if numbered() else dr.reinterpret_array(mi.ShapePtr, ids), hit.shape)
    hit.shape_index = dr.select(inside, ids, 0) if numbered() else mi.UInt32(0)


def members(scene: Any) -> dict[int, list[Any]]:
    """Shapes of every instance, in the order of Mitsuba's `shape_index`: index of the instance in the scene → shapes."""
    instances = [(i, shape) for i, shape in enumerate(scene.shapes()) if is_instance(shape)]
    if not instances:
        return {}
    groups: dict[Any, list[Any]] = {}
    for node, (parent, _) in traverse(scene).hierarchy.items():
        if isinstance(node, mi.Shape) and parent is not None and parent.class_name().startswith("ShapeGroup"):
            groups.setdefault(parent.id(), []).append(node)
    if not numbered():
        return {index: _named(groups, instance) for index, instance in instances}
    group_of = {address_of(shape): name for name, shapes in groups.items() for shape in shapes}
    by_address = {address_of(shape): shape for shapes in groups.values() for shape in shapes}
    found = {}
    firsts = _inner([shape for _, shape in instances], [0] * len(instances))
    for (index, instance), first in zip(instances, firsts, strict=True):
        if first not in group_of:
            raise SceneError(f"instance '{instance.id()}' shows a shape group that is not part of the scene.")
        count = len(groups[group_of[first]])
        found[index] = [by_address[a] for a in _inner([instance] * count, list(range(count)))]
    return found


def _named(groups: dict[Any, list[Any]], instance: Any) -> list[Any]:
    """Shapes of the group that an instance shows, by the group's id in its text: nothing else tells where hits carry addresses."""
    found = re.search(r'ShapeGroup\[\s*name = "(.*)"', str(instance))
    if found is None or found.group(1) not in groups:
        raise SceneError(f"instance '{instance.id()}' shows a shape group that is not part of the scene.")
    return groups[found.group(1)]


def distinct(inside: dict[int, list[Any]]) -> list[Any]:
    """The shapes that instances show, each once. `inside`: from `members`."""
    return list({address_of(shape): shape for shapes in inside.values() for shape in shapes}.values())


def everything(scene: Any) -> list[Any]:
    """The shapes of the scene, and those that its instances show."""
    return [*scene.shapes(), *distinct(members(scene))]


def indices(scene: Any) -> Any:
    """Address of a shape of the scene → its index, on the host (NOWHERE for other addresses)."""
    addresses = np.array(dr.reinterpret_array(mi.UInt32, scene.shapes_dr()))
    found = np.full(int(addresses.max()) + 1, NOWHERE, np.uint32)
    found[addresses] = np.arange(len(addresses))
    return found


def address_of(shape: Any) -> int:
    return int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(shape))[0])


def _inner(instances: list[Any], numbers: list[int]) -> list[int]:
    """Addresses of the shapes that hits with these instances and shape numbers lie on."""
    result = []
    for instance, number in zip(instances, numbers, strict=True):
        hit = dr.zeros(mi.PreliminaryIntersection3f)
        hit.t, hit.prim_uv, hit.shape_index = mi.Float(1), mi.Point2f(0.3), mi.UInt32(number)
        hit.instance, hit.valid = mi.ShapePtr(instance), mi.Bool(True)
        with dr.suspend_grad():
            # Following the material point: sliding, the distance of a made-up hit may be infinite.
            ray = mi.Ray3f([0.123, -0.457, 0.281], [0.48, 0.6, 0.64])
            si = hit.compute_surface_interaction(ray, mi.RayFlags.Minimal | mi.RayFlags.FollowShape)
        result.append(int(dr.reinterpret_array(mi.UInt32, si.shape)[0]))
    return result
