"""How near one surface is to another, and what state its faces are in."""

from __future__ import annotations

import numpy as np
import trimesh

from pbdr.job.surfaces import distance
from pbdr.parameters.meshes import Triangles


def chamfer(a: trimesh.Trimesh, b: trimesh.Trimesh, count: int = 4000) -> float:
    """Mean distance of `count` random points of either surface to the other, mean of both ways, in scene units."""
    first, second = (Triangles(np.asarray(mesh.vertices), np.asarray(mesh.faces)) for mesh in (a, b))
    return distance(first, second, count)


def bend(mesh: trimesh.Trimesh) -> float:
    """Mean angle between the normals of faces that share an edge, in degrees."""
    return float(np.degrees(np.abs(mesh.face_adjacency_angles)).mean())


def inverted(mesh: trimesh.Trimesh, limit: float = 120.0) -> int:
    """Number of edges whose two faces are folded back onto each other, by more than `limit` degrees."""
    return int((np.degrees(np.abs(mesh.face_adjacency_angles)) > limit).sum())
