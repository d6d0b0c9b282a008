"""Jobs on COLMAP folders, on folders of images, with masks, depths and normals beside images, and on more images than memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr import cli, load_scene
from pbdr.data import Camera, encode_exr, formats, load_image, mitsuba_to_colmap
from pbdr.errors import DataError, OptionError
from pbdr.inverse import Problem
from pbdr.job import config, statement, views

Tiny = Callable[..., Path]
SCENE = 'cameras = "scene"\ntarget = "truth.xml"\ntarget_spp = 64'
GOAL = {"rmse = { albedo = 0.05 }": ""}
SIZE = 12


def loaded(path: Path, **changes: Any) -> tuple[views.Dataset, Problem, list[str]]:
    """The views of a job, its problem, and what was told."""
    job, _ = config.load_job(path, changes)
    told: list[str] = []
    scene = load_scene(job.scene.file, sensor_required=False)
    data = views.load(job, scene, None, told.append)
    return data, statement.problem(job, scene, data), told


def colmap(folder: Path, count: int = 4) -> list[Camera]:
    """A binary model of cameras around the ball, and images in which the red of view k is k / 10."""
    cameras = [Camera.look_at([4, k, 1], [0, 0, 0], [0, 0, 1], SIZE, SIZE, 0.7) for k in range(count)]
    (folder / "sparse" / "0").mkdir(parents=True)
    (folder / "images").mkdir()
    focal = cameras[0].focal
    (folder / "sparse/0/cameras.bin").write_bytes(struct.pack("<QIiQQ3d", 1, 1, 0, SIZE, SIZE, focal, SIZE / 2, SIZE / 2))
    images = struct.pack("<Q", count)
    for k, camera in enumerate(cameras):
        rotation, translation = mitsuba_to_colmap(camera.to_world)
        images += struct.pack("<I7dI", k + 1, *rotation, *translation, 1) + f"{k}.exr".encode() + b"\0" + struct.pack("<Q", 0)
        pixels = np.full((SIZE, SIZE, 4), k / 10, np.float32)
        pixels[..., 3] = 1
        pixels[:4, :, 3] = 0.5
        (folder / f"images/{k}.exr").write_bytes(encode_exr(pixels))
    (folder / "sparse/0/images.bin").write_bytes(images)
    return cameras


@pytest.fixture
def posed(tiny: Tiny, tmp_path: Path) -> Path:
    """The tiny job on a COLMAP folder."""
    colmap(tmp_path)
    return tiny({SCENE: 'cameras = "sparse/0"', **GOAL})


def test_a_colmap_folder_is_a_job(posed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data, _, _ = loaded(posed)
    reds = [float(np.asarray(view.target)[0, 0, 0]) for view in data.views]
    np.testing.assert_allclose(reds, [0, 0.1, 0.2, 0.3], atol=1e-6)
    assert data.seen_by["view-002"].startswith("camera 1 of") and data.views[0].mask is None
    options = ("--optim.steps", "1", "--output.eval_spp", "1", "--data.mask", "alpha")
    assert cli.main(["fit", str(posed), "--output.dir", str(tmp_path / "r"), *options]) == 0, capfd.readouterr().err


def test_masks_and_depths_beside_images(posed: Path, tmp_path: Path) -> None:
    for folder in ("masks", "depths", "normals"):
        (tmp_path / folder).mkdir()
    for k in range(4):
        mask = np.zeros((SIZE, SIZE, 3), np.float32)
        mask[:, : k + 1] = 1
        (tmp_path / f"masks/{k}.exr.exr").write_bytes(encode_exr(mask))
        (tmp_path / f"depths/d_{k}.exr").write_bytes(encode_exr(np.full((SIZE, SIZE), 2.0 + k)))
        normals = np.zeros((SIZE, SIZE, 3), np.float32)
        normals[..., k % 3] = 1
        (tmp_path / f"normals/{k}.exr").write_bytes(encode_exr(normals))
    text = posed.read_text().replace("[data]", '[data]\nmasks = "masks"\ndepth = "depths/*.exr"\nnormal = "normals"')
    posed.write_text(text.replace('"prb", max_depth = 3', '"pathspace", max_depth = 2') + "\n[loss]\ndepth = 1.0\nnormal = 1.0\n")
    data, problem, told = loaded(posed)
    assert [int(np.asarray(view.mask).sum()) for view in data.views] == [12, 24, 36, 48]
    assert any("4 of 4 frames have a mask file" in text for text in told)
    assert [int(np.argmax(np.asarray(view.planes["normal"])[0, 0])) for view in data.views] == [0, 1, 2, 0]
    # Depth along the axis becomes distance: larger towards the corners, by the secant of the angle to the axis.
    depth = np.asarray(data.views[1].planes["depth"])
    half = np.tan(0.35) * (1 - 1 / SIZE)  # centre of the outermost pixel
    assert depth[0, 0] == pytest.approx(3 * np.sqrt(1 + 2 * half**2), rel=1e-4) and depth.min() < 3.01
    np.testing.assert_array_equal(np.asarray(loaded(posed, **{"data.depth_kind": "distance"})[0].views[1].planes["depth"]), 3)
    assert problem.channels == ["depth", "sh_normal"]
    # The outline is the image's alpha, whatever the mask leaves out.
    assert float(np.asarray(data.views[0].planes["silhouette"])[0, 0]) == 0.5
    (tmp_path / "depths" / "d_3.exr").write_bytes(encode_exr(np.ones((SIZE, SIZE - 1))))
    with pytest.raises(DataError, match=r"d_3.exr: 11 x 12 pixels, but the image .*3.exr 12 x 12"):
        loaded(posed)


def test_more_images_than_memory(posed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are read again when they are asked for; what is kept stays below the limit. With more memory they are read once."""
    reads: list[str] = []

    def counted(path: Path, *args: Any, **options: Any) -> Any:
        reads.append(Path(path).name)
        return load_image(path, *args, **options)

    monkeypatch.setattr(formats.format, "load_image", counted)
    data, problem, _ = loaded(posed)
    assert sorted(reads) == ["0.exr", "1.exr", "2.exr", "3.exr"]
    expected = [np.array(view.target) for view in data.views]
    size = expected[0].nbytes + SIZE * SIZE * 4  # with alpha
    few = 2.5 * size / (1 << 30)
    data, problem, _ = loaded(posed, **{"data.cache_gb": few})
    before = len(reads)
    for _ in range(2):
        for view, image in zip(data.views, expected, strict=True):
            np.testing.assert_array_equal(np.asarray(view.target), image)
    assert len(reads) - before == 8
    for k in (0, 1, 2, 0):
        target, _ = problem.targets.radiance(k, (SIZE, SIZE))
        assert problem.targets._cache.used <= few * (1 << 30)
        np.testing.assert_array_equal(np.array(target), np.asarray(data.training[k].target))


