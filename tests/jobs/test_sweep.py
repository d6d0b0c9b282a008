"""`pbdr sweep`: combinations, tables, and going on after an interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pbdr import cli, sweep
from pbdr.errors import OptionError
from pbdr.sweep import Point, Result

Tiny = Callable[..., Path]


def test_grids_and_points() -> None:
    grid = sweep.parse_grid(
        ["vars.a.lr=1e-2, 3e-2", "vars.a.bounds=[0, 1],[0, 2]", 'loss.image="l1",{ type = "l2", weight = 2 }']
    )
    assert grid[0] == ("vars.a.lr", ["1e-2", "3e-2"]) and grid[1][1] == ["[0, 1]", "[0, 2]"] and len(grid[2][1]) == 2
    planned = sweep.points(grid[:2], 5, 3)
    assert len(planned) == 12 and len({p.name for p in planned}) == 12 and [p.seed for p in planned[:4]] == [5, 6, 7, 5]
    assert planned[0].settings == planned[2].settings == (("vars.a.lr", "1e-2"), ("vars.a.bounds", "[0, 1]"))
    assert [p.seed for p in sweep.points([], 0, 2)] == [0, 1]
    for word, message in (
        ("vars.a.lr", "expected KEY=VALUE"), ("lr=1", "expected KEY"), ("vars.a.lr=1,,2", "expected KEY"),
        ("vars.a.lr=1,1", "twice"), ("optim.seed=1,2", "the sweep itself"),
    ):  # fmt: skip
        with pytest.raises(OptionError, match=message):
            sweep.parse_grid([word])


def test_the_table_is_over_seeds_best_first() -> None:
    """Means and standard deviations by hand; runs that did not end do not count, and are told."""

    def result(lr: str, seed: int, code: int | None, psnr: float | None) -> Result:
        numbers = () if psnr is None else (("held_out PSNR", psnr), ("seconds", 2.0))
        return Result(Point((("vars.a.lr", lr),), seed), code, "somewhere", numbers)

    found = [
        result("1", 0, 0, 20.0),
        result("1", 1, 5, 22.0),
        result("2", 0, 0, 30.0),
        result("2", 1, 4, 99.0),
        result("3", 0, None, None),
    ]
    header, rows = sweep.table(found)
    assert header == ["vars.a.lr", "ended", "met", "held_out PSNR", "seconds"]
    assert rows == [
        ["2", "1/2", "1/2", "30", "2"],
        ["1", "2/2", "1/2", "21 ± 1.4", "2 ± 0"],
        ["3", "0/1", "0/1", "", ""],
    ]


def test_mistakes_are_told_before_anything_runs(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", str(tiny()), "--out", str(tmp_path / "s")]
    assert cli.main([*words, "--grid", "vars.albedo.lr=0.1,-1", "--grid", "optim.stepz=1"]) == 2
    err = capfd.readouterr().err
    assert "stepz" in err and "-1" in err and not (tmp_path / "s").exists()
    sweep.Sweep(tmp_path / "s", Path("a.toml"), []).prepare("x", [])
    with pytest.raises(OptionError, match="another file"):
        sweep.Sweep(tmp_path / "s", Path("b.toml"), []).prepare("x", [])


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_stopped(tiny: Tiny, tmp_path: Path) -> None:
    """Interrupted in its second run, the same command resumes that one and keeps the first; the better rate comes first."""
    folder = tmp_path / "s"
    words = [
        sys.executable,
        "-m",
        "pbdr.cli",
        "sweep",
        str(tiny()),
        "--grid",
        "vars.albedo.lr=1e-3,5e-2",
        "--out",
        str(folder),
        "--json",
    ]
    words += ["--optim.steps", "40", "--output.checkpoint_every", "1"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(folder.glob("*5e-2*/tiny/*/checkpoints/step-000002")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 130 and json.loads(out)["done"] == 1
    first = next(folder.glob("*1e-3*/tiny/*/status.json"))
    before = first.stat().st_mtime_ns
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["ok"] and first.stat().st_mtime_ns == before
    assert [row[0] for row in found["table"][1:]] == ["5e-2", "1e-3"] and len(list(folder.glob("*/tiny/*"))) == 2
    text = next(folder.glob("*5e-2*/output.txt")).read_text()
    assert "continuing after step" in text
    assert Path(found["page"]).is_file() and len((folder / "sweep.csv").read_text().splitlines()) == 3
