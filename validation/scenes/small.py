"""Cameras, probes and shapes of small scenes whose derivatives are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from pbdr.scene import load_scene
from validation.agreement import Array

T = mi.ScalarTransform4f


# ---------------------------------------------------------------------- cameras


def film_camera(half: float = 0.5, size: int = 32, **film: Any) -> dict[str, Any]:
    """Camera at the origin that looks along z; its film at distance 1 covers [−half, half]², X to the left, Y up."""
    return {
        "type": "perspective", "fov": float(2 * np.degrees(np.arctan(half))), "near_clip": 0.01,
        "film": {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}, **film},
    }  # fmt: skip


def pixel_bounds(half: float, size: int, row: int, column: int) -> tuple[float, float, float, float]:
    """(X low, X high, Y low, Y high) of a pixel of `film_camera` at distance 1."""
    step = 2 * half / size
    return half - step * (column + 1), half - step * column, half - step * (row + 1), half - step * row


def film_integral(half: float, size: int) -> Array:
    """Adjoint image that makes Σ adjoint · image the integral of grey radiance over the film at distance 1."""
    return np.full((size, size, 3), (2 * half / size) ** 2 / 3)


PROBE = 8  # pixels a side of a probe's film


@dataclass
class Probe:
    """Camera that looks from `origin` to `target` with a narrow view, and the mean of its film as an integral.

    Its film at distance 1 covers [−half, half]².
    """

    origin: Any
    target: Any
    half: float = 0.07
    size: int = PROBE

    def sensor(self) -> dict[str, Any]:
        return {
            "type": "perspective", "fov": float(2 * np.degrees(np.arctan(self.half))), "near_clip": 0.01,
            "to_world": T().look_at(origin=list(self.origin), target=list(self.target), up=[0, 1, 0]),
            "film": {"type": "hdrfilm", "width": self.size, "height": self.size, "rfilter": {"type": "box"}},
        }  # fmt: skip

    def adjoint(self) -> Array:
        """Makes Σ adjoint · image the mean of the (grey) film."""
        return np.full((self.size, self.size, 3), 1 / (3 * self.size**2))

    def floor_points(self, z: Any = 0.0, order: int = 8) -> tuple[Any, Any, Array]:
        """Where the rays through Gauss–Legendre nodes of the film meet the plane at height `z`: x, y and the nodes' weights."""
        origin = np.array(self.origin, dtype=np.float64)
        forward = np.array(self.target) - origin
        forward /= np.linalg.norm(forward)
        right = np.cross([0, 1, 0], forward)
        right /= np.linalg.norm(right)
        nodes, weights = np.polynomial.legendre.leggauss(order)
        s, t = (self.half * g.ravel() for g in np.meshgrid(nodes, nodes))
        rays = forward + s[:, None] * right + t[:, None] * np.cross(forward, right)
        travel = (z - origin[2]) / rays[:, 2]
        return origin[0] + travel * rays[:, 0], origin[1] + travel * rays[:, 1], np.outer(weights, weights).ravel() / 4


# ---------------------------------------------------------------------- shapes


def area_light(radiance: float) -> dict[str, Any]:
    """A grey emitter of this radiance."""
    return {"type": "area", "radiance": {"type": "rgb", "value": radiance}}


def diffuse(albedo: float) -> dict[str, Any]:
    """A grey material."""
    return {"type": "diffuse", "reflectance": {"type": "rgb", "value": albedo}}


def shape(kind: str, pose: Any, **rest: Any) -> dict[str, Any]:
    """Rectangle, disk, sphere or cylinder with a 4×4 pose."""
    return {"type": kind, "to_world": T(np.asarray(pose, dtype=np.float64)), **rest}


def pose(origin: Any = (0, 0, 0), x: Any = (1, 0, 0), y: Any = (0, 1, 0), z: Any = (0, 0, 1)) -> Array:
    """4×4 matrix of a frame; affine in its arguments, so that differences of poses are tangents."""
    result = np.eye(4)
    result[:3] = np.stack([x, y, z, origin], 1)
    return result


def shift(*direction: float) -> Array:
    """Tangent (3, 4) of a pose that moves along a direction."""
    result = np.zeros((3, 4))
    result[:, 3] = direction
    return result


def mesh(folder: Path, name: str, vertices: Any, faces: Any, texcoords: Any = None, **rest: Any) -> dict[str, Any]:
    """Flat-shaded mesh, written to `folder` and read back by the scene; vertices are welded or not as given."""
    made = mi.Mesh(name, len(vertices), len(faces), has_vertex_texcoords=texcoords is not None)
    params = mi.traverse(made)
    params["vertex_positions"] = mi.Float(np.asarray(vertices, np.float32).ravel())
    params["faces"] = mi.UInt32(np.asarray(faces, np.uint32).ravel())
    if texcoords is not None:
        params["vertex_texcoords"] = mi.Float(np.asarray(texcoords, np.float32).ravel())
    params.update()
    path = folder / f"{name}.ply"
    made.write_ply(str(path))
    return {"type": "ply", "filename": str(path), "face_normals": True, **rest}


QUAD = [[0, 1, 2], [0, 2, 3]]


def quad(folder: Path, name: str, frame: Array, **rest: Any) -> dict[str, Any]:
    """The mesh twin of a rectangle with this pose."""
    corners = [[-1, -1, 0, 1], [1, -1, 0, 1], [1, 1, 0, 1], [-1, 1, 0, 1]]
    return mesh(folder, name, (np.array(corners) @ frame.T)[:, :3], QUAD, **rest)


def everywhere(*direction: float, vertices: int) -> Array:
    """Tangent (V, 3) of a mesh whose vertices all move along a direction."""
    return np.tile(np.array(direction, dtype=np.float64), (vertices, 1))


def scene_of(**parts: Any) -> Any:
    """A scene of these parts, loaded."""
    return load_scene({"type": "scene", **parts})
