"""Depth and normals that were measured beside images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .images import SUFFIXES, check_finite, read_pixels
from .pairing import pair

FARTHEST = 1e9  # distances beyond are the background of renderers
MILLIMETRES = 1e-3  # what whole numbers of depth images are in, unless something else is said
#: Last parts of names of channels that are a depth.
DEPTHS = ("Z", "V", "D", "T", "Y", "DEPTH", "DISTANCE")


def load_depth(path: str | Path, scale: float | None = None) -> NDArray[np.float32]:
    """Return depths (H, W) times `scale` (None: 1, and 0.001 for whole numbers); 0 where nothing was measured.

    Nothing is measured where depth is 0, negative, not finite or beyond a billion. Raises DataError for images with several
    channels, none of which is called Z, V, D, T, Y, Depth or Distance, and which differ.
    """
    path = Path(path)
    pixels, names, _ = read_pixels(path)
    last = [name.rpartition(".")[2].upper() for name in names]
    called = [k for k, name in enumerate(last) if name in DEPTHS]
    colours = [k for k, name in enumerate(last) if name != "A"]
    if len(called) == 1:
        chosen = called[0]
    elif colours and all(np.array_equal(pixels[..., colours[0]], pixels[..., k], equal_nan=True) for k in colours):
        chosen = colours[0]
    else:
        raise DataError(f"{path}: which of its channels {', '.join(names)} is the depth? Keep one")
    whole = np.issubdtype(pixels.dtype, np.integer)
    depth = pixels[..., chosen].astype(np.float64) * (scale if scale is not None else MILLIMETRES if whole else 1.0)
    measured = np.isfinite(depth) & (depth > 0) & (depth < FARTHEST)
    return np.where(measured, depth, 0).astype(np.float32)


def load_normal(path: str | Path) -> NDArray[np.float32]:
    """Return normals (H, W, 3); 0 where nothing was measured. Whole numbers are (n + 1) / 2, black where there is nothing.

    Raises DataError for an image without three channels, R G B or X Y Z, and for one whose vectors are longer than 1.
    """
    path = Path(path)
    pixels, names, _ = read_pixels(path)
    last = [name.rpartition(".")[2].upper() for name in names]
    order = next(([last.index(c) for c in triple] for triple in ("XYZ", "RGB") if set(triple) <= set(last)), None)
    if order is None:
        raise DataError(f"{path}: channels {', '.join(names)} hold no normals; expected X, Y, Z or R, G, B")
    values = pixels[..., order].astype(np.float64)
    check_finite(values, path)
    if np.issubdtype(pixels.dtype, np.integer):
        something = values.max(axis=2, keepdims=True) > 0
        values = np.where(something, 2 * values / np.iinfo(pixels.dtype).max - 1, 0)
    longest = float(np.linalg.norm(values, axis=2).max())
    if longest > 1.1:
        raise DataError(f"{path}: normals have length 1, and these up to {longest:.3g}")
    return values.astype(np.float32)


def partners(images: Sequence[Path], files: Sequence[Path], what: str) -> list[Path]:
    """Return the file of each image: by name (`a.png`, or `a.jpg.png` as COLMAP writes masks), else as `pair` does.

    Files beyond those of the images may be there if names are equal. Raises DataError where there is no way to pair them.
    """
    by_name = {_stem(file): file for file in files}
    stems = [image.stem for image in images]
    if len(by_name) == len(files) and len(set(stems)) == len(stems) and all(stem in by_name for stem in stems):
        return [by_name[stem] for stem in stems]
    if len(files) != len(images):
        without = [image.name for image in images if image.stem not in by_name]
        raise DataError(
            f"{what} finds {len(files)} files for {len(images)} images, and not by their names: {', '.join(without[:4])} "
            f"{'has' if len(without) == 1 else 'have'} none"
        )
    return pair(stems, files)[0]


def _stem(file: Path) -> str:
    inner = Path(file.stem)
    return inner.stem if inner.suffix.lower() in SUFFIXES else file.stem
