"""What watches over a fit: audits of gradients, error bars, open directions, steps back from divergence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
import pytest

from pbdr import cli
from pbdr.errors import DivergedError, GradientError
from pbdr.inverse import Options, Problem, View, init
from pbdr.inverse.fit import Info, Result
from pbdr.inverse.identify import identify
from pbdr.inverse.state import Progress, State
from pbdr.job import bars, evaluate, remarks, watch
from pbdr.parameters import VariableSpec
from pbdr.scene import load_object, load_scene
from validation.faults import FAULTS
from validation.small_problems import audited, made, scores

TRACER = {"type": "pathspace", "max_depth": 2, "hide_emitters": True}


def test_audits_leave_a_right_gradient_alone_and_name_a_wrong_one() -> None:
    """A factor of 1.2 of one variable alone, by eight audits of each; `python -m benchmarks warranty` has more faults."""
    assert audited("colours", 1, 16) == ("", 16)
    with FAULTS["exp x 1.2"].made():
        told, count = audited("colours", 1, 16)
    assert "'sky_radiance' (sky/radiance) is wrong" in told and count <= 16


def test_error_bars_hold_the_truth() -> None:
    """Three problems of six numbers; bars of a fifth of the size fail the same check."""
    found = np.array([list(dict(scores("colours", number, 25)).values()) for number in (0, 2, 3)])
    assert (np.abs(found) < 3).all() and np.abs(found).mean() > 0.1
    assert not (np.abs(5 * found) < 3).all()


def glowing(floor: bool) -> Any:
    """A grey ball under a sky that no image shows; with a floor, whose colour is known, or without."""
    scene: dict[str, Any] = {
        "type": "scene",
        "camera": {
            "type": "perspective", "fov": 40,
            "to_world": mi.ScalarTransform4f().look_at([2, 2, -5], [0, 0, 0], [0, 1, 0]),
            "film": {"type": "hdrfilm", "width": 16, "height": 16, "rfilter": {"type": "box"}},
        },
        "sky": {"type": "constant", "radiance": {"type": "rgb", "value": [0.7, 0.8, 0.9]}},
        "ball": {"type": "sphere", "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.5, 0.4, 0.3]}}},
    }  # fmt: skip
    if floor:
        place = mi.ScalarTransform4f().translate([0, -1, 0]).rotate([1, 0, 0], -90).scale(6)
        scene["floor"] = {"type": "rectangle", "to_world": place, "bsdf": {"type": "diffuse"}}
    return load_scene(scene)


@pytest.mark.parametrize("floor", [False, True])
def test_albedo_and_light_are_named_where_images_leave_them_open(floor: bool) -> None:
    scene = glowing(floor)
    image = np.array(mi.render(scene.mi, integrator=load_object({**TRACER, "type": "path"}), spp=64, seed=3))
    variables = {"color": VariableSpec("ball/base_color"), "sky": VariableSpec("sky/radiance")}
    problem = Problem(scene, [View(image[..., :3])], variables, Options(steps=1, integrator=TRACER, loss="l2"))
    found = identify(problem, init(problem))
    told = {one.told() for one in found.open}
    assert len(told) == (0 if floor else 3) and all("ball/base_color" in t and "sky/radiance" in t for t in told)
    deviations = [bar.sd / bar.unit for bar in found.bars]
    assert max(deviations) < 0.1 if floor else min(deviations) > 0.2


def test_the_verdict_is_never_plain_while_a_direction_is_open() -> None:
    bar = {"name": "a", "what": "", "offset": 0.0, "sd": 0.01, "unit": 1.0}
    open_one = {"open": [{"unknowns": "a × b"}], "bars": [bar]}
    assert bars.remark(None) == ("", "") and bars.remark({"open": [], "bars": [bar]}) == ("", "")
    word, text = bars.remark(open_one)
    assert word == "ambiguous" and "a × b" in text
    word, text = bars.remark({"open": [], "bars": [{**bar, "offset": 0.3}]})
    assert word == "not settled" and "minimum: a" in text
    many = [{"unknowns": f"u{k}"} for k in range(30)]
    assert "u8; and 21 more: other values" in bars.remark({"open": many, "bars": []})[1]


def test_the_verdict_tells_what_did_not_move_and_what_got_worse() -> None:
    records = [{"gradient": {"a": 0.0, "b": 0.0}}, {"gradient": {"a": 0.0, "b": 1e-9}}, {"gradient": {"a": 0.0}}]
    assert "'a' did not move" in remarks.unmoved({}, records) and "'b'" not in remarks.unmoved({}, records)
    assert "'late'" in remarks.unmoved({"late": 3, "soon": 2}, records)
    assert "'soon'" not in remarks.unmoved({"late": 3, "soon": 2}, records)
    better, noise, bad = ({"psnr_init": 20.0, "psnr": psnr} for psnr in (21.0, 19.8, 18.0))
    assert remarks.worse({"training": better, "held-out": noise}) == "" == remarks.worse({"held-out": None})
    text = remarks.worse({"training": better, "held-out": bad})
    assert "of the held-out images, 20.00 dB before and 18.00 dB after" in text and "training" not in text
    found = evaluate._verdict([], {}, worse=text)
    assert found["word"] == "Finished, worse than at the start" and found["level"] == "warn"
    assert evaluate._verdict([], {}, " 'a' did not move.")["word"] == "Finished, ambiguous"
    assert evaluate._verdict([], {})["word"] == "Finished"


def test_what_no_image_depends_on_is_told_after_a_round() -> None:
    problem, _ = made("colours", 0, 3)
    start, said = init(problem), []
    watched = watch.Watch(problem, False, said.append)._watched(lambda state, info: None)
    for step, norm in enumerate((0.0, 0.1, 0.0)):
        info = Info(step, 1.0, 0.0, {"still": 0.0, "seen": norm}, {}, ("0",), 1.0, 0.1, False)
        watched(State(step + 1, start.latents, start.memory), info)
        assert len(said) == (step >= 1)
    assert "no image depends on 'still':" in said[0]


def test_a_diverged_fit_steps_back_with_half_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = made("colours", 0, 3)
    start, rates, said = init(problem), [], []

    def fit(given: Problem, callback: Any, state: State) -> Result:
        rates.append(given.options.rate)
        if len(rates) < diverging:
            raise DivergedError("the loss is not finite")
        return Result(state, [], "steps", {}, None)

    monkeypatch.setattr(watch.inverse, "fit", fit)
    diverging = 3
    watched = watch.Watch(problem, False, said.append)
    assert watched.fit(lambda state, info: None, start, lambda: start).state is start
    assert rates == [1.0, 0.5, 0.25] and watched.steps_back == 2 and "half the learning rates" in said[0]
    assert problem.options.rate == 1.0 and problem.at_rate(0.5).bound is problem.bound
    diverging, rates[:] = 99, []
    with pytest.raises(DivergedError, match=r"did not help\)\. Lower the lr of \w+ \("):
        watch.Watch(problem, False, said.append).fit(lambda state, info: None, start, lambda: start)
    assert len(rates) == watch.STEPS_BACK + 1


def test_a_loss_that_rises_has_diverged() -> None:
    problem, _ = made("colours", 0, 3)
    after = watch.Watch(problem, False, print)._watched(lambda state, info: None)
    info: Any = type("Info", (), {"scale": 1.0, "skipped": False, "seconds": 0.1, "step": 0, "gradient_norms": {}})()
    for smoothed in (1.0, 2.0):
        after(State(1, {}, None, progress=Progress(smoothed)), info)  # type: ignore[arg-type]
    with pytest.raises(DivergedError, match="5 times that of the start"):
        after(State(2, {}, None, progress=Progress(5.0)), info)  # type: ignore[arg-type]


def test_a_wrong_gradient_ends_a_job_with_exit_code_4(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def wrong(*_: Any) -> None:
        raise GradientError("the gradient of variable 'color' (ball/base_color) is wrong")

    monkeypatch.setattr(watch.Warranty, "after", wrong)
    assert cli.main(["fit", str(tiny()), "--output.dir", str(tmp_path / "runs")]) == 4
    assert "variable 'color'" in capfd.readouterr().err
    run = next((tmp_path / "runs" / "tiny").iterdir())
    assert json.loads((run / "status.json").read_text())["exit_code"] == 4
