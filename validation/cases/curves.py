"""B-spline curves and linear curves."""

from __future__ import annotations

from validation.cases.case import Cases
from validation.scenes import curves, sensors

CASES = Cases()
add = CASES.add

CURVES = "tests/gradient/test_curves.py::"
for _kind in curves.POINTS:
    for _name, _param, _which in (
        ("bends", "curve/control_points", "shape"), ("at rest, receiver moves", "floor/pose", "shape"),
        ("before a moving camera", "camera/pose", "camera"),
    ):  # fmt: skip
        add(f"{_kind} {_name}", "other shapes", _which,
            lambda folder, kind=_kind, parameter=_param: curves.scene(
                folder, kind, sensors.area() if parameter == "floor/pose" else None
            ),
            _param, curves.bending,
            (f"{CURVES}test_moving_curves_receivers_and_cameras[{_kind}-{_param}-{'area' if _param == 'floor/pose' else 'lamp'}]",),
            fd_spp=4096, peer="no silhouettes" if _kind == "linearcurve" else "")  # fmt: skip
