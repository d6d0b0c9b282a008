"""Two steps of a fit for every role of the scene zoos: a result that is finite, or a refusal by name; never anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr import cli, inverse, load_scene
from pbdr.errors import PbdrError
from pbdr.inverse import Options, Problem, View
from pbdr.parameters import VariableSpec, list_parameters
from validation.scenes import plugins, zoo

QUICK = ("material roughconductor", "emitter constant", "plugin perspective")
NAMES = [
    *(f"material {name}" for name in zoo.MATERIALS),
    *(f"emitter {name}" for name in zoo.EMITTERS),
    *(f"plugin {name}" for name in plugins.SCENES),
]
SCENES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]


def small(scene: dict[str, Any]) -> dict[str, Any]:
    """Films of 4 x 4 pixels."""
    for value in scene.values():
        if isinstance(value, dict) and value.get("film", {}).get("width", 1) > 4:
            value["film"] = {**value["film"], "width": 4, "height": 4}
    return scene


def fitted(make: Callable[[], dict[str, Any]], raw: list[str]) -> None:
    """Two steps of one variable that is all of these parameters."""
    scene = load_scene(make())
    width, height = scene.sensors[0].film().crop_size()
    options = Options(steps=2, spp=1, max_skips=2, integrator={"type": "pathspace", "max_depth": 2})
    view = View(np.full((height, width, 3), 0.5, np.float32))
    result = inverse.fit(Problem(scene, [view], {"all": VariableSpec(raw=raw, optimiser="adam")}, options))
    wrong = [name for name, value in result.values.items() if not np.isfinite(value).all()]
    assert not wrong and all(info.reason or np.isfinite(info.loss) for info in result.infos), wrong


def outcomes(make: Callable[[], dict[str, Any]]) -> dict[str, str]:
    """What becomes of every parameter: "" or the message that refuses it. All at once; halves where that is refused."""
    found: dict[str, str] = {}

    def go(raw: list[str]) -> None:
        try:
            fitted(make, raw)
        except PbdrError as error:
            if len(raw) == 1:
                found[raw[0]] = str(error)
            else:
                go(raw[: len(raw) // 2])
                go(raw[len(raw) // 2 :])
        else:
            found.update(dict.fromkeys(raw, ""))

    go([p.raw for p in list_parameters(load_scene(make()))])
    return found


def check(make: Callable[[], dict[str, Any]]) -> None:
    found = outcomes(make)
    assert found
    for raw, message in found.items():
        assert "\n" not in message, (raw, message)


@pytest.mark.parametrize("name", SCENES)
def test_two_steps_of_every_role(name: str, tmp_path: Path) -> None:
    kind, _, which = name.partition(" ")
    if kind == "material":
        check(lambda: small(zoo.scene(bsdf=zoo.MATERIALS[which]())))
    elif kind == "emitter":
        check(lambda: small(zoo.scene(light=zoo.EMITTERS[which]())))
    else:
        check(lambda: small(plugins.SCENES[which](tmp_path)))


@pytest.mark.parametrize("match", ['"camera-0/pose"', '"camera-*/*"', '["ball/*"]'])
def test_the_numbers_of_a_pose_are_refused_before_anything_is_rendered(
    tiny: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], match: str
) -> None:
    job = tiny({'match = "mat/base_color"': f'match = {match}\nmap = "clamp"', "init = 0.5\nbounds = [0.0, 1.0]\n": ""})
    code = cli.main(["fit", str(job), "--output.dir", str(tmp_path / "runs")])
    err = capfd.readouterr().err
    assert code == 2 and "is a pose" in err and "/pose" in err and "Traceback" not in err, err
    assert not (tmp_path / "runs").exists()
