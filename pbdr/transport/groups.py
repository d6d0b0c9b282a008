"""Shape groups and their instances: which shapes an instance shows, and its hits re-evaluated with derivatives.

Mitsuba's own hits of an instance that moves follow its position, but not the turn of its normals, nor the slide of texture
coordinates and curved surfaces. Here, the ray is taken into the group's space, where the shape itself is asked, and the result is
taken back.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.errors import SceneError
from pbdr.parameters import traverse
from pbdr.transport.features import Features


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
        if isinstance(node, mi.Shape) and parent is not None and parent.class_name() == "ShapeGroup":
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
