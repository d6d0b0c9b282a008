"""Hypothesis strategies for what people write into files, and the property each kind of file has to have.

A property returns True where a file was accepted and what was made of it was checked, False where it was refused by one clear line;
anything else that it raises is a fault of pbdr.
"""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from pbdr.data import encode_exr, encode_png, find_images, load_image, load_mask, read_frames, write_transforms
from pbdr.data.transforms_keys import KNOWN
from pbdr.errors import PbdrError
from pbdr.job import config, runner, toml, views
from pbdr.job.pairing import pair
from pbdr.scene import load_object, load_scene
from validation.file_cases import CHOICES, JOB, LIKELY, SCENE, SENSOR

SIZE = (4, 6)  # rows, columns of every whole image


def prepare(folder: Path) -> None:
    """What jobs and camera files name: a scene with two sensors, images, masks, a transforms.json."""
    (folder / "imgs").mkdir(parents=True, exist_ok=True)
    (folder / "scene.xml").write_text(SCENE.format(sensors="".join(SENSOR.format(k=k) for k in range(2))))
    for k in range(3):
        (folder / "imgs" / f"r_{k}.png").write_bytes(encode_png(np.full((*SIZE, 3), 0.2 * k)))
    (folder / "imgs" / "rgba.exr").write_bytes(encode_exr(np.full((*SIZE, 4), 0.5)))
    mask = np.zeros(SIZE, np.uint8)
    mask[:2] = 255
    Image.fromarray(mask).save(folder / "imgs" / "mask.png")
    (folder / "transforms.json").write_text(json.dumps(camera_file()))


def camera_file() -> dict[str, Any]:
    """A transforms.json that is right."""
    pose = np.eye(4).tolist()
    frames = [{"file_path": f"imgs/r_{k}.png", "transform_matrix": pose} for k in range(2)]
    return {"fl_x": 5.0, "fl_y": 5.0, "cx": 3.0, "cy": 2.0, "w": 6, "h": 4, "frames": frames}


def one_line(error: Exception) -> None:
    """What every refusal is: one line that says something."""
    text = str(error)
    assert text.strip() and "\n" not in text and "Traceback" not in text and len(text) < 4000, repr(text)


# --- text and bytes ---------------------------------------------------------------------------------------------

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([10**6, -(10**6), 2**63, 10**400, 0.0, 0.5, 1.0, -1.0, 1e-300, 1e300, math.inf, math.nan]),
    st.floats(-10, 10),
)
values = st.recursive(
    st.one_of(numbers, names, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes of a file that was cut off, changed here and there, spliced, or is whole."""
    kind = draw(st.sampled_from(["whole", "whole", "whole", "whole", "cut", "flip", "splice", "insert", "zero"]))
    at = draw(st.integers(0, len(data)))
    if kind == "cut":
        return data[:at]
    if kind == "flip":
        changed = bytearray(data)
        for place in draw(st.lists(st.integers(0, max(0, len(data) - 1)), min_size=1, max_size=4)):
            if changed:
                changed[place] ^= draw(st.integers(1, 255))
        return bytes(changed)
    if kind == "splice":
        return data[:at] + data[draw(st.integers(0, len(data))) :]
    if kind == "insert":
        return data[:at] + draw(st.binary(min_size=1, max_size=8)) + data[at:]
    if kind == "zero":
        return data[:at] + bytes(len(data) - at)
    return data


@st.composite
def encoded(draw: st.DrawFn, text: str) -> bytes:
    """A text as editors save it, sometimes damaged."""
    encoding = draw(st.sampled_from(["utf-8"] * 20 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"]))
    if draw(st.integers(0, 5)) == 0:
        text = text.replace("\n", "\r\n")
    data = text.encode(encoding, "replace")
    return draw(damaged(data)) if draw(st.integers(0, 7)) == 0 else data


# --- job files --------------------------------------------------------------------------------------------------


def _put(document: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, key = dotted.split(".")
    table = document
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            return
        table = inner
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


@dataclass(frozen=True)
class JobFile:
    """A job file's bytes and words of the command line."""

    data: bytes
    words: list[str] = field(default_factory=list)


@st.composite
def job_files(draw: st.DrawFn) -> JobFile:
    """A right job with some settings changed to other plausible ones or to anything, saved somehow."""
    document = json.loads(json.dumps(JOB))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 1, 2, 2, 3, 4]))):
        key = draw(st.sampled_from(sorted(CHOICES)))
        if draw(st.integers(0, 4)) == 0:
            if draw(st.booleans()):
                section, _, last = key.rpartition(".")
                spot = draw(st.integers(0, len(last) - 1))
                key = f"{section}.{last[:spot] + last[spot + 1 :]}" if len(last) > 1 else key
            _put(document, key, draw(values))
        else:
            _put(document, key, draw(st.sampled_from(CHOICES[key])))
    words = []
    for _ in range(draw(st.sampled_from([0, 0, 0, 1]))):
        key = draw(st.one_of(st.sampled_from(sorted(CHOICES)), names))
        words += [
            f"--{key}",
            draw(st.one_of(names, st.sampled_from(["1", "nan", "[0, 1]", "{ a = 1 }", "[[[", "''", "true"]))),
        ]
    return JobFile(draw(encoded(_toml(document))), words)


