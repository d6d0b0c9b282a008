"""Stopping at any moment and going on: the resumed run follows the uninterrupted one, and no step appears twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr.errors import DataError, OptionError
from pbdr.job import checkpoint, inputs, runner, storage
from pbdr.job.config import load_job
from pbdr.job.rundir import RunDirectory
from validation.command_line import run as command
from validation.tiny_job import write_job

Tiny = Callable[..., Path]
STEPS = 60
SLOW = {"steps = 12": f"steps = {STEPS}", "spp = 4": "spp = 64", "image_every = 6": "image_every = 50"}


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def fit(job: Path, folder: Path, **overrides: Any) -> Path:
    """Run a job in this process, without interruption; returns its run directory."""
    loaded, text = load_job(job, {"output.dir": str(folder), **overrides})
    run = runner.create(loaded, text)
    runner.run(run)
    return run.path


def start(job: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pbdr.cli", "fit", str(job), "--output.dir", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < limit
        time.sleep(0.005)


def lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("tiny/*/metrics.jsonl"))


def assert_follows(run: Path, reference: Path) -> None:
    """Same steps, same views, and losses and values equal up to the order of floating-point sums."""
    ours, theirs = records(run), records(reference)
    assert [r["step"] for r in ours] == [r["step"] for r in theirs] == list(range(1, len(theirs) + 1))
    assert [r["views"] for r in ours] == [r["views"] for r in theirs]
    np.testing.assert_allclose([r["loss"] for r in ours], [r["loss"] for r in theirs], rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(
        [list(r["values"].values()) for r in ours], [list(r["values"].values()) for r in theirs], atol=1e-4
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run without interruption."""
    folder = tmp_path_factory.mktemp("reference")
    return fit(write_job(folder, SLOW), folder / "runs")


def test_files_that_changed_are_told(tiny: Tiny, tmp_path: Path) -> None:
    job, text = load_job(tiny(), {"output.dir": str(tmp_path / "runs")})
    run = runner.create(job, text)
    assert inputs.changed(job, run.path / "env.json") == []
    (tmp_path / "truth.xml").write_text((tmp_path / "truth.xml").read_text() + " ")
    (told,) = inputs.changed(job, run.path / "env.json")
    assert told.startswith(f"{tmp_path / 'truth.xml'} has changed since the run began")
    (run.path / "env.json").write_text("{")
    assert inputs.changed(job, run.path / "env.json") == []


