"""What the checks look at: cameras, small images, masks, and points on the surfaces of the scene as it is at the start."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..cameras import Camera

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Longest side of the small images, and of the silhouettes, in pixels.
SMALL, GRID = 64, 32
#: Views that checks of all against all look at, at most.
MANY = 48


@dataclass(frozen=True)
class Finding:
    """One line: what was seen, with numbers, and what to do. A "problem" is probably a mistake, a "note" is good to know.

    `overlap`: of masks and silhouettes, once that is done; 0 where masks were not looked at.
    """

    check: str
    text: str
    level: Literal["problem", "note"] = "problem"
    overlap: float = 0.0


@dataclass(frozen=True, eq=False)
class Shot:
    """One view.

    image   (h, w, 3) linear, at most SMALL pixels a side; `mask` (h, w) in [0, 1] where the object is, or None
    size    (width, height) of the image file; `digest` of its pixels; `suffix` of its name
    levels  whether all values of a file of floating-point numbers are those of 8 bits, k / 255
    start   (h, w, 3): the scene at the start, seen by this camera, or None
    camera  None where the sensor is no perspective camera
    """

    name: str
    image: Array
    size: tuple[int, int]
    camera: Camera | None = None
    mask: Array | None = None
    start: Array | None = None
    digest: str = ""
    suffix: str = ""
    levels: bool = False
    training: bool = True

    @classmethod
    def of(
        cls, name: str, image: NDArray[Any], *, mask: NDArray[Any] | None = None, suffix: str = "", **more: Any
    ) -> Shot:
        """A view from its whole image (H, W, 3) and mask (H, W)."""
        values = np.ascontiguousarray(image, dtype=np.float32)
        floats = suffix.lower() in (".exr", ".hdr", ".pfm")
        return cls(
            name, reduced(values), (values.shape[1], values.shape[0]),
            mask=None if mask is None else reduced(np.asarray(mask)), suffix=suffix.lower(),
            digest=hashlib.sha1(values.tobytes()).hexdigest(), levels=floats and _levels(values), **more,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Capture:
    """All views, and (N, 3) `points` spread evenly over the scene's surfaces, with unit `normals` and the name of each one's shape.

    color         how 8-bit files are read: "srgb" or "linear"
    notes         what was said when the scene was loaded
    environments  (H, W, C) texels of environments by name
    exposures_unknown  whether the exposure of every image is estimated, so that it may drift
    """

    shots: Sequence[Shot]
    points: Array = field(default_factory=lambda: np.zeros((0, 3)))
    normals: Array = field(default_factory=lambda: np.zeros((0, 3)))
    labels: Sequence[str] = ()
    color: str = "srgb"
    notes: Sequence[str] = ()
    environments: dict[str, Array] = field(default_factory=dict)
    exposures_unknown: bool = False

    @property
    def posed(self) -> list[Shot]:
        """Views whose camera is known."""
        return [shot for shot in self.shots if shot.camera is not None]

    @property
    def masked(self) -> list[Shot]:
        """Views whose camera is known and whose mask shows an object: some of the image, but not all of it."""
        return [s for s in self.posed if s.mask is not None and 0.005 < float(s.mask.mean()) < 0.995]


def reduced(image: NDArray[Any], side: int = SMALL) -> Array:
    """An image (H, W, …) by area averages, so that no side is longer than `side`."""
    values = np.asarray(image, dtype=np.float64)
    factor = side / max(values.shape[:2])
    if factor >= 1:
        return values
    return to_shape(values, (max(1, round(values.shape[0] * factor)), max(1, round(values.shape[1] * factor))))


def to_shape(image: NDArray[Any], shape: tuple[int, int]) -> Array:
    """An image (H, W, …) resampled to (h, w): means over areas."""
    values = np.asarray(image, dtype=np.float64)
    for axis, new in enumerate(shape):
        old = values.shape[axis]
        edges = np.linspace(0, old, new + 1)
        sums = np.concatenate([np.zeros_like(np.take(values, [0], axis)), np.cumsum(values, axis)], axis)
        low = np.floor(edges).astype(int)
        at = np.minimum(low + 1, old)
        part = (edges - low).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
        whole = np.take(sums, low, axis) * (1 - part) + np.take(sums, at, axis) * part
        values = np.diff(whole, axis=axis) * (new / old)
    return values


def _levels(values: NDArray[np.float32]) -> bool:
    codes = values[..., :3].astype(np.float64) * 255
    whole = np.rint(codes)
    return bool(
        np.abs(codes - whole).max() < 1e-3 and whole.min() >= 0 and whole.max() <= 255 and len(np.unique(whole)) > 16
    )


def grid_of(camera: Camera) -> tuple[int, int]:
    """(rows, columns) of the silhouette of a camera."""
    scale = GRID / max(camera.width, camera.height)
    return max(1, round(camera.height * scale)), max(1, round(camera.width * scale))


def projected(camera: Camera, points: Array) -> tuple[Array, Array]:
    """(N, 2) places on the film, 0 to 1 from the top left, and (N,) depths along the axis; those behind have depths below 0."""
    depth = (points - camera.to_world[:3, 3]) @ camera.to_world[:3, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        place = camera.project(points) / np.array([camera.width, camera.height])
    return np.where(np.isfinite(place), place, -1.0), depth


def inside(place: Array, depth: Array) -> Mask:
    """Which points are before the camera and within its film."""
    return np.asarray((depth > 0) & ((place >= 0) & (place < 1)).all(1))


def cells(camera: Camera, place: Array, shape: tuple[int, int]) -> NDArray[np.int64]:
    """(N,) cell of each place in a grid (rows, columns)."""
    rows, columns = shape
    column = np.clip((place[:, 0] * columns).astype(int), 0, columns - 1)
    return np.asarray(np.clip((place[:, 1] * rows).astype(int), 0, rows - 1) * columns + column)


def share_seen(camera: Camera, points: Array) -> float:
    """Share of the points within the camera's film, whatever is in front of them."""
    return float(inside(*projected(camera, points)).mean()) if len(points) else 0.0