def _toml(document: dict[str, Any]) -> str:
    def without_none(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without_none(v) for k, v in value.items() if v is not None}
        return [without_none(v) for v in value if v is not None] if isinstance(value, list) else value

    return toml.dumps(without_none(document))


def check_job(case: JobFile, folder: Path) -> bool:
    """A job is refused, or is what its written form is, loads its scene, finds its names and its images."""
    (folder / "job.toml").write_bytes(case.data)
    try:
        job, _ = config.load_job(folder / "job.toml", config.parse_overrides(case.words))
        assert config.parse_job(toml.dumps(job.model_dump(mode="python")), "again") == job
        scene = runner.preflight(job)
        if job.data.target is None:
            data = views.load(job, scene, None, lambda _: None)
            assert data.training
            for view in data.views:
                target = np.asarray(view.target)
                assert target.ndim == 3 and np.isfinite(target).all()
                assert view.mask is None or (np.isfinite(view.mask).all() and (view.mask > 0).any())
    except PbdrError as error:
        one_line(error)
        return False
    return True


# --- camera files -----------------------------------------------------------------------------------------------


@st.composite
def camera_files(draw: st.DrawFn) -> bytes:
    """A right transforms.json with keys added, changed, misspelt or removed, in the file or in frames, saved somehow."""
    document = camera_file()
    for _ in range(draw(st.integers(0, 4))):
        key = draw(st.sampled_from(sorted({*KNOWN, *LIKELY})))
        value = draw(st.one_of(st.sampled_from(LIKELY.get(key, [0.1, 0, 1, "x", True, None])), values))
        if draw(st.integers(0, 5)) == 0:
            spot = draw(st.integers(0, len(key) - 1))
            key = draw(st.sampled_from([key.upper(), key[:spot] + key[spot + 1 :], key + "s"]))
        tables = [document, *(f for f in document.get("frames") or [] if isinstance(f, dict))]
        draw(st.sampled_from(tables))[key] = value
    return draw(encoded(json.dumps(document, indent=draw(st.sampled_from([None, 2])))))


def check_cameras(data: bytes, folder: Path) -> bool:
    """A camera file is refused, or gives cameras that Mitsuba builds and that are the same when written and read again."""
    path = folder / "transforms-fuzz.json"
    path.write_bytes(data)
    try:
        found = read_frames(
            path, missing="skip" if len(data) % 2 else "error", tell=lambda text: one_line(ValueError(text))
        )
        for frame, image in found:
            camera = frame.camera
            assert np.isfinite(camera.to_world.astype(np.float32)).all() and 0 < camera.focal < math.inf
            assert np.abs(camera.to_world[:3, :3].T @ camera.to_world[:3, :3] - np.eye(3)).max() < 1e-6
            assert np.linalg.det(camera.to_world[:3, :3]) > 0 and image.size == (camera.width, camera.height)
            load_object(camera.to_dict())
        cameras = [frame.camera for frame, _ in found]
        again = folder / "transforms-again.json"
        write_transforms(again, cameras, [str(frame.path) for frame, _ in found])
        for (frame, _), camera in zip(read_frames(again), cameras, strict=True):
            np.testing.assert_allclose(frame.camera.to_world, camera.to_world, atol=1e-9, rtol=1e-9)
            assert (frame.camera.model, frame.camera.distortion) == (camera.model, camera.distortion)
            assert math.isclose(frame.camera.focal, camera.focal, rel_tol=1e-9)
    except PbdrError as error:
        one_line(error)
        return False
    return True