@pytest.mark.parametrize("after", [0, 2, 17, 41])
def test_sigkill_at_any_moment(tiny: Tiny, tmp_path: Path, reference: Path, after: int) -> None:
    """0: before the first step. 2: before the first checkpoint. Then: between checkpoints."""
    job, folder = tiny(SLOW), tmp_path / "runs"
    process = start(job, folder)
    wait_for(lambda: lines(folder) >= after if after else any(folder.glob("tiny/*/images/target/*.exr")), process)
    process.kill()
    process.wait()
    run = next(folder.glob("tiny/*"))
    saved = max(checkpoint.steps(run / "checkpoints"), default=0)
    assert after - 4 <= saved < STEPS  # at most one checkpoint interval is lost
    outcome = runner.run(RunDirectory.open(run))
    assert outcome.exit_code == 0 and outcome.step == STEPS
    assert_follows(run, reference)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_saves_and_exits_130(tiny: Tiny, tmp_path: Path, reference: Path, number: signal.Signals) -> None:
    job, folder = tiny(SLOW), tmp_path / "runs"
    process = start(job, folder)
    wait_for(lambda: lines(folder) >= 6, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "pbdr resume" in err.decode() and "Traceback" not in err.decode()
    run = next(folder.glob("tiny/*"))
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "interrupted" and status["step"] == len(records(run))
    assert max(checkpoint.steps(run / "checkpoints")) == status["step"]  # nothing at all is lost
    assert "Interrupted" in (run / "report.html").read_text()
    runner.run(RunDirectory.open(run))
    assert_follows(run, reference)


def test_a_finished_run_is_left_alone(tiny: Tiny, tmp_path: Path) -> None:
    run = fit(tiny(), tmp_path / "runs")
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file() and p.name != ".lock"}
    outcome = runner.run(RunDirectory.open(run.parent))  # runs/<name> means its newest run
    assert outcome.exit_code == 0 and outcome.step == 12
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_a_finished_run_can_be_extended(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its first steps stay, as they were; the images of the start are not made again."""
    run = fit(tiny(), tmp_path / "runs")
    before, start = records(run), (run / "eval" / "initial.json").stat().st_mtime_ns
    code, out, err = command(capfd, "resume", str(run), "--optim.steps", "16", "--goal.psnr", "-1", "--json")
    assert code == 0 and json.loads(out)["step"] == 16, err
    assert "optim.steps = 16" in err and "from step 12 on" in err
    after = records(run)
    assert after[:12] == before and [r["step"] for r in after] == list(range(1, 17))
    assert (run / "eval" / "initial.json").stat().st_mtime_ns == start
    assert "optim.steps = 16" in (run / "log.txt").read_text()
    assert "-1" in json.dumps(json.loads((run / "eval" / "metrics.json").read_text())["goals"])
    code, _, err = command(capfd, "resume", str(run), "--optim.steps", "16")
    assert code == 2 and "has done 16 steps already" in err and len(records(run)) == 16


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optim.step", "30"], "Closest: --optim.steps"),
        (["--render.spp", "9"], "--render.spp cannot change"),
        (["--optim.steps", "many"], "--optim.steps: [optim] steps = 'many'"),
    ],
)
def test_what_cannot_change(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    loaded, text = load_job(tiny(), {"output.dir": str(tmp_path / "runs")})
    run = runner.create(loaded, text)
    before = (run.path / "job.toml").read_text()
    code, _, err = command(capfd, "resume", str(run.path), *words)
    assert code == 2 and message in err
    assert (run.path / "job.toml").read_text() == before


def test_resume_works_from_another_folder(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job names its files relative to itself; the run directory must not depend on where it is resumed."""
    monkeypatch.chdir(tmp_path)
    tiny()
    loaded, text = load_job("job.toml", {"output.dir": "runs"})
    run = runner.create(loaded, text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert runner.run(run).exit_code == 0
    assert (tmp_path / "runs" / "tiny" / run.path.name / "metrics.jsonl").is_file()


def test_two_processes_cannot_work_on_one_run(tiny: Tiny, tmp_path: Path) -> None:
    loaded, text = load_job(tiny(), {"output.dir": str(tmp_path / "runs")})
    run = runner.create(loaded, text)
    with run.locked(), pytest.raises(DataError, match=f"pid {os.getpid()}"):
        runner.run(RunDirectory.open(run.path))


def test_who_finds_a_run_busy_leaves_its_page_alone(tiny: Tiny, tmp_path: Path) -> None:
    from pbdr.cli import main

    loaded, text = load_job(tiny(), {"output.dir": str(tmp_path / "runs")})
    run = runner.create(loaded, text)
    with run.locked():
        assert main(["resume", str(run.path)]) == 3
    assert not run.report.exists()


def test_a_resume_removes_what_a_killed_write_left(tiny: Tiny, tmp_path: Path) -> None:
    """Everywhere in the run, also when it is finished and only its page is missing."""
    run = fit(tiny(), tmp_path / "runs")
    remains = [
        run / ".tmp-1-report.html",
        run / "images" / "init" / ".tmp-1-view.png",
        run / "checkpoints" / ".tmp-1-step-000008",
    ]
    for path in remains[:2]:
        path.write_text("half")
    remains[2].mkdir()
    runner.run(RunDirectory.open(run))
    assert not any(path.exists() for path in remains)


# --- checkpoints -----------------------------------------------------------------------------------------------------

ARRAYS = {"latent/a:m.data": np.arange(6, dtype=np.float32).reshape(2, 3), "m/x": np.zeros(0, np.float32)}


def test_checkpoints_round_trip_and_are_pruned(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        checkpoint.save(tmp_path, step, ARRAYS, {"step": step, "best": None}, keep=2)
    assert checkpoint.steps(tmp_path) == [30, 40]
    found = checkpoint.load(tmp_path)
    assert found is not None and found.step == 40 and found.meta == {"step": 40, "best": None}
    assert found.arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], value)
        assert found.arrays[name].dtype == value.dtype


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no arrays", "no state", "half JSON", "empty"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    checkpoint.save(tmp_path, 10, ARRAYS, {})
    newest = checkpoint.save(tmp_path, 20, ARRAYS, {})
    content = (newest / "arrays.npz").read_bytes()
    if damage == "truncated":
        (newest / "arrays.npz").write_bytes(content[:-20])
    elif damage == "flipped":
        (newest / "arrays.npz").write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    elif damage == "half JSON":
        (newest / "state.json").write_text('{"step": 2')
    else:
        for name in {"no arrays": ["arrays.npz"], "no state": ["state.json"], "empty": ["arrays.npz", "state.json"]}[
            damage
        ]:
            (newest / name).unlink()
    found = checkpoint.load(tmp_path)
    assert found is not None and found.step == 10
    checkpoint.save(tmp_path, 20, ARRAYS, {})  # and it is replaced when its step comes again
    replaced = checkpoint.load(tmp_path)
    assert replaced is not None and replaced.step == 20


@pytest.mark.parametrize("moment", ["first file", "second file", "before the rename"])
def test_a_write_that_stops_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """SIGKILL leaves the temporary folder as it is: simulated by stopping without any cleaning up."""
    checkpoint.save(tmp_path, 10, ARRAYS, {})
    write = checkpoint._write

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    if moment == "before the rename":
        monkeypatch.setattr(os, "rename", stop)
    else:
        name = "arrays.npz" if moment == "first file" else "state.json"
        monkeypatch.setattr(checkpoint, "_write", lambda p, c: stop() if p.name == name else write(p, c))
    rmtree = checkpoint.shutil.rmtree
    monkeypatch.setattr(checkpoint.shutil, "rmtree", lambda *a, **k: None)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, 20, ARRAYS, {})
    monkeypatch.undo()
    assert checkpoint.shutil.rmtree is rmtree
    assert any(p.name.startswith(".tmp-") for p in tmp_path.iterdir())
    found = checkpoint.load(tmp_path)
    assert found is not None and found.step == 10
    storage.sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["step-000010"]


def test_metrics_lose_what_a_kill_cut_off(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "m")
    for step in range(1, 6):
        run.append_metrics({"step": step, "loss": float("nan") if step == 2 else 1.0})
    with open(run.metrics, "a") as file:
        file.write('{"step": 6, "lo')
    assert [r["step"] for r in run.read_metrics()] == [1, 2, 3, 4, 5]
    assert run.read_metrics()[1]["loss"] is None
    run.truncate_metrics(4)
    assert [r["step"] for r in records(run.path)] == [1, 2, 3, 4]


def test_run_directories_of_one_second_differ(tmp_path: Path) -> None:
    import datetime

    now = datetime.datetime(2026, 1, 2, 3, 4, 5)
    first, second = RunDirectory.create(tmp_path, "a", now), RunDirectory.create(tmp_path, "a", now)
    assert first.path.name == "20260102-030405" and second.path.name == "20260102-030405-2"
    with pytest.raises(OptionError):
        RunDirectory.create(tmp_path / "a" / first.path.name / "log.txt", "a", now)
