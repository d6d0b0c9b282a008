"""Shape groups and their instances: which shapes an instance shows, and its hits re-evaluated with derivatives.

Mitsuba's own derivatives of hits on an instance are wrong when the ray moves, and leave out how its normals turn and its texture
coordinates slide. Here, the ray is taken into the group's space, where the shape itself is asked, and the result is taken back.
"""

from __future__ import annotations

import re
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.backend import on_gpu
from pbdr.errors import SceneError
from pbdr.geometry import poses
from pbdr.parameters import traverse

NOWHERE = 0xFFFFFFFF


def is_instance(shape: Any) -> bool:
    """Whether a shape of the scene is an instance of a shape group."""
    return bool(shape.class_name() == "Instance")


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


class Instances:
    """Instances of a scene by number, for hits on them. Not a dataclass: Dr.Jit must not take it for loop state.

    `number`: device array, address of a shape → number of the instance; `columns`: detached poses, three axes and the origin,
    each (N,); `first`: where the shapes of an instance begin in `inner`, their addresses; `posed`: (number, shape) of those whose
    pose carries derivatives.
    """

    def __init__(self, scene: Any) -> None:
        inside = members(scene)
        shapes = scene.shapes()
        addresses = np.array([address_of(shapes[i]) for i in inside], np.uint32)
        number = np.full(int(addresses.max()) + 1, NOWHERE, np.uint32)
        number[addresses] = np.arange(len(addresses))
        sizes = [len(x) for x in inside.values()]
        matrices = [traverse(shapes[i])["to_world"].matrix for i in inside]
        values = np.array([poses.on_host(m) for m in matrices])
        self.number = mi.UInt32(aligned(number, np.uint32))
        self.columns = [mi.Vector3f(*map(aligned, values[:, :3, j].T)) for j in range(4)]
        self.first = mi.UInt32(aligned(np.cumsum([0, *sizes[:-1]]), np.uint32))
        # Where hits carry addresses, none has to be looked up.
        self.inner = mi.UInt32([address_of(x) for shown in inside.values() for x in shown])
        self.posed = [
            (k, shapes[i]) for k, (i, m) in enumerate(zip(inside, matrices, strict=True)) if dr.grad_enabled(m)
        ]
        dr.eval(self.number, self.columns, self.first, self.inner)

    @staticmethod
    def of(scene: Any) -> Instances | None:
        """The instances of a scene; None if it has none."""
        return Instances(scene) if any(is_instance(shape) for shape in scene.shapes()) else None

    def seen(self, hit: Any, active: Any) -> tuple[Any, Any, Any]:
        """For hits: (whether on an instance, its number, address of the shape hit)."""
        address = dr.reinterpret_array(mi.UInt32, hit.instance)
        here = mi.Bool(active) & hit.is_valid() & (address != 0)
        number = dr.gather(mi.UInt32, self.number, address, here)
        inner = member(hit)
        if numbered():
            inner = dr.gather(mi.UInt32, self.inner, dr.gather(mi.UInt32, self.first, number, here) + inner, here)
        return here, number, inner

    def at(self, hit: Any, active: Any) -> tuple[Any, list[Any], Any]:
        """For hits: (whether on an instance, the instance's axes and origin, attached; address of the shape hit)."""
        here, number, inner = self.seen(hit, active)
        placed = [dr.gather(mi.Vector3f, column, number, here) for column in self.columns]
        columns = [dr.select(here, x, mi.Vector3f(unit)) for x, unit in zip(placed, poses.UNIT, strict=True)]
        for k, shape in self.posed:
            chosen = here & (number == k)
            moved = poses.pose_of_lanes(traverse(shape)["to_world"].matrix, chosen)
            columns = [dr.select(chosen, new, old) for new, old in zip(moved, columns, strict=True)]
        return here, columns, inner