# --- images -----------------------------------------------------------------------------------------------------

LAYERS = ["", "Combined.", "ViewLayer.Combined.", "AO.", "left.", "é."]


@dataclass(frozen=True)
class ImageFile:
    """A file's bytes and ending, how it is read, and its pixels where it is whole and they are known exactly."""

    data: bytes
    suffix: str
    options: dict[str, Any]
    pixels: Any = field(default=None, compare=False, repr=False)


@st.composite
def image_files(draw: st.DrawFn) -> ImageFile:
    """PNG, JPEG, EXR (of several layers, with numbers that are not finite), HDR and others; whole or damaged; any ending."""
    kind = draw(st.sampled_from(["PNG", "PNG", "JPEG", "EXR", "EXR", "LAYERS", "HDR", "PFM", "BMP", "TEXT"]))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    options = {
        "color": "linear",
        "exif": draw(st.sampled_from(["ignore", "apply"])),
        "layer": draw(st.sampled_from([None, None, None, "Combined", "AO", ""])),
    }
    data, pixels = _image(draw, kind, (height, width), random)
    whole = data
    data = draw(damaged(data))
    suffix = (
        draw(st.sampled_from([".png", ".exr", ".jpg", ".hdr"])) if draw(st.integers(0, 4)) == 0 else f".{kind.lower()}"
    )
    return ImageFile(data, suffix, options, pixels if data == whole and options["layer"] is None else None)


def _image(draw: st.DrawFn, kind: str, size: tuple[int, int], random: np.random.Generator) -> tuple[bytes, Any]:
    """(bytes, linear RGB as it must be read with exif = "ignore", or None)."""
    import mitsuba as mi

    if kind in ("PNG", "JPEG", "BMP"):
        mode = draw(
            st.sampled_from(
                ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"] if kind == "JPEG" else ["RGB", "RGBA", "L", "LA", "P", "1"]
            )
        )
        if kind != "PNG":
            mode = mode if mode in ("RGB", "L", "CMYK") else "RGB"
        image = Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).convert(mode)
        exif = image.getexif()
        orientation = draw(st.integers(0, 9))
        if orientation:
            exif[0x0112] = orientation
        stream = io.BytesIO()
        image.save(stream, kind, **({} if kind == "BMP" else {"exif": exif}))
        exact = kind == "PNG" and mode in ("RGB", "L")
        return stream.getvalue(), np.asarray(image.convert("RGB")) / 255 if exact else None
    if kind == "TEXT":
        return draw(st.binary(max_size=64)), None
    if kind == "LAYERS":
        channels = draw(
            st.lists(
                st.tuples(st.sampled_from(LAYERS), st.sampled_from("RGBAYXZ")), min_size=1, max_size=9, unique=True
            )
        )
        names_ = [layer + channel for layer, channel in channels]
        pixels = random.random((*size, len(names_))).astype(np.float32)
        stream = mi.MemoryStream()
        mi.Bitmap(pixels, mi.Bitmap.PixelFormat.MultiChannel, names_).write(stream, mi.Bitmap.FileFormat.OpenEXR)
        return bytes(stream.raw_buffer()), None
    pixels = (4 * random.random((*size, 3)) - (0.5 if kind == "EXR" else 0)).astype(np.float32)
    if kind == "EXR":
        if draw(st.integers(0, 3)) == 0:
            pixels[0, 0, 0] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
        return encode_exr(pixels), pixels
    stream = mi.MemoryStream()
    mi.Bitmap(pixels).write(stream, mi.Bitmap.FileFormat.RGBE if kind == "HDR" else mi.Bitmap.FileFormat.PFM)
    return bytes(stream.raw_buffer()), pixels if kind == "PFM" else None


def check_image(case: ImageFile, folder: Path) -> bool:
    """An image is refused, or finite; one that is whole is read exactly, unless it holds numbers that are not finite."""
    path = folder / f"fuzz{case.suffix}"
    path.write_bytes(case.data)
    try:
        image = load_image(path, **case.options)
        assert image.rgb.ndim == 3 and image.rgb.shape[2] == 3 and image.rgb.dtype == np.float32 and image.rgb.size
        assert np.isfinite(image.rgb).all() and 1 <= image.orientation <= 8
        assert image.alpha is None or (
            image.alpha.shape == image.rgb.shape[:2] and 0 <= image.alpha.min() <= image.alpha.max() <= 1
        )
        if case.pixels is not None and (case.options["exif"] == "ignore" or image.orientation == 1):
            np.testing.assert_allclose(image.rgb, case.pixels, atol=1e-6)
    except PbdrError as error:
        one_line(error)
        if case.pixels is not None:
            assert not np.isfinite(case.pixels).all(), f"a whole image was refused: {error}"
        return False
    try:
        mask = load_mask(path)
        assert np.isfinite(mask).all() and 0 <= mask.min() <= mask.max() <= 1
    except PbdrError as error:
        one_line(error)
    return True


