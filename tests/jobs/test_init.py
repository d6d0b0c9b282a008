"""`pbdr init`: what it writes is a job that the preflight and `pbdr check` pass, and its mistakes are one line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr.data import Camera, encode_exr, mitsuba_to_colmap, write_transforms
from pbdr.job import preflight, reference, starter
from pbdr.job.config import load_job
from validation.command_line import assert_one_line, run

Tiny = Callable[..., Path]


def written(folder: Path, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, Any], str]:
    """The job as a dictionary, and its text; it passes the preflight."""
    out = folder / "new.toml"
    code, _, err = run(capfd, "init", *words, "-o", str(out), "--no-probe", "--force")
    assert code == 0, err
    preflight.check(load_job(out)[0])
    return tomllib.loads(out.read_text()), out.read_text()


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        ("material", {"albedo": "mat/base_color"}),
        ("light", {"light": "sky/radiance"}),
        ("shape", {"pose": "ball/pose"}),
        ("camera", {"camera": [f"camera-{i}/pose" for i in range(4)]}),
    ],
)
def test_a_scene_alone_is_its_own_target(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, variables: dict[str, Any]
) -> None:
    tiny()
    job, text = written(tmp_path, capfd, str(tmp_path / "scene.xml"), "--estimate", kind)
    assert {name: table["match"] for name, table in job["vars"].items()} == variables
    assert job["data"] == {"cameras": "scene", "target": "scene.xml", "target_spp": 512}
    assert "the scene itself is the target" in " ".join(text.replace("#", " ").split())
    if kind == "material":  # not the truth to start from
        assert job["vars"]["albedo"]["init"] == 0.5


def test_all_kinds_get_a_gauge_and_pass_the_check(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny()
    job, _ = written(tmp_path, capfd, str(tmp_path), "--target", str(tmp_path / "truth.xml"), "--estimate", "all")
    assert set(job["vars"]) == {"albedo", "light", "pose", "camera"} and job["data"]["target"] == "truth.xml"
    assert job["gauge"]["fix"] == "mean_luminance(mat/base_color) = 0.5"
    code, out, err = run(
        capfd, "check", str(tmp_path / "new.toml"), "-o", str(tmp_path / "c.html"), "--no-gradient", "--no-timing"
    )
    assert code == 0, out + err


@pytest.fixture
def posed(tiny: Tiny, tmp_path: Path) -> Path:
    """A folder with scene.xml and transforms.json, whose images have alpha."""
    tiny()
    (tmp_path / "truth.xml").unlink()
    cameras = [Camera.look_at([4, i - 4, 1], [0, 0, 0], [0, 0, 1], 12, 12, 0.7) for i in range(8)]
    image = np.full((12, 12, 4), 0.5, np.float32)
    image[:3, :, 3] = 0
    for i in range(8):
        (tmp_path / f"{i}.exr").write_bytes(encode_exr(image))
    write_transforms(tmp_path / "transforms.json", cameras, [f"{i}.exr" for i in range(8)])
    return tmp_path


@pytest.mark.parametrize("source", [".", "transforms.json"])
def test_a_folder_with_cameras(posed: Path, capfd: pytest.CaptureFixture[str], source: str) -> None:
    job, _ = written(posed, capfd, str(posed / source))
    assert job["data"] == {"cameras": "transforms.json", "mask": "alpha", "holdout": "every:8"}
    assert job["scene"]["file"] == "scene.xml"


def test_cameras_of_a_file(posed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job, _ = written(posed, capfd, str(posed), "--estimate", "camera")
    assert job["vars"] == {"camera": {"match": [f"camera-{i:03d}/pose" for i in range(8)]}}
    job, _ = written(posed, capfd, str(posed), "--estimate", "all")
    assert set(job["vars"]) == {"albedo", "light", "pose"}


def test_missing_images_are_left_out(posed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (posed / "3.exr").unlink()
    job, _ = written(posed, capfd, str(posed))
    assert job["data"] == {"cameras": "transforms.json", "missing": "skip", "mask": "alpha"}


def test_a_colmap_model(posed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """sparse/0 and images beside it; the views see the ball, whose pose is that of the camera in COLMAP's convention."""
    (posed / "transforms.json").unlink()
    (posed / "sparse" / "0").mkdir(parents=True)
    (posed / "images").mkdir()
    poses = []
    for i in range(2):
        (posed / f"{i}.exr").rename(posed / "images" / f"{i}.exr")
        camera = Camera.look_at([4, i, 1], [0, 0, 0], [0, 0, 1], 12, 12, 0.7)
        (w, x, y, z), t = mitsuba_to_colmap(camera.to_world)
        poses.append(f"{i + 1} {w} {x} {y} {z} {t[0]} {t[1]} {t[2]} 1 {i}.exr\n\n")
    (posed / "sparse/0/cameras.txt").write_text("1 PINHOLE 12 12 16.4 16.4 6 6\n")
    (posed / "sparse/0/images.txt").write_text("".join(poses))
    (posed / "sparse/0/points3D.txt").write_text("")
    job, _ = written(posed, capfd, str(posed))
    assert job["data"] == {"cameras": "sparse/0", "mask": "alpha"}


