"""Videos: the camera's way around, and what is in the file when it is read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pbdr import cli, video
from pbdr.data import Camera
from pbdr.export.asset import View
from pbdr.export.proof import resized
from pbdr.scene import load_scene
from validation.command_line import run as command

Tiny = Callable[..., Path]


def test_a_turntable_goes_around_what_is_seen() -> None:
    """Equal distances and heights, equal angles, the middle always on the same pixel; the first frame is the camera itself."""
    middle, up = np.array([1.0, 2.0, 0.5]), np.array([0.0, 0.0, 1.0])
    cameras = [
        Camera.look_at(middle + np.array(offset), middle, up, 40, 30, 0.8)
        for offset in ([4, 0, 1], [0, 3, 2], [-2, 1, 0.5])
    ]
    scene = load_scene({"type": "scene", "light": {"type": "constant"}, "sensor": {"type": "perspective"}})
    found = video.centre([View("v", camera, "") for camera in cameras], scene)
    np.testing.assert_allclose(found, middle, atol=1e-9)
    way = video.turntable(cameras[0], middle, up, 8)
    np.testing.assert_allclose(way[0].to_world, cameras[0].to_world)
    places = np.array([camera.to_world[:3, 3] for camera in way])
    np.testing.assert_allclose(np.linalg.norm(places - middle, axis=1), np.sqrt(17))
    np.testing.assert_allclose(places[:, 2], 1.5)
    np.testing.assert_allclose(np.linalg.norm(np.diff(places, axis=0), axis=1), 2 * 4 * np.sin(np.pi / 8))
    for camera in way:
        np.testing.assert_allclose(camera.project(middle[None]), cameras[0].project(middle[None]), atol=1e-9)
    np.testing.assert_allclose(video.rotation(up, np.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_a_smaller_camera_sees_the_same() -> None:
    camera = Camera.look_at([4, 1, 1], [0, 0, 0], [0, 0, 1], 640, 480, 0.8)
    small, point = resized(camera, 64), np.array([[0.3, 0.2, -0.4]])
    assert (small.width, small.height) == (64, 48)
    np.testing.assert_allclose(small.project(point), camera.project(point) / 10)
    odd = video.resized_even(resized(camera, 63))
    assert odd.width % 2 == 0 and odd.height % 2 == 0


def test_the_command_writes_a_video(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Read again: as many frames as asked for, of the size asked for, with the ball in the middle."""
    av = pytest.importorskip("av")
    assert cli.main(["fit", str(tiny()), "--output.dir", str(tmp_path / "runs"), "--optim.steps", "2"]) in (0, 5)
    run = str(tmp_path / "runs" / "tiny")
    words = ("--frames", "3", "--size", "32", "--spp", "4")
    for kind in ("turntable", "relight"):
        code, out, _ = command(capfd, "video", run, "--kind", kind, *words)
        assert code == 0
        with av.open(out.split("video: ")[1].strip()) as container:
            frames = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]
        assert len(frames) == 3 and frames[0].shape == (32, 32, 3)
        assert all(
            frame[:2, :2].mean() > frame[14:18, 14:18].mean() + 20 for frame in frames
        )  # a grey ball before a white sky
    assert cli.main(["video", run, "--frames", "1"]) == 2 and "at least 2" in capfd.readouterr().err
    assert cli.main(["video", run, "--view", "view-999"]) == 2 and "view-000" in capfd.readouterr().err
