"""Sensors of Mitsuba as cameras."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..parameters import traverse
from .cameras import Camera

LENS = ("k1", "k2", "k3", "k4", "p1", "p2")  # coefficients of distortion


def camera_of(sensor: Any) -> Camera | None:
    """The pinhole camera of a sensor, distortion left out; None for sensors that have no field of view."""
    params = traverse(sensor)
    film = sensor.film()
    (width, height), crop, (left, top) = film.size(), film.crop_size(), film.crop_offset()
    found = {key: params[key] for key in ("x_fov", "focal_x", "focal_y", "to_world") if key in params}
    if "to_world" not in found or not {"x_fov", "focal_x"} & set(found):
        return None
    matrix = np.array(found["to_world"].matrix, dtype=np.float64).reshape(4, 4)
    matrix[:3, :3] /= np.linalg.norm(matrix[:3, :3], axis=0)
    if "x_fov" in found:
        focal, focal_y = 0.5 * width / np.tan(0.5 * np.radians(_number(found["x_fov"]))), None
    else:
        focal, focal_y = width * _number(found["focal_x"]), width * _number(found["focal_y"])
    cx = width * (0.5 - _number(params["principal_point_offset_x"])) - int(left)
    cy = height * (0.5 - _number(params["principal_point_offset_y"])) - int(top)
    return Camera(matrix, int(crop[0]), int(crop[1]), float(focal), cx, cy, focal_y)


def is_pinhole(sensor: Any) -> bool:
    """Whether a sensor shows what its `camera_of` does: one point, without distortion."""
    params = traverse(sensor)
    bent = any(key in params and _number(params[key]) != 0 for key in LENS)
    return sensor.class_name() in ("PerspectiveCamera", "DistortedCamera") and not bent


def _number(value: Any) -> float:
    return float(np.array(value).reshape(-1)[0])