def test_all_images_of_one_sensor(tiny: Tiny, tmp_path: Path) -> None:
    job = tiny({SCENE: 'cameras = "scene"\nimages = "photos"', **GOAL})
    text = (tmp_path / "scene.xml").read_text()
    first = text.index("</sensor>") + 9
    (tmp_path / "scene.xml").write_text(text[:first] + "</scene>")
    (tmp_path / "photos").mkdir()
    for k in range(3):
        (tmp_path / f"photos/{k}.exr").write_bytes(encode_exr(np.full((SIZE, SIZE, 3), k / 10)))
    data, _, told = loaded(job, **{"data.holdout": "none"})
    assert [view.sensor for view in data.views] == [0, 0, 0]
    assert any("all 3 images are seen by the one sensor 'camera-0'" in text for text in told)
    job.write_text(job.read_text().replace('cameras = "scene"\nimages = "photos"', 'cameras = "photos"\nfov = 50.0'))
    data, _, told = loaded(job, **{"data.holdout": "none"})
    assert "a pinhole of 50 degrees at the pose of sensor 'camera-0'" in told[0] and len(data.views) == 3


def test_planes_of_a_target_are_rendered(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    losses = "[loss]\nsilhouette = 0.5\ndepth = 0.1\n[goal]"
    job = tiny({'"prb", max_depth = 3': '"pathspace", max_depth = 2', "[goal]": losses, **GOAL})
    options = ("--optim.steps", "1", "--output.eval_spp", "1", "--data.target_spp", "16")
    assert cli.main(["fit", str(job), "--output.dir", str(tmp_path / "r"), *options]) == 0, capfd.readouterr().err
    (folder,) = (tmp_path / "r").glob("tiny/*/images/target")
    outline, depth = (load_image(folder / f"view-001-{plane}.exr").rgb[..., 0] for plane in ("silhouette", "depth"))
    assert outline[6, 6] == 1 and outline[0, 0] == 0
    assert depth[6, 6] == pytest.approx(np.sqrt(17) - 1, abs=0.1) and depth[0, 0] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.cameras": "t.json", "data.images": "photos"}, "a transforms.json names its own"),
        ({"data.cameras": "scene", "data.masks": "m", "data.target": "t.xml"}, "masks belongs to images that are files"),
        ({"data.cameras": "sparse/0", "data.target": "truth.xml"}, 'target belongs to cameras = "scene"'),
        ({"data.fov": 180.0}, "fov"),
    ],
)
def test_keys_that_do_not_go_together(posed: Path, changes: dict[str, Any], message: str) -> None:
    text = posed.read_text()
    with pytest.raises(OptionError, match=message):
        config.parse_job(text, "job.toml", changes)


@pytest.mark.slow  # 50 photographs of two million pixels
def test_a_capture_with_missing_frames(tiny: Tiny, shared_data: Path) -> None:
    """A real capture: 17 of its 67 frames are absent; the job says that they are left out."""
    fox = shared_data / "fox" / "transforms.json"
    job = tiny({SCENE: f'cameras = "{fox}"\nmissing = "skip"\ncache_gb = 0.1', **GOAL})
    data, _, told = loaded(job)
    assert len(data.views) == 50 and any("17 of 67 frames are left out" in text for text in told)
    assert np.shape(data.views[0].target) == (1920, 1080, 3)
