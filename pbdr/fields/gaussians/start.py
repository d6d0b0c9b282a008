"""Gaussians to start from: of points, of COLMAP's sparse model, of the surface of a mesh, or at random in a box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pbdr.data import colmap
from pbdr.errors import DataError, OptionError
from pbdr.fields.gaussians.harmonics import C0
from pbdr.fields.gaussians.model import Gaussians, logit
from pbdr.seeds import hashed

Doubles = NDArray[np.float64]

NEIGHBOURS = 3  # whose distances make the size of a point, as in 3DGS
SMALLEST = 1e-7  # square of a size, as in 3DGS


def from_points(
    points: ArrayLike, colors: ArrayLike | None = None, *, count: int | None = None, opacity: float = 0.1, degree: int = 0,
    seed: int = 0,
) -> Gaussians:  # fmt: skip
    """Round Gaussians at points (N, 3), as large as the three nearest points are far, with colours (N, 3) in [0, 1], or grey.

    `count`: how many; points are drawn where there are more, and repeated nearby where there are fewer. None: one a point.
    `opacity`: of each. `degree`: of the colours, whose higher coefficients are 0. Raises DataError for points that are none.
    """
    from scipy.spatial import cKDTree

    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 2 or not np.isfinite(points).all():
        raise DataError(f"points of the shape {points.shape}: give (N, 3) finite numbers, of two points at least")
    tint = np.full_like(points, 0.5) if colors is None else np.asarray(colors, dtype=np.float64)
    if tint.shape != points.shape:
        raise DataError(
            f"colours of the shape {tint.shape} for {len(points)} points: give ({len(points)}, 3), in [0, 1]"
        )
    _check(count, opacity)
    random = np.random.default_rng(hashed(seed, "gaussians", "points"))
    near = min(NEIGHBOURS, len(points) - 1)
    distance = cKDTree(points).query(points, k=near + 1)[0][:, 1:]
    size = np.sqrt(np.maximum((distance**2).mean(axis=1), SMALLEST))
    if count is not None and count != len(points):
        which = _drawn(len(points), count, random)
        jitter = random.normal(size=(count, 3)) * size[which, None] * 0.5
        again = np.arange(count) >= len(points)
        points, tint = points[which] + np.where(again[:, None], jitter, 0), tint[which]
        size = size[which] * max(1.0, len(size) / count) ** (1 / 3)
    scales = np.repeat(size[:, None], 3, axis=1)
    return _made(points, scales, _identity(len(points)), tint, opacity).of_degree(degree)


def from_colmap(folder: str | Path, *, count: int | None = None, degree: int = 0, seed: int = 0) -> Gaussians:
    """Gaussians at the points of COLMAP's sparse model in, or below, `folder` (`from_points`). Raises DataError."""
    found = colmap.find_model(Path(folder))
    if found is None:
        raise DataError(
            f"{folder}: no sparse model of COLMAP there: it has cameras, images and points3D as .bin or .txt"
        )
    points = colmap.read_points(found)
    return from_points(points.positions, points.colors / 255, count=count, degree=degree, seed=seed)


def from_mesh(
    positions: ArrayLike, faces: ArrayLike, colors: ArrayLike | None = None, *, count: int = 10_000, flatness: float = 0.1,
    opacity: float = 0.9, degree: int = 0, seed: int = 0,
) -> Gaussians:  # fmt: skip
    """Flat Gaussians on the triangles `faces` (F, 3) of vertices (V, 3), with colours (V, 3) in [0, 1] of vertices, or grey.

    They are spread evenly over the area, as wide as the place that each has, and `flatness` times as thick. Raises DataError for a
    mesh without area.
    """
    vertices, index = np.asarray(positions, dtype=np.float64), np.asarray(faces)
    if (
        vertices.ndim != 2
        or index.ndim != 2
        or index.shape[1] != 3
        or index.min(initial=0) < 0
        or index.max(initial=-1) >= len(vertices)
    ):
        raise DataError(
            f"faces of the shape {index.shape} do not fit vertices of the shape {vertices.shape}: give (F, 3) and (V, 3)"
        )
    _check(count, opacity)
    corners = vertices[index]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = 0.5 * np.linalg.norm(cross, axis=1)
    total = float(areas.sum())
    if not (np.isfinite(total) and total > 0):
        raise DataError(
            f"the mesh of {len(index)} faces has the area {total:g}: there is no surface to put Gaussians on"
        )
    random = np.random.default_rng(hashed(seed, "gaussians", "mesh"))
    at = (np.arange(count) + random.random(count)) / count * total  # one a stratum
    which = np.minimum(np.searchsorted(np.cumsum(areas), at), len(areas) - 1)
    u, v = random.random((2, count))
    weights = np.stack([1 - np.sqrt(u), np.sqrt(u) * (1 - v), np.sqrt(u) * v], axis=1)
    points = np.einsum("nk,nkd->nd", weights, corners[which])
    tint = np.full_like(points, 0.5)
    if colors is not None:
        tint = np.einsum("nk,nkd->nd", weights, np.asarray(colors, dtype=np.float64)[index[which]])
    width = np.sqrt(total / count)
    scales = np.tile([width, width, flatness * width], (count, 1))
    turned = _from_z(cross[which] / np.linalg.norm(cross[which], axis=1, keepdims=True))
    return _made(points, scales, turned, tint, opacity).of_degree(degree)


def at_random(
    count: int,
    low: ArrayLike,
    high: ArrayLike,
    *,
    opacity: float = 0.3,
    size: float = 0.3,
    degree: int = 0,
    seed: int = 0,
) -> Gaussians:
    """Gaussians at random in the box between the corners `low` and `high`, of random colours: where nothing is known.

    `size`: of each, relative to how far its neighbours are. Small ones fit faster: fewer of them cover a pixel.
    """
    random = np.random.default_rng(hashed(seed, "gaussians", "box"))
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    points = low + (high - low) * random.random((count, 3))
    made = from_points(points, random.random((count, 3)), opacity=opacity, degree=degree, seed=seed)
    return made.replaced({"log_scales": made.log_scales + np.log(size)})


def _check(count: int | None, opacity: float) -> None:
    if count is not None and count < 1:
        raise OptionError(f"count = {count!r}: give the number of Gaussians, 1 or more")
    if not 0 < opacity < 1:
        raise OptionError(f"opacity = {opacity!r}: it is between 0 and 1")


def _made(points: Doubles, scales: Doubles, rotations: Doubles, colors: Doubles, opacity: float) -> Gaussians:
    values = points, np.log(scales), rotations, np.full(len(points), logit(opacity)), ((colors - 0.5) / C0)[:, None]
    return Gaussians(*(value.astype(np.float32) for value in values))


def _identity(count: int) -> Doubles:
    return np.tile([1.0, 0.0, 0.0, 0.0], (count, 1))


def _drawn(have: int, want: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Numbers of the points that are taken: each once before any is taken again."""
    if want <= have:
        return np.sort(random.permutation(have)[:want])
    return np.concatenate([np.arange(have), random.integers(have, size=want - have)])


def _from_z(normals: Doubles) -> Doubles:
    """(N, 4) quaternions that turn z into unit vectors (N, 3), by the shortest way."""
    w = 1 + normals[:, 2]
    opposite = w < 1e-6
    zero = np.zeros_like(w)
    q = np.stack([w, -normals[:, 1], normals[:, 0], zero], axis=1)
    q[opposite] = [0, 1, 0, 0]
    return np.asarray(q / np.linalg.norm(q, axis=1, keepdims=True))
