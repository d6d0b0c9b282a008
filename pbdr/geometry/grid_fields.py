"""Grids of signed distances (`sdfgrid`) on the device: values, frames, and what is found in them.

Between the values at the corners of a voxel, φ is trilinear; the surface is φ = 0, φ > 0 outside. A grid in a shape group counts
once for every instance that shows it: its frame is the instance's pose times its own.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.geometry import grid_values, groups, instance, poses
from pbdr.geometry.grid_cells import AXES, Cell, Frame
from pbdr.parameters import traverse

KIND = "SDFGrid"
NOWHERE = 0xFFFFFFFF
PROBES = 64  # voxels that are asked which normals they have


def is_grid(shape: Any) -> bool:
    """Whether a shape is a grid of signed distances."""
    return bool(shape.class_name() == KIND)


@dataclass(frozen=True)
class Shown:
    """A grid where the scene shows it: `index` in the scene, for one of a shape group that of the `instance`, else None."""

    index: int
    shape: Any
    instance: Any

    def matrices(self) -> list[Any]:
        """Poses, from the outermost in."""
        owners = [self.shape] if self.instance is None else [self.instance, self.shape]
        return [traverse(owner)["to_world"].matrix for owner in owners]

    def pose(self) -> Any:
        """Detached pose (4, 4) on the host."""
        return functools.reduce(operator.matmul, map(poses.on_host, self.matrices()))


def shown_by(scene: Any) -> list[Shown]:
    """The grids of a scene: its own, and those of its instances, once for each of these."""
    inside = groups.members(scene)
    found = []
    for index, shape in enumerate(scene.shapes()):
        instance = shape if index in inside else None
        found += [Shown(index, inner, instance) for inner in inside.get(index, [shape]) if is_grid(inner)]
    return found


class Fields:
    """Grids of a scene by number: its own, and those that its instances show, once for each of these.

    `shown`: all of them; `shapes`: the different ones among their shapes; `source`: which of these each shows; `values`: detached
    values of all shapes; `start`: where those of a grid begin; `side`: how many it has along an axis; `columns`: detached frames;
    `interpolating`: which interpolate normals; `posed`: numbers of those whose pose carries derivatives; `valued`: (number, shape)
    of the shapes whose values do; `instances`: of the scene, None if they show no grid.
    """

    def __init__(self, scene: Any, shown: list[Shown]) -> None:
        self.shown = shown
        self.found: dict[Any, Any] = {}  # voxels that were searched for
        by_address = {groups.address_of(one.shape): one.shape for one in shown}
        self.shapes = list(by_address.values())
        for shape in self.shapes:
            grid_values.check(shape)
        rank = {address: k for k, address in enumerate(by_address)}
        source = [rank[groups.address_of(one.shape)] for one in shown]
        numbers = lambda x: mi.UInt32(aligned(x, np.uint32))  # noqa: E731
        tensors = [traverse(shape)["grid"] for shape in self.shapes]
        sizes = [t.shape[0] for t in tensors]
        offset = np.cumsum([0, *(n**3 for n in sizes[:-1])])
        self.side_host, self.offset = [sizes[k] for k in source], offset[source]
        self.values = dr.concat([dr.detach(t.array) for t in tensors])
        self.start, self.side, self.source = numbers(self.offset), numbers(self.side_host), numbers(source)
        self.columns = _columns([one.pose() for one in shown], self.side_host)
        self._name(scene, rank, source)
        self.posed = [k for k, one in enumerate(shown) if any(map(dr.grad_enabled, one.matrices()))]
        self.valued = [
            (k, shape) for k, (shape, t) in enumerate(zip(self.shapes, tensors, strict=True)) if dr.grad_enabled(t)
        ]
        dr.eval(self.values, self.start, self.side, self.source, self.columns, self.rank, self.number)
        smooth = [self._interpolates(source.index(k)) for k in range(len(self.shapes))]
        self.smooth_host = [smooth[k] for k in source]
        self.interpolating = mi.Bool(self.smooth_host)

    def _name(self, scene: Any, rank: dict[int, int], source: list[int]) -> None:
        """What tells the number of a grid: `rank` of its shape, by address; `number`, by instance (0: none) and rank."""
        grouped = any(one.instance is not None for one in self.shown)
        self.instances = instance.Instances.of(scene) if grouped else None
        by_address = np.full(max(rank) + 1, NOWHERE, np.uint32)
        by_address[list(rank)] = list(rank.values())
        rows = {index: k + 1 for k, index in enumerate(groups.members(scene))}
        number = np.full((len(rows) + 1, len(rank)), NOWHERE, np.uint32)
        for k, one in enumerate(self.shown):
            number[rows.get(one.index, 0), source[k]] = k
        self.rank, self.number = (mi.UInt32(aligned(x, np.uint32)) for x in (by_address, number.ravel()))

    def number_of(self, shape: Any, index: int) -> int:
        """Which of them a shape is, shown by the shape `index` of the scene."""
        return next(k for k, one in enumerate(self.shown) if one.index == index and one.shape == shape)

    def occupied(self, k: int) -> Any:
        """First corners, as indices of `values`, of the voxels of grid k that the surface passes through."""
        return self._crossed(k, (0, 0, 0), (1, 1, 1))

    def crossed_faces(self, k: int, axis: int) -> Any:
        """The same for the faces between two voxels across an axis (0: x)."""
        return self._crossed(k, *(tuple(int(a == axis) ^ flip for a in range(3)) for flip in (0, 1)))  # type: ignore[arg-type]

    def _crossed(self, k: int, begin: tuple[int, int, int], span: tuple[int, int, int]) -> Any:
        """Values from `begin` on along x, y, z that begin a box of `span` voxels with corners inside and outside."""
        key = int(self.offset[k]), begin, span
        if key not in self.found:
            self.found[key] = self._search(int(self.side_host[k]), *key)
        return self.found[key]

    def _search(self, side: int, offset: int, begin: tuple[int, int, int], span: tuple[int, int, int]) -> Any:
        x, y, z = dr.meshgrid(*[dr.arange(mi.UInt32, b, side - 1) for b in begin], indexing="ij")
        first = x + side * (y + side * z) + offset
        corners = [dx + side * (dy + side * dz) for dz, dy, dx in np.ndindex(*(s + 1 for s in reversed(span)))]
        inside = [dr.gather(mi.Float, self.values, first + corner) < 0 for corner in corners]
        some, every = functools.reduce(operator.or_, inside), functools.reduce(operator.and_, inside)
        return dr.gather(mi.UInt32, first, dr.compress(some & ~every))

    def _interpolates(self, k: int) -> bool:
        """Whether the shading normals of grid k differ from the surface's own, which Mitsuba does not tell."""
        first = self.occupied(k)
        if dr.width(first) == 0:
            return False
        first = dr.gather(mi.UInt32, first, dr.arange(mi.UInt32, min(PROBES, dr.width(first))))
        shape = self.shown[k].shape
        hit = dr.zeros(mi.PreliminaryIntersection3f, dr.width(first))
        hit.t, hit.shape, hit.valid = mi.Float(1), mi.ShapePtr(shape), mi.Bool(True)
        with dr.suspend_grad():
            own = Frame(*_columns([poses.on_host(traverse(shape)["to_world"].matrix)], self.side_host[k : k + 1]))
            corner = self.place(dr.opaque(mi.UInt32, k, dr.width(first)), first)
            point = own.point(corner + mi.Vector3f(0.4, 0.45, 0.55))
            ray = mi.Ray3f(mi.Point3f(point - mi.Vector3f(0, 0, 1)), mi.Vector3f(0, 0, 1))
            si = hit.compute_surface_interaction(ray, mi.RayFlags.ShadingFrame)
            return bool(dr.any(dr.max(dr.abs(si.sh_frame.n - si.n)) > 1e-6))

    # ------------------------------------------------------------------ of lanes

    def on(self, hit: Any, active: Any) -> tuple[Any, Any]:
        """For hits: whether on a grid, and its number."""
        address, row = dr.reinterpret_array(mi.UInt32, hit.shape), mi.UInt32(0)
        active = mi.Bool(active) & hit.is_valid()
        if self.instances is not None:
            grouped, instance, inner = self.instances.seen(hit, active)
            address, row = dr.select(grouped, inner, address), dr.select(grouped, instance + 1, 0)
        here = active & (address != 0) & (address < dr.width(self.rank))
        rank = dr.gather(mi.UInt32, self.rank, address, here)
        here &= rank != NOWHERE
        number = dr.gather(mi.UInt32, self.number, row * len(self.shapes) + rank, here)
        here &= number != NOWHERE
        return here, dr.select(here, number, 0)

    def frame(self, number: Any, active: Any) -> Frame:
        """Frames of grids, attached."""
        columns = [dr.gather(mi.Vector3f, column, number, active) for column in self.columns]
        for k in self.posed:
            chosen = active & (number == k)
            columns = [dr.select(chosen, new, old) for new, old in zip(self._moving(k, chosen), columns, strict=True)]
        return Frame(*columns)

    def _moving(self, k: int, chosen: Any) -> list[Any]:
        """Attached columns of the frame of grid k."""
        *outer, own = (poses.pose_of_lanes(matrix, chosen) for matrix in self.shown[k].matrices())
        scale = 1 / (self.side_host[k] - 1)
        columns = [column * (scale if j < 3 else 1) for j, column in enumerate(own)]
        for x, y, z, origin in outer:
            columns = [c.x * x + c.y * y + c.z * z + (origin if j == 3 else 0) for j, c in enumerate(columns)]
        return columns

    def place(self, number: Any, first: Any) -> Any:
        """Position, in voxels, of the value at index `first`."""
        # Lanes beyond the last one of a kernel read zero, and a division of whole numbers by that ends the process.
        side, index = dr.maximum(self._side(number), 1), first - dr.gather(mi.UInt32, self.start, number)
        return mi.Vector3f(index % side, (index // side) % side, index // (side * side))

    def _side(self, number: Any) -> Any:
        return dr.gather(mi.UInt32, self.side, number)

    def at(self, number: Any, x: Any, y: Any, z: Any, active: Any) -> Any:
        """Attached value of φ at whole positions; beyond the border, that of the border."""
        side = self._side(number)
        inside = lambda k: mi.UInt32(dr.clip(mi.Int32(k), 0, mi.Int32(side) - 1))  # noqa: E731
        index = inside(x) + side * (inside(y) + side * inside(z))
        result = dr.gather(mi.Float, self.values, dr.gather(mi.UInt32, self.start, number) + index, active)
        source = dr.gather(mi.UInt32, self.source, number, active) if self.valued else number
        for k, shape in self.valued:
            chosen = active & (source == k)
            result = dr.select(chosen, dr.gather(mi.Float, traverse(shape)["grid"].array, index, chosen), result)
        return result

    def cell(self, number: Any, corner: Any, active: Any) -> Cell:
        """The voxel whose first corner is at a whole position, attached."""
        return Cell(
            [self.at(number, corner.x + dx, corner.y + dy, corner.z + dz, active) for dz, dy, dx in np.ndindex(2, 2, 2)]
        )

    def voxel(self, number: Any, local: Any) -> Any:
        """First corner of the voxel that holds a position."""
        last = mi.Float(self._side(number)) - 2
        return mi.Vector3f(*(dr.clip(dr.floor(dr.detach(local[k])), 0, last) for k in range(3)))

    def smooth_slope(self, number: Any, local: Any, active: Any) -> Any:
        """Mitsuba's smooth normal (Hansson-Söderlund et al. 2022), in voxels: between those of the eight voxels around a corner."""
        corner = self.voxel(number, local)
        middle = mi.Vector3f(*(dr.round(dr.detach(local[k])) for k in range(3)))
        slopes = []  # for each axis, differences in the two voxels before and after `middle`
        for k, (p, q) in enumerate(AXES):
            levels = []
            for step in (-1, 0, 1):
                total = mi.Float(0)
                for ends in np.ndindex(2, 2):
                    place = [mi.Float(0)] * 3
                    place[k], place[p], place[q] = middle[k] + step, corner[p] + ends[0], corner[q] + ends[1]
                    rest = [local[a] - corner[a] for a in (p, q)]
                    weight = (rest[0] if ends[0] else 1 - rest[0]) * (rest[1] if ends[1] else 1 - rest[1])
                    total += weight * self.at(number, place[0], place[1], place[2], active)
                levels.append(total)
            slopes.append((levels[1] - levels[0], levels[2] - levels[1]))
        share = [dr.select(middle[k] < 1, 1, local[k] - middle[k] + 0.5) for k in range(3)]
        result = mi.Vector3f(0)
        for n in np.ndindex(2, 2, 2):
            weight = mi.Float(1)
            for k in range(3):
                weight = weight * (share[k] if n[k] else 1 - share[k])
            result += weight * dr.normalize(mi.Vector3f(*(slopes[k][n[k]] for k in range(3))))
        return result

    def follow(self, cell: Cell, at: Any, slope: Any) -> Any:
        """Attached position in a voxel of the surface point that is at `at` now; it moves along the detached `slope`."""
        value = cell.value(at)
        squared = dr.squared_norm(slope)
        return at - slope * (dr.replace_grad(mi.Float(0), value) / dr.select(squared > 0, squared, 1))  # Eq. (15)


def _columns(poses: list[Any], sides: list[int]) -> list[Any]:
    """Detached frames, on the device, of grids with these poses and numbers of values along an axis."""
    frames = np.array(poses)
    frames[:, :, :3] /= (np.array(sides) - 1)[:, None, None]
    return [mi.Vector3f(*map(aligned, frames[:, :3, j].T)) for j in range(4)]
