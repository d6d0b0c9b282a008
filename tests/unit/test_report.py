"""report.html from a run directory made by hand: self-contained, complete, and honest about what is missing."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pbdr import report
from pbdr.job import results, storage
from pbdr.job.rundir import RunDirectory
from validation.pages import Addresses

METRICS: dict[str, Any] = {
    "protocol": {"psnr": "PSNR as documented", "spp": 64},
    "held_out": {"views": 1, "psnr": 31.5, "psnr_init": 12.25},
    "training": None,
    "goals": [{"kind": "psnr", "label": "held-out PSNR", "limit": 30.0, "value": 31.5, "initial": 12.25, "met": True}],
    "verdict": {"met": True, "level": "good", "word": "Converged", "text": "The goal is met."},
}


@pytest.fixture
def finished(tmp_path: Path) -> RunDirectory:
    run = RunDirectory.create(tmp_path, "bunny <1>")
    storage.write_text(run.path / "job.toml", 'name = "<script>alert(1)</script>"\n')
    storage.write_json(run.path / "env.json", {"python": "3.11"})
    rng = np.random.default_rng(0)
    target = rng.uniform(size=(8, 8, 3)).astype(np.float32)
    results.write_view(run.images("target"), "view-000", target)
    results.write_view(run.images("init"), "view-000", 0 * target, target)
    results.write_view(run.images("final"), "view-000", target, target)
    for step in range(1, 41):
        run.append_metrics(
            {
                "step": step,
                "loss": 1.0 / step,
                "gradient": {"albedo": 0.1},
                "values": {"m/roughness": 0.3},
                "seconds": 0.5,
            }
        )
    run.write_status("finished", step=40, steps=40, exit_code=0)
    storage.write_json(run.path / "eval" / "metrics.json", METRICS)
    storage.write_text(
        run.path / "eval" / "per_view.csv", "view,set,psnr_init,psnr,source\nview-000,held-out,12.25,31.5,a.exr\n"
    )
    maps = results.write_parameter(run.path, "m/base_color", {"init": 0 * target, "estimate": target, "target": target})
    entry = {"variable": "albedo", "name": "m/base_color", "kind": "texture", "shape": [8, 8, 3], "init": 0.0,
             "estimate": [0.5, 0.4, 0.3], "target": [0.5, 0.4, 0.3], "rmse": 0.0123, "rmse_init": 0.5, "images": maps}  # fmt: skip
    storage.write_json(run.path / "eval" / "parameters.json", {"parameters": [entry]})
    return run


def pictures(page: str) -> list[np.ndarray]:
    data = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(d)))) for d in data]


def test_the_page_is_one_file_and_well_formed(finished: RunDirectory) -> None:
    page = report.write(finished).read_text()
    parser = Addresses()
    parser.feed(page)
    assert parser.open == []
    assert parser.found and all(a.startswith(("data:", "#")) for a in parser.found)
    assert "<script" not in page and "&lt;script&gt;" in page and "bunny &lt;1&gt;" in page
    assert not re.search(r"url\(\s*['\"]?http", page) and "@import" not in page


def test_it_shows_what_was_measured(finished: RunDirectory) -> None:
    page = report.build(finished)
    for text in (
        "Converged",
        "31.50 dB",
        "12.25 dB",
        "0.0123",
        "PSNR as documented",
        "view-000",
        "held-out",
        "20.0 s of fitting",
    ):
        assert text in page, text
    assert page.count("<svg") == 3  # loss, gradient norms, values; no learning rates were recorded
    images = pictures(page)
    assert len(images) == 5 + 3  # target, start, estimate and two errors; three of the texture
    stored = np.asarray(Image.open(finished.images("target") / "view-000.png"))
    assert any(image.shape == stored.shape and np.array_equal(image, stored) for image in images)


def test_a_failed_goal_is_not_dressed_up(finished: RunDirectory) -> None:
    bad = json.loads(json.dumps(METRICS))
    bad["goals"][0].update(met=False, value=20.0)
    bad["verdict"] = {"met": False, "level": "bad", "word": "Target not met", "text": "held-out PSNR is 20"}
    storage.write_json(finished.path / "eval" / "metrics.json", bad)
    page = report.build(finished)
    assert "Target not met" in page and "Converged" not in page and ">no<" in page


@pytest.mark.parametrize(
    ("state", "word"),
    [("running", "Running"), ("interrupted", "Interrupted"), ("failed", "Failed"), ("diverged", "Diverged")],
)
def test_a_run_without_results_says_so(tmp_path: Path, state: str, word: str) -> None:
    run = RunDirectory.create(tmp_path, "early")
    run.write_status(state, step=3, steps=10, message="the disk is full")
    page = report.build(run)
    assert word in page and "the disk is full" in page and "Converged" not in page


def test_an_empty_run_directory_still_gives_a_page(tmp_path: Path) -> None:
    page = report.build(RunDirectory.create(tmp_path, "nothing"))
    assert "Not finished" in page


def test_large_images_are_reduced_for_the_page_only(finished: RunDirectory) -> None:
    big = np.zeros((600, 960, 3), np.float32)
    results.write_view(finished.images("target"), "view-000", big)
    assert (300, 480) in [image.shape[:2] for image in pictures(report.build(finished))]


def test_numbers_for_people() -> None:
    assert report.number(0.000123456) == "0.0001235" and report.number(-2.0) == "−2"
    assert report.number(float("inf")) == "∞" and report.number(float("nan")) == "NaN" and report.number(None) == ""
    assert (
        report.duration(59.96) == "60.0 s"
        and report.duration(78.2) == "1 min 18 s"
        and report.duration(7300) == "2 h 1 min"
    )


def test_error_images_are_zero_only_without_error() -> None:
    target = np.full((4, 4, 3), 0.5, np.float32)
    assert (results.error_image(target, target) == results.ERROR_COLORS[0]).all()
    off = target.copy()
    off[1, 2] = 5.0
    image = results.error_image(off, target)
    assert tuple(image[1, 2]) == results.ERROR_COLORS[-1] and tuple(image[0, 0]) == results.ERROR_COLORS[0]
