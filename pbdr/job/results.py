"""What a run leaves to look at: images of views with their error, parameters at the start, at the end and in truth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import encode_exr, encode_png
from ..data.images import encode_png8
from ..srgb import linear_to_srgb
from . import storage

ERROR_LIMIT = 0.2  # encoded difference at which the error images saturate
#: How much darker the PNG of an image's highlights is, and the end of its name.
HIGH, HIGHLIGHTS = 16.0, "-high"
# Nine colours from black over violet and orange to pale yellow, evenly spaced in lightness.
ERROR_COLORS = (
    (0, 0, 4),
    (28, 16, 68),
    (79, 18, 123),
    (129, 37, 129),
    (181, 54, 122),
    (229, 80, 100),
    (251, 135, 97),
    (254, 194, 135),
    (252, 253, 191),
)


def write_view(
    folder: Path, name: str, image: NDArray[Any], target: NDArray[Any] | None = None, linear: bool = True
) -> None:
    """<name>.png, with `linear` <name>.exr, and <name>-error.png when there is a target to compare with."""
    if linear:
        storage.write_bytes(folder / f"{name}.exr", encode_exr(image))
    write_png(folder / f"{name}.png", image)
    if target is not None:
        storage.write_bytes(folder / f"{name}-error.png", encode_png8(error_image(image, target), image))


def write_png(path: Path, image: NDArray[Any]) -> None:
    """The PNG of an image; and, where it is brighter than white, another one HIGH times darker, from which a page can show more."""
    storage.write_bytes(path, encode_png(image))
    if np.isfinite(image).all() and float(np.max(image)) > 1.0:
        storage.write_bytes(path.with_name(f"{path.stem}{HIGHLIGHTS}.png"), encode_png(image / HIGH))


def pictured(folder: Path) -> list[str]:
    """Names of the views that a folder of images has."""
    return sorted(path.stem for path in folder.glob("view-*.png") if re.fullmatch(r"view-\d+", path.stem))


def error_image(image: NDArray[Any], target: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) colours of the mean absolute difference of the encoded images, saturating at ERROR_LIMIT."""
    encoded = np.clip(linear_to_srgb(np.nan_to_num(image)), 0, 1) - np.clip(linear_to_srgb(target), 0, 1)
    return colored(np.abs(encoded).mean(axis=2) / ERROR_LIMIT)


def colored(errors: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) ERROR_COLORS of (H, W) errors in [0, 1]."""
    position = np.clip(errors, 0, 1) * (len(ERROR_COLORS) - 1)
    table = np.asarray(ERROR_COLORS, dtype=np.float64)
    lower = np.minimum(position.astype(int), len(ERROR_COLORS) - 2)
    fraction = (position - lower)[..., None]
    return np.asarray(np.rint(table[lower] * (1 - fraction) + table[lower + 1] * fraction), dtype=np.uint8)


def is_picture(shape: tuple[int, ...]) -> bool:
    """Whether a parameter of this shape is worth looking at: (H, W, 1 or 3) with more than one texel."""
    return len(shape) == 3 and shape[2] in (1, 3) and shape[0] * shape[1] > 1


def write_parameter(
    root: Path, name: str, values: dict[str, NDArray[Any] | None], seen: NDArray[Any] | None = None, views: int = 2
) -> dict[str, str]:
    """Arrays of one parameter (by "init", "estimate", "target") → files below eval/parameters; returns PNG paths
    relative to ``root``. Every array is kept as EXR or NPY; pictures share one exposure, so that they compare."""
    folder = root / "eval" / "parameters" / slug(name)
    shown: dict[str, str] = {}
    present = {key: np.asarray(value, np.float32) for key, value in values.items() if value is not None}
    exposure = _exposure(present)
    for key, value in present.items():
        if not is_picture(value.shape):
            storage.write_text(folder / f"{key}.csv", _csv(value))
            continue
        storage.write_bytes(folder / f"{key}.exr", encode_exr(value))
        colour = np.repeat(value, 3, axis=2) if value.shape[2] == 1 else value
        path = folder / f"{key}.png"
        storage.write_bytes(path, encode_png(colour * exposure))
        shown[key] = str(path.relative_to(root))
    if seen is not None:
        path = folder / "seen.png"
        level = 0.5 * (seen > 0) + 0.5 * (seen >= views)
        storage.write_bytes(path, encode_png(np.repeat(level[..., None], 3, axis=2)))
        shown["seen"] = str(path.relative_to(root))
    return shown


def _exposure(values: dict[str, NDArray[np.float32]]) -> float:
    """1 for what lies in [0, 1]; otherwise what brings the brightest percent of the reference to white."""
    reference = values.get("target", values.get("estimate"))
    if reference is None or reference.size == 0 or float(np.nanmax(reference)) <= 1.0:
        return 1.0
    return 1.0 / max(float(np.nanpercentile(reference, 99)), 1e-6)


def _csv(value: NDArray[np.float32]) -> str:
    rows = value.reshape(value.shape[0] if value.ndim > 1 else 1, -1)
    return "".join(",".join(f"{float(v):.9g}" for v in row) + "\n" for row in rows)


def summary(value: NDArray[Any], weight: NDArray[Any] | None = None) -> float | list[float]:
    """A number for a table: the value itself when it is short, otherwise the mean over everything but channels.

    ``weight`` (H, W) says which texels of an (H, W, C) value count.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.size == 1:
        return float(array.reshape(-1)[0])
    if array.ndim == 1 and array.size <= 4:
        return [float(v) for v in array]
    if array.ndim == 3 and array.shape[2] <= 4:
        mean = [float(v) for v in np.average(array.reshape(-1, array.shape[2]), axis=0, weights=_flat(weight))]
        return mean[0] if len(mean) == 1 else mean
    return float(array.mean())


def _flat(weight: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if weight is None else weight.reshape(-1)


def slug(name: str) -> str:
    """A parameter's name as a folder name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "parameter"


def loss_name(section: Mapping[str, Any]) -> str:
    """What is minimised, in words, from the section [loss] of a job: "l1", or "0.8 l1 + 0.2 ssim + silhouette"."""
    image = section.get("image", "")
    others = [(name, value) for name, value in section.items() if name not in ("image", "views")]
    entries = [*(image if isinstance(image, list | tuple) else [image])]
    entries += [{"type": n, **({"weight": v} if isinstance(v, int | float) else dict(v))} for n, v in others]
    found = []
    for entry in entries:
        table = {"type": entry} if isinstance(entry, str) else dict(entry)
        weight = table.get("weight", 1)
        found += [str(table.get("type", "")) if weight == 1 else f"{weight:g} {table.get('type', '')}"] if weight else []
    return " + ".join(found)
