"""Cameras that move or change, and films."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pbdr.scene import load_scene
from validation.cases.case import Cases, one, turned
from validation.scenes import sensors, zoo

CASES = Cases()
add = CASES.add

SENSORS = "tests/gradient/test_sensors.py::"
VIEWS = {
    "perspective": ("perspective camera", ("pose", "fov", "principal_point_x"), "raises, or interior only"),
    "orthographic": ("orthographic camera", ("pose",), "raises"),
    "thinlens": ("thin-lens camera", ("pose", "aperture_radius", "focus_distance"), "raises"),
    "opencv": ("opencv camera", ("pose", "focal_x", "k1", "p1"), ""),
    "opencv_fisheye": ("fisheye camera", ("pose", "k1"), ""),
}
for _view, (_feature, _roles, _peer) in VIEWS.items():
    for _role in _roles:
        add(f"{_view}: {_role}", _feature, "camera", lambda folder, view=_view: sensors.scene(view), f"camera/{_role}", turned,
            (f"{SENSORS}test_camera_parameters[{_view}]",), step=sensors.CAMERA[_view][_role], spp=128, peer=_peer)  # fmt: skip
for _view in ("orthographic", "thinlens", "opencv_fisheye"):
    add(f"{_view}: block moves", VIEWS[_view][0], "shape", lambda folder, view=_view: sensors.scene(view, light=sensors.area()),
        "block/positions", turned, (f"{SENSORS}test_moving_shapes[{_view}]",), spp=128, fd_spp=2048,
        peer=VIEWS[_view][2])  # fmt: skip


def batch(folder: Path) -> Any:
    """Two views in one sensor."""
    views = {f"view{k}": zoo.camera(film=zoo.film(width=8)) for k in range(2)}
    return load_scene(zoo.scene(sensor={"type": "batch", "film": zoo.film(), **views}))


add("batch of sensors", "other sensors", "shape", batch, "ball/pose", one,
    ("tests/gradient/test_refusals.py::test_other_sensors_have_no_boundary",), refusal="Batch", peer="raises")  # fmt: skip

BORDER = {"rfilter": {"type": "gaussian"}, "sample_border": True}
add("cropped film", "film: crop", "shape", lambda folder: sensors.scene("perspective", film=zoo.film(**sensors.CROP)),
    "block/positions", turned, ("tests/gradient/test_invariances.py::test_crop_windows",),
    peer="splatted without the offset")  # fmt: skip
add("border and Gaussian filter", "film: filter and border", "shape",
    lambda folder: sensors.scene("perspective", film=zoo.film(**BORDER)), "block/positions", turned,
    ("tests/gradient/test_invariances.py::test_reconstruction_filters",), peer="scaled by (W+2b)(H+2b)/(WH)")  # fmt: skip
add("border, Gaussian filter and crop, camera moves", "film: filter and border", "camera",
    lambda folder: sensors.scene("perspective", film=zoo.film(**BORDER, **sensors.CROP)), "camera/pose", turned,
    (f"{SENSORS}test_camera_parameters[opencv]",), spp=128)  # fmt: skip
