"""Files of images."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from pbdr.data import encode_exr, load_image, load_mask
from pbdr.errors import PbdrError
from validation.files.text import damaged, one_line

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
