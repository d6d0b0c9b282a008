"""Meshes of Gaussians: their depths, as several cameras see them, fused to signed distances (Curless and Levoy 1996)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pbdr.data.cameras import Camera
from pbdr.errors import DataError, OptionError
from pbdr.fields.gaussians.model import Gaussians
from pbdr.fields.gaussians.rendering import Compositing, depths, render

Doubles = NDArray[np.float64]
SEEN = 0.1  # opacity of a Gaussian that counts for the size of the box
SPECK = 0.02
SOLID = 0.5  # opacity of a pixel above which it has a surface, below which it has none


@dataclass(frozen=True, eq=False)
class Surface:
    """Vertices (V, 3) in the world, triangles (F, 3), counter-clockwise from outside, colours (V, 3) as the Gaussians have them."""

    positions: Doubles
    faces: NDArray[np.int64]
    colors: Doubles

    def write(self, path: str | Path) -> Path:
        """Write it, in a format that trimesh knows (.ply, .obj, .glb), with 8-bit colours. Raises OptionError."""
        import trimesh

        codes = np.rint(np.clip(self.colors, 0, 1) * 255).astype(np.uint8)
        mesh = trimesh.Trimesh(self.positions, self.faces, vertex_colors=codes, process=False)
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            mesh.export(path)
        except (OSError, ValueError) as error:
            raise OptionError(
                f"{path}: cannot be written ({error}); give another place, or .ply, .obj or .glb"
            ) from error
        return Path(path)


def to_mesh(
    gaussians: Gaussians, cameras: Sequence[Camera], *, resolution: int = 128, box: ArrayLike | None = None,
    truncation: float = 4.0, options: Compositing | None = None,
) -> Surface:  # fmt: skip
    """Return the surface that `cameras`, all around, see of Gaussians.

    `box` (2, 3): the corners between which it is; None: those of all Gaussians that can be seen. `resolution`: voxels along its
    longest side. `truncation`: voxels from the surface within which depths count. What no camera sees is inside. Gaussians are
    blurred: a surface lies outside of their centres by about half their width. Needs scikit-image. Raises DataError where there is
    no surface.
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError:
        raise OptionError("meshes of Gaussians need scikit-image: pip install 'pbdr[gaussians]'") from None
    if not cameras:
        raise DataError("there are no cameras to see Gaussians from")
    if not 8 <= resolution <= 1024:
        raise OptionError(f"resolution = {resolution!r}: it is from 8 to 1024 voxels")
    low, high = _box(gaussians, box)
    size = float((high - low).max()) / resolution
    shape = np.maximum(np.ceil((high - low) / size).astype(int), 2) + 1
    corners = np.stack(
        np.meshgrid(*(low[k] + size * np.arange(shape[k]) for k in range(3)), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    distance = fused(gaussians, cameras, corners, truncation * size, options).reshape(shape)
    if not (distance < 0).any() or not (distance > 0).any():
        raise DataError(
            "the cameras see no surface of these Gaussians in the box: is the box right, and are they opaque?"
        )
    positions, faces, _, _ = marching_cubes(distance, 0.0, spacing=(size,) * 3, gradient_direction="descent")
    positions, index = _without_specks(positions + low, np.asarray(faces, np.int64))
    return Surface(positions, index, _colors(gaussians, cameras, positions, truncation * size, options))


def fused(
    gaussians: Gaussians, cameras: Sequence[Camera], points: Doubles, most: float, options: Compositing | None = None
) -> Doubles:
    """(P,) signed distances of points along the axes of cameras, over `most`, in [−1, 1], positive outside; the mean of all."""
    total, weight = np.zeros(len(points)), np.zeros(len(points))
    for camera in cameras:
        ahead, seen, depth, opacity = _looked_up(gaussians, camera, points, options)
        nearer = np.where(opacity > SOLID, np.nan_to_num(depth, nan=np.inf) - ahead, most)
        counts = seen & (nearer > -most)
        total += np.where(counts, np.clip(nearer / most, -1, 1), 0)
        weight += counts
    return np.where(weight > 0, total / np.maximum(weight, 1), -1.0)


def _looked_up(gaussians: Gaussians, camera: Camera, points: Doubles, options: Compositing | None) -> tuple[Any, ...]:
    """(distance ahead of the camera, whether in its picture, depth and opacity in the pixel there), each (P,)."""
    depth, opacity = depths(gaussians, camera, options=options)
    ahead, seen, row, column = _pixels(camera, points)
    return ahead, seen, depth[row, column], opacity[row, column]


def _pixels(camera: Camera, points: Doubles) -> tuple[Doubles, NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """(distance ahead, whether in the picture, row, column) of points."""
    ahead = (points - camera.to_world[:3, 3]) @ camera.to_world[:3, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        column, row = np.floor(camera.project(points)).T
    seen = (ahead > 0) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    return ahead, seen, np.where(seen, row, 0).astype(np.int64), np.where(seen, column, 0).astype(np.int64)


def _colors(
    gaussians: Gaussians, cameras: Sequence[Camera], points: Doubles, most: float, options: Compositing | None
) -> Doubles:
    """(P, 3) mean colours of the pixels that see points; grey where none does."""
    total, weight = np.zeros((len(points), 3)), np.zeros(len(points))
    for camera in cameras:
        ahead, seen, depth, opacity = _looked_up(gaussians, camera, points, options)
        _, _, row, column = _pixels(camera, points)
        image = render(gaussians, camera, options=options)
        counts = seen & (opacity > SOLID) & (np.abs(np.nan_to_num(depth, nan=np.inf) - ahead) < most)
        straight = image[row, column] / np.maximum(opacity, SOLID)[:, None]
        total += np.where(counts[:, None], straight, 0)
        weight += counts
    return np.where(weight[:, None] > 0, total / np.maximum(weight, 1)[:, None], 0.5)


def _without_specks(positions: Doubles, faces: NDArray[np.int64]) -> tuple[Doubles, NDArray[np.int64]]:
    """The mesh without parts that have less than `SPECK` of the faces of the largest one: gaps between Gaussians make bubbles."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(positions)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    links = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    part = connected_components(links, directed=False)[1]
    sizes = np.bincount(part[faces[:, 0]], minlength=part.max() + 1)
    kept = sizes[part] >= SPECK * sizes.max()
    number = np.cumsum(kept) - 1
    return positions[kept], number[faces[kept[faces[:, 0]]]]


def _box(gaussians: Gaussians, box: ArrayLike | None) -> tuple[Doubles, Doubles]:
    if box is not None:
        low, high = np.asarray(box, dtype=np.float64).reshape(2, 3)
    else:
        solid = gaussians.take(gaussians.opacities > SEEN)
        if not len(solid):
            raise DataError(f"none of {len(gaussians)} Gaussians has an opacity above {SEEN:g}: there is no surface")
        half = 3 * solid.scales.max(axis=1, keepdims=True).astype(
            np.float64
        )  # thin ones look thicker: they are blurred
        low, high = (solid.positions - half).min(axis=0), (solid.positions + half).max(axis=0)
    if not (np.isfinite([low, high]).all() and (high > low).all()):
        raise DataError(f"box from {low.tolist()} to {high.tolist()}: give two corners, the lower one first")
    return low, high
