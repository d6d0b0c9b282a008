"""Instances of shape groups: hits on them with derivatives. What groups and their members are: groups.py.

Mitsuba's own derivatives of hits on an instance are wrong when the ray moves, and leave out how its normals turn and its texture
coordinates slide.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.geometry import poses
from pbdr.geometry.groups import INSTANCE, NOWHERE, address_of, is_instance, member, members, numbered
from pbdr.geometry.kind import Kind
from pbdr.parameters import traverse


class Instances(Kind):
    """Instances of a scene by number, for hits on them. The shapes that they show have rows of their own kinds.

    `number`: device array, address of a shape → number of the instance; `columns`: detached poses, three axes and the origin,
    each (N,); `first`: where the shapes of an instance begin in `inner`, their addresses; `posed`: (number, shape) of those whose
    pose carries derivatives.
    """

    name = "instances"
    plugins = (INSTANCE,)
    tells = False
    shows_others = True

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

    @classmethod
    def of(cls, scene: Any) -> Instances | None:
        """The instances of a scene; None if it has none."""
        return cls(scene) if any(map(is_instance, scene.shapes())) else None

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

    def hits(self, evaluate: Any, hit: Any, ray: Any, active: Any, follow: bool) -> Any:
        """The ray is taken into the group's space, where the shape itself is asked, and the result is taken back."""
        si = evaluate(hit, ray, active)
        chosen, (x, y, z, origin), address = self.at(hit, active)
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

    def unwarped(self, shape: Any) -> str:
        """Not by now."""
        return "is an instance: edges are looked up by the face of a shape of its own."
