"""Files that mean something else than they seem to: read as they are meant, or refused by name."""

from __future__ import annotations

import json
import os
import unicodedata
import warnings
import zlib
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
import pytest
from PIL import Image, ImageOps

import pbdr
from pbdr.data import encode_exr, encode_png, find_images, load_image, load_mask, natural_key, read_frames
from pbdr.data.pairing import match_names, pair
from pbdr.errors import DataError, DataWarning, OptionError, SceneError
from pbdr.job.config import load_job, parse_job
from pbdr.parameters import traverse

GREY = encode_png(np.full((4, 6, 3), 0.5))


def exr(path: Path, names: list[str], values: list[float], size: tuple[int, int] = (4, 6)) -> Path:
    pixels = np.stack([np.full(size, v, np.float32) for v in values], -1)
    mi.Bitmap(pixels, mi.Bitmap.PixelFormat.MultiChannel, names).write(str(path))
    return path


def transforms(folder: Path, change: dict[str, Any] | None = None, frames: list[dict[str, Any]] | None = None) -> Path:
    """A transforms.json of two frames (their keys changed), whose images exist."""
    entries = []
    for i, extra in enumerate(frames or [{}, {}]):
        (folder / f"{i}.png").write_bytes(GREY)
        entries.append({"file_path": f"{i}.png", "transform_matrix": np.eye(4).tolist(), **extra})
    path = folder / "transforms.json"
    path.write_text(json.dumps({"fl_x": 5.0, "w": 6, "h": 4, "frames": entries, **(change or {})}))
    return path


# --- transforms.json -------------------------------------------------------------------------------------------


def test_fisheyes_are_fisheyes(tmp_path: Path) -> None:
    coefficients = {"k1": 0.05, "k2": -0.01, "k3": 0.002, "k4": 0.001}
    for lens in ({"is_fisheye": True}, {"camera_model": "OPENCV_FISHEYE"}, {"camera_model": "radial_fisheye"}):
        keys = {**lens, **coefficients}
        for path in (transforms(tmp_path, keys), transforms(tmp_path, None, [keys, keys])):
            for frame, _ in read_frames(path):
                assert frame.camera.model == "opencv_fisheye" and dict(frame.camera.distortion) == coefficients


def test_a_frame_may_have_a_lens_and_a_focal_length_of_its_own(tmp_path: Path) -> None:
    path = transforms(
        tmp_path, {"is_fisheye": True, "k1": 0.1}, [{"camera_model": "OPENCV"}, {"camera_angle_x": 1.0, "x_fov": None}]
    )
    (first, _), (second, _) = read_frames(path)
    assert (first.camera.model, second.camera.model) == ("opencv", "opencv_fisheye")
    assert first.camera.focal == 5.0 and second.camera.focal == pytest.approx(3.0 / np.tan(0.5))


def test_fields_of_view_in_degrees(tmp_path: Path) -> None:
    ((frame, _), _) = read_frames(transforms(tmp_path, {"fl_x": None, "x_fov": 90.0}))
    assert frame.camera.focal == pytest.approx(3.0)


REFUSED = [
    {"ftheta_p0": 0.0, "ftheta_p1": 0.01},
    {"latlong": True},
    {"equirectangular": True},
    {"orthographic": True},
    {"camera_type": "FISHEYE"},
    {"camera_type": "equirectangular"},
    {"camera_model": "EQUIRECTANGULAR"},
    {"camera_model": "THIN_PRISM_FISHEYE"},
    {"camera_model": "FISHEYE624"},
    {"camera_model": 3},
    {"rolling_shutter": [0.1, 0, 0.2]},
    {"rolling_shutter": [0, 0, 0, 0.5]},
    {"k4": 0.1},
    {"k5": 0.1},
    {"k6": -0.1},
    {"s1": 0.1},
    {"camera_model": "OPENCV_FISHEYE", "k1": 0.1, "p1": 0.1},
    {"is_fisheye": True},
    {"is_fisheye": "yes", "k1": 0.1},
    {"is_fisheye": True, "camera_model": "OPENCV", "k1": 0.1},
    {"distortion_params": [0.1, 0, 0, 0, 0, 0]},
    {"fisheye_crop_radius": 700.0},
    {"white_transparent": True},
    {"mask_color": [255, 0, 255]},
    {"normal_mts_args": []},
    {"from_na": True},
    {"sharpness_discard_threshold": 0.5},
    {"transform_matrix_start": np.eye(4).tolist(), "transform_matrix_end": np.diag([1.0, -1, -1, 1]).tolist()},
    {"camra_model": "OPENCV_FISHEYE"},
    {"Camera_Model": "OPENCV_FISHEYE"},
    {"isfisheye": True},
]


