"""The parts of benchmarks/ that a wrong figure could hide in."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import bias, bias_page, bumpy, harness, kill_resume, memory_probe, spot_scene, theory_table


@pytest.mark.parametrize(("met", "words"), [(True, "met"), (False, "**not met**"), (None, "none stated")])
def test_page_says_whether_requirements_are_met(tmp_path: Path, met: bool | None, words: str) -> None:
    result = harness.Result("name", {"figure": np.float32(0.5)}, harness.table(["a"], [[1]]), met)
    record = harness.write(result, tmp_path, 1.0)
    assert record["figure"] == 0.5 and record["met"] is met
    page = (tmp_path / "name.md").read_text(encoding="utf-8")
    assert f"Requirements: {words}." in page and "| 1 |" in page


def test_half_a_line_of_metrics_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo', encoding="utf-8")
    assert kill_resume._steps(tmp_path) == [1]
    assert kill_resume._steps(None) == []


def test_tangents_are_the_derivative_of_the_motion() -> None:
    blob, step = bumpy.Blob.subdivided(1), 1e-4
    for component, tangent in zip(bumpy.COMPONENTS, blob.tangents, strict=True):
        slope = (blob.moved(component, step) - blob.moved(component, -step)) / (2 * step)
        assert slope == pytest.approx(tangent, abs=1e-6), component


def test_tangents_away_from_the_start_are_derivatives_there() -> None:
    blob, at, step = bumpy.Blob.subdivided(1), 0.3, 1e-4
    for component in bumpy.COMPONENTS:
        slope = (blob.moved(component, at + step) - blob.moved(component, at - step)) / (2 * step)
        assert slope == pytest.approx(blob.tangent(component, at), abs=1e-6), component


def test_verdict_needs_agreement_and_precision() -> None:
    count = len(bumpy.COMPONENTS)

    def verdict(mean: float, error: float) -> str:
        ours = {"0.02": {"mean": [mean] * count, "error": [error] * count}}
        reference = {"0.02": {"mean": [1.0] * count, "error": [0.0] * count}}
        words = {found["verdict"] for found in theory_table.verdicts(ours, reference).values()}
        assert len(words) == 1
        return words.pop()

    assert verdict(1.01, 0.005) == "agrees"
    assert verdict(1.03, 0.005) == "differs"
    assert verdict(1.00, 0.02) == "undecided"


def test_held_out_views_look_from_all_heights() -> None:
    heights = [camera.to_world[1, 3] for camera in spot_scene.cameras(64)[:: spot_scene.HOLDOUT]]
    assert len(heights) == 4
    assert min(heights) < 0 < max(heights)


def test_memory_of_a_pass_grows_with_the_gradient_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_probe, "SIZE", 16)
    found: dict[tuple[int, int], dict[str, Any]] = {
        case: memory_probe.measure(*case) for case in ((16, 3), (128, 3), (16, 9))
    }
    few, many, deep = found.values()
    assert few["parameters"] == 3 * 16**2 and few["lanes"] == 16**2 * memory_probe.SPP
    # Five floats a parameter, the gradient and what the texture needs to receive it, rounded up to blocks of 2ⁿ bytes.
    assert many["device"] - few["device"] <= 32 * (many["parameters"] - few["parameters"])
    assert deep["device"] <= 1.1 * few["device"]


def test_options_of_every_benchmark_parse() -> None:
    from benchmarks.__main__ import BENCHMARKS, parser

    for name in BENCHMARKS:
        options = parser().parse_args([name, "--out", "x"])
        assert isinstance(options, argparse.Namespace) and options.out == Path("x")
        json.dumps({key: str(value) for key, value in vars(options).items()})


def test_verdict_of_biases() -> None:
    """Exact estimators must agree, AD without boundary must not; what a renderer does not see is called that."""

    def case(**means: float) -> dict[str, object]:
        given = {"pathspace": 1.01, "finite differences": 1.0, "difference sampling": 0.99, "no boundary": 0.0} | means
        return {name: bias.judged([mean - 0.005, mean + 0.005], 1.0) for name, mean in given.items()}

    assert bias.met({"shadow": case()})
    assert not bias.met({"shadow": case(), "silhouette": case(pathspace=1.1)})
    assert not bias.met({"shadow": case(**{"no boundary": 1.0})})
    assert bias_page.cell("shadow", bias.judged([0.0], -2.0)) == "0 (does not render shadows)"
    assert bias_page.cell("depth order", bias.judged([0.2], -1.0)) == "-120.0 % (wrong sign)"
    assert bias_page.cell("silhouette", None) == ""
