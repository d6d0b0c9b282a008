"""Formats of cameras: COLMAP against pycolmap and by hand, folders, scene files; masks, depths and normals beside images."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest
from PIL import Image

from pbdr.data import Cache, Camera, Source, Streamed, colmap, encode_exr, formats
from pbdr.data.formats.colmap import LENSES
from pbdr.data.planes import load_depth, load_normal, partners
from pbdr.errors import DataError
from pbdr.scene import load_object, load_scene

WIDTH, HEIGHT = 60, 40
#: Parameters of every camera model that a lens here can hold: strong enough to be seen.
PARAMETERS = {
    "SIMPLE_PINHOLE": (50, 31, 19),
    "PINHOLE": (50, 47, 31, 19),
    "SIMPLE_RADIAL": (50, 31, 19, 0.08),
    "RADIAL": (50, 31, 19, 0.08, -0.02),
    "OPENCV": (50, 47, 31, 19, 0.08, -0.02, 0.004, -0.006),
    "FULL_OPENCV": (50, 47, 31, 19, 0.08, -0.02, 0.004, -0.006, 0.01, 0, 0, 0),
    "OPENCV_FISHEYE": (30, 28, 31, 19, 0.05, -0.01, 0.004, -0.002),
    "SIMPLE_RADIAL_FISHEYE": (30, 31, 19, 0.05),
    "RADIAL_FISHEYE": (30, 31, 19, 0.05, -0.01),
    "SIMPLE_FISHEYE": (30, 31, 19),
    "FISHEYE": (30, 28, 31, 19),
}
QUATERNION, TRANSLATION = (0.8, 0.2, -0.4, 0.4), (0.3, -0.2, 2.0)
POSE = " ".join(map(str, (*QUATERNION, *TRANSLATION)))


def picture(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT), grey: int = 128, **save: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), grey, np.uint8)).save(path, **save)


def text_model(folder: Path, cameras: str | None = None, images: str | None = None) -> Path:
    """A model as text, by hand: two images, a name with a blank, empty lines of points."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cameras.txt").write_text(
        cameras or f"# Camera list\n1 PINHOLE {WIDTH} {HEIGHT} 50 47 31 19\n7 SIMPLE_RADIAL {WIDTH} {HEIGHT} 50 31 19 0.08\n"
    )
    (folder / "images.txt").write_text(
        images or f"# Image list\n4 {POSE} 7 b/r 10.png\n\n2 {POSE} 1 b/r 9.png\n1.5 2.5 1 3.5 4.5 -1\n"
    )
    (folder / "points3D.txt").write_text("# Points\n1 0.5 -1 2 255 0 9 0.25 2 0\n3 1 1 1 1 2 3 0.5 2 0 4 1\n")
    return folder


