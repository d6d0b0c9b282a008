"""Images: EXR, PNG, JPEG, HDR through Mitsuba's bitmap; checked, and linear from here on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, closest
from ..srgb import linear_to_srgb, srgb_to_linear
from .headers import Header, read_header
from .layers import colour_channels

Image = NDArray[np.float32]

SUFFIXES = (".exr", ".png", ".jpg", ".jpeg", ".hdr", ".pfm")

Color = Literal["srgb", "linear"]
Exif = Literal["ignore", "apply"]


@dataclass(frozen=True)
class LoadedImage:
    """rgb (H, W, 3) float32, linear, premultiplied by alpha when there is one; alpha (H, W) in [0, 1] or None.

    mask (H, W) in [0, 1], 1 where a pixel counts, from a file beside the image, or None.
    `orientation` is EXIF's, as the file states it, whether it was applied or not.
    """

    path: Path
    rgb: Image
    alpha: Image | None
    orientation: int = 1
    mask: Image | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]

    @property
    def nbytes(self) -> int:
        """Memory that the pixels take."""
        return sum(x.nbytes for x in (self.rgb, self.alpha, self.mask) if x is not None)


def load_image(
    path: str | Path, color: Color = "srgb", *, layer: str | None = None, exif: Exif = "ignore"
) -> LoadedImage:
    """Read an image as linear RGB radiance.

    ``color`` says how 8- and 16-bit files are encoded; EXR, HDR and PFM are always linear. Straight alpha (PNG) is
    multiplied into the colour; EXR colour is premultiplied already. ``layer`` chooses a layer of an EXR file; without it, the
    layer without name, or the one that is called Combined, Beauty, …, or the only one. ``exif`` = "apply" turns the image as
    its EXIF orientation says; "ignore" takes the pixels as they are stored, as the tools do that write cameras.
    Raises DataError for a missing, unreadable or non-finite file, and for layers that leave a choice.
    """
    path = Path(path)
    pixels, names, header = read_pixels(path)
    rgb_at, alpha_at = colour_channels(names, path, layer)
    kept = pixels[..., rgb_at + ([] if alpha_at is None else [alpha_at])]
    encoded = kept.dtype == np.uint8 or kept.dtype == np.uint16
    if encoded and color == "srgb" and header.gamma is not None and abs(header.gamma - 0.45455) > 0.02:
        raise DataError(
            f"{path}: it states a gamma of {header.gamma:g}, not that of sRGB (0.45455). If its numbers are linear, say so by "
            '[data] color = "linear"; else convert it'
        )
    values = kept.astype(np.float64) / (np.iinfo(kept.dtype).max if encoded else 1)
    if exif == "apply":
        values = turned(values, header.orientation)
    check_finite(values, path)
    rgb = srgb_to_linear(values[..., :3]) if encoded and color == "srgb" else values[..., :3]
    alpha = None if alpha_at is None else values[..., 3]
    if encoded and alpha is not None:
        rgb = rgb * alpha[..., None]
    return LoadedImage(
        path,
        _single(rgb, path),
        None if alpha is None else np.ascontiguousarray(np.clip(alpha, 0.0, 1.0), dtype=np.float32),
        header.orientation,
    )


def load_mask(path: str | Path, *, exif: Exif = "ignore") -> Image:
    """Read a mask (H, W) in [0, 1]: white counts, black does not. Labels 0 and 1 of 8-bit files are taken for black and white.

    Of an image with colour and alpha, the one that varies is the mask. Raises DataError where colour channels differ.
    """
    path = Path(path)
    pixels, names, header = read_pixels(path)
    rgb_at, alpha_at = colour_channels(names, path)
    values = pixels.astype(np.float64)
    top = np.iinfo(pixels.dtype).max if np.issubdtype(pixels.dtype, np.integer) else 1
    check_finite(values, path)
    rgb = values[..., rgb_at]
    if np.abs(rgb - rgb[..., :1]).max() > 0.02 * top:
        raise DataError(f"{path}: a mask is grey, black where a pixel does not count; this image has colours")
    mask = rgb[..., 0]
    if alpha_at is not None and np.ptp(values[..., alpha_at]) > 0:
        if np.ptp(mask) > 0:
            raise DataError(f"{path}: colour and alpha of the mask both vary; keep the one that is meant")
        mask = values[..., alpha_at]
    mask = mask / (1 if top > 1 and mask.max() <= 1 else top)
    mask = turned(mask, header.orientation) if exif == "apply" else mask
    return np.ascontiguousarray(np.clip(mask, 0.0, 1.0), dtype=np.float32)


def turned(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """An image (H, W, …) as it is meant to be seen, from the pixels as stored and EXIF's orientation (1 to 8)."""
    if orientation in (5, 6, 7, 8):
        image = np.swapaxes(image, 0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def read_pixels(path: Path) -> tuple[NDArray[Any], list[str], Header]:
    """Return the pixels (H, W, channels) of an image as they are stored, names of the channels, and the header.

    Raises DataError for a file that is missing, damaged or of another kind.
    """
    import mitsuba as mi

    try:
        if path.is_dir():
            raise DataError(f"{path}: a folder, not an image")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        raise DataError(f"{path}: no such image.{_nearest(path)}") from error
    header = read_header(data)
    if header.problem:
        raise DataError(f"{path}: not an image that can be read ({header.problem})")
    if len([names for _, names in header.parts if any(n.rpartition(".")[2].upper() in "RGBY" for n in names)]) > 1:
        shown = ", ".join(f"'{name}'" for name, _ in header.parts)
        raise DataError(
            f"{path}: an EXR file of several parts ({shown}), of which only the first can be read: save one part"
        )
    try:
        # Through memory: a name that is no UTF-8 is nothing to the decoder.
        stream = mi.MemoryStream()
        stream.write(data)
        stream.seek(0)
        bitmap: Any = mi.Bitmap(stream)
        pixels = np.array(bitmap)
        names = [str(field.name) for field in bitmap.struct_()]
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = re.sub(r"^\[\w+\.(cpp|h):\d+\]\s*", "", lines[-1].strip()) if lines else type(error).__name__
        raise DataError(f"{path}: not an image that can be read ({reason})") from error
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or 0 in pixels.shape or pixels.shape[2] != len(names):
        raise DataError(f"{path}: not an image that can be read (it holds no pixels)")
    return pixels, names, header


def _nearest(path: Path) -> str:
    try:
        near = closest(path.name, [p.name for p in path.parent.iterdir() if p.suffix.lower() in SUFFIXES])
    except (OSError, ValueError):
        near = []
    return f" Closest there: '{near[0]}'." if near else ""


def check_finite(values: NDArray[Any], path: Path) -> None:
    """Raise DataError, saying where, for pixels (H, W, …) that are not finite."""
    bad = ~np.isfinite(values)
    if bad.any():
        rows, columns = np.nonzero(bad.any(axis=2))
        raise DataError(
            f"{path}: {len(rows)} pixels are NaN or infinite, the first at row {rows[0]}, column {columns[0]}; "
            "repair the image or leave it out"
        )


def _single(values: NDArray[np.float64], path: Path) -> Image:
    """As float32; DataError where that has no such number."""
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(values, dtype=np.float32)
    check_finite(single, path)
    return single


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
