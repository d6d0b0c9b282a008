"""The page of several runs: what differs, what is best, images side by side; one file without addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr import cli, compare_report
from pbdr.errors import OptionError
from pbdr.job import results, storage
from pbdr.job.rundir import RunDirectory
from validation.command_line import run as command
from validation.pages import Addresses


def made(base: Path, name: str, stamp: str, lr: float, psnr: float, seconds: float) -> Path:
    """A run as `pbdr fit` leaves it."""
    directory = RunDirectory(base / name / stamp)
    storage.write_text(
        directory.path / "job.toml",
        f'name = "{name}"\n[vars.albedo]\nlr = {lr}\nmatch = "a<b>/base_color"\n[optim]\nsteps = 40\n',
    )
    storage.write_json(
        directory.path / "env.json", {"python": "3.11", "packages": {"mitsuba": "3.9.1"}, "command": [stamp]}
    )
    image = np.full((8, 8, 3), lr, np.float32)
    results.write_view(directory.images("target"), "view-000", 0.5 * np.ones_like(image))
    results.write_view(directory.images("final"), "view-000", image, 0.5 * np.ones_like(image))
    for step in range(1, 41):
        directory.append_metrics(
            {"step": step, "loss": lr / step, "seconds": seconds, "values": {"m/roughness": psnr / step}}
        )
    directory.write_status("finished", step=40, steps=40, exit_code=0)
    group = {"psnr": psnr, "psnr_init": 5.0, "views": 1}
    storage.write_json(directory.path / "eval" / "metrics.json", {"held_out": group, "verdict": {"word": "Finished"}})
    entry = {"name": "m/roughness", "estimate": psnr / 40, "rmse": lr}
    storage.write_json(directory.path / "eval" / "parameters.json", {"parameters": [entry]})
    return directory.path


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [
        made(tmp_path, "job", "20260101-000001", 0.01, 31.0, 2.0),
        made(tmp_path, "job", "20260101-000002", 0.1, 28.5, 1.0),
    ]


def rows(runs: list[compare_report.Run]) -> dict[str, Any]:
    return {
        row["name"]: [(cell["text"], cell["best"]) for cell in row["cells"]] for row in compare_report.results(runs)
    }


def test_what_differs_and_what_is_best(two: list[Path]) -> None:
    runs = compare_report.read([RunDirectory.open(path) for path in two])
    found = rows(runs)
    assert found["Held-out PSNR (dB)"] == [("31.00", True), ("28.50", False)]
    assert found["RMSE of m/roughness"] == [("0.01", True), ("0.1", False)]
    assert found["Time of fitting"] == [("1 min 20 s", False), ("40.0 s", True)]  # less is better
    assert found["Steps"] == [("40", False), ("40", False)] and "Training PSNR (dB)" not in found
    assert compare_report.differences(runs) == [{"key": "vars.albedo.lr", "values": ["0.01", "0.1"]}]  # not the command
    assert runs[0].seconds[-1] == 80.0


def test_the_page_is_one_file_and_well_formed(
    two: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = command(capfd, "compare", *map(str, two), "--json", "-o", str(tmp_path / "page.html"))
    found = json.loads(out)
    page = (tmp_path / "page.html").read_text()
    parser = Addresses()
    parser.feed(page)
    assert code == 0 and found["page"] == str(tmp_path / "page.html") and parser.open == []
    assert parser.found and all(address.startswith(("data:", "#")) for address in parser.found)
    assert "<script" not in page and page.count("<svg") == 3  # loss over steps and over seconds, one value
    assert page.count('alt="view-000') == 5  # target, two images, two errors
    assert "20260101-000002" in page and "28.50" in page
    assert found["differences"] == {"vars.albedo.lr": ["0.01", "0.1"]}


def test_runs_that_have_little_and_mistakes(two: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    early = RunDirectory.create(tmp_path, "early")
    storage.write_text(early.path / "job.toml", 'name = "early"\n')
    runs = compare_report.read([RunDirectory.open(two[0]), early])
    assert [run.label for run in runs] == ["job/20260101-000001", f"early/{early.path.name}"]
    assert "view-000" not in compare_report.build(runs)  # one run alone has it
    with pytest.raises(OptionError, match="at least two runs"):
        compare_report.read([early])
    assert cli.main(["compare", str(two[0]), str(two[0])]) == 2 and "given twice" in capfd.readouterr().err
    assert cli.main(["compare", str(two[0]), str(tmp_path / "nothing")]) == 3
    assert cli.main(["compare", *map(str, two), "-o", "page.txt"]) == 2
