"""Small scenes whose derivatives are known, and the replicas of their gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from pbdr.rendering import gradient
from pbdr.scene import load_scene
from validation.agreement import Array, replicas

T = mi.ScalarTransform4f
REPLICAS = 16
TERMS = ("interior", "primary", "direct")


@dataclass
class Terms:
    """Replicas of the terms of a derivative: each (N, ...)."""

    parts: dict[str, Array]

    @property
    def total(self) -> Array:
        return self.without()

    def only(self, *names: str) -> Array:
        return np.sum([self.parts[name] for name in names], axis=0)

    def without(self, *names: str) -> Array:
        """Sum of all other terms: what a renderer without these terms would give."""
        return np.sum([x for name, x in self.parts.items() if name not in names], axis=0)


def derivatives(
    scene: Any, tangents: Mapping[str, Any], adjoint: Array, *, spp: int = 16, replica_count: int = REPLICAS,
    terms: tuple[str, ...] = TERMS, sensor: int = 0, **options: Any,
) -> Terms:  # fmt: skip
    """Directional derivatives of Σ adjoint · image: `tangents` maps parameter names to (K, *shape); the parts are (N, K).

    With a tangent of None the whole gradient of that (only) parameter is kept: (N, *shape).
    """
    integrator = {"type": "pathspace", **options}

    def estimate(seed: int) -> list[Any]:
        found = gradient(
            scene, list(tangents), adjoint, spp=spp, seed=seed, integrator=integrator, terms=terms, sensor=sensor
        )
        rows = []
        for term in terms:
            total: Any = 0
            for name, tangent in tangents.items():
                value = getattr(found, term)[name].astype(np.float64)
                total = total + (
                    value if tangent is None else np.asarray(tangent).reshape(len(tangent), -1) @ value.ravel()
                )
            rows.append(total)
        return rows

    samples = replicas(estimate, replica_count, *tangents)
    return Terms({term: samples[:, i] for i, term in enumerate(terms)})


def derivative_of(function: Callable[..., Any], *at: float) -> Array:
    """Partial derivatives of an analytic function of real arguments, exact in double precision (complex step)."""
    step = 1e-40
    return np.array(
        [np.imag(function(*[x + 1j * step * (i == k) for i, x in enumerate(at)])) / step for k in range(len(at))]
    )


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


def lambert(corners: Any, x: Any, y: Any, z: Any = 0.0) -> Any:
    """Irradiance at (x, y, z), normal upwards, from a polygon of unit radiance above that plane (form 11).

    corners: (K, 3), possibly complex; x, y: (M,). Positive for corners that run clockwise when seen from below.
    """
    offsets = [[np.asarray(c[0] - x), np.asarray(c[1] - y), c[2] - z + 0 * x] for c in corners]
    norms = [np.sqrt(a * a + b * b + c * c) for a, b, c in offsets]
    total = 0.0
    for k, (a, n) in enumerate(zip(offsets, norms, strict=True)):
        b, m = offsets[(k + 1) % len(offsets)], norms[(k + 1) % len(offsets)]
        cosine = (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) / (n * m)
        sine = np.sqrt(1 - cosine * cosine)
        total = total + 0.5 * np.arccos(cosine) * (a[0] * b[1] - a[1] * b[0]) / (n * m * sine)
    return total


# ---------------------------------------------------------------------- shapes


def area_light(radiance: float) -> dict[str, Any]:
    return {"type": "area", "radiance": {"type": "rgb", "value": radiance}}


def diffuse(albedo: float) -> dict[str, Any]:
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
    return load_scene({"type": "scene", **parts})
