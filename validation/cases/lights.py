"""Lights that move or change, and shadows in their light."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from validation import finite_differences as fd
from validation.cases.case import Cases, Tangent, turned
from validation.cases.shapes import CLOSED7
from validation.scenes import emitters, sensors, zoo

CASES = Cases()
add = CASES.add

EMITTERS = "tests/gradient/test_emitters.py::test_emitter"
LIGHTS = {
    "point": ("point light", "exactly 0"), "spot": ("spot light", "exactly 0"), "directional": ("directional light", "exactly 0"),
    "area": ("area light", ""), "area-sphere": ("area light", ""), "sky": ("environment", ""), "projector": ("projector", ""),
}  # fmt: skip


def shadowed(light: str) -> Callable[[Path], Any]:
    """A cube and its shadow on a patterned floor."""
    return lambda folder: sensors.scene("perspective", light=zoo.sky() if light == "sky" else zoo.EMITTERS[light]())


SHADOW_TESTS = {
    "point": "tests/gradient/test_emitters.py::test_emitter", "spot": "tests/gradient/test_emitters.py::test_emitter",
    "directional": "tests/gradient/test_sensors.py::test_camera_parameters",
    "projector": "tests/gradient/test_emitters.py::test_emitter",
    "area": "tests/gradient/test_sensors.py::test_moving_shapes",
    "area-sphere": CLOSED7 + "test_form_7_under_a_turned_ball", "sky": CLOSED7 + "test_form_8_wall_under_a_uniform_sky",
}  # fmt: skip
for _light, (_feature, _peer) in LIGHTS.items():
    add(f"shadow of a moving block, {_light}", _feature, "shape", shadowed(_light), "block/positions", turned,
        (SHADOW_TESTS[_light],), fd_spp=2048, peer=_peer)  # fmt: skip


def emitter_tangent(light: str) -> Tangent:
    """The direction in which validation/scenes/emitters.py moves this light."""
    return lambda scene, name: np.asarray(emitters.tangent(scene, light, fd.parameters(scene, name)[name], 2))


for _light, _role, _step, _peer in (
    ("point", "position", 0.05, "raises"), ("spot", "pose", 0.02, "raises"), ("directional", "pose", 0.02, ""),
    ("projector", "pose", 0.02, ""), ("area", "pose", 0.05, ""), ("area-sphere", "pose", 0.05, ""), ("sky", "pose", 0.05, ""),
    ("spot", "cutoff_angle", 0.5, ""), ("area-textured", "radiance", 0.5, ""), ("sky", "radiance", 0.1, ""),
):  # fmt: skip
    add(f"{_light}: {_role}", LIGHTS[_light.replace("-textured", "")][0], "light",
        lambda folder, light=_light: emitters.lit(light), f"light/{_role}", emitter_tangent(_light),
        (f"{EMITTERS}[{_light}-{_role}]",), step=_step, fd_spp=512,
        spp=1024 if (_light, _role) == ("sky", "pose") else 256, peer=_peer)  # fmt: skip