def binary_model(folder: Path, model: int, parameters: tuple[float, ...], name: str = "a.png") -> Path:
    """A model in binary files, as the documentation of COLMAP describes them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cameras.bin").write_bytes(
        struct.pack("<QIiQQ", 1, 3, model, WIDTH, HEIGHT) + struct.pack(f"<{len(parameters)}d", *parameters)
    )
    image = struct.pack("<QI7dI", 1, 5, *QUATERNION, *TRANSLATION, 3) + name.encode() + b"\0"
    (folder / "images.bin").write_bytes(image + struct.pack("<QddQ", 1, 1.5, 2.5, 2**64 - 1))
    (folder / "points3D.bin").write_bytes(
        struct.pack("<QQ3d3BdQ", 1, 9, 0.5, -1, 2, 255, 0, 9, 0.25, 1) + struct.pack("<II", 5, 0)
    )
    return folder


def projected(camera: Camera, film: Any, world: Any) -> Any:
    """Points (N, 3) in world space that the sensor of a camera sees at film positions (N, 2) in pixels."""
    sensor = load_object(camera.to_dict())
    at = mi.Point2f(mi.Float(film[:, 0] / camera.width), mi.Float(film[:, 1] / camera.height))
    ray, _ = sensor.sample_ray(0.0, 0.5, at, mi.Point2f(0.5))
    points = ray.o + world * ray.d
    dr.eval(points)
    return np.array(points).reshape(3, -1).T.astype(np.float64)


@pytest.mark.parametrize("model", PARAMETERS)
def test_lenses_of_colmap_are_those_of_pycolmap(tmp_path: Path, model: str) -> None:
    """pycolmap writes a model in both ways; what the sensor sees through pixels, pycolmap projects to these pixels."""
    pycolmap = pytest.importorskip("pycolmap", reason="compares with pycolmap, of the extra colmap")
    camera = pycolmap.Camera(model=model, width=WIDTH, height=HEIGHT, params=PARAMETERS[model], camera_id=3)
    world = pycolmap.Reconstruction()
    world.add_camera_with_trivial_rig(camera)
    quaternion = np.array([*QUATERNION[1:], QUATERNION[0]])
    pose = pycolmap.Rigid3d(pycolmap.Rotation3d(quaternion / np.linalg.norm(quaternion)), np.array(TRANSLATION))
    world.add_image_with_trivial_frame(pycolmap.Image(name="a.png", camera_id=3, image_id=5), pose)
    world.add_point3D(np.array([0.5, -1, 2]), pycolmap.Track(), np.array([255, 0, 9], np.uint8))
    picture(tmp_path / "images" / "a.png")
    film = np.stack(np.meshgrid(np.linspace(3, 57, 5), np.linspace(2, 38, 4)), axis=-1).reshape(-1, 2)
    for kind, write in (("binary", world.write_binary), ("text", world.write_text)):
        folder = tmp_path / kind
        folder.mkdir()
        write(str(folder))
        (frame,) = formats.read(Source(folder, str(tmp_path / "images")))
        points = projected(frame.camera, film, 3.0)
        local = pose * points
        back = camera.img_from_cam(np.ascontiguousarray(local))
        np.testing.assert_allclose(back, film, atol=5e-3)
        np.testing.assert_allclose(colmap.read_points(folder).positions, [[0.5, -1, 2]])
    assert LENSES[model][0] in ("opencv", "opencv_fisheye")


def test_every_model_of_pycolmap_is_known_by_its_number() -> None:
    pycolmap = pytest.importorskip("pycolmap", reason="compares with pycolmap, of the extra colmap")
    for name, entry in pycolmap.CameraModelId.__members__.items():
        if name != "INVALID":
            known, parameters = colmap.MODELS[int(entry)]
            stated = pycolmap.Camera.create_from_model_name(1, name, 10.0, 8, 6).params_info.replace(" ", "").split(",")
            assert (known, len(parameters)) == (name, len(stated))


def test_a_text_model_by_hand(tmp_path: Path) -> None:
    folder = text_model(tmp_path / "sparse" / "0")
    for name in ("r 9", "r 10"):
        picture(tmp_path / "images" / "b" / f"{name}.png")
    frames = formats.read(Source(tmp_path))  # the model is below, its images beside it
    assert [f.path.name for f in frames] == ["r 9.png", "r 10.png"]
    first, second = (f.camera for f in frames)
    assert (first.model, first.focal, first.focal_y, first.cx, first.cy) == ("pinhole", 50, 47, 31, 19)
    assert (second.model, dict(second.distortion)["k1"], second.focal_y) == ("opencv", 0.08, None)
    rotation = first.to_world[:3, :3] @ np.diag([-1, -1, 1])  # camera-to-world with COLMAP's axes
    np.testing.assert_allclose(-rotation.T @ first.to_world[:3, 3], TRANSLATION, atol=1e-12)
    w, x, y, z = np.array(QUATERNION)
    np.testing.assert_allclose(rotation.T[0], [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], atol=1e-12)
    points = colmap.read_points(folder)
    np.testing.assert_array_equal(points.colors, [[255, 0, 9], [1, 2, 3]])
    np.testing.assert_array_equal(points.views, [1, 2])


def test_binary_models_are_read_and_smaller_images_have_smaller_cameras(tmp_path: Path) -> None:
    folder = binary_model(tmp_path / "sparse" / "0", 4, PARAMETERS["OPENCV"])
    picture(tmp_path / "images" / "a.png")
    whole = formats.read(Source(folder))[0].camera
    assert dict(whole.distortion)["p2"] == -0.006
    picture(tmp_path / "images_2" / "a.png", (WIDTH // 2, HEIGHT // 2))
    told: list[str] = []
    half = formats.read(Source(folder, str(tmp_path / "images_2"), tell=told.append))[0].camera
    assert (half.focal, half.focal_y, half.cx, half.cy) == (25, 23.5, 15.5, 9.5) and half.distortion == whole.distortion
    assert "1 of 1 images are 0.5 times the size of their cameras" in told[0]
    picture(tmp_path / "images_2" / "a.png", (WIDTH // 2, HEIGHT))
    with pytest.raises(DataError, match=r"30 x 40 pixels, but .* has 60 x 40"):
        formats.read(Source(folder, str(tmp_path / "images_2")))
    np.testing.assert_allclose(colmap.read_points(folder).errors, [0.25])


@pytest.mark.parametrize("model", [m for m in colmap.NAMES if m not in LENSES])
def test_other_lenses_are_refused_by_name(tmp_path: Path, model: str) -> None:
    values = " ".join(["50"] * len(colmap.NAMES[model]))
    text_model(tmp_path, f"1 {model} {WIDTH} {HEIGHT} {values}\n", f"4 {POSE} 1 a.png\n\n")
    picture(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match=f"the lens {model} is not supported; undistort"):
        formats.read(Source(tmp_path))


@pytest.mark.parametrize(
    ("cameras", "images", "message"),
    [
        ("1 FULL_OPENCV 60 40 50 47 31 19 0 0 0 0 0 0.1 0 0\n", None, "k4 = 0.1 of FULL_OPENCV are not coefficients"),
        ("1 PINHOL 60 40 50 47 31 19\n", None, "camera model 'PINHOL' is unknown"),
        ("1 PINHOLE 60 40 50 47 31\n", None, "PINHOLE has the parameters fx fy cx cy; 3 numbers"),
        ("1 PINHOLE 60 40 50 47 31 x\n", None, "'x' is not a number"),
        ("1 PINHOLE 60 40 -50 47 31 19\n", None, "are no camera's"),
        ("1 PINHOLE 60 40\n", None, "'' is not a whole number"),
        (None, "4 1 0 0 0 0 0 0 1\n\n", "an image is IMAGE_ID QW"),
        (None, f"4 {POSE} 9 a.png\n\n", "has camera 9, which does not exist"),
        (None, f"4 {POSE} 1 c.png\n\n", r"no image for 1 of 1 frames.*c\.png\. They were looked for in .*images"),
        (None, "4 0 0 0 0 0 0 0 1 a.png\n\n", "is not a rotation quaternion"),
        (None, "4 nan 0 0 0 0 0 0 1 a.png\n\n", "numbers that are not finite"),
        (None, "# nothing\n", "no image is registered"),
    ],
)  # fmt: skip
def test_mistakes_in_models(tmp_path: Path, cameras: str | None, images: str | None, message: str) -> None:
    text_model(tmp_path, cameras or "1 PINHOLE 60 40 50 47 31 19\n", images or f"4 {POSE} 1 a.png\n\n")
    picture(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match=message) as caught:
        formats.read(Source(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_binary_files_that_are_cut_off(tmp_path: Path, name: str) -> None:
    """At every byte: an error that names the file, nothing else."""
    folder = binary_model(tmp_path, 1, PARAMETERS["PINHOLE"])
    read = {"cameras.bin": colmap.read_cameras, "images.bin": colmap.read_images, "points3D.bin": colmap.read_points}[name]
    whole = (folder / name).read_bytes()
    assert read(folder)
    for end in range(len(whole)):
        (folder / name).write_bytes(whole[:end])
        with pytest.raises(DataError, match=name):
            read(folder)
    (folder / name).write_bytes(struct.pack("<Q", 2**60) + whole[8:])
    with pytest.raises(DataError, match=name):
        read(folder)


def test_images_of_a_model_that_are_missing(tmp_path: Path) -> None:
    text_model(tmp_path)
    with pytest.raises(DataError, match='there is no folder "images" beside the model'):
        formats.read(Source(tmp_path))
    picture(tmp_path / "images" / "b" / "r 9.png")
    told: list[str] = []
    assert len(formats.read(Source(tmp_path, missing="skip", tell=told.append))) == 1
    assert "1 of 2 frames are left out" in told[0]


def scene_with(count: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Any:
    film = {"type": "hdrfilm", "width": size[0], "height": size[1], "pixel_format": "rgb"}
    sensors = {f"eye-{k}": {"type": "perspective", "film": film} for k in range(count)}
    return load_scene({"type": "scene", "sky": {"type": "constant"}, **sensors}, sensor_required=False)


def source(path: Path, scene: Any, told: Callable[[str], None], **options: Any) -> Source:
    return Source(path, sensors=scene.sensors, scene="the scene", tell=told, **options)


def test_a_folder_of_images_has_one_camera(tmp_path: Path) -> None:
    told: list[str] = []
    for k in range(3):
        picture(tmp_path / f"r_{k}.png")
    frames = formats.read(source(tmp_path, scene_with(1), told.append))
    assert [f.sensor for f in frames] == [0, 0, 0] and "seen by the one sensor 'eye-0'" in told[0]
    given = formats.read(source(tmp_path, scene_with(1), told.append, fov=50.0))
    assert all(f.camera.fov_x == pytest.approx(np.radians(50)) for f in given)
    for scene, options, message in (
        (scene_with(2), {}, "must have one sensor"),
        (scene_with(1, (6, 4)), {}, "give \\[data\\] fov"),
        (scene_with(1), {"fov": 190.0}, "between 0 and 180"),
    ):
        with pytest.raises(DataError, match=message):
            formats.read(source(tmp_path, scene, told.append, **options))
    picture(tmp_path / "r_4.png", (WIDTH, HEIGHT + 1))
    with pytest.raises(DataError, match="have one size; these have 60 x 40, 60 x 41"):
        formats.read(source(tmp_path, scene_with(1), told.append))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds neither images nor a COLMAP model"):
        formats.read(source(tmp_path / "empty", scene_with(1), told.append))


def test_the_focal_length_of_exif_is_an_estimate(tmp_path: Path) -> None:
    """35 mm film is 36 mm wide: a focal length of 18 mm sees 90 degrees along the long side."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 18
    told: list[str] = []
    picture(tmp_path / "wide.jpg", exif=exif)
    (frame,) = formats.read(source(tmp_path, scene_with(1, (6, 4)), told.append))
    assert frame.camera.focal == pytest.approx(WIDTH / 2) and "90 degrees" in told[0]
    exif.get_ifd(0x8769)[0xA405] = 28
    picture(tmp_path / "x.jpg", exif=exif)
    with pytest.raises(DataError, match="EXIF states 18 to 28 mm"):
        formats.read(source(tmp_path, scene_with(1, (6, 4)), told.append))


