"""Cameras and images: conventions against Mitsuba itself, round trips, and every message for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbdr.data import (
    Camera,
    colmap_to_mitsuba,
    encode_exr,
    encode_png,
    load_image,
    mitsuba_to_colmap,
    mitsuba_to_opencv,
    mitsuba_to_opengl,
    opencv_to_mitsuba,
    opengl_to_mitsuba,
    read_frames,
    split_holdout,
    write_transforms,
)
from pbdr.data.formats import transforms
from pbdr.errors import DataError, OptionError
from pbdr.parameters import traverse
from pbdr.scene import load_object
from pbdr.srgb import linear_to_srgb, srgb_to_linear


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def random_pose(rng: np.random.Generator) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = random_rotation(rng), rng.normal(size=3)
    return pose


@pytest.mark.parametrize("seed", range(8))
def test_pose_round_trips(seed: int) -> None:
    pose = random_pose(np.random.default_rng(seed))
    np.testing.assert_allclose(opengl_to_mitsuba(mitsuba_to_opengl(pose)), pose, atol=1e-12)
    np.testing.assert_allclose(opencv_to_mitsuba(mitsuba_to_opencv(pose)), pose, atol=1e-12)
    np.testing.assert_allclose(colmap_to_mitsuba(*mitsuba_to_colmap(pose)), pose, atol=1e-12)


def test_conventions_look_the_same_way() -> None:
    """One physical camera: forward, right and up axes in each convention."""
    pose = random_pose(np.random.default_rng(3))
    forward, right, up = pose[:3, 2], -pose[:3, 0], pose[:3, 1]
    gl, cv = mitsuba_to_opengl(pose), mitsuba_to_opencv(pose)
    np.testing.assert_allclose([-gl[:3, 2], gl[:3, 0], gl[:3, 1]], [forward, right, up], atol=1e-12)
    np.testing.assert_allclose([cv[:3, 2], cv[:3, 0], -cv[:3, 1]], [forward, right, up], atol=1e-12)


def test_colmap_projects_as_documented() -> None:
    """COLMAP's own formula, x = f X/Z + c with X = R x_w + t, against Camera.project."""
    rng = np.random.default_rng(5)
    pose = random_pose(rng)
    camera = Camera(pose, 64, 48, 70.0, 30.0, 26.0)
    points = pose[:3, 3] + (rng.uniform([-0.3, -0.3, 1.0], [0.3, 0.3, 2.0], (20, 3))) @ pose[:3, :3].T
    quaternion, translation = mitsuba_to_colmap(pose)
    from pbdr.data.cameras import quaternion_to_rotation

    local = points @ quaternion_to_rotation(quaternion).T + translation
    expected = 70.0 * local[:, :2] / local[:, 2:] + [30.0, 26.0]
    np.testing.assert_allclose(camera.project(points), expected, atol=1e-9)


@pytest.mark.parametrize(("cx", "cy"), [(32.0, 24.0), (20.5, 30.25)])
def test_mitsuba_sensor_agrees_with_project(cx: float, cy: float) -> None:
    """Rays of the Mitsuba sensor, followed into the world and projected back, land on their film position."""
    import drjit as dr
    import mitsuba as mi

    camera = Camera(random_pose(np.random.default_rng(7)), 64, 48, 55.0, cx, cy)
    sensor = mi.load_dict(camera.to_dict())
    assert list(sensor.film().size()) == [64, 48]
    u, v = np.meshgrid(np.linspace(0.02, 0.98, 7), np.linspace(0.02, 0.98, 5))
    film = mi.Point2f(mi.Float(u.ravel()), mi.Float(v.ravel()))
    ray, _ = sensor.sample_ray(0.0, 0.5, film, mi.Point2f(0.5))
    dr.eval(ray)
    points = np.array(ray.o + 3.0 * ray.d).T.reshape(-1, 3)
    expected = np.stack([u.ravel() * 64, v.ravel() * 48], axis=1)
    np.testing.assert_allclose(camera.project(points), expected, atol=2e-3)


def test_look_at_is_mitsubas() -> None:
    import mitsuba as mi

    camera = Camera.look_at([1, 2, 3], [0, 0.5, 0], [0, 1, 0], 8, 8, 0.7)
    expected = np.array(mi.ScalarTransform4f().look_at([1, 2, 3], [0, 0.5, 0], [0, 1, 0]).matrix)
    np.testing.assert_allclose(camera.to_world, expected, atol=1e-6)


def test_srgb_round_trip_and_known_value() -> None:
    x = np.linspace(0.0, 1.0, 257)
    np.testing.assert_allclose(srgb_to_linear(linear_to_srgb(x)), x, atol=1e-6)
    assert srgb_to_linear(np.array(0.5)) == pytest.approx(0.21404114)
    assert linear_to_srgb(np.array(-1.0)) == 0.0


