"""The benchmark of the documentation's scenes: verdicts, reasons, records of what crashed or never ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import documentation, documentation_scene
from benchmarks.apart import apart, put


@pytest.mark.parametrize(
    ("mean", "error", "verdict"),
    [
        (1.0, 0.01, "right"),
        (1.03, 0.01, "right"),
        (1.1, 0.01, "wrong"),
        (1.1, 0.1, "noisy"),
        (float("nan"), 0.01, "wrong"),
    ],
)
def test_verdict_needs_agreement_and_precision(mean: float, error: float, verdict: str) -> None:
    assert documentation_scene.judged(mean, error, 1.0, 0.001)["verdict"] == verdict


def test_zero_is_right_where_differences_are_exactly_zero_only() -> None:
    assert documentation_scene.judged(0.0, 0.0, 0.0, 0.0)["verdict"] == "right"
    assert documentation_scene.judged(0.0, 0.0, 1e-9, 0.0)["verdict"] == "wrong"


def test_the_same_reason_reads_the_same_in_all_scenes() -> None:
    text = "SceneError: texture '{}' jumps. With {}.vertex_positions, {}.vertex_normals it is seen to move."
    one, other = (documentation.reason(text.format(*names)) for names in ("abb", ("x y", "c-1", "c-1")))
    assert one == other
    assert documentation.reason("SceneError: texture 'a' is red.") != one


def scene(material: str, geometry: str, load: str = "accepted") -> dict[str, Any]:
    parts = {kind: {"verdict": v, "message": "why"} for kind, v in (("material", material), ("geometry", geometry))}
    record = {"load": {"verdict": load, "message": "why"}, "seconds": 1.0}
    return record | (parts if load == "accepted" else {})


def test_requirements_are_met_by_scenes_that_are_right_only() -> None:
    right = {str(k): scene("right", "right") for k in range(9)}
    assert documentation.result({**right, "x": scene("right", "refused")}, 10).met
    assert not documentation.result({**right, "x": scene("right", "wrong")}, 10).met
    assert not documentation.result({**right, "x": scene("traceback", "right")}, 10).met
    assert not documentation.result({**right, "x": scene("right", "accepted")}, 10).met
    assert not documentation.result(right, 10).met
    # Absent files are neither counted for nor against.
    assert documentation.result({**right, "x": scene("", "", "incomplete")}, 10).data["counts"]["geometry"] == {
        "right": 9,
        "incomplete": 1,
    }


def test_what_crashes_or_hangs_is_a_record(tmp_path: Path) -> None:
    # The standard library's own modules stand for a crash and for one that never ends.
    _, failure = apart("json.tool", ["--no-such-option"], 60)
    assert failure.startswith("exit code 2")
    _, failure = apart("http.server", ["--bind", "127.0.0.1", "--directory", str(tmp_path), "0"], 0.01)
    assert failure.startswith("no end within")


def test_a_crash_says_what_came_before_it_and_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "falls.py").write_text(
        "import faulthandler, sys, numpy.random\nprint('last words', file=sys.stderr, flush=True)\nfaulthandler._sigsegv()\n",
        encoding="utf-8",
    )
    _, failure = apart("falls", [], 60, {"PYTHONPATH": str(tmp_path)})
    assert failure.startswith("exit code -11") and "last words" in failure and 'falls.py", line 3' in failure


def test_a_record_is_never_half_written(tmp_path: Path) -> None:
    put({"a": 1}, tmp_path / "record.json")
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]
