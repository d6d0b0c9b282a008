"""Gaussians as ellipses on a film, by the local affine approximation of a projection (Zwicker et al. 2001), as 3DGS does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.data.cameras import Camera, mitsuba_to_opencv
from pbdr.errors import DataError
from pbdr.fields.gaussians import harmonics
from pbdr.fields.gaussians.model import Gaussians

WIDE = 1.3  # times the tangent of half the field of view: the approximation is not made further out
NUMBERS = 18  # of a camera


@dataclass
class Splats:
    """What Gaussians are on films, attached; V films of N Gaussians are V · N lanes.

    x, y        centres in pixels from the top-left corner
    conic       (a, b, c): the inverse of the covariance in pixels, [[a, b], [b, c]]
    opacity     in [0, 1]
    channels    what is composited: three colours, or what else was asked for
    depth       distance in front of the camera, along its axis; detached
    reach       half the width and half the height, in pixels, beyond which alpha is below the cut-off; 0: nowhere; detached
    """

    x: Any
    y: Any
    conic: tuple[Any, Any, Any]
    opacity: Any
    channels: list[Any]
    depth: Any
    reach: tuple[Any, Any]


def on_device(gaussians: Gaussians) -> dict[str, Any]:
    """Tensors by the names of `model.SHAPES`; `harmonics` are `dc` (N, 1, 3), the first, and, unless of degree 0, `rest`."""
    arrays = dict(gaussians.arrays())
    harmonics = arrays.pop("harmonics")
    arrays["dc"] = harmonics[:, :1]
    if harmonics.shape[1] > 1:
        arrays["rest"] = harmonics[:, 1:]
    return {name: mi.TensorXf(aligned(value)) for name, value in arrays.items()}


def from_device(latents: Mapping[str, Any]) -> Gaussians:
    """Inverse of `on_device`. Raises DataError for numbers that are not finite."""
    arrays = {name: np.array(dr.detach(value).numpy()) for name, value in latents.items()}
    colors = [arrays.pop(name) for name in ("dc", "rest") if name in arrays]
    return Gaussians(**arrays, harmonics=np.concatenate(colors, axis=1))


def table_of(cameras: Sequence[Camera]) -> Any:
    """Numbers of cameras, one after the other: rotation to the camera (OpenCV's axes), place, focal lengths, principal point, size.

    Raises DataError for a lens that is no pinhole.
    """
    rows = []
    for camera in cameras:
        if camera.model != "pinhole":
            raise DataError(
                f"a camera has the lens model '{camera.model}': Gaussians are composited for pinhole cameras alone. Undistort the "
                "images, as COLMAP's image_undistorter does"
            )
        matrix = mitsuba_to_opencv(camera.to_world)
        focal_y = camera.focal if camera.focal_y is None else camera.focal_y
        lens = (camera.focal, focal_y, camera.cx, camera.cy, camera.width, camera.height)
        rows.append(np.concatenate([matrix[:3, :3].T.ravel(), matrix[:3, 3], lens]))
    return mi.Float(aligned(np.stack(rows).ravel()))


def project(
    latents: Mapping[str, Any],
    cameras: Any,
    which: Any,
    *,
    near: float,
    cutoff: float,
    low_pass: float,
    depth: bool = False,
) -> Splats:
    """The splats of Gaussians (`on_device`) on the films of the cameras `which` (a `mitsuba.UInt32`) of a table (`table_of`).

    `near`: what is closer is left out. `cutoff`: alpha below which nothing is drawn. `low_pass`: variance in squared pixels that is
    added to every ellipse. `depth`: composite 1 and the depth instead of colours.
    """
    count = latents["positions"].shape[0]
    lane = dr.arange(mi.UInt32, dr.width(which) * count)
    film, number = (lane // count, lane % count) if dr.width(which) > 1 else (mi.UInt32(0), lane)
    row = dr.gather(mi.UInt32, which, film) * NUMBERS
    eye = [dr.gather(mi.Float, cameras, row + k) for k in range(NUMBERS)]
    mode = dr.ReduceMode.Permute if dr.width(which) == 1 else dr.ReduceMode.Auto
    parts = {name: _columns(value, number, mode) for name, value in latents.items()}
    offset = [p - o for p, o in zip(parts["positions"], eye[9:12], strict=True)]
    x, y, z = (
        dr.fma(eye[3 * k], offset[0], dr.fma(eye[3 * k + 1], offset[1], eye[3 * k + 2] * offset[2])) for k in range(3)
    )
    seen = z > near
    z = dr.select(seen, z, 1)
    axes = _axes(parts["rotations"], parts["log_scales"])
    in_camera = [[dr.sum([eye[3 * i + k] * axes[k][j] for k in range(3)]) for j in range(3)] for i in range(3)]
    xx, xy, yy = _covariance(in_camera, x, y, z, eye, low_pass)
    determinant = dr.maximum(xx * yy - xy * xy, 1e-12)
    opacity = dr.rcp(1 + dr.exp(-parts["logits"][0]))
    if depth:
        channels = [dr.ones(mi.Float, dr.width(z)), z]
    else:
        channels = _colors(parts["dc"] + parts.get("rest", []), offset)
    reach = 2 * dr.log(dr.maximum(dr.detach(opacity) / cutoff, 1))
    return Splats(
        x=dr.fma(eye[12], x / z, eye[14]),
        y=dr.fma(eye[13], y / z, eye[15]),
        conic=(yy / determinant, -xy / determinant, xx / determinant),
        opacity=opacity,
        channels=channels,
        depth=dr.detach(z),
        reach=tuple(dr.select(seen, dr.sqrt(reach * dr.detach(v)), 0) for v in (xx, yy)),
    )


def _columns(tensor: Any, number: Any, mode: Any) -> list[Any]:
    """The columns of a tensor (N, …), on the lanes of Gaussians `number`."""
    width = len(tensor.array) // tensor.shape[0]
    return [dr.gather(mi.Float, tensor.array, number * width + k, mode=mode) for k in range(width)]


def _axes(rotation: Sequence[Any], log_scales: Sequence[Any]) -> list[list[Any]]:
    """R S: rows are coordinates of the world, columns the axes of the ellipsoid."""
    norm = dr.rsqrt(dr.sum([dr.square(q) for q in rotation]))
    w, x, y, z = (q * norm for q in rotation)
    turn = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    scales = [dr.exp(s) for s in log_scales]
    return [[entry * scale for entry, scale in zip(row, scales, strict=True)] for row in turn]


def _covariance(axes: Any, x: Any, y: Any, z: Any, eye: Any, low_pass: float) -> tuple[Any, Any, Any]:
    """Entries xx, xy, yy of J Σ Jᵀ in squared pixels, Σ = `axes` `axes`ᵀ in the axes of the camera."""
    focal, size = eye[12:14], eye[16:18]
    slopes = []
    for value, f, pixels in ((x, focal[0], size[0]), (y, focal[1], size[1])):
        limit = WIDE * 0.5 * pixels / f
        slopes.append(dr.clip(value / z, -limit, limit))
    across, down = (
        [f / z * (axes[row][j] - slope * axes[2][j]) for j in range(3)]
        for row, f, slope in ((0, focal[0], slopes[0]), (1, focal[1], slopes[1]))
    )
    inner = lambda a, b: dr.sum([p * q for p, q in zip(a, b, strict=True)])  # noqa: E731
    return inner(across, across) + low_pass, inner(across, down), inner(down, down) + low_pass  # Eq. (30)


def _colors(coefficients: Sequence[Any], offset: Sequence[Any]) -> list[Any]:
    """Colours towards the camera, at least 0; `coefficients` count colours within each function."""
    degree = harmonics.degree_of(len(coefficients) // 3)
    inverse = dr.rsqrt(dr.sum([dr.square(v) for v in offset]))
    values = harmonics.basis(degree, *(v * inverse for v in offset))
    sums = [dr.sum([coefficients[3 * k + c] * value for k, value in enumerate(values)]) for c in range(3)]
    return [dr.maximum(total + 0.5, 0) for total in sums]