# --- environments and folders -----------------------------------------------------------------------------------


@st.composite
def environments(draw: st.DrawFn) -> Any:
    """Texels of a small sky, some of which may be negative or not finite."""
    texels = np.random.default_rng(draw(st.integers(0, 2**16))).random((4, 8, 3)).astype(np.float32)
    wrong = st.sampled_from([-1.0, -1e-7, -1e30, 0.0, np.nan, np.inf, -np.inf])
    for row, column, channel, value in draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7), st.integers(0, 2), wrong), max_size=4)
    ):
        texels[row, column, channel] = value
    return texels


def check_environment(texels: Any, folder: Path) -> bool:
    """A sky is refused where it is not finite; its negative texels are counted and become 0."""
    from pbdr.parameters import traverse

    (folder / "sky.exr").write_bytes(encode_exr(texels))
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            scene = load_scene(
                {"type": "scene", "sky": {"type": "envmap", "filename": str(folder / "sky.exr")}}, sensor_required=False
            )
    except PbdrError as error:
        one_line(error)
        assert not np.isfinite(texels).all() and f"{int((~np.isfinite(texels)).any(axis=2).sum())} of 32" in str(error)
        return False
    assert np.isfinite(texels).all()
    count = int((texels < 0).any(axis=2).sum())
    assert len(told) == (1 if count else 0) and (not count or f"{count} of 32 texels" in str(told[0].message))
    np.testing.assert_array_equal(np.array(traverse(scene)["sky.data"])[:, 1:-1], np.maximum(texels, 0))
    return True


file_names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=10
).filter(lambda name: name not in (".", ".."))


@st.composite
def folders(draw: st.DrawFn) -> tuple[str, list[str], list[str]]:
    """The name of a folder, names of images in it without ending, names of as many sensors."""
    stems = draw(
        st.lists(
            st.one_of(file_names, st.integers(0, 120).map("r_{}".format)),
            min_size=1,
            max_size=6,
            unique_by=str.casefold,
        )
    )
    ids = draw(
        st.lists(
            st.one_of(file_names, st.integers(0, 120).map("cam_{}".format)), min_size=len(stems), max_size=len(stems)
        )
    )
    return draw(st.one_of(file_names, st.sampled_from(["scan [v2]", "a*", "?", "[!x]", "**"]))), stems, ids


def check_folder(case: tuple[str, list[str], list[str]], folder: Path) -> bool:
    """Every image of a folder is found, whatever its name, and each sensor gets one; equal numbers belong together."""
    import shutil

    name, stems, ids = case
    base = folder / "folders"
    shutil.rmtree(base, ignore_errors=True)
    (base / name).mkdir(parents=True)
    for stem in stems:
        (base / name / f"{stem}.png").write_bytes(b"")
    seen = [stem for stem in stems if stem[0] != "."]
    found = find_images(str(base / name / "*.png"))
    assert sorted(p.stem for p in found) == sorted(Path(f"{stem}.png").stem for stem in seen)
    for stem in stems:
        assert find_images(str(base / name / f"{stem}.png")) == [base / name / f"{stem}.png"]
    paths = [base / name / f"{stem}.png" for stem in stems]
    paired, rule = pair(ids, paths)
    assert sorted(paired) == sorted(paths)
    if rule == "number":
        assert all(
            int(i.rpartition("_")[2]) == int(p.stem.rpartition("_")[2])
            for i, p in zip(ids, paired, strict=True)
            if i[:4] == "cam_" and p.name[:2] == "r_"
        )
    return True


#: Kind → (strategy, property).
KINDS: dict[str, tuple[Any, Callable[[Any, Path], bool]]] = {
    "job files": (job_files(), check_job),
    "camera files": (camera_files(), check_cameras),
    "images": (image_files(), check_image),
    "environments": (environments(), check_environment),
    "folders and names": (folders(), check_folder),
}