@pytest.mark.parametrize("per_frame", [False, True])
def test_keys_that_change_the_camera_are_refused_by_name(tmp_path: Path, per_frame: bool) -> None:
    for keys in REFUSED:
        path = transforms(tmp_path, {} if per_frame else keys, [keys, keys] if per_frame else None)
        with pytest.raises(DataError) as caught:
            read_frames(path)
        message = str(caught.value)
        assert any(key in message for key in keys) and "transforms.json" in message and "\n" not in message, keys


HARMLESS = {
    "latlong": False,
    "rolling_shutter": [0, 0, 0],
    "k5": 0,
    "fix_premult": False,
    "aabb_scale": 16,
    "is_fisheye": False,
}


def test_the_same_keys_without_effect_are_accepted(tmp_path: Path) -> None:
    """The control of the test above."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_frames(transforms(tmp_path, {**HARMLESS, "scale": None}))) == 2


def test_unknown_keys_are_told_with_the_closest_one(tmp_path: Path) -> None:
    told: list[str] = []
    path = transforms(tmp_path, {"sharpnes": 3, "colour": "warm", "applied_transform": [[1]]}, [{}, {"sharpnes": 1}])
    read_frames(path, tell=told.append)
    text = "\n".join(told)
    assert "'sharpnes' is not known, and not used. Closest: 'sharpness'" in text and "'colour' is not known" in text
    assert "poses are taken as they are written" in text
    with pytest.warns(DataWarning) as warned:
        read_frames(path)
    assert [str(w.message) for w in warned] == told


def test_what_only_all_frames_show(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="different 'time's"):
        read_frames(transforms(tmp_path, None, [{"time": 0.0}, {"time": 0.5}]))
    assert len(read_frames(transforms(tmp_path, None, [{"time": 0.5}, {"time": 0.5}]))) == 2
    with pytest.raises(DataError, match="'n_frames' = 1 but there are 2"):
        read_frames(transforms(tmp_path, {"n_frames": 1}))
    text = transforms(tmp_path).read_text()
    (tmp_path / "transforms.json").write_text(text.replace('"w"', '"fl_x": 9.0, "w"'))
    with pytest.raises(DataError, match="fl_x is given twice"):
        read_frames(tmp_path / "transforms.json")


def test_missing_frames_are_all_named_or_left_out(tmp_path: Path) -> None:
    path = transforms(tmp_path, None, [{}, {"file_path": "r_10"}, {"file_path": "r_2"}])
    with pytest.raises(DataError, match=r"no image for 2 of 3 frames.*: r_2, r_10\. .*missing = \"skip\""):
        read_frames(path)
    told: list[str] = []
    assert len(read_frames(path, missing="skip", tell=told.append)) == 1
    assert "2 of 3 frames are left out" in told[0] and "r_2, r_10" in told[0]


def test_frames_have_masks(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[:, :3] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(mask // 255).save(tmp_path / "labels.png")
    path = transforms(tmp_path, None, [{"mask_path": "mask.png"}, {"mask_path": "labels"}])
    for frame, image in read_frames(path):
        assert frame.mask is not None and image.mask is not None
        np.testing.assert_array_equal(image.mask, mask / 255)
    assert all(image.mask is None for _, image in read_frames(path, masks=False))
    Image.fromarray(mask[:2]).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="6 x 2 pixels, the image 6 x 4"):
        read_frames(path)
    Image.fromarray(0 * mask).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="black everywhere"):
        read_frames(path)
    for change, message in (
        ({"mask_path": "none.png"}, "1 masks .* are missing: none.png"),
        ({"mask_path": 3}, "'mask_path' is missing, or no text"),
    ):
        with pytest.raises(DataError, match=message):
            read_frames(transforms(tmp_path, None, [change]))


def test_masks_that_are_no_masks(tmp_path: Path) -> None:
    colours = np.zeros((4, 6, 4), np.uint8)
    colours[:2, :, 0], colours[..., 3] = 255, 255
    Image.fromarray(colours).save(tmp_path / "c.png")
    with pytest.raises(DataError, match="a mask is grey"):
        load_mask(tmp_path / "c.png")
    colours[..., :3] = 255
    colours[:2, :, 3] = 0
    Image.fromarray(colours).save(tmp_path / "a.png")
    assert load_mask(tmp_path / "a.png").sum() == 12
    colours[0, 0, :3] = 0
    Image.fromarray(colours).save(tmp_path / "b.png")
    with pytest.raises(DataError, match="both vary"):
        load_mask(tmp_path / "b.png")


def test_missing_frames_of_a_capture(shared_data: Path) -> None:
    with pytest.raises(DataError, match=r"no image for 17 of 67 frames.* images/0005\.jpg, .*images/0113\.jpg\."):
        read_frames(shared_data / "fox" / "transforms.json")


# --- encodings -------------------------------------------------------------------------------------------------

JOB = 'version = 1\nname = "ä"\n[scene]\nfile = "s.xml"\n[data]\ncameras = "t.json"\n[vars.a]\nmatch = "a/b"\n'.replace(
    "ä", "a"
)


def test_byte_order_marks(tmp_path: Path) -> None:
    path = transforms(tmp_path)
    text = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read_frames(path)) == 2
    (tmp_path / "job.toml").write_bytes(b"\xef\xbb\xbf" + JOB.replace("\n", "\r\n").encode())
    assert load_job(tmp_path / "job.toml")[0].name == "a"
    for encoding, message in (
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
    ):
        path.write_bytes(text.encode(encoding))
        (tmp_path / "job.toml").write_bytes(JOB.encode(encoding))
        with pytest.raises(DataError, match=f"transforms.json: .*{message}.*save it as UTF-8"):
            read_frames(path)
        with pytest.raises(OptionError, match=f"job.toml: .*{message}.*save it as UTF-8"):
            load_job(tmp_path / "job.toml")
    (tmp_path / "job.toml").write_bytes(JOB.encode() + b'x = "\xe9"')
    with pytest.raises(OptionError, match=r"job\.toml:9: the byte 0xe9 is not UTF-8"):
        load_job(tmp_path / "job.toml")


def test_documents_that_break_their_parser(tmp_path: Path) -> None:
    for text in ("a = " + "[" * 5000, "a = " + "9" * 5000, "a" * 70000 + " = ", "\x00", "a = 1979-13-01"):
        with pytest.raises(OptionError) as caught:
            parse_job(text, "job.toml")
        assert "\n" not in str(caught.value)
        (tmp_path / "transforms.json").write_text('{"frames": ' + text[4:])
        with pytest.raises(DataError):
            read_frames(tmp_path / "transforms.json")


# --- names -----------------------------------------------------------------------------------------------------


def test_natural_order() -> None:
    names = ["r_10", "r_2", "R_1", "r_02", "a", "10", "9", ""]
    assert sorted(names, key=natural_key) == ["", "9", "10", "a", "R_1", "r_02", "r_2", "r_10"]


def test_images_belong_to_sensors() -> None:
    files = [Path(f"imgs/r_{k}.png") for k in (10, 0, 2, 1)]
    assert pair(["cam_0", "cam_1", "cam_2", "cam_10"], files) == ([files[k] for k in (1, 3, 2, 0)], "number")
    assert pair(["cam_10", "cam_2", "cam_1", "cam_0"], files) == ([files[k] for k in (0, 2, 3, 1)], "number")
    assert pair(["a", "b", "c", "d"], files) == ([files[k] for k in (1, 3, 2, 0)], "order")
    assert pair(["cam_1", "cam_2", "cam_3", "cam_11"], files) == ([files[k] for k in (1, 3, 2, 0)], "order")
    assert pair(["right", "left"], [Path("left.exr"), Path("right.exr")]) == (
        [Path("right.exr"), Path("left.exr")],
        "name",
    )
    assert match_names(["a", "b"], ["b", "a"]) == [1, 0] and match_names(["a", "b"], ["c", "a"]) == [0, 1]


def test_folders_are_no_patterns(tmp_path: Path) -> None:
    for folder in ("scan [v2]", "what?", "a*b", "plain", "mit Räumen ✓", "[!a]", "a\\b", "x{1,2}"):
        check_folder(tmp_path / "in", folder)


def check_folder(tmp_path: Path, folder: str) -> None:
    base = tmp_path / folder / "imgs"
    base.mkdir(parents=True)
    for name in ("r_2.png", "r_10.png", "img[1].png", "img1.png", ".hidden.png"):
        (base / name).write_bytes(GREY)
    (tmp_path / "scan v" / "imgs").mkdir(parents=True, exist_ok=True)
    (tmp_path / "scan v" / "imgs" / "r_1.png").write_bytes(GREY)
    (tmp_path / folder / "job.toml").write_text(JOB.replace('cameras = "t.json"', 'images = "imgs/r_*.png"'))
    job, _ = load_job(tmp_path / folder / "job.toml")
    assert [p.name for p in find_images(str(job.data.images))] == ["r_2.png", "r_10.png"]
    assert [p.name for p in find_images(str(base / "img[1].png"))] == ["img[1].png"]
    assert [p.name for p in find_images(str(base / "img[0-9].png"))] == ["img1.png"]
    assert len(find_images(str(base))) == 4 and len(find_images(str(base / "*"))) == 4
    assert len(find_images(str(tmp_path / folder / "**" / "r_*.png"))) == 2


def test_paths_that_are_no_text(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    (folder / "job.toml").write_text(JOB)
    (folder / "scene.xml").write_text("<scene version='3.0.0'/>")
    with pytest.raises(OptionError, match="not UTF-8: rename"):
        load_job(folder / "job.toml")
    with pytest.raises(SceneError, match="not UTF-8: rename"):
        pbdr.load_scene(folder / "scene.xml")
    (folder / "1.png").write_bytes(GREY)
    assert load_image(folder / "1.png").size == (6, 4)


def test_names_may_be_composed_otherwise(tmp_path: Path) -> None:
    (tmp_path / unicodedata.normalize("NFD", "Bäume")).mkdir()
    (tmp_path / unicodedata.normalize("NFD", "Bäume") / "1.png").write_bytes(GREY)
    assert len(find_images(str(tmp_path / unicodedata.normalize("NFC", "Bäume") / "*.png"))) == 1


# --- images ----------------------------------------------------------------------------------------------------

LAYERS = [
    (["ViewLayer.AO.R", "ViewLayer.AO.G", "ViewLayer.AO.B", *(f"ViewLayer.Combined.{c}" for c in "RGBA")], None, 0.4),
    (["ViewLayer.AO.R", "ViewLayer.AO.G", "ViewLayer.AO.B", *(f"ViewLayer.Combined.{c}" for c in "RGBA")], "AO", 0.1),
    (["diffuse.R", "diffuse.G", "diffuse.B", "R", "G", "B"], None, 0.4),
    (["diffuse.R", "diffuse.G", "diffuse.B", "R", "G", "B"], "diffuse", 0.1),
    (["N.X", "N.Y", "N.Z", "beauty.r", "beauty.g", "beauty.b"], None, 0.4),
    (["only.R", "only.G", "only.B", "depth.Z"], None, 0.1),
    (["depth.Z", "Y"], None, 0.2),
    (["Y", "A"], None, 0.1),
]


def test_layers(tmp_path: Path) -> None:
    for names, layer, expected in LAYERS:
        path = exr(tmp_path / "x.exr", names, [0.1 * (k + 1) for k in range(len(names))])
        image = load_image(path, layer=layer)
        np.testing.assert_allclose(image.rgb[0, 0, 0], expected, atol=1e-6, err_msg=str(names))
        alpha = 0.7 if layer is None and "ViewLayer.Combined.A" in names else 0.2 if names == ["Y", "A"] else None
        assert (image.alpha is None) if alpha is None else np.allclose(image.alpha, alpha), names


def test_layers_that_leave_a_choice(tmp_path: Path) -> None:
    for names, layer, message in [
        (["left.R", "left.G", "left.B", "right.R", "right.G", "right.B"], None, "which layer .* 'left', 'right'"),
        (
            ["a.Combined.R", "a.Combined.G", "a.Combined.B", "b.Combined.R", "b.Combined.G", "b.Combined.B"],
            "combined",
            "may be",
        ),
        (["a.R", "a.G", "a.B"], "b", "no layer 'b'"),
        (["X", "Y", "Z"], None, "X, Y, Z may be CIE"),
        (["N.X", "N.Y", "N.Z"], None, "hold no colour"),
        (["R", "G"], None, "hold no colour"),
    ]:
        path = exr(tmp_path / "x.exr", names, [0.1] * len(names))
        with pytest.raises((DataError, OptionError), match=message):
            load_image(path, layer=layer)


def test_exif_orientation(tmp_path: Path) -> None:
    """As stored by default; turned as another library does, where that is asked for."""
    for orientation in range(1, 9):
        for suffix in ("png", "jpg"):
            check_orientation(tmp_path, orientation, suffix)


def check_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8))
    exif = image.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    image.save(path, exif=exif)
    stored, turned = load_image(path, "linear"), load_image(path, "linear", exif="apply")
    np.testing.assert_allclose(stored.rgb * 255, np.array(Image.open(path)), atol=1e-3)
    np.testing.assert_allclose(turned.rgb * 255, np.array(ImageOps.exif_transpose(Image.open(path))), atol=1e-3)
    assert stored.orientation == turned.orientation == orientation


def test_exif_is_told_where_sizes_are_exchanged(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((4, 6, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    path = transforms(tmp_path, {"w": 4, "h": 6})
    for k in range(2):
        image.save(tmp_path / f"{k}.png", exif=exif)
    with pytest.raises(DataError, match=r'exchanged by its EXIF orientation 6: \[data\] exif = "apply"'):
        read_frames(path)
    assert read_frames(path, exif="apply")[0][1].size == (4, 6)


def test_a_png_that_says_it_is_linear(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 6, 3), 128, np.uint8)).save(tmp_path / "x.png")
    data = (tmp_path / "x.png").read_bytes()
    chunk = b"gAMA" + (100000).to_bytes(4, "big")
    gamma = b"\0\0\0\x04" + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    (tmp_path / "x.png").write_bytes(data[:33] + gamma + data[33:])
    with pytest.raises(DataError, match=r'gamma of 1, not that of sRGB.*\[data\] color = "linear"'):
        load_image(tmp_path / "x.png")
    load_image(tmp_path / "x.png", "linear")


def test_hdr_files_that_are_not_whole(tmp_path: Path) -> None:
    """Without a look at them beforehand, some of these end the process."""
    for size in ((4, 6, 3), (9, 9, 3)):
        path = tmp_path / "a.hdr"
        mi.Bitmap(np.random.default_rng(0).random(size).astype(np.float32)).write(str(path))
        data = path.read_bytes()
        assert load_image(path).size == (size[1], size[0])
        for cut in range(0, len(data), 7):
            path.write_bytes(data[:cut])
            with pytest.raises(DataError, match="not an image that can be read"):
                load_image(path)


def test_files_that_are_not_whole(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / "a.jpg")
    (tmp_path / "a.png").write_bytes(encode_png(np.random.default_rng(0).random((32, 32, 3))))
    (tmp_path / "a.exr").write_bytes(encode_exr(np.random.default_rng(0).random((32, 32, 3))))
    for suffix in ("jpg", "png", "exr"):
        data = (tmp_path / f"a.{suffix}").read_bytes()
        for cut in (0, 1, 2, 8, 20, 100, len(data) // 2, len(data) - 20):
            (tmp_path / f"b.{suffix}").write_bytes(data[:cut])
            with pytest.raises(DataError, match="not an image that can be read"):
                load_image(tmp_path / f"b.{suffix}")
    bomb = bytearray((tmp_path / "a.png").read_bytes())
    bomb[16:24] = b"\x7f\xff\xff\xff" * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(bytes(bomb))
    with pytest.raises(DataError, match="2147483647 x 2147483647 pixels; at most"):
        load_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="a folder, not an image"):
        load_image(tmp_path)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.jpg")
    large = bytearray((tmp_path / "a.jpg").read_bytes())
    at = large.index(b"\xff\xc0") + 5
    large[at : at + 4] = b"\x20\0\x20\0"
    found = {
        "a.jpg": (bytes(large), "8192 x 8192 pixels, for which the file is too short"),
        "a.pfm": (b"PFP8?", "its header is damaged"),  # hung the decoder
        "b.pfm": (b"PF\n2 2\n-1.0\n" + bytes(40), "its end is missing"),
        "a.exr": (b"\x76\x2f\x31\x01\x02" + bytes(60), "its header is damaged"),
        "a.gif": (b"GIF89a" + bytes(40), "neither PNG, JPEG"),
    }
    for name, (content, message) in found.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            load_image(tmp_path / name)


# --- environments ----------------------------------------------------------------------------------------------


def sky(values: np.ndarray, folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {"type": "envmap", "bitmap": mi.Bitmap(values)}
    (folder / "sky.exr").write_bytes(encode_exr(values))
    return {"type": "envmap", "filename": str(folder / "sky.exr")}


def scene(light: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"type": "scene", "camera": {"type": "perspective"}, "light": light, **rest}


def test_scene_files_in_other_encodings(tmp_path: Path) -> None:
    text = '<scene version="3.0.0"><sensor type="perspective"/><emitter type="constant" id="ü"/></scene>'
    path = tmp_path / "ß [1].xml"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_bytes(text.encode(encoding))
        assert pbdr.load_scene(path).named == ("perspective-1", "ü")
    path.write_bytes(b"\n" + text.encode("latin-1"))
    with pytest.raises(SceneError, match=r"xml:2: the byte 0xfc is not UTF-8"):
        pbdr.load_scene(path)


@pytest.mark.parametrize("from_file", [False, True])
def test_negative_texels_of_environments(tmp_path: Path, from_file: bool) -> None:
    values = np.random.default_rng(0).random((8, 16, 3)).astype(np.float32)
    values[2, 3, 1], values[5, 5] = -3.0, -0.5
    folder = tmp_path if from_file else None
    with pytest.warns(DataWarning, match="2 of 128 texels are negative, the lowest -3; they are taken for 0"):
        clamped = pbdr.load_scene(scene(sky(values, folder)))
    with pytest.warns(DataWarning, match="they are kept"):
        kept = pbdr.load_scene(scene(sky(values, folder)), clamp=False)
    read = [np.array(traverse(s)["light.data"])[:, 1:-1] for s in (clamped, kept)]
    np.testing.assert_array_equal(read[0], np.maximum(values, 0))
    np.testing.assert_array_equal(read[1], values)
    assert len(clamped.notes) == 1


@pytest.mark.parametrize(("value", "from_file"), [(np.nan, True), (np.inf, False)])
def test_texels_that_are_not_finite(tmp_path: Path, value: float, from_file: bool) -> None:
    values = np.ones((8, 16, 3), np.float32)
    values[2, 3, 1] = value
    with pytest.raises(SceneError, match="1 of 128 texels are NaN or infinite"):
        pbdr.load_scene(scene(sky(values, tmp_path if from_file else None)))
    paint = {"type": "diffuse", "reflectance": {"type": "bitmap", "bitmap": mi.Bitmap(values), "raw": True}}
    with pytest.raises(SceneError, match=r"texture .* 1 of 128 texels are NaN or infinite"):
        pbdr.load_scene(scene({"type": "constant"}, wall={"type": "rectangle", "bsdf": paint}))


def test_negative_texels_of_lights_but_not_of_other_textures() -> None:
    values = np.ones((8, 16, 3), np.float32)
    values[2, 3, 1] = -1.0
    texture = {"type": "bitmap", "bitmap": mi.Bitmap(values), "raw": True}
    with pytest.warns(DataWarning, match="1 of 128 texels are negative"):
        pbdr.load_scene(
            scene({"type": "constant"}, lamp={"type": "rectangle", "e": {"type": "area", "radiance": texture}})
        )
    bump = {"type": "bumpmap", "t": {**texture, "bitmap": mi.Bitmap(values[..., :1].copy())}, "b": {"type": "diffuse"}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pbdr.load_scene(scene({"type": "constant"}, wall={"type": "rectangle", "bsdf": bump}))


def test_environments_of_the_field_have_negative_texels(shared_data: Path) -> None:
    for path in sorted((shared_data / "hdri").glob("*.exr")):
        with pytest.warns(DataWarning, match="texels are negative"):
            found = pbdr.load_scene(scene({"type": "envmap", "filename": str(path)}))
        assert np.array(traverse(found)["light.data"]).min() == 0.0
