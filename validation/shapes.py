"""How near one surface is to another, and what state its faces are in."""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

Array = NDArray[Any]


def chamfer(a: trimesh.Trimesh, b: trimesh.Trimesh, count: int = 4000, seed: int = 0) -> float:
    """Mean distance of `count` random points of either surface to the other, mean of both ways, in scene units."""
    p, q = (np.asarray(trimesh.sample.sample_surface(mesh, count, seed=seed)[0]) for mesh in (a, b))
    return 0.5 * float(distances(p, b).mean() + distances(q, a).mean())


def distances(points: Array, mesh: trimesh.Trimesh, near: int = 12) -> Array:
    """Distances of points (N, 3) to a mesh: to the nearest one of the `near` faces whose centres are nearest."""
    from scipy.spatial import cKDTree

    near = min(near, len(mesh.faces))
    _, index = cKDTree(mesh.triangles.mean(axis=1)).query(points, near)
    closest = trimesh.triangles.closest_point(mesh.triangles[index.reshape(-1)], np.repeat(points, near, axis=0))
    return np.asarray(np.linalg.norm(closest.reshape(-1, near, 3) - points[:, None], axis=2).min(axis=1))


def bend(mesh: trimesh.Trimesh) -> float:
    """Mean angle between the normals of faces that share an edge, in degrees."""
    return float(np.degrees(np.abs(mesh.face_adjacency_angles)).mean())


def inverted(mesh: trimesh.Trimesh, limit: float = 120.0) -> int:
    """Number of edges whose two faces are folded back onto each other, by more than `limit` degrees."""
    return int((np.degrees(np.abs(mesh.face_adjacency_angles)) > limit).sum())