def test_exr_is_lossless_and_png_is_srgb(tmp_path: Path) -> None:
    image = np.random.default_rng(0).uniform(0, 4, (5, 7, 3)).astype(np.float32)
    (tmp_path / "a.exr").write_bytes(encode_exr(image))
    loaded = load_image(tmp_path / "a.exr")
    assert loaded.alpha is None and np.array_equal(loaded.rgb, image)
    (tmp_path / "a.png").write_bytes(encode_png(image / 4))
    np.testing.assert_allclose(load_image(tmp_path / "a.png").rgb, image / 4, atol=0.006)
    raw = load_image(tmp_path / "a.png", "linear").rgb
    np.testing.assert_allclose(raw, linear_to_srgb(image / 4), atol=0.003)


def test_alpha_straight_in_png_premultiplied_in_exr(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[..., 0], pixels[..., 3] = 255, 51  # pure red, alpha 0.2
    Image.fromarray(pixels, "RGBA").save(tmp_path / "a.png")
    png = load_image(tmp_path / "a.png")
    assert png.alpha is not None
    np.testing.assert_allclose(png.alpha, 0.2, atol=1e-6)
    np.testing.assert_allclose(png.rgb[..., 0], 0.2, atol=1e-6)
    premultiplied = np.dstack([np.full((2, 2, 3), 0.2), np.full((2, 2), 0.2)])
    (tmp_path / "a.exr").write_bytes(encode_exr(premultiplied))
    exr = load_image(tmp_path / "a.exr")
    np.testing.assert_allclose(exr.rgb, 0.2, atol=1e-6)


def test_grey_images_become_rgb(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((3, 4), 128, np.uint8), "L").save(tmp_path / "g.png")
    image = load_image(tmp_path / "g.png")
    assert image.rgb.shape == (3, 4, 3) and image.size == (4, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_images_are_refused_with_the_place(tmp_path: Path, value: float) -> None:
    image = np.zeros((4, 6, 3), np.float32)
    image[2, 5, 1] = value
    (tmp_path / "bad.exr").write_bytes(encode_exr(image))
    with pytest.raises(DataError, match=r"bad\.exr: 1 pixels are NaN or infinite, the first at row 2, column 5"):
        load_image(tmp_path / "bad.exr")


def test_missing_and_broken_images(tmp_path: Path) -> None:
    (tmp_path / "view-001.png").write_bytes(b"not a png")
    with pytest.raises(DataError, match=r"view-01\.png: no such image\. Closest there: 'view-001\.png'"):
        load_image(tmp_path / "view-01.png")
    with pytest.raises(DataError, match=r"view-001\.png: not an image that can be read"):
        load_image(tmp_path / "view-001.png")


def test_holdout_rules() -> None:
    items = list(range(10))
    assert split_holdout(items, "every:4") == ([1, 2, 3, 5, 6, 7, 9], [0, 4, 8])
    assert split_holdout(items, "last:2") == (list(range(8)), [8, 9])
    assert split_holdout(items, None) == (items, [])
    for rule in ("every:x", "each:8", "every:0", "every:²", "last:99999999999999999999"):
        with pytest.raises(OptionError, match="is not a rule"):
            split_holdout(items, rule)
    with pytest.raises(OptionError, match="leaves no training view"):
        split_holdout([1], "every:8")


# --- transforms.json -------------------------------------------------------------------------------------------


def dataset(folder: Path, change: dict[str, Any] | None = None, frame_change: dict[str, Any] | None = None) -> Path:
    """Two 6 × 4 images and a valid transforms.json, with keys replaced; a value of None removes the key."""
    (folder / "images").mkdir(exist_ok=True)
    frames = []
    for i in range(2):
        (folder / "images" / f"{i}.exr").write_bytes(encode_exr(np.full((4, 6, 3), 0.1 * i, np.float32)))
        pose = np.eye(4)
        pose[0, 3] = i
        frames.append({"file_path": f"images/{i}.exr", "transform_matrix": pose.tolist()})
    frames[1].update(frame_change or {})
    data = {"fl_x": 5.0, "fl_y": 5.0, "cx": 3.0, "cy": 2.0, "w": 6, "h": 4, "frames": frames, **(change or {})}
    path = folder / "transforms.json"
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))
    return path


def test_transforms_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cameras = [Camera(random_pose(rng), 6, 4, 5.0 + i, 3.1, 1.9) for i in range(3)]
    names = [f"v{i}.exr" for i in range(3)]
    for name in names:
        (tmp_path / name).write_bytes(encode_exr(np.zeros((4, 6, 3), np.float32)))
    write_transforms(tmp_path / "transforms.json", cameras, names)
    for (frame, image), camera in zip(read_frames(tmp_path / "transforms.json"), cameras, strict=True):
        np.testing.assert_allclose(frame.camera.to_world, camera.to_world, atol=1e-12)
        assert (frame.camera.focal, frame.camera.cx, frame.camera.cy) == (camera.focal, 3.1, 1.9)
        assert image.size == (6, 4)


def test_frames_are_ordered_and_extensions_found(tmp_path: Path) -> None:
    path = dataset(tmp_path, {}, {"file_path": "./images/1"})
    frames = read_frames(path)
    assert [frame.path.name for frame, _ in frames] == ["0.exr", "1.exr"]
    assert frames[1][0].camera.to_world[0, 3] == 1.0


