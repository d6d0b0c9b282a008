"""The scene of docs/theory.md, section 9: a bumpy flat-shaded closed mesh over a floor, one area light, 128².

The parameters are those of a similarity transform of the mesh. `Blob.tangents` holds what a unit of each does to the
vertices, so that one gradient with respect to the vertices gives all of them; `Blob.moved` applies them exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 128
COMPONENTS = ("x", "y", "z", "rotation", "scale")
#: Degrees about the vertical axis that one unit of the component "rotation" means.
DEGREES = 50.0
POSITIONS = "blob/positions"
RAW = "blob.vertex_positions"


@dataclass(frozen=True)
class Blob:
    """vertices (N, 3) in world space, faces (M, 3)."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    @classmethod
    def subdivided(cls, times: int) -> Blob:
        """20 · 4^times faces: a subdivided icosahedron with a wavy radius around 0.6, centre 0.7 above the floor."""
        import trimesh

        ball = trimesh.creation.icosphere(subdivisions=times)
        x, y, z = np.asarray(ball.vertices, dtype=np.float64).T
        radius = 0.6 * (1 + 0.15 * np.sin(6.5 * x + 1) * np.sin(4 * y + 0.3) * np.cos(6 * z))
        vertices = radius[:, None] * np.stack([x, y, z], axis=1) + [0, 0, 0.7]
        # Rounded once, so that the file, the tangents and the finite differences speak of the same points.
        return cls(vertices.astype(np.float32).astype(np.float64), np.asarray(ball.faces))

    @property
    def tangents(self) -> NDArray[np.float64]:
        """(5, N, 3): derivative of the vertices with respect to each of COMPONENTS."""
        return np.stack([self.tangent(component) for component in COMPONENTS])

    def moved(self, component: str, amount: float) -> NDArray[np.float64]:
        """(N, 3) vertices after `amount` of one component; rotation and scale are about the origin."""
        if component == "scale":
            return self.vertices * (1 + amount)
        if component == "rotation":
            c, s = np.cos(np.radians(DEGREES) * amount), np.sin(np.radians(DEGREES) * amount)
            return self.vertices @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
        return self.vertices + amount * np.eye(3)[COMPONENTS.index(component)]

    def tangent(self, component: str, amount: float = 0.0) -> NDArray[np.float64]:
        """(N, 3): derivative of `moved(component, amount)` with respect to the amount."""
        if component == "rotation":
            return np.radians(DEGREES) * self.moved(component, amount) @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 0]])
        if component == "scale":
            return self.vertices
        return np.broadcast_to(np.eye(3)[COMPONENTS.index(component)], self.vertices.shape)

    def write_ply(self, path: Path) -> None:
        """A binary PLY file without normals."""
        import trimesh

        trimesh.Trimesh(self.vertices, self.faces, process=False).export(path, vertex_normal=False)


def sensor(size: int = SIZE, sampler: str = "independent") -> dict[str, Any]:
    """Dictionary of the scene's camera, with a sampler of Mitsuba's."""
    import mitsuba as mi

    return {
        "type": "perspective",
        "fov": 40,
        "to_world": mi.ScalarTransform4f().look_at([0, -4, 2.2], [0, 0, 0.5], [0, 0, 1]),
        "film": {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}},
        "sampler": {"type": sampler},
    }


def scene(blob: Blob, folder: Path, size: int = SIZE) -> Any:
    """The scene as a `pbdr.scene.Scene`; the mesh's file is written into `folder`."""
    import mitsuba as mi

    import pbdr

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"blob-{len(blob.faces)}.ply"
    blob.write_ply(path)
    look_at = mi.ScalarTransform4f().look_at

    def diffuse(*colour: float) -> dict[str, Any]:
        return {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(colour)}}

    return pbdr.load_scene(
        {
            "type": "scene",
            "sensor": sensor(size),
            "floor": {
                "type": "rectangle",
                "to_world": mi.ScalarTransform4f().scale(4),
                "bsdf": diffuse(0.6, 0.5, 0.4),
            },
            "blob": {"type": "ply", "filename": str(path), "face_normals": True, "bsdf": diffuse(0.3, 0.5, 0.8)},
            "light": {
                "type": "rectangle",
                "to_world": look_at([1.5, -1, 4], [0, 0, 0.5], [0, 0, 1]) @ mi.ScalarTransform4f().scale(0.5),
                "bsdf": diffuse(0, 0, 0),
                "emitter": {"type": "area", "radiance": {"type": "rgb", "value": 12.0}},
            },
        }
    )


def adjoint(size: int = SIZE) -> NDArray[np.float32]:
    """(size, size, 3): the fixed smooth weights of the image whose weighted sum is differentiated."""
    y, x = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    weights = np.stack([np.sin(6 * x + 2 * y), np.cos(5 * y - 3 * x), np.sin(9 * x * y)], axis=-1)
    return np.asarray(weights / size**2, dtype=np.float32)
