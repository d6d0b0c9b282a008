"""The judge of `python -m benchmarks jobs`: what counts as a success, and what is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from benchmarks import harness, jobs
from benchmarks.__main__ import main
from benchmarks.jobs_case import Case, Limit
from pbdr.errors import OptionError

CASE = Case(
    "camera-pose",
    "a pose",
    (Limit("degrees", 0.1, "°"), Limit("psnr", 30.0, "dB", at_least=True)),
    3.0,
    lambda start, folder: {},
)


def record(degrees: float = 0.05, psnr: float = 35.0, processor: float = 60.0, **more: Any) -> dict[str, Any]:
    figures = {"degrees": degrees, "psnr": psnr}
    return {"figures": figures, "seconds_processor": processor, "seconds_wall": processor, **more}


def test_a_start_succeeds_only_if_every_limit_is_met() -> None:
    assert jobs.succeeded(CASE, record())
    assert not jobs.succeeded(CASE, record(degrees=0.2))
    assert not jobs.succeeded(CASE, record(degrees=float("nan")))
    assert not jobs.succeeded(CASE, record(psnr=29.0))
    assert not jobs.succeeded(CASE, record(processor=361.0))  # 3 minutes of two cores
    assert not jobs.succeeded(CASE, {"error": "ParameterError: no"})
    assert not jobs.succeeded(CASE, {"figures": {}, "seconds_processor": 1.0})


def test_a_case_needs_five_starts_that_all_succeed() -> None:
    every = {CASE.name: CASE}
    assert jobs.judged(every, {CASE.name: [record()] * 5}).met is True
    assert jobs.judged(every, {CASE.name: [record()] * 4}).met is False
    found = jobs.judged(every, {CASE.name: [record()] * 4 + [record(degrees=0.3)], "gone": [record()]})
    assert found.met is False and list(found.data["records"]) == [CASE.name]
    assert "**4 of 5**" in found.tables and "degrees 0.3" in found.tables and "degrees ≤ 0.1 °" in found.tables


def test_a_case_that_has_not_run_is_listed_and_not_met() -> None:
    every = {CASE.name: CASE, "camera-lens": dataclasses.replace(CASE, name="camera-lens")}
    assert jobs.judged(every, dict.fromkeys(every, [record()] * 5)).met is True
    found = jobs.judged(every, {CASE.name: [record()] * 5}, {"camera-lens": "no images here"})
    assert found.met is False and found.data["verdicts"] == {CASE.name: True, "camera-lens": False}
    assert "**not run**: no images here" in found.tables and "1 of 2 cases are met" in found.tables
    assert "**3 of 3, 2 not run**" in jobs.judged(every, {CASE.name: [record()] * 3}).tables
    assert jobs.judged(every, {}).met is False


def test_the_list_of_cases_is_printed_and_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(harness, "RECORDED", tmp_path / "recorded")
    assert main(["jobs", "--list", "--record", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in jobs.cases()) and not (tmp_path / "recorded").exists()


def test_cases_are_selected_by_name_glob_and_beginning() -> None:
    every = dict.fromkeys(("camera-pose", "camera-lens", "shape-spot"), CASE)
    assert len(jobs.selected(every, ["camera"])) == 2 and len(jobs.selected(every, ["*-spot"])) == 1
    with pytest.raises(OptionError, match="no case is called 'kamera-pose'"):
        jobs.selected(every, ["kamera-pose"])


def test_a_record_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "start-0.json").write_text('{"start": 0}', encoding="utf-8")
    assert jobs._run(CASE, 0, tmp_path, again=False) == ""


def test_every_case_is_known_by_one_name() -> None:
    assert all(name == case.name and case.limits for name, case in jobs.cases().items())