def test_camera_angle_and_per_frame_intrinsics(tmp_path: Path) -> None:
    change = {"fl_x": None, "fl_y": None, "cx": None, "cy": None, "camera_angle_x": 0.8}
    frames = read_frames(dataset(tmp_path, change, {"fl_x": 9.0, "camera_angle_x": 0.1}))
    assert frames[0][0].camera.focal == pytest.approx(3.0 / np.tan(0.4))
    assert frames[1][0].camera.focal == 9.0
    assert (frames[0][0].camera.cx, frames[0][0].camera.cy) == (3.0, 2.0)


BAD_MATRIX = np.eye(4).tolist()
BAD_MATRIX[0][0] = -1.0


@pytest.mark.parametrize(
    ("change", "frame_change", "message"),
    [
        ({"frames": []}, None, "'frames' must be a list with at least one frame"),
        ({"frames": [3]}, None, "frame 0 is not an object"),
        ({"w": 12}, None, r"image is 6 x 4 pixels but 'w' is 12"),
        ({"fl_x": None, "fl_y": None}, None, "no focal length"),
        ({"fl_x": "wide"}, None, "'fl_x' = 'wide' is not a finite number"),
        ({"fl_x": -5.0, "fl_y": -5.0}, None, "not positive"),
        ({"k4": 0.05}, None, r"distortion k4 = 0\.05 is not a coefficient of camera_model 'PINHOLE'"),
        ({"camera_model": "FOV"}, None, "camera_model 'FOV' is not supported"),
        (None, {"file_path": "images/7.exr"}, r"no image .*7\.exr"),
        (None, {"file_path": 7}, "'file_path' is missing"),
        (None, {"file_path": "images/0.exr"}, "two frames name the same image"),
        (None, {"transform_matrix": [[1, 0], [0, 1]]}, r"must be 4 x 4 numbers, not \(2, 2\)"),
        (None, {"transform_matrix": "identity"}, "must be 4 x 4 numbers"),
        (None, {"transform_matrix": [[1, 0, 0], [0, 1, 0, 0]]}, "must be 4 x 4 numbers"),
        (None, {"transform_matrix": [["1", 0, 0, 0]] * 4}, "must be 4 x 4 numbers"),
        (None, {"transform_matrix": [[10**400, 0, 0, 0]] * 4}, "holds NaN or infinite"),
        (None, {"transform_matrix": BAD_MATRIX}, "not a rotation with translation"),
        (None, {"transform_matrix": np.full((4, 4), np.nan).tolist()}, "holds NaN"),
    ],
)
def test_transforms_mistakes(
    tmp_path: Path, change: dict[str, Any] | None, frame_change: dict[str, Any] | None, message: str
) -> None:
    path = dataset(tmp_path, change, frame_change)
    with pytest.raises(DataError, match=message) as caught:
        read_frames(path)
    assert "transforms.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_transforms_missing_or_not_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_frames(tmp_path / "transforms.json")
    (tmp_path / "transforms.json").write_text('{"frames": [\n oops')
    with pytest.raises(DataError, match=r"transforms\.json:2: not valid JSON"):
        read_frames(tmp_path / "transforms.json")
    (tmp_path / "transforms.json").write_text("[1]")
    with pytest.raises(DataError, match="top level must be an object"):
        read_frames(tmp_path / "transforms.json")


def test_distorted_and_non_square_cameras(tmp_path: Path) -> None:
    """They are built as the sensors that have these parameters, and written as they were read."""
    path = dataset(
        tmp_path, {"k1": 0.05, "p2": -0.01, "fl_y": 7.0}, {"camera_model": "OPENCV_FISHEYE", "p2": 0, "k4": 0.02}
    )
    (first, _), (second, _) = read_frames(path)
    cameras = [first.camera, second.camera]
    assert sorted(c.model for c in cameras) == ["opencv", "opencv_fisheye"]
    for camera in cameras:
        params = traverse(load_object(camera.to_dict()))
        assert params["focal_x"][0] == pytest.approx(camera.focal / camera.width)
        assert params["focal_y"][0] == pytest.approx(7.0 / camera.width)
        assert params["k1"][0] == pytest.approx(0.05)
    names = [f"images/{f.path.name}" for f in (first, second)]
    write_transforms(path, cameras, names)
    again = [frame.camera for frame, _ in read_frames(path)]
    assert [(c.model, c.distortion, c.focal_y) for c in again] == [(c.model, c.distortion, c.focal_y) for c in cameras]


def test_fox_has_distortion() -> None:
    path = Path(__file__).parents[3] / "shared/data/fox/transforms.json"
    if not path.is_file():
        pytest.skip("../shared/data/fox is not here")
    data = json.loads(path.read_text())
    camera = transforms._camera({**data, **data["frames"][0]}, (1080, 1920), "fox")
    assert camera.model == "opencv" and dict(camera.distortion)["k1"] == pytest.approx(0.0578421)
    load_object(camera.to_dict())
