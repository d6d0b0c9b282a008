"""transforms.json (NeRF, Instant-NGP, Nerfstudio): read with every check a mistake deserves, and write.

Poses are camera-to-world with OpenGL axes. Intrinsics are `camera_angle_x` (radians) or `fl_x` `fl_y` `cx` `cy` in
pixels, for all frames or per frame. `file_path` is relative to the file's folder, with or without an extension.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .cameras import Camera, Matrix, mitsuba_to_opengl, opengl_to_mitsuba
from .images import SUFFIXES, Color, LoadedImage, load_image

DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
MODELS = {"OPENCV": "opencv", "OPENCV_FISHEYE": "opencv_fisheye"} | dict.fromkeys(
    ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"), "opencv"
)
COEFFICIENTS = {"opencv": ("k1", "k2", "p1", "p2", "k3"), "opencv_fisheye": ("k1", "k2", "k3", "k4")}
PIXEL_TOLERANCE = 0.05  # largest displacement, in pixels at the image's border, that may be dropped


@dataclass(frozen=True)
class Frame:
    """One posed image of a transforms.json: its camera (Mitsuba axes) and the image's path."""

    path: Path
    camera: Camera


def read_frames(path: str | Path, color: Color = "srgb") -> list[tuple[Frame, LoadedImage]]:
    """Every frame with its image, in the order of the file paths.

    Raises DataError, naming the file and the frame, for what is missing, malformed or not supported.
    """
    path = Path(path)
    data = _parse(path)
    frames = data.get("frames")
    if not isinstance(frames, list) or not frames:
        raise DataError(f"{path}: 'frames' must be a list with at least one frame")
    result = []
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict):
            raise DataError(f"{path}: frame {number} is not an object")
        merged = {**{k: v for k, v in data.items() if k != "frames"}, **frame}
        where = f"{path}: frame {number} ({frame.get('file_path', 'without file_path')})"
        image_path = _image_path(path, merged, where)
        image = load_image(image_path, color)
        result.append((Frame(image_path, _camera(merged, image.size, where)), image))
    result.sort(key=lambda item: str(item[0].path))
    paths = [frame.path for frame, _ in result]
    for first, second in itertools.pairwise(paths):
        if first == second:
            raise DataError(f"{path}: two frames name the same image {first}")
    return result


def write_transforms(path: str | Path, cameras: Sequence[Camera], file_paths: Sequence[str]) -> None:
    """Write cameras (Mitsuba axes) as a transforms.json; ``file_paths`` are relative to its folder."""
    if len(cameras) != len(file_paths):
        raise DataError(f"{path}: {len(cameras)} cameras but {len(file_paths)} file paths")
    frames = [
        {
            "file_path": name,
            "w": camera.width,
            "h": camera.height,
            "fl_x": camera.focal,
            "fl_y": camera.focal if camera.focal_y is None else camera.focal_y,
            "cx": camera.cx,
            "cy": camera.cy,
            "camera_model": "PINHOLE" if camera.model == "pinhole" else camera.model.upper(),
            **dict(camera.distortion),
            "transform_matrix": mitsuba_to_opengl(camera.to_world).tolist(),
        }
        for camera, name in zip(cameras, file_paths, strict=True)
    ]
    Path(path).write_text(json.dumps({"frames": frames}, indent=2) + "\n", encoding="utf-8")


def _parse(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f'{path}: no such file; [data] cameras names a transforms.json, or is "scene"')
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: not a transforms.json (the top level must be an object with 'frames')")
    return data


def _image_path(path: Path, frame: dict[str, Any], where: str) -> Path:
    name = frame.get("file_path")
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: 'file_path' is missing")
    base = path.parent / name
    if base.is_file():
        return base
    for suffix in SUFFIXES:
        candidate = base.with_name(base.name + suffix)
        if candidate.is_file():
            return candidate
    raise DataError(f"{where}: no image {base}, also not with the extensions {' '.join(SUFFIXES)}")


