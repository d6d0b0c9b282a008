"""Which camera sees what: pairs of images and sensors, the sensors of a truth, unknown cameras, frames and masks of a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr import cli, load_scene
from pbdr.data import Camera, encode_exr, load_image, write_transforms
from pbdr.errors import DataError, OptionError
from pbdr.job import config, views
from pbdr.job.rundir import RunDirectory

Tiny = Callable[..., Path]
FIT = ("--optim.steps", "1", "--output.eval_spp", "1", "--data.target_spp", "4")


def prepared(path: Path, folder: Path) -> tuple[views.Dataset, list[str], RunDirectory]:
    """The views of a job, what was told, and the run directory that holds them."""
    job, _ = config.load_job(path)
    told: list[str] = []
    run = RunDirectory.create(folder / "runs", "x")
    scene = load_scene(job.scene.file, define=job.scene.define, sensor_required=False)
    return views.load(job, scene, run, told.append), told, run


def sensors(folder: Path, name: str, changes: dict[str, str]) -> None:
    """Give a scene file the sensors of scene.xml, with text replaced."""
    text = (folder / "scene.xml").read_text()
    found = text[text.index("<sensor") : text.rindex("</sensor>") + 9]
    for old, new in changes.items():
        assert old in found
        found = found.replace(old, new)
    path = folder / name
    body = path.read_text()
    if "<sensor" in body:
        body = body[: body.index("<sensor")] + body[body.rindex("</sensor>") + 9 :]
    path.write_text(body.replace("</scene>", found + "</scene>"))


def test_the_truths_sensors_take_the_images(tiny: Tiny, tmp_path: Path) -> None:
    """A truth seen from above is not what the cameras of the start would have seen."""
    job = tiny()
    from_start, _, _ = prepared(job, tmp_path / "a")
    assert "sensor 0 'camera-0' of" in from_start.sources["view-000"] and "scene.xml" in from_start.sources["view-000"]
    sensors(tmp_path, "truth.xml", {"4, 0, 1": "1, 0, 9", "camera-": "eye-"})
    data, told, run = prepared(job, tmp_path / "b")
    assert data.sources["view-000"].endswith("truth.xml") and "sensor 0 'eye-0' of" in data.sources["view-000"]
    assert any("seen by the 4 sensors of" in text for text in told)
    first = {v.name: v for v in data.views}["view-000"]
    assert str(first.sensor.id()) == "eye-0"
    before = {v.name: v for v in from_start.views}["view-000"]
    assert np.abs(np.asarray(first.target) - np.asarray(before.target)).max() > 0.1
    entries = json.loads((run.path / "views.json").read_text())["views"]
    assert [e["set"] for e in entries] == ["held-out", "training", "training", "training"]
    assert "eye-0" in entries[0]["camera"] and entries[0]["mask"] is False


CAMERA = {
    'match = "mat/base_color"\ninit = 0.5\nbounds = [0.0, 1.0]': 'match = "camera-*/fov"',
    "{ albedo = 0.05 }": "{}",
}
INTEGRATOR = {'type = "prb", max_depth = 3': 'type = "pathspace", max_depth = 2'}


def test_unknown_cameras_are_those_of_the_start(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The estimate is seen by the start's sensors, the target by the truth's of the same name."""
    job = tiny({**CAMERA, **INTEGRATOR})
    sensors(tmp_path, "truth.xml", {'value="40"': 'value="45"'})
    data, told, _ = prepared(job, tmp_path)
    assert [v.sensor for v in data.views] == [0, 1, 2, 3]
    assert any(text.startswith("cameras are unknown; targets <- estimates: camera-0 <- camera-0") for text in told)
    code = cli.main(["fit", str(job), "--output.dir", str(tmp_path / "r"), *FIT])
    assert code == 0, capfd.readouterr().err
    (found,) = (tmp_path / "r").glob("tiny/*/eval/parameters.json")
    entries = json.loads(found.read_text())["parameters"]
    assert len(entries) == 4 and all(e["rmse_init"] == pytest.approx(5.0, abs=1e-3) for e in entries)