def test_images_for_the_sensors(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny()
    (tmp_path / "images").mkdir()
    for i in range(4):
        (tmp_path / "images" / f"{i}.exr").write_bytes(encode_exr(np.full((12, 12, 3), 0.5, np.float32)))
    (tmp_path / "truth.xml").unlink()
    job, _ = written(tmp_path, capfd, str(tmp_path))
    assert job["data"] == {"cameras": "scene", "images": "images"}


def test_every_active_key_has_its_meaning(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny()
    _, text = written(tmp_path, capfd, str(tmp_path / "scene.xml"), "--target", str(tmp_path / "truth.xml"))
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if "=" in line and not line.startswith(("#", "version", "name", "fix")):
            assert "  # " in line or lines[number - 1].startswith("# "), line
    assert max(map(len, lines)) <= starter.WIDTH


def test_what_no_gradient_reaches_is_left_out(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny()
    path = tmp_path / "scene.xml"
    hidden = '<bsdf type="diffuse" id="unused"/><shape type="sphere"><float name="radius" value="0.5"/><ref id="unused"/></shape>'
    path.write_text(path.read_text().replace("</scene>", hidden + "</scene>"))
    code, out, _ = run(capfd, "init", str(path), "-o", str(tmp_path / "job2.toml"), "--json")
    found = json.loads(out)
    assert code == 0 and found["variables"] == ["albedo"]
    assert any("no gradient reaches unused/base_color" in note for note in found["notes"])
    assert tomllib.loads((tmp_path / "job2.toml").read_text())["vars"]["albedo"]["match"] == "mat/base_color"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["scen.xml"], 3, "Closest there: 'scene.xml'"),
        (["scene.xml", "-o", "job.toml"], 2, "is there already"),
        (["truth.xml"], 3, "has no sensor"),
        (["empty"], 2, "no scene file"),
        ([], 2, "needs a SOURCE"),
        (["scene.xml", "--estimate", "everything"], 2, ""),
    ],
)
def test_mistakes(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], code: int,
    message: str,
) -> None:  # fmt: skip
    tiny()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "0.exr").write_bytes(encode_exr(np.full((12, 12, 3), 0.5, np.float32)))
    write_transforms("transforms.json", [Camera.look_at([4, 1, 1], [0, 0, 0], [0, 0, 1], 12, 12, 0.7)], ["0.exr"])
    got, _, err = run(capfd, "init", *words, *([] if "-o" in words else ["-o", "new.toml"]))
    assert got == code, err
    if message:
        assert_one_line(err, message)
    assert not (tmp_path / "new.toml").exists()


def test_the_schema(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(capfd, "init", "--schema")[0] == 0
    assert (tmp_path / "job.schema.json").read_text(encoding="utf-8") == reference.schema()


def test_first_sentences() -> None:
    linked = starter.first_sentence("A table; [its options](options.md). More.")
    assert linked == "A table; its options are in docs/reference/options.md."
    assert (
        starter.first_sentence("A. B.") == "A." and starter.first_sentence('Is 1.5\n times. "x" is.') == "Is 1.5 times."
    )
