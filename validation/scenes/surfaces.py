"""Triangle meshes that are estimated: a ball or any other mesh under a coloured sky, seen from all around."""

from __future__ import annotations

from typing import Any

import mitsuba as mi
import numpy as np
import trimesh
from numpy.typing import NDArray

from validation.scenes.zoo import T

Array = NDArray[Any]
DISTANCE = 3.2  # of the cameras from the middle, around objects of size 2


def directions(count: int, turn: float = 0.0) -> Array:
    """(count, 3) unit vectors, spread evenly over the sphere, and turned about its axis."""
    k = np.arange(count) + 0.5
    z, angle = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k + turn
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)


def sky() -> Any:
    """A bitmap of an environment of three soft colours, under which every direction of a surface looks different."""
    rows, columns = 16, 32
    theta, phi = (np.arange(rows)[:, None] + 0.5) / rows * np.pi, (np.arange(columns) + 0.5) / columns * 2 * np.pi
    w = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi], axis=2)
    lobes = np.array([[1, 0.3, 0.4], [-0.6, 0.8, 0.2], [-0.3, -0.8, -0.6]])
    lobes /= np.linalg.norm(lobes, axis=1, keepdims=True)
    return mi.Bitmap((0.25 + 1.5 * np.maximum(w @ lobes.T, 0) ** 2).astype(np.float32))


def up(direction: Array) -> Array:
    """Which way is up for a camera that looks at the middle from this direction."""
    return np.array([0.0, 0.0, 1.0]) if abs(direction[2]) < 0.9 else np.array([0.0, 1.0, 0.0])


def camera(direction: Array, size: int) -> dict[str, Any]:
    """A perspective camera that looks at the middle from this direction."""
    film = {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
    look = T().look_at(list(DISTANCE * direction), [0, 0, 0], list(up(direction)))
    return {"type": "perspective", "fov": 45, "to_world": look, "film": film}


def seen(path: str, views: int, size: int, turn: float = 0.0, face_normals: bool = True) -> dict[str, Any]:
    """The mesh of a PLY file, grey and matt, as the scene's `object`, seen by `views` cameras with films of size²."""
    return {
        "type": "scene",
        **{f"camera-{k:02d}": camera(d, size) for k, d in enumerate(directions(views, turn))},
        "sky": {"type": "envmap", "bitmap": sky()},
        "object": {
            "type": "ply", "filename": path, "face_normals": face_normals,
            "bsdf": {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.6}}},
        },
    }  # fmt: skip


def ball(subdivisions: int, radius: float = 0.8, seed: int | None = None) -> trimesh.Trimesh:
    """An icosphere; with a seed, its middle, its radius and its turn are a little off."""
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    if seed is None:
        return mesh
    rng = np.random.default_rng(seed)
    turn = trimesh.transformations.random_rotation_matrix(rng.uniform(size=3))[:3, :3]
    vertices = mesh.vertices @ turn.T * rng.uniform(0.9, 1.1) + rng.uniform(-0.05, 0.05, 3) * radius
    return trimesh.Trimesh(vertices, mesh.faces, process=False)


def peanut(subdivisions: int) -> trimesh.Trimesh:
    """Two lobes and a waist (Cassini's oval, turned about its axis), slanted, 1.7 long."""
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    axis, a, b = np.array([0.6, 0.48, 0.64]), 0.6, 0.65
    c = 2 * (mesh.vertices @ axis) ** 2 - 1  # cosine of twice the angle to the axis
    radius = np.sqrt(a**2 * c + np.sqrt(b**4 - a**4 * (1 - c**2)))
    return trimesh.Trimesh(mesh.vertices * radius[:, None], mesh.faces, process=False)