def _number(frame: dict[str, Any], key: str, where: str) -> float | None:
    if key not in frame:
        return None
    value = frame[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise DataError(f"{where}: '{key}' = {value!r} is not a finite number")
    return float(value)


def _camera(frame: dict[str, Any], size: tuple[int, int], where: str) -> Camera:
    width, height = size
    for key, actual in (("w", width), ("h", height)):
        stated = _number(frame, key, where)
        if stated is not None and round(stated) != actual:
            raise DataError(
                f"{where}: the image is {width} x {height} pixels but '{key}' is {stated:g}; "
                "intrinsics must belong to the images that are used"
            )
    model, distortion = _lens(frame, where)
    focal, focal_y = _focal(frame, width, height, where)
    cx, cy = _number(frame, "cx", where), _number(frame, "cy", where)
    return Camera(
        opengl_to_mitsuba(_pose(frame.get("transform_matrix"), where)),
        width,
        height,
        focal,
        0.5 * width if cx is None else cx,
        0.5 * height if cy is None else cy,
        focal_y,
        model,
        distortion,
    )


def _lens(frame: dict[str, Any], where: str) -> tuple[str, tuple[tuple[str, float], ...]]:
    """Lens model and its coefficients; without distortion, a pinhole."""
    given = frame.get("camera_model", "PINHOLE")
    if given not in MODELS:
        raise DataError(f"{where}: camera_model {given!r} is not supported; undistort the images to a pinhole camera")
    model = MODELS[given]
    values = {key: _number(frame, key, where) or 0.0 for key in DISTORTION}
    for key, value in values.items():
        if value and key not in COEFFICIENTS[model]:
            raise DataError(
                f"{where}: distortion {key} = {value:g} is not a coefficient of camera_model {given!r} "
                f"({', '.join(COEFFICIENTS[model])})"
            )
    if not any(values.values()) and model == "opencv":
        return "pinhole", ()
    return model, tuple((key, values[key]) for key in COEFFICIENTS[model])


def _focal(frame: dict[str, Any], width: int, height: int, where: str) -> tuple[float, float | None]:
    """Focal lengths in pixels; one (the other None) where pixels are square up to a tolerance."""
    focal: dict[str, float] = {}
    for axis, extent in (("x", width), ("y", height)):
        length, angle = _number(frame, f"fl_{axis}", where), _number(frame, f"camera_angle_{axis}", where)
        if length is not None:
            focal[axis] = length
        elif angle is not None and not (axis == "y" and "x" in focal and "fl_x" in frame):
            if not 0.0 < angle < np.pi:
                raise DataError(f"{where}: camera_angle_{axis} = {angle:g} must be in radians, between 0 and pi")
            focal[axis] = 0.5 * extent / float(np.tan(0.5 * angle))
    if not focal:
        raise DataError(f"{where}: no focal length; expected 'fl_x' (pixels) or 'camera_angle_x' (radians)")
    if min(focal.values()) <= 0.0:
        raise DataError(f"{where}: a focal length of {min(focal.values()):g} pixels is not positive")
    x, y = focal.get("x", focal.get("y", 0.0)), focal.get("y", focal.get("x", 0.0))
    mean = 0.5 * (x + y)
    drift = max(abs(x - mean) / mean * 0.5 * width, abs(y - mean) / mean * 0.5 * height)
    return (x, y) if drift > PIXEL_TOLERANCE else (mean, None)


def _pose(value: Any, where: str) -> Matrix:
    """Check a camera-to-world matrix: 4 × 4 (or 3 × 4), finite, a rotation up to rounding; returned orthonormal."""
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])
    if matrix.shape != (4, 4):
        raise DataError(f"{where}: 'transform_matrix' must be 4 x 4 numbers, not {np.shape(value) or 'missing'}")
    if not np.isfinite(matrix).all():
        raise DataError(f"{where}: 'transform_matrix' holds NaN or infinite numbers")
    rotation = matrix[:3, :3]
    left, scale, right = np.linalg.svd(rotation)
    if np.linalg.det(rotation) <= 0.0 or np.abs(scale - 1.0).max() > 1e-2:
        raise DataError(
            f"{where}: 'transform_matrix' is not a rotation with translation "
            f"(scales {', '.join(f'{s:.4g}' for s in scale)}, determinant {np.linalg.det(rotation):.4g})"
        )
    if np.abs(matrix[3] - [0.0, 0.0, 0.0, 1.0]).max() > 1e-6:
        raise DataError(f"{where}: the last row of 'transform_matrix' must be 0 0 0 1")
    result = matrix.copy()
    result[:3, :3] = left @ right  # the nearest rotation: poses are written with few digits
    return result
