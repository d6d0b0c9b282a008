"""A coarse ball with interpolated normals above a floor."""

from __future__ import annotations

from typing import Any

import mitsuba as mi
import numpy as np
import trimesh

from pbdr.scene import load_scene
from validation.scenes.zoo import SIZE, T


def smooth_file(folder: Any, vertices: np.ndarray, faces: np.ndarray) -> str:
    """Path of a PLY file of a mesh with vertex normals."""
    mesh = mi.Mesh("ball", len(vertices), len(faces), has_vertex_normals=True)
    params = mi.traverse(mesh)
    params["vertex_positions"], params["faces"] = vertices.ravel(), faces.astype(np.uint32).ravel()
    params.update()
    mesh.recompute_vertex_normals()
    path = str(folder / "ball.ply")
    mesh.write_ply(path)
    return path


def fine_ball(folder: Any) -> tuple[str, int]:
    """A smooth-shaded ball of 5,120 faces with texture coordinates, whose tangents turn from face to face: (path, vertices)."""
    ball = trimesh.creation.icosphere(subdivisions=4, radius=1.0)
    n = ball.vertices.astype(np.float32)
    mesh = mi.Mesh("ball", len(n), len(ball.faces), has_vertex_normals=True, has_vertex_texcoords=True)
    params = mi.traverse(mesh)
    params["vertex_positions"] = (0.6 * n + np.array([0, 0, 0.7], np.float32)).ravel()
    params["faces"] = ball.faces.astype(np.uint32).ravel()
    params["vertex_texcoords"] = np.stack([n[:, 0] * n[:, 2], n[:, 1] + 0.3 * np.sin(9 * n[:, 0])], -1, dtype=np.float32).ravel()
    params.update()
    mesh.recompute_vertex_normals()
    path = str(folder / "fine.ply")
    mesh.write_ply(path)
    return path, len(n)


def bumpy_ball(folder: Any) -> tuple[str, np.ndarray]:
    """A bumpy smooth-shaded ball of 320 faces as a PLY file: (path, vertices)."""
    ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
    n = ball.vertices
    radius = 0.6 * (1 + 0.15 * np.sin(6.5 * n[:, 0] + 1) * np.sin(4 * n[:, 1] + 0.3) * np.cos(6 * n[:, 2]))
    vertices = (n * radius[:, None] + [0, 0, 0.7]).astype(np.float32)
    path = smooth_file(folder, vertices, ball.faces)
    return path, vertices


def scene_of(path, light, look, fov, colour=(0.3, 0.5, 0.8)):
    """The ball above a floor."""
    film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}, "pixel_format": "rgb"}
    return load_scene({
        "type": "scene",
        "camera": {"type": "perspective", "fov": fov, "film": film, "to_world": look},
        "ball": {"type": "ply", "filename": path,
                 "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(colour)}}},
        "floor": {"type": "rectangle", "to_world": T().scale(3), "bsdf": {"type": "diffuse"}},
        "lamp": light,
    })  # fmt: skip


VIEW = T().look_at([0, -4, 1.8], [0, 0, 0.4], [0, 0, 1])
BESIDE = T().look_at([0, -1.2, 1], [0, -1.2, 0], [0, 1, 0])  # the floor next to the ball
LAMP = {
    "type": "rectangle",
    "to_world": T().look_at([1.5, -1, 4], [0, 0, 0.5], [0, 0, 1]).scale(0.5),
    "emitter": {"type": "area", "radiance": {"type": "rgb", "value": 12.0}},
}
