"""Grids of signed distances (`sdfgrid`): their geometry, and their hits re-evaluated with derivatives.

Between the values at the corners of a voxel, φ is trilinear; the surface is φ = 0, φ > 0 outside. Mitsuba's own derivatives of hits
are off by |∇φ|, and those of its smooth normals leave out the values.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.errors import SceneError
from pbdr.parameters import traverse
from pbdr.transport import groups

KIND = "SDFGrid"
NOWHERE = 0xFFFFFFFF
TURNED = 1e-6  # sine of an angle
PROBES = 64  # voxels that are asked which normals they have
AXES = ((1, 2), (2, 0), (0, 1))  # the two axes that follow each axis


def is_grid(shape: Any) -> bool:
    """Whether a shape is a grid of signed distances."""
    return bool(shape.class_name() == KIND)


def on_host(shape: Any) -> Any:
    """Values (N, N, N), detached, by z, y, x."""
    values = dr.detach(traverse(shape)["grid"])
    return np.array(values, dtype=np.float64).reshape(values.shape[:3])


def check(shape: Any) -> None:
    """Raise SceneError for grids whose surface has no boundary term."""
    values = on_host(shape)
    name = f"the grid of shape '{shape.id()}'"
    if len(set(values.shape)) != 1:
        z, y, x = values.shape
        raise SceneError(
            f"{name} has {x} x {y} x {z} values: Mitsuba traces grids wrongly unless they have as many along every axis. "
            "Resample it."
        )
    linear = np.array(dr.detach(traverse(shape)["to_world"].matrix), dtype=np.float64).reshape(4, 4, -1)[:3, :3, 0]
    if np.abs(linear - np.diag(np.diag(linear))).max() > TURNED * np.abs(linear).max():
        raise SceneError(
            f"{name} is turned or sheared by its to_world, and Mitsuba traces such grids wrongly: its boxes around voxels do "
            "not hold them. Only move and scale it; turn its values instead."
        )
    if not np.isfinite(values).all():
        raise SceneError(f"{name} has values that are not finite.")
    inside = [np.take(values, end, axis).min() <= 0 for axis in range(3) for end in (0, -1)]
    if any(inside):
        raise SceneError(
            f"{name} reaches its border: values there must be positive (outside), else the surface has an open end. Enlarge it."
        )
    zero = values == 0
    along = [np.take(zero, range(1, zero.shape[k]), k) & np.take(zero, range(zero.shape[k] - 1), k) for k in range(3)]
    if any(x.any() for x in along):
        raise SceneError(
            f"{name} is exactly zero at neighbouring points, so that its surface runs along the borders of voxels, where two have "
            "the same edge. Shift its values by a millionth."
        )


@dataclass
class Frame:
    """Axes of a voxel in world space, as long as the voxel, and the world position of the first value."""

    x: Any
    y: Any
    z: Any
    origin: Any

    def detached(self) -> Frame:
        """The same without derivatives."""
        return Frame(*(dr.detach(v) for v in (self.x, self.y, self.z, self.origin)))

    def vector(self, local: Any) -> Any:
        """World vector of one in voxels."""
        return self.x * local.x + self.y * local.y + self.z * local.z

    def point(self, local: Any) -> Any:
        """World point of one in voxels."""
        return self.vector(local) + self.origin

    def local(self, point: Any) -> Any:
        """World point in voxels."""
        return self.local_vector(mi.Vector3f(point) - self.origin)

    def local_vector(self, vector: Any) -> Any:
        """World vector in voxels."""
        return mi.Vector3f(groups.solve(self.x, self.y, self.z, vector))

    def normal(self, slope: Any) -> Any:
        """World vector along which a function grows whose gradient is `slope` in voxels; not of unit length."""
        dual = dr.cross(self.y, self.z), dr.cross(self.z, self.x), dr.cross(self.x, self.y)
        result = dual[0] * slope.x + dual[1] * slope.y + dual[2] * slope.z
        return dr.mulsign(result, dr.dot(self.x, dual[0]))

    def spread(self, here: Any) -> Frame:
        """The frame where `here`, elsewhere one that nothing divides by zero with."""
        units = (mi.Vector3f(unit) for unit in groups.UNIT)
        return Frame(
            *(dr.select(here, v, e) for v, e in zip((self.x, self.y, self.z, self.origin), units, strict=True))
        )


@dataclass
class Cell:
    """φ at the eight corners of a voxel, by x + 2y + 4z; positions count from the first corner."""

    values: list[Any]

    def weights(self, at: Any) -> list[tuple[Any, Any]]:
        """For each axis, weights of both ends."""
        return [(1 - at[k], at[k]) for k in range(3)]

    def value(self, at: Any) -> Any:
        """φ."""
        w = self.weights(at)
        total = mi.Float(0)
        for n, value in enumerate(self.values):
            total += w[0][n & 1] * w[1][n >> 1 & 1] * w[2][n >> 2] * value
        return total

    def slope(self, at: Any) -> Any:
        """∇φ per voxel."""
        w = self.weights(at)
        result = []
        for k, (p, q) in enumerate(AXES):
            total = mi.Float(0)
            for n in range(8):
                if not n >> k & 1:
                    total += w[p][n >> p & 1] * w[q][n >> q & 1] * (self.values[n | 1 << k] - self.values[n])
            result.append(total)
        return mi.Vector3f(*result)

    def bend(self, at: Any, direction: Any) -> Any:
        """Second derivative of φ along a direction."""
        w = self.weights(at)
        total = mi.Float(0)
        for k, (p, q) in enumerate(AXES):
            for end in (0, 1):
                n = end << k
                mixed = (
                    self.values[n | 1 << p | 1 << q]
                    - self.values[n | 1 << p]
                    - self.values[n | 1 << q]
                    + self.values[n]
                )
                total += 2 * w[k][end] * mixed * direction[p] * direction[q]
        return total


class Grids:
    """Grids of a scene by number. Not a dataclass: Dr.Jit must not take it for loop state.

    `values`: detached values of all of them; `start`: where those of a grid begin; `side`: how many it has along an axis;
    `columns`: detached frames; `smooth`: which interpolate normals; `attached`: (number, shape) of those that carry derivatives.
    """

    def __init__(self, scene: Any) -> None:
        self.shapes = [shape for shape in scene.shapes() if is_grid(shape)]
        for shape in self.shapes:
            check(shape)
        parameters = [traverse(shape) for shape in self.shapes]
        tensors = [p["grid"] for p in parameters]
        matrices = [p["to_world"].matrix for p in parameters]
        numbers = lambda x: mi.UInt32(aligned(x, np.uint32))  # noqa: E731
        self.side_host = sizes = [t.shape[0] for t in tensors]
        self.offset = np.cumsum([0, *(n**3 for n in sizes[:-1])])
        self.values = dr.concat([dr.detach(t.array) for t in tensors])
        self.start, self.side = numbers(self.offset), numbers(sizes)
        poses = np.array([np.array(dr.detach(m), dtype=np.float64).reshape(4, 4, -1)[..., 0] for m in matrices])
        poses[:, :, :3] /= (np.array(sizes) - 1)[:, None, None]
        self.columns = [mi.Vector3f(*map(aligned, poses[:, :3, j].T)) for j in range(4)]
        addresses = np.array([int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(s))[0]) for s in self.shapes], np.uint32)
        number = np.full(int(addresses.max()) + 1, NOWHERE, np.uint32)
        number[addresses] = np.arange(len(self.shapes))
        self.number = numbers(number)
        self.attached = [
            (k, shape)
            for k, (shape, t, m) in enumerate(zip(self.shapes, tensors, matrices, strict=True))
            if dr.grad_enabled(t) or dr.grad_enabled(m)
        ]
        dr.eval(self.values, self.start, self.side, self.columns, self.number)
        self.smooth_host = [self._interpolates(k) for k in range(len(self.shapes))]
        self.smooth = mi.Bool(self.smooth_host)

    @staticmethod
    def of(scene: Any) -> Grids | None:
        """The grids of a scene; None if it has none."""
        return Grids(scene) if any(is_grid(shape) for shape in scene.shapes()) else None

    def number_of(self, shape: Any) -> int:
        """Which of them a shape is."""
        return self.shapes.index(shape)

    def occupied(self, k: int) -> Any:
        """First corners, as indices of `values`, of the voxels of grid k that the surface passes through."""
        return self._crossed(k, (0, 0, 0), (1, 1, 1))

    def crossed_faces(self, k: int, axis: int) -> Any:
        """The same for the faces between two voxels across an axis (0: x)."""
        return self._crossed(k, *(tuple(int(a == axis) ^ flip for a in range(3)) for flip in (0, 1)))  # type: ignore[arg-type]

    def _crossed(self, k: int, begin: tuple[int, int, int], span: tuple[int, int, int]) -> Any:
        """Values from `begin` on along x, y, z that begin a box of `span` voxels with corners inside and outside."""
        side = int(self.side_host[k])
        x, y, z = dr.meshgrid(*[dr.arange(mi.UInt32, b, side - 1) for b in begin], indexing="ij")
        first = x + side * (y + side * z) + int(self.offset[k])
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
        number = dr.full(mi.UInt32, k, dr.width(first))
        hit = dr.zeros(mi.PreliminaryIntersection3f, dr.width(first))
        hit.t, hit.shape, hit.valid = mi.Float(1), mi.ShapePtr(self.shapes[k]), mi.Bool(True)
        with dr.suspend_grad():
            point = self.frame(number, True).point(self.place(number, first) + mi.Vector3f(0.4, 0.45, 0.55))
            ray = mi.Ray3f(mi.Point3f(point - mi.Vector3f(0, 0, 1)), mi.Vector3f(0, 0, 1))
            si = hit.compute_surface_interaction(ray, mi.RayFlags.ShadingFrame)
            return bool(dr.any(dr.max(dr.abs(si.sh_frame.n - si.n)) > 1e-6))

    # ------------------------------------------------------------------ of lanes

    def on(self, hit: Any, active: Any) -> tuple[Any, Any]:
        """For hits: whether on a grid, and its number."""
        address = dr.reinterpret_array(mi.UInt32, hit.shape)
        here = mi.Bool(active) & hit.is_valid() & (address != 0) & (address < dr.width(self.number))
        number = dr.gather(mi.UInt32, self.number, address, here)
        here &= number != NOWHERE
        return here, dr.select(here, number, 0)

    def smooth_on(self, hit: Any, active: Any) -> Any:
        """Whether hits are on a grid that interpolates normals."""
        here, number = self.on(hit, active)
        return here & dr.gather(mi.Bool, self.smooth, number, here)

    def frame(self, number: Any, active: Any) -> Frame:
        """Frames of grids, attached."""
        columns = [dr.gather(mi.Vector3f, column, number, active) for column in self.columns]
        for k, shape in self.attached:
            matrix = traverse(shape)["to_world"].matrix
            scale = 1 / (traverse(shape)["grid"].shape[0] - 1)
            chosen = active & (number == k)
            moved = [column * (scale if j < 3 else 1) for j, column in enumerate(groups.pose_of_lanes(matrix, chosen))]
            columns = [dr.select(chosen, new, old) for new, old in zip(moved, columns, strict=True)]
        return Frame(*columns)

    def place(self, number: Any, first: Any) -> Any:
        """Position, in voxels, of the value at index `first`."""
        side, index = self._side(number), first - dr.gather(mi.UInt32, self.start, number)
        return mi.Vector3f(index % side, (index // side) % side, index // (side * side))

    def _side(self, number: Any) -> Any:
        return dr.gather(mi.UInt32, self.side, number)

    def at(self, number: Any, x: Any, y: Any, z: Any, active: Any) -> Any:
        """Attached value of φ at whole positions; beyond the border, that of the border."""
        side = self._side(number)
        inside = lambda k: mi.UInt32(dr.clip(mi.Int32(k), 0, mi.Int32(side) - 1))  # noqa: E731
        index = inside(x) + side * (inside(y) + side * inside(z))
        result = dr.gather(mi.Float, self.values, dr.gather(mi.UInt32, self.start, number) + index, active)
        for k, shape in self.attached:
            chosen = active & (number == k)
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

    def moved(self, evaluate: Callable[..., Any], hit: Any, ray: Any, active: Any, follow: bool) -> Any:
        """`evaluate(hit, ray, active)` with the right derivatives on grids: at the material point if `follow`, else sliding."""
        with at_rest(self):
            si = evaluate(hit, ray, active)
        here, number = self.on(hit, active)
        frame = self.frame(number, here).spread(here)
        still = frame.detached()
        local = still.local(dr.detach(si.p))
        corner = self.voxel(number, local)
        cell = self.cell(number, corner, here)
        at = local - corner
        slope = dr.detach(cell.slope(at))
        now = frame.point(corner + self.follow(cell, at, slope))
        distance = dr.norm(now - ray.o) * dr.rcp(dr.norm(ray.d))
        if not follow:
            n = still.normal(slope)
            facing = dr.dot(n, dr.detach(ray.d))
            facing = dr.select(here & (dr.abs(facing) > 0), facing, -1)
            met = dr.dot(n, now - ray.o) / dr.select(here, dr.dot(n, ray.d), facing)
            distance = dr.replace_grad(hit.t, met)
            now = ray.o + distance * ray.d
        local = dr.replace_grad(local, frame.local(now))
        normal = dr.normalize(frame.normal(cell.slope(local - corner)))
        shading = normal
        if any(self.smooth_host):
            smooth = self.smooth_on(hit, active)
            bent = frame.normal(self.smooth_slope(number, local, smooth))
            shading = dr.select(smooth, dr.normalize(dr.select(smooth, bent, mi.Vector3f(0, 0, 1))), normal)
        value = lambda old, new: dr.select(here, dr.replace_grad(old, new), old)  # noqa: E731
        si.p = mi.Point3f(value(mi.Vector3f(si.p), mi.Vector3f(now)))
        si.t = value(si.t, distance)
        si.n = mi.Normal3f(value(mi.Vector3f(si.n), normal))
        si.sh_frame.n = mi.Normal3f(value(mi.Vector3f(si.sh_frame.n), shading))
        s, t = mi.coordinate_system(shading)
        si.sh_frame.s, si.sh_frame.t = value(si.sh_frame.s, s), value(si.sh_frame.t, t)
        return si


def at_rest(grids: Grids | None) -> Any:
    """Context in which Mitsuba's own derivatives of grids are switched off: all of them are replaced."""
    moving = [] if grids is None else [x for _, shape in grids.attached for x in _parameters(shape)]
    return dr.suspend_grad(*moving, when=bool(moving))


def _parameters(shape: Any) -> list[Any]:
    parameters = traverse(shape)
    return [parameters["grid"], parameters["to_world"]]