def test_a_scene_file_is_a_format(tmp_path: Path) -> None:
    (tmp_path / "cameras.xml").write_text(
        '<scene version="3.0.0">'
        + "".join(
            f'<sensor type="perspective" id="cam_{k}"><film type="hdrfilm"><integer name="width" value="{WIDTH}"/>'
            f'<integer name="height" value="{HEIGHT}"/></film></sensor>'
            for k in (1, 2)
        )
        + "</scene>"
    )
    for k in (2, 1):
        picture(tmp_path / "photos" / f"cam_{k}.png")
    told: list[str] = []
    frames = formats.read(Source(tmp_path / "cameras.xml", str(tmp_path / "photos"), tell=told.append))
    assert [(f.path.stem, str(f.sensor.id())) for f in frames] == [("cam_1", "cam_1"), ("cam_2", "cam_2")]
    with pytest.raises(DataError, match="name no images"):
        formats.read(Source(tmp_path / "cameras.xml"))


def test_what_is_no_format(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_text("")
    with pytest.raises(DataError, match=r"not cameras of a format that is known; .*COLMAP folder"):
        formats.read(Source(tmp_path / "a.ply"))
    with pytest.raises(DataError, match="no such file or folder"):
        formats.read(Source(tmp_path / "b"))
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(DataError, match="names its own images"):
        formats.read(Source(tmp_path / "t.json", "photos"))


def test_a_folder_is_what_lies_in_it(tmp_path: Path) -> None:
    """A model and images side by side are a model."""
    text_model(tmp_path)
    picture(tmp_path / "x.png")
    assert formats.find_format(tmp_path).name.startswith("a COLMAP")
    (tmp_path / "cameras.txt").unlink()
    assert formats.find_format(tmp_path).name == "a folder of images"


# --- masks, depths, normals --------------------------------------------------------------------------------------


def test_partners_of_images() -> None:
    images = [Path("i/r_2.jpg"), Path("i/r_10.jpg")]
    for names, expected in (
        (["r_10.png", "r_2.png"], ["r_2.png", "r_10.png"]),
        (["r_10.jpg.png", "r_2.jpg.png", "r_3.jpg.png"], ["r_2.jpg.png", "r_10.jpg.png"]),
        (["m10.png", "m2.png"], ["m2.png", "m10.png"]),
        (["b.png", "a.png"], ["a.png", "b.png"]),
    ):
        assert [p.name for p in partners(images, [Path("m") / n for n in names], "masks")] == expected
    with pytest.raises(DataError, match=r"masks finds 3 files for 2 images, and not by their names: r_10\.jpg has none"):
        partners(images, [Path(f"m/{n}.png") for n in ("r_2", "x", "y")], "masks")


def test_depths_are_read_with_what_was_not_measured(tmp_path: Path) -> None:
    depth = np.array([[1, 0, 2], [np.inf, np.nan, 1e10]], np.float32)
    mi.Bitmap(depth[..., None], mi.Bitmap.PixelFormat.MultiChannel, ["Z"]).write(str(tmp_path / "z.exr"))
    np.testing.assert_array_equal(load_depth(tmp_path / "z.exr"), [[1, 0, 2], [0, 0, 0]])
    (tmp_path / "grey.exr").write_bytes(encode_exr(np.repeat(depth[..., None], 3, axis=2)))
    np.testing.assert_array_equal(load_depth(tmp_path / "grey.exr", 3.0), [[3, 0, 6], [0, 0, 0]])
    Image.fromarray(np.array([[1500, 0]], np.uint16)).save(tmp_path / "mm.png")
    np.testing.assert_allclose(load_depth(tmp_path / "mm.png"), [[1.5, 0]])
    (tmp_path / "rgb.exr").write_bytes(encode_exr(np.random.default_rng(0).uniform(1, 2, (2, 2, 3))))
    with pytest.raises(DataError, match=r"which of its channels .* is the depth"):
        load_depth(tmp_path / "rgb.exr")


def test_normals_are_read(tmp_path: Path) -> None:
    normals = np.array([[[0, 0, 1], [0, -1, 0], [0, 0, 0]]], np.float32)
    (tmp_path / "n.exr").write_bytes(encode_exr(normals))
    np.testing.assert_array_equal(load_normal(tmp_path / "n.exr"), normals)
    mi.Bitmap(normals[..., ::-1].copy(), mi.Bitmap.PixelFormat.MultiChannel, ["Z", "Y", "X"]).write(str(tmp_path / "xyz.exr"))
    np.testing.assert_array_equal(load_normal(tmp_path / "xyz.exr"), normals)
    codes = np.where(np.abs(normals).sum(axis=2, keepdims=True) > 0, np.rint((normals + 1) * 127.5), 0).astype(np.uint8)
    Image.fromarray(codes).save(tmp_path / "n.png")
    np.testing.assert_allclose(load_normal(tmp_path / "n.png"), normals, atol=0.005)
    (tmp_path / "long.exr").write_bytes(encode_exr(3 * normals))
    with pytest.raises(DataError, match="these up to 3"):
        load_normal(tmp_path / "long.exr")


# --- streaming ---------------------------------------------------------------------------------------------------


def test_a_cache_forgets_what_was_used_longest_ago() -> None:
    cache: Cache[np.ndarray] = Cache(250, lambda x: x.nbytes)
    for key in "abab":
        cache.get(key, lambda: np.zeros(100, np.uint8))
    assert cache.made == 2
    cache.get("c", lambda: np.zeros(100, np.uint8))  # forgets a
    cache.get("b", lambda: np.zeros(100, np.uint8))
    assert cache.made == 3 and cache.used == 200
    assert len(cache.get("huge", lambda: np.zeros(1000, np.uint8))) == 1000 and cache.used == 0


def test_streamed_arrays_are_read_when_they_are_asked_for() -> None:
    reads: list[int] = []

    def read() -> np.ndarray:
        reads.append(1)
        return np.ones((2, 3, 3), np.float32)

    streamed = Streamed((2, 3, 3), read)
    assert np.shape(streamed) == (2, 3, 3) and streamed.ndim == 3 and not reads
    assert np.asarray(streamed, dtype=np.float64).dtype == np.float64 and len(reads) == 1


# --- dialects of transforms.json ---------------------------------------------------------------------------------

MATRIX = [[0.6, 0.0, 0.8, 2.0], [0.0, 1.0, 0.0, 0.5], [-0.8, 0.0, 0.6, 1.5], [0, 0, 0, 1]]
DIALECTS = {
    "NeRF": {
        "camera_angle_x": 0.6911112070083618,
        "frames": [{"file_path": "./train/r_0", "rotation": 0.012566370614359171, "transform_matrix": MATRIX}],
    },
    "Instant-NGP": {
        "camera_angle_x": 1.08, "camera_angle_y": 0.76, "fl_x": 50.0, "fl_y": 50.0, "k1": 0.03, "k2": -0.01, "k3": 0, "k4": 0,
        "p1": 0.001, "p2": -0.002, "is_fisheye": False, "cx": 30.5, "cy": 19.5, "w": 60.0, "h": 40.0, "aabb_scale": 4,
        "scale": 0.33, "offset": [0.5, 0.5, 0.5],
        "frames": [{"file_path": "train/r_0.png", "sharpness": 31.7, "transform_matrix": MATRIX}],
    },
    "nerfstudio": {
        "camera_model": "OPENCV_FISHEYE", "orientation_override": "none", "ply_file_path": "sparse_pc.ply",
        "applied_transform": [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]],
        "frames": [
            {
                "file_path": "train/r_0.png", "fl_x": 28.0, "fl_y": 28.0, "cx": 30.5, "cy": 19.5, "w": 60, "h": 40, "k1": 0.05,
                "k2": -0.01, "k3": 0.0, "k4": 0.0, "colmap_im_id": 1, "depth_file_path": "depth/r_0.png",
                "transform_matrix": MATRIX,
            }
        ],
    },
}  # fmt: skip
EXPECTED = {
    "NeRF": ("pinhole", 0.5 * WIDTH / np.tan(0.5 * 0.6911112070083618), (30.0, 20.0), {}, ()),
    "Instant-NGP": ("opencv", 50.0, (30.5, 19.5), {"k1": 0.03, "p2": -0.002}, ("'scale'", "'offset'")),
    "nerfstudio": ("opencv_fisheye", 28.0, (30.5, 19.5), {"k2": -0.01}, ("applied_transform", "by [data] depth")),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects_of_transforms(tmp_path: Path, dialect: str) -> None:
    """A sample of each as its tool writes it: lens, focal length, centre, pose; and what is told of it."""
    (tmp_path / "transforms.json").write_text(json.dumps(DIALECTS[dialect]))
    picture(tmp_path / "train" / "r_0.png")
    told: list[str] = []
    (frame,) = formats.read(Source(tmp_path / "transforms.json", tell=told.append))
    model, focal, centre, coefficients, notes = EXPECTED[dialect]
    camera = frame.camera
    assert (camera.model, camera.focal, (camera.cx, camera.cy)) == (model, pytest.approx(focal), centre)
    assert {name: dict(camera.distortion)[name] for name in coefficients} == coefficients
    np.testing.assert_allclose(camera.to_world[:3, 2], -np.array(MATRIX)[:3, 2], atol=1e-12)  # it looks along −z of OpenGL
    np.testing.assert_allclose(camera.to_world[:3, 3], [2.0, 0.5, 1.5], atol=1e-12)
    assert all(any(note in text for text in told) for note in notes) and len(told) == len(notes)
    load_object(camera.to_dict())
