"""Shapes where a scene shows them, and the solids on the host that stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import numpy as np

from pbdr.geometry import curve_edges, curves, grid_edges, grid_values, grids, intersections, poses
from pbdr.parameters import traverse

ROUND, SPANS = 12, 6  # of the polygonal tubes that stand for curve shapes: corners around, lengths along a segment
SIDES = 64  # of the polygons, drawn inside disks and cylinders, that stand for them here


@dataclass
class Placed:
    """A shape where the scene shows it: `index` in the scene; for shapes of a group that of the instance, `member` and `frame`."""

    shape: Any
    index: int
    member: int
    frame: Any

    @property
    def key(self) -> str:
        """Name of the mesh in caches; the same for all instances of a group."""
        return f"{self.index}:{self.shape.id()}" if self.frame is None else f"group:{self.shape.id()}"

    def matrix(self) -> intersections.Array:
        """Detached pose (4, 4): of the instance, for meshes of a group; of round shapes themselves; of both, for grids."""
        outer = np.eye(4) if self.frame is None else poses.on_host(self.frame.matrix)
        if self.frame is not None and not grids.is_grid(self.shape):
            return outer
        return np.asarray(outer @ poses.on_host(traverse(self.shape)["to_world"].matrix))

    def state(self) -> list[Any]:
        """What says where the shape is: buffers of meshes, poses as bytes."""
        if curves.is_curve(self.shape):
            return [dr.detach(traverse(self.shape)["control_points"])]
        if grids.is_grid(self.shape):
            return [dr.detach(traverse(self.shape)["grid"].array), self.matrix().tobytes()]
        pose = [] if self.shape.is_mesh() and self.frame is None else [self.matrix().tobytes()]
        buffers = [self.shape.vertex_positions_buffer(), self.shape.faces_buffer()] if self.shape.is_mesh() else []
        return [*(dr.detach(x) for x in buffers), *pose]

    def solid(self, weld: Any = None) -> intersections.Solid:
        """On the host, in world space: the mesh, or the polygons that stand for a disk, a cylinder or a grid; empty for spheres.

        `weld`: representative of every vertex, as in `topology.Topology`; without it, copies of a vertex stay apart.
        """
        if curves.is_curve(self.shape):
            return _tubes(self.shape)
        if grids.is_grid(self.shape):
            return grid_edges.net(grid_values.on_host(self.shape), self.matrix())
        if not self.shape.is_mesh():
            return _polygons(self.shape.class_name(), self.matrix())
        positions = np.array(dr.detach(self.shape.vertex_positions_buffer()), dtype=np.float64).reshape(-1, 3)
        if self.frame is not None:
            matrix = self.matrix()
            positions = positions @ matrix[:3, :3].T + matrix[:3, 3]
        faces = np.array(self.shape.faces_buffer()).reshape(-1, 3)
        return intersections.Solid(faces if weld is None else weld[faces], positions)


def _tubes(shape: Any) -> intersections.Solid:
    """Polygonal tubes drawn inside a curve shape."""
    points, starts = curves.on_host(shape)
    bent = shape.class_name() == curves.TUBES
    steps = np.linspace(0, 1, SPANS + 1) if bent else np.linspace(0, 1, 2)
    angle = 2 * np.pi * (np.arange(ROUND) + 0.37) / ROUND
    vertices: list[Any] = []
    faces: list[Any] = []
    for start in starts:
        rings = np.stack(
            [
                curve_edges.blend(points, start, v) if bent else (1 - v) * points[start] + v * points[start + 1]
                for v in steps
            ]
        )
        tangent = np.gradient(rings[:, :3], axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        x = np.cross(tangent, np.eye(3)[np.argmin(np.abs(tangent[0]))])
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        y = np.cross(tangent, x)
        arms = np.cos(angle)[None, :, None] * x[:, None] + np.sin(angle)[None, :, None] * y[:, None]
        count = sum(map(len, vertices))
        vertices.append((rings[:, None, :3] + rings[:, None, 3:] * arms).reshape(-1, 3))
        k, following = np.arange(ROUND), (np.arange(ROUND) + 1) % ROUND
        for i in range(len(steps) - 1):
            low, high = count + i * ROUND, count + (i + 1) * ROUND
            faces.append(np.stack([low + k, low + following, high + k], 1))
            faces.append(np.stack([low + following, high + following, high + k], 1))
    return intersections.Solid(np.concatenate(faces).astype(np.uint32), np.concatenate(vertices))


def _polygons(kind: str, matrix: intersections.Array) -> intersections.Solid:
    """Inscribed polygons of a unit disk or cylinder with this pose."""
    angle = 2 * np.pi * (np.arange(SIDES) + 0.37) / SIDES  # no corner on an axis
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    k, following = np.arange(SIDES), (np.arange(SIDES) + 1) % SIDES
    if kind == "Cylinder":
        points = np.concatenate([ring, ring + [0, 0, 1]])
        faces = np.concatenate(
            [np.stack(t, 1) for t in ((k, following, k + SIDES), (following, following + SIDES, k + SIDES))]
        )
    elif kind == "Disk":
        points, faces = np.concatenate([ring, [[0, 0, 0]]]), np.stack([k, following, np.full(SIDES, SIDES)], 1)
    else:
        points, faces = np.zeros((1, 3)), np.zeros((0, 3), np.int64)
    return intersections.Solid(faces.astype(np.uint32), points @ matrix[:3, :3].T + matrix[:3, 3])
