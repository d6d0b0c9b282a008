"""Images: EXR, PNG, JPEG, HDR through Mitsuba's bitmap; checked, and linear from here on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Image = NDArray[np.float32]

SUFFIXES = (".exr", ".png", ".jpg", ".jpeg", ".hdr", ".pfm")
LINEAR_SUFFIXES = (".exr", ".hdr", ".pfm", ".rgbe")

Color = Literal["srgb", "linear"]


@dataclass(frozen=True)
class LoadedImage:
    """rgb (H, W, 3) float32, linear, premultiplied by alpha when there is one; alpha (H, W) in [0, 1] or None."""

    path: Path
    rgb: Image
    alpha: Image | None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


def srgb_to_linear(value: NDArray[Any]) -> NDArray[np.float64]:
    """IEC 61966-2-1, encoded [0, 1] → linear [0, 1]."""
    v = np.asarray(value, dtype=np.float64)
    return np.asarray(np.where(v <= 0.04045, v / 12.92, ((np.maximum(v, 0.0) + 0.055) / 1.055) ** 2.4))


def linear_to_srgb(value: NDArray[Any]) -> NDArray[np.float64]:
    """IEC 61966-2-1, linear → encoded; negative values become 0, values above 1 stay above 1."""
    v = np.maximum(np.asarray(value, dtype=np.float64), 0.0)
    return np.asarray(np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1.0 / 2.4) - 0.055))


def load_image(path: str | Path, color: Color = "srgb") -> LoadedImage:
    """Read an image as linear RGB radiance.

    ``color`` says how 8- and 16-bit files are encoded; EXR, HDR and PFM are always linear. Straight alpha (PNG) is
    multiplied into the colour; EXR colour is premultiplied already. Raises DataError for a missing, unreadable or
    non-finite file.
    """
    path = Path(path)
    pixels, names = _read(path)
    alpha: NDArray[np.float64] | None = None
    if pixels.dtype == np.uint8 or pixels.dtype == np.uint16:
        values = pixels.astype(np.float64) / np.iinfo(pixels.dtype).max
        encoded = True
    else:
        values, encoded = pixels.astype(np.float64), False
    _check_finite(values, path)
    rgb, alpha = _split_channels(values, names, path)
    if encoded and color == "srgb":
        rgb = srgb_to_linear(rgb)
    if encoded and alpha is not None:
        rgb = rgb * alpha[..., None]
    return LoadedImage(
        path,
        np.ascontiguousarray(rgb, dtype=np.float32),
        None if alpha is None else np.ascontiguousarray(np.clip(alpha, 0.0, 1.0), dtype=np.float32),
    )


def _read(path: Path) -> tuple[NDArray[Any], list[str]]:
    import mitsuba as mi

    if not path.is_file():
        near = ""
        if path.parent.is_dir():
            from ..errors import closest

            found = closest(path.name, [p.name for p in path.parent.iterdir()])
            near = f" Closest there: '{found[0]}'." if found else ""
        raise DataError(f"{path}: no such image.{near}")
    try:
        bitmap: Any = mi.Bitmap(str(path))
        pixels = np.array(bitmap)
        names = [str(field.name) for field in bitmap.struct_()]
    except Exception as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise DataError(f"{path}: not an image that can be read ({reason})") from error
    return (pixels[..., None] if pixels.ndim == 2 else pixels), names


def _check_finite(values: NDArray[np.float64], path: Path) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        rows, columns = np.nonzero(bad.any(axis=2))
        raise DataError(
            f"{path}: {len(rows)} pixels are NaN or infinite, the first at row {rows[0]}, column {columns[0]}; "
            "repair the image or leave it out"
        )


def _split_channels(
    values: NDArray[np.float64], names: list[str], path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """The colour and alpha channels by name; grey is repeated to three channels."""
    index = {name.rsplit(".", 1)[-1].upper(): i for i, name in reversed(list(enumerate(names)))}
    if all(c in index for c in "RGB"):
        rgb = values[..., [index["R"], index["G"], index["B"]]]
    elif "Y" in index or values.shape[2] in (1, 2):
        rgb = np.repeat(values[..., index.get("Y", 0), None], 3, axis=2)
    else:
        raise DataError(f"{path}: channels {', '.join(names)} hold no colour; expected R, G, B or Y")
    return rgb, values[..., index["A"]] if "A" in index else None


def encode_exr(image: NDArray[Any]) -> bytes:
    """(H, W), (H, W, 3) or (H, W, 4) → bytes of a 32-bit float EXR; nothing is lost."""
    return _encode(np.ascontiguousarray(image, dtype=np.float32), "EXR")


def encode_png(image: NDArray[Any]) -> bytes:
    """(H, W, 3) linear radiance → bytes of an 8-bit sRGB PNG; values are clipped to [0, 1], non-finite ones magenta."""
    encoded = np.clip(linear_to_srgb(np.nan_to_num(np.asarray(image, dtype=np.float64))), 0.0, 1.0)
    return encode_png8(np.rint(encoded * 255.0).astype(np.uint8), np.asarray(image))


def encode_png8(pixels: NDArray[np.uint8], source: NDArray[Any] | None = None) -> bytes:
    """(H, W, 3) encoded 8-bit pixels → PNG bytes; where ``source`` is not finite the pixel is painted magenta."""
    pixels = np.ascontiguousarray(pixels)
    if source is not None:
        bad = ~np.isfinite(source)
        if bad.any():
            pixels = pixels.copy()
            pixels[bad.any(axis=2) if bad.ndim == 3 else bad] = (255, 0, 255)
    return _encode(pixels, "PNG")


def _encode(pixels: NDArray[Any], kind: str) -> bytes:
    # Through memory, so that a full disk shows as Python's own OSError instead of a half-written file.
    import mitsuba as mi

    bitmap = mi.Bitmap(pixels)
    if kind == "PNG":
        bitmap.set_srgb_gamma(True)
    stream = mi.MemoryStream()
    bitmap.write(stream, getattr(mi.Bitmap.FileFormat, "OpenEXR" if kind == "EXR" else "PNG"))
    return bytes(stream.raw_buffer())
