"""What notebooks show of scenes, gradients and runs, read again from the HTML; no Jupyter is needed."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pbdr
from pbdr import page, shown
from pbdr.job import results, storage
from pbdr.job.rundir import RunDirectory
from pbdr.srgb import linear_to_srgb

PICTURE = re.compile(r'src="data:image/png;base64,([^"]+)"')


class Cells(HTMLParser):
    """Texts of the cells of tables, and whether every tag was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag != "img":
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def pictures(text: str) -> list[np.ndarray]:
    """Pixels of all pictures, (H, W, 3)."""
    return [np.array(Image.open(io.BytesIO(base64.b64decode(found)))) for found in PICTURE.findall(text)]


def ball(grey: float, **others: Any) -> Any:
    """A ball in front of a white sky."""
    material = {"type": "diffuse", "reflectance": {"type": "rgb", "value": [grey, 0.2, 0.1]}}
    film = {"type": "hdrfilm", "width": 8, "height": 6, "rfilter": {"type": "box"}}
    return pbdr.load_scene(
        {
            "type": "scene",
            "camera": {"type": "perspective", "fov": 30, "film": film, **others},
            "sky": {"type": "constant"},
            "ball": {"type": "sphere", "center": [0, 0, 5], "radius": 3.0, "bsdf": material},
        }
    )


def test_a_scene_shows_what_its_camera_sees() -> None:
    scene = ball(0.8)
    text = scene._repr_html_()
    (seen,) = pictures(text)
    assert seen.shape == (90, 120, 3) and "1 shape, 1 light, 1 sensor" in text
    # The ball fills the view; under a white sky, a convex body shows its albedo.
    expected = 255 * linear_to_srgb(np.array([0.8, 0.2, 0.1]))
    np.testing.assert_allclose(seen.mean(axis=(0, 1)), expected, atol=3)
    (other,) = pictures(ball(0.3)._repr_html_())
    assert abs(float(other[..., 0].mean()) - expected[0]) > 30  # negative control
    assert (int(scene.sensors[0].film().size()[0]), int(scene.sensors[0].film().size()[1])) == (8, 6)


def test_a_gradient_shows_its_terms() -> None:
    slope = np.zeros((4, 5, 3), np.float32)
    slope[:2], slope[2:] = 1.0, -1.0
    gradient = pbdr.Gradient(
        interior={"a/<b>": slope, "lamp/power": np.float32([2.5])}, primary={"lamp/power": np.float32([-0.5])}
    )
    text = gradient._repr_html_()
    cells = Cells(text).cells
    assert cells[:7] == ["parameter", "shape", "interior", "primary", "direct", "indirect", "total"]
    assert ["a/<b>", "4 × 5 × 3", page.number(np.sqrt(60), 3), "", "", "", page.number(np.sqrt(60), 3)] == cells[7:14]
    assert cells[14:] == ["lamp/power", "1", "2.5", "−0.5", "", "", "2"]
    (picture,) = pictures(text)
    assert picture.shape == (4, 5, 3)
    assert picture[0, 0, 0] > picture[0, 0, 2] and picture[3, 0, 2] > picture[3, 0, 0]  # red above zero, blue below
    assert pictures(pbdr.Gradient()._repr_html_()) == []


def test_a_run_shows_as_much_as_it_has(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "tiny")
    assert "unknown" in run._repr_html_() and pictures(run._repr_html_()) == []
    target, start, end = (np.full((4, 6, 3), x, np.float32) for x in (0.8, 0.1, 0.7))
    for kind, image in (("target", target), ("init", start), ("step-000002", end)):
        results.write_view(run.images(kind), "view-000", image, None if kind == "target" else target)
    run.write_status("interrupted", step=2, steps=9)
    assert "interrupted, 2 of 9 steps" in run._repr_html_() and len(pictures(run._repr_html_())) == 3
    scores = {"views": 1, "psnr": 30.25, "psnr_init": 11.5}
    goal = {"kind": "rmse", "label": "RMSE of albedo", "limit": 0.05, "value": 0.08, "initial": 0.4, "met": False}
    verdict = {"level": "warn", "word": "Target not met", "text": "1 of 1 goals is not met."}
    storage.write_json(run.path / "eval" / "metrics.json", {"training": scores, "goals": [goal], "verdict": verdict})
    entries = [
        {"name": "ball/roughness", "shape": [1], "init": 0.5, "estimate": 0.25, "target": 0.2},
        {"name": "ball/positions", "shape": [162, 3], "init": 0.0, "estimate": 0.01},
    ]
    storage.write_json(run.path / "eval" / "parameters.json", {"parameters": entries})
    text = run._repr_html_()
    cells = Cells(text).cells
    assert cells[12:] == ["ball/roughness", "0.5", "0.25", "truth 0.2"]  # a mean coordinate is no result
    assert cells[4:8] == ["training PSNR", "11.50 dB", "30.25 dB", ""]
    assert cells[8:12] == ["RMSE of albedo", "0.4", "0.08", "at most 0.05, not met"]
    assert "Target not met. 1 of 1 goals is not met." in text
    brightness = [float(x.mean()) for x in pictures(text)]
    assert brightness[1] < brightness[2] < brightness[0]  # target, start, estimate


def test_runs_are_opened_by_name(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "tiny")
    storage.write_text(run.path / "job.toml", "version = 1\n")
    assert pbdr.open_run(tmp_path / "tiny").path == run.path.resolve()
    with pytest.raises(pbdr.errors.DataError, match="no such run"):
        pbdr.open_run(tmp_path / "tony")


def test_what_is_not_finite_is_magenta() -> None:
    image = np.full((1, 2, 3), 0.5)
    image[0, 1, 0] = np.nan
    made = np.array(Image.open(io.BytesIO(shown.png(image))))
    assert made[0, 1].tolist() == [255, 0, 255] and made[0, 0, 0] == made[0, 0, 1] == round(
        255 * linear_to_srgb(0.5).item()
    )