def test_cameras_that_have_no_partner(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny({**CAMERA, **INTEGRATOR})
    sensors(tmp_path, "truth.xml", {})
    text = (tmp_path / "truth.xml").read_text()
    (tmp_path / "truth.xml").write_text(text[: text.rindex("<sensor")] + "</scene>")
    with pytest.raises(DataError, match=r"scene.xml has 4 sensors .*truth.xml 3"):
        prepared(job, tmp_path)
    sensors(tmp_path, "truth.xml", {'width" value="12"': 'width" value="10"'})
    with pytest.raises(DataError, match="has a film of"):
        prepared(job, tmp_path)


def test_a_camera_that_sees_no_view_is_no_unknown(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny({**CAMERA, 'cameras = "scene"\ntarget = "truth.xml"': 'cameras = "transforms.json"'})
    for path in (job, tmp_path / "scene.xml"):  # `camera-*` are the cameras of files
        path.write_text(path.read_text().replace("camera-", "eye-"))
    with pytest.raises(OptionError, match=r"eye-0/fov.* belongs to a sensor of"):
        prepared(job, tmp_path)


def test_a_start_without_sensors(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = tiny()
    sensors(tmp_path, "truth.xml", {})
    body = (tmp_path / "scene.xml").read_text()
    (tmp_path / "scene.xml").write_text(body[: body.index("<sensor")] + "</scene>")
    code = cli.main(["fit", str(job), "--output.dir", str(tmp_path / "r"), *FIT, "--goal.rmse", "{}"])
    assert code == 0, capfd.readouterr().err


@pytest.fixture
def given(tiny: Tiny, tmp_path: Path) -> Path:
    """The tiny job with images in a folder, whose alphabetical order is not that of their numbers."""
    job = tiny({'target = "truth.xml"\ntarget_spp = 64': 'images = "imgs/*.exr"', "rmse = { albedo = 0.05 }": ""})
    (tmp_path / "imgs").mkdir()
    for number in (9, 10, 11, 100):
        (tmp_path / "imgs" / f"r_{number}.exr").write_bytes(encode_exr(np.full((12, 12, 3), number / 200)))
    return job


def test_pairs_are_natural_and_shown(given: Path, tmp_path: Path) -> None:
    data, told, run = prepared(given, tmp_path)
    assert [Path(data.sources[v.name]).name for v in data.views] == ["r_9.exr", "r_10.exr", "r_11.exr", "r_100.exr"]
    assert told[0].startswith("images and sensors paired by order: camera-0 <- r_9.exr, camera-1 <- r_10.exr")
    entries = json.loads((run.path / "views.json").read_text())["views"]
    assert "'camera-1'" in entries[1]["camera"] and entries[1]["image"].endswith("r_10.exr")


def test_numbers_that_differ_are_told_on_both_sides(given: Path, tmp_path: Path) -> None:
    (tmp_path / "imgs" / "r_9.exr").unlink()
    with pytest.raises(DataError, match=r"finds 3 files \(r_10.exr, .*has 4 sensors \(camera-0, "):
        prepared(given, tmp_path)


def test_images_of_another_size_are_told(given: Path, tmp_path: Path) -> None:
    (tmp_path / "imgs" / "r_10.exr").write_bytes(encode_exr(np.zeros((12, 10, 3))))
    with pytest.raises(DataError, match=r"r_10.exr: 10 x 12 pixels, but sensor 1 \('camera-1'\)"):
        prepared(given, tmp_path)


@pytest.fixture
def posed(tiny: Tiny, tmp_path: Path) -> Path:
    """The tiny job on a transforms.json."""
    job = tiny(
        {'cameras = "scene"\ntarget = "truth.xml"': 'cameras = "transforms.json"', "rmse = { albedo = 0.05 }": ""}
    )
    cameras = [Camera.look_at([4, i, 1], [0, 0, 0], [0, 0, 1], 12, 12, 0.7) for i in range(4)]
    for i in range(4):
        (tmp_path / f"{i}.exr").write_bytes(encode_exr(np.full((12, 12, 3), 0.5, np.float32)))
    write_transforms(tmp_path / "transforms.json", cameras, [f"{i}.exr" for i in range(4)])
    return job


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "transforms.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_missing_frames_are_left_out_when_asked(posed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "1.exr").unlink()
    (tmp_path / "3.exr").unlink()
    words = ["fit", str(posed), "--output.dir", str(tmp_path / "r"), "--optim.steps", "1"]
    assert cli.main(words) == 3
    assert "no image for 2 of 4 frames" in capfd.readouterr().err
    assert cli.main([*words, "--data.missing", "skip", "--data.holdout", "none"]) == 0
    assert "2 of 4 frames are left out, their images are missing: 1.exr, 3.exr" in capfd.readouterr().err
    logs = [p.read_text() for p in (tmp_path / "r").glob("tiny/*/log.txt")]
    assert any("2 of 4 frames are left out" in text for text in logs)


def test_masks_of_frames_are_used(posed: Path, tmp_path: Path) -> None:
    mask = np.zeros((12, 12, 3), np.float32)
    mask[:, :4] = 1
    (tmp_path / "m.exr").write_bytes(encode_exr(mask))
    edit(tmp_path, lambda data: data["frames"][2].update(mask_path="m.exr"))
    data, told, run = prepared(posed, tmp_path)
    masks = [v.mask for v in data.views]
    assert masks[0] is None and masks[2] is not None and np.asarray(masks[2]).sum() == 48
    assert any("1 of 4 frames have a mask" in text for text in told)
    assert [e["mask"] for e in json.loads((run.path / "views.json").read_text())["views"]] == [
        False,
        False,
        True,
        False,
    ]


def test_a_mask_and_an_alpha_channel_both_count(posed: Path, tmp_path: Path) -> None:
    alpha = np.full((12, 12, 4), 0.5, np.float32)
    for i in range(4):
        (tmp_path / f"{i}.exr").write_bytes(encode_exr(alpha))
    mask = np.zeros((12, 12, 3), np.float32)
    mask[:, :4] = 1
    (tmp_path / "m.exr").write_bytes(encode_exr(mask))
    edit(tmp_path, lambda data: [frame.update(mask_path="m.exr") for frame in data["frames"]])
    posed.write_text(posed.read_text().replace("[data]", '[data]\nmask = "alpha"'))
    data, _, _ = prepared(posed, tmp_path)
    assert all(v.mask is not None and np.asarray(v.mask).sum() == 24 for v in data.views)
    assert load_image(tmp_path / "0.exr").alpha is not None


def test_negative_environments_are_noted(posed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In the log of the run and on stderr, as one line; not with clamp = false, which keeps them."""
    values = np.ones((4, 8, 3), np.float32)
    values[1, 1] = -1
    (tmp_path / "sky.exr").write_bytes(encode_exr(values))
    text = (tmp_path / "scene.xml").read_text()
    start, end = text.index("<emitter"), text.index("</emitter>")
    light = '<emitter type="envmap" id="sky"><string name="filename" value="sky.exr"/>'
    (tmp_path / "scene.xml").write_text(text[:start] + light + text[end:])
    words = ["fit", str(posed), "--output.dir", str(tmp_path / "r"), "--optim.steps", "1"]
    assert cli.main(words) == 0
    told = "1 of 32 texels are negative, the lowest -1; they are taken for 0"
    assert told in capfd.readouterr().err
    assert told in next((tmp_path / "r").glob("tiny/*/log.txt")).read_text()
    assert cli.main([*words, "--scene.clamp", "false"]) == 0
    assert "they are kept" in capfd.readouterr().err
