"""Lens and focal lengths of a frame of a transforms.json."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError, closest
from .transforms_keys import COEFFICIENTS

MODELS = {
    **dict.fromkeys(("OPENCV_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_RADIAL_FISHEYE"), "opencv_fisheye"),
    **dict.fromkeys(
        ("OPENCV", "FULL_OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"), "opencv"
    ),
}
OF_MODEL = {"opencv": ("k1", "k2", "p1", "p2", "k3"), "opencv_fisheye": ("k1", "k2", "k3", "k4")}
LARGEST = 1e30  # what single precision still holds, and products with it
PIXEL_TOLERANCE = 0.05  # largest displacement, in pixels at the image's border, that may be dropped


def number(frame: dict[str, Any], key: str, where: str) -> float | None:
    """A finite number, or None where the key is not given; DataError for anything else."""
    if key not in frame:
        return None
    value = frame[key]
    try:
        good = isinstance(value, int | float) and not isinstance(value, bool) and abs(float(value)) < LARGEST
    except OverflowError:
        good = False
    if not good:
        shown = repr(value)
        raise DataError(f"{where}: '{key}' = {shown[:60]} is not a finite number")
    return float(value)


def lens_of(frame: dict[str, Any], where: str) -> tuple[str, tuple[tuple[str, float], ...]]:
    """Lens model and its coefficients; without distortion, a pinhole."""
    given, model = _model(frame, where)
    values = {key: number(frame, key, where) or 0.0 for key in COEFFICIENTS}
    for key, value in values.items():
        if value and key not in OF_MODEL[model]:
            raise DataError(
                f"{where}: distortion {key} = {value:g} is not a coefficient of camera_model {given!r} "
                f"({', '.join(OF_MODEL[model])})"
            )
    if not any(values.values()) and model == "opencv":
        return "pinhole", ()
    return model, tuple((key, values[key]) for key in OF_MODEL[model])


def _model(frame: dict[str, Any], where: str) -> tuple[str, str]:
    """What the file calls its lens, and the plugin that has it."""
    given = frame.get("camera_model")
    model = None if given is None else MODELS.get(given.upper()) if isinstance(given, str) else None
    if given is not None and model is None:
        near = closest(given, MODELS) if isinstance(given, str) else []
        hint = f" Closest: {near[0]}." if near else ""
        raise DataError(
            f"{where}: camera_model {given!r} is not supported.{hint} Undistort the images to a pinhole camera"
        )
    kind = frame.get("camera_type")
    if kind is not None and (not isinstance(kind, str) or kind.upper() not in ("PERSPECTIVE", "PINHOLE", "PERSP")):
        raise DataError(
            f"{where}: 'camera_type' = {str(kind)[:60]!r} is not supported; a fisheye with OpenCV's coefficients k1 k2 k3 k4 is "
            "camera_model = OPENCV_FISHEYE"
        )
    fisheye = frame.get("is_fisheye", False)
    if fisheye not in (True, False):
        raise DataError(f"{where}: 'is_fisheye' = {str(fisheye)[:60]!r} is neither true nor false")
    if fisheye and kind is not None:
        raise DataError(f"{where}: 'is_fisheye' contradicts camera_type {kind!r}")
    if fisheye and model == "opencv":
        raise DataError(f"{where}: 'is_fisheye' contradicts camera_model {given!r}")
    if fisheye and not any(key in frame for key in ("k1", "k2", "k3", "k4")):
        raise DataError(f"{where}: 'is_fisheye' without coefficients; give k1 k2 k3 k4 (0 for an equidistant lens)")
    if fisheye or model == "opencv_fisheye":
        return str(given or "OPENCV_FISHEYE"), "opencv_fisheye"
    return str(given or "PINHOLE"), "opencv"


def focal_lengths(frame: dict[str, Any], width: int, height: int, where: str) -> tuple[float, float | None]:
    """Focal lengths in pixels; one (the other None) where pixels are square up to a tolerance."""
    focal: dict[str, float] = {}
    for axis, extent in (("x", width), ("y", height)):
        length = number(frame, f"fl_{axis}", where)
        angle = _angle(frame, axis, where)
        if length is not None:
            focal[axis] = length
        elif angle is not None and not (axis == "y" and "x" in focal and "fl_x" in frame):
            focal[axis] = 0.5 * extent / float(np.tan(0.5 * angle))
    if not focal:
        raise DataError(f"{where}: no focal length; expected 'fl_x' (pixels) or 'camera_angle_x' (radians)")
    if not 0.0 < min(focal.values()) <= max(focal.values()) < 1e12:
        raise DataError(f"{where}: a focal length of {min(focal.values()):g} pixels is not positive, or is no camera's")
    x, y = focal.get("x", focal.get("y", 0.0)), focal.get("y", focal.get("x", 0.0))
    mean = 0.5 * (x + y)
    drift = max(abs(x - mean) / mean * 0.5 * width, abs(y - mean) / mean * 0.5 * height)
    return (x, y) if drift > PIXEL_TOLERANCE else (mean, None)


def _angle(frame: dict[str, Any], axis: str, where: str) -> float | None:
    """Field of view in radians."""
    angle, degrees = number(frame, f"camera_angle_{axis}", where), number(frame, f"{axis}_fov", where)
    if degrees is not None:
        if not 0.0 < degrees < 180.0:
            raise DataError(f"{where}: {axis}_fov = {degrees:g} must be in degrees, between 0 and 180")
        return float(np.radians(degrees))
    if angle is not None and not 0.0 < angle < np.pi:
        raise DataError(f"{where}: camera_angle_{axis} = {angle:g} must be in radians, between 0 and pi")
    return angle