def silhouette(camera: Camera, points: Array) -> Mask:
    """(rows, columns) where the points are seen; gaps between points are closed."""
    place, depth = projected(camera, points)
    shape, seen = grid_of(camera), inside(place, depth)
    image = np.zeros(shape[0] * shape[1], dtype=bool)
    image[cells(camera, place[seen], shape)] = True
    framed = np.pad(image.reshape(shape), 2, mode="edge")
    return np.asarray(ndimage.binary_closing(framed, iterations=1)[2:-2, 2:-2])


def overlap(a: Mask, b: Mask) -> float:
    """Intersection over union; 0 for two empty ones."""
    union = int((a | b).sum())
    return float((a & b).sum()) / union if union else 0.0


def mask_on_grid(shot: Shot) -> Mask:
    """The mask of a view on the grid of its silhouette."""
    assert shot.mask is not None and shot.camera is not None
    return np.asarray(to_shape(shot.mask, grid_of(shot.camera)) > 0.5)


def agreement(
    shots: Sequence[Shot], points: Array, change: Callable[[Camera], Camera] = lambda camera: camera, inverted: bool = False
) -> float:
    """Mean overlap of masks, or of their complements, and silhouettes, seen by changed cameras."""
    pairs = [(mask_on_grid(shot) ^ inverted, shot.camera) for shot in shots if shot.camera is not None]
    return float(np.mean([overlap(mask, silhouette(change(camera), points)) for mask, camera in pairs]))


def few(shots: Sequence[Shot], count: int = 12) -> list[Shot]:
    """At most `count` views, spread over all."""
    if len(shots) <= count:
        return list(shots)
    return [shots[round(i * (len(shots) - 1) / (count - 1))] for i in range(count)]


def listed(names: Sequence[str], count: int = 4) -> str:
    """A few names, and how many more."""
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
