"""`pbdr check`: what it says of a right job, of wrong cameras, of a wrong gradient, and that it leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr.data import Camera, encode_exr, write_transforms
from pbdr.data.doctor import Finding
from pbdr.job import capture, check, preflight
from pbdr.job.config import load_job
from pbdr.scene import load_object, load_scene
from pbdr.verify import AGREES, UNDECIDED, WRONG
from validation.command_line import assert_one_line, run

Tiny = Callable[..., Path]


def test_a_right_job(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "new" / "check.html"
    code, out, err = run(capfd, "check", str(tiny()), "-o", str(page), "--json", "--optim.steps", "7")
    found = json.loads(out)
    assert code == 0 and found["ok"], err
    assert [row["parameter"] for row in found["variables"]] == ["mat/base_color"]
    assert found["variables"][0] | {"role": "", "start": 0, "map": ""} == {
        "variable": "albedo", "parameter": "mat/base_color", "role": "", "shape": [3], "map": "", "bounds": [0.0, 1.0],
        "lr": 0.05, "start": 0,
    }  # fmt: skip
    assert [view["set"] for view in found["views"]].count("held-out") == 1 and len(found["views"]) == 4
    assert found["gradient"]["verdict"] == "agrees" and found["gradient"]["parameter"] == "mat/base_color"
    assert found["cost"]["steps"] == 7 and found["cost"]["to_the_end"] > 0 and found["cost"]["memory"] > 1e7
    text = page.read_text(encoding="utf-8")
    assert "Ready" in text and text.count("data:image/png") == 12 and 'src="http' not in text
    assert page.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    assert not (tmp_path / "runs").exists() and not Path("runs/tiny").exists()


def test_mistakes_are_those_of_fit(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capfd, "check", str(tiny({"mat/base_color": "mat/colour"})), "-o", str(tmp_path / "check.html"))
    assert code == 2 and not (tmp_path / "check.html").exists()
    assert_one_line(err, "'mat/colour' is not in")


def test_cameras_with_other_axes(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Poses with OpenCV's axes are told, and those with OpenGL's are not."""
    changes = {'cameras = "scene"\ntarget = "truth.xml"': 'cameras = "transforms.json"', "rmse = { albedo = 0.05 }": ""}
    job = tiny(changes)
    cameras = [Camera.look_at([4, i, 1], [0, 0, 0], [0, 0, 1], 12, 12, 0.7) for i in range(4)]
    for i in range(4):
        (tmp_path / f"{i}.exr").write_bytes(encode_exr(np.random.default_rng(i).uniform(0.3, 0.6, (12, 12, 3))))
    words = ["check", str(job), "-o", str(tmp_path / "check.html"), "--no-gradient", "--no-timing"]
    write_transforms(tmp_path / "transforms.json", cameras, [f"{i}.exr" for i in range(4)])
    code, out, err = run(capfd, *words)
    assert code == 0 and "problem" not in out, out + err
    data = json.loads((tmp_path / "transforms.json").read_text())
    for frame in data["frames"]:
        frame["transform_matrix"] = (np.array(frame["transform_matrix"]) @ np.diag([1.0, -1, -1, 1])).tolist()
    (tmp_path / "transforms.json").write_text(json.dumps(data))
    code, out, _ = run(capfd, *words)
    assert code == 3 and "problem, axes: cameras see 0 % of the scene's surface" in out and "OpenCV's axes" in out


@pytest.mark.parametrize(("verdict", "code"), [(WRONG, 5), (UNDECIDED, 0), (AGREES, 0)])
def test_exit_codes(verdict: str, code: int) -> None:
    gradient: Any = type("Found", (), {"verdict": verdict})()
    assert check.Report([], [], [], gradient).exit_code == code
    assert check.Report([], [], [Finding("axes", "x", "note")], gradient).exit_code == code
    assert check.Report([], [], [Finding("axes", "x")], gradient).exit_code == (code or 3)


@pytest.mark.parametrize(
    "camera",
    [
        Camera.from_fov(np.diag([-1.0, 1, -1, 1]), 40, 30, 0.8),
        Camera(Camera.look_at([4, 1, 2], [0, 0, 0], [0, 0, 1], 40, 30, 0.8).to_world, 40, 30, 50.0, 17.0, 16.0),
        Camera(
            Camera.look_at([4, 1, 2], [0, 0, 0], [0, 0, 1], 40, 30, 0.8).to_world,
            40,
            30,
            50.0,
            17.0,
            16.0,
            55.0,
            "opencv",
        ),
    ],
    ids=["fov", "principal point", "opencv"],
)
def test_cameras_of_sensors(camera: Camera) -> None:
    """From a camera to Mitsuba's sensor and back: the same places on the film."""
    found = capture.camera_of(load_object(camera.to_dict()))
    assert found is not None
    points = camera.to_world[:3, 3] + np.random.default_rng(0).uniform(-1, 1, (9, 3)) + 5 * camera.to_world[:3, 2]
    np.testing.assert_allclose(found.project(points), camera.project(points), atol=1e-3)
    assert capture.camera_of(load_object({"type": "orthographic"})) is None


def test_points_on_surfaces(tiny: Tiny, tmp_path: Path) -> None:
    tiny()
    points, normals, labels = capture.surface(load_scene(tmp_path / "scene.xml"), 500)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(normals, points, atol=1e-4)
    assert labels == ["ball"] * 500 and np.abs(points.mean(0)).max() < 0.15


def test_stand_ins_have_the_size_of_the_films(tiny: Tiny, tmp_path: Path) -> None:
    job, _ = load_job(tiny(), {"data.target_spp": 1})
    prepared = preflight.check(job)
    data = check._stand_ins(job, prepared, lambda _: None)
    assert [np.asarray(view.target).shape for view in data.views] == [(12, 12, 3)] * 4 and len(data.held_out) == 1
