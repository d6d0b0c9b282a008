"""COLMAP's sparse models, text and binary: cameras, images, points. Only reading, without COLMAP.

The files are those of colmap.github.io/format.html. Numbers are kept as they are written; `formats.colmap` turns them into cameras.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .text import decode

#: Camera models by number: name, and names of the parameters in their order.
MODELS: dict[int, tuple[str, tuple[str, ...]]] = {
    number: (name, tuple(parameters.split()))
    for number, (name, parameters) in enumerate(
        (
            ("SIMPLE_PINHOLE", "f cx cy"),
            ("PINHOLE", "fx fy cx cy"),
            ("SIMPLE_RADIAL", "f cx cy k1"),
            ("RADIAL", "f cx cy k1 k2"),
            ("OPENCV", "fx fy cx cy k1 k2 p1 p2"),
            ("OPENCV_FISHEYE", "fx fy cx cy k1 k2 k3 k4"),
            ("FULL_OPENCV", "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6"),
            ("FOV", "fx fy cx cy omega"),
            ("SIMPLE_RADIAL_FISHEYE", "f cx cy k1"),
            ("RADIAL_FISHEYE", "f cx cy k1 k2"),
            ("THIN_PRISM_FISHEYE", "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1"),
            ("RAD_TAN_THIN_PRISM_FISHEYE", "fx fy cx cy k0 k1 k2 k3 k4 k5 p0 p1 s0 s1 s2 s3"),
            ("SIMPLE_DIVISION", "f cx cy k"),
            ("DIVISION", "fx fy cx cy k"),
            ("SIMPLE_FISHEYE", "f cx cy"),
            ("FISHEYE", "fx fy cx cy"),
            ("EUCM", "fx fy cx cy alpha beta"),
            ("EQUIRECTANGULAR", "w h"),
        )
    )
}
NAMES = dict(MODELS.values())


@dataclass(frozen=True)
class SparseCamera:
    """A camera as it is written: its model's name, size in pixels, and parameters by name."""

    model: str
    width: int
    height: int
    parameters: dict[str, float]


@dataclass(frozen=True)
class SparseImage:
    """A registered image: world-to-camera rotation (w, x, y, z) and translation, its camera's number, its file below the images."""

    quaternion: NDArray[np.float64]
    translation: NDArray[np.float64]
    camera: int
    name: str


@dataclass(frozen=True)
class SparsePoints:
    """Points (N, 3) in world space, their colours (N, 3), 8-bit, reprojection errors (N,) in pixels, and numbers of views (N,)."""

    positions: NDArray[np.float64]
    colors: NDArray[np.uint8]
    errors: NDArray[np.float64]
    views: NDArray[np.int64]


def find_model(folder: Path) -> Path | None:
    """Return the folder of a sparse model: this one, or `sparse/0`, `sparse` or `0` below it; None without."""
    for below in ("", "sparse/0", "sparse", "0"):
        place = folder / below
        if _file(place, "cameras") is not None and _file(place, "images") is not None:
            return place
    return None


def read_cameras(folder: Path) -> dict[int, SparseCamera]:
    """Return the cameras of a model by number. Raises DataError for a model of a camera that COLMAP does not have."""
    path = _needed(folder, "cameras")
    found: dict[int, SparseCamera] = {}
    if path.suffix == ".txt":
        for where, words in _lines(path):
            number, name, width, height = words[:4] if len(words) > 4 else ("", "", "", "")
            found[_whole(number, where)] = _camera(
                name, _whole(width, where), _whole(height, where), [_number(w, where) for w in words[4:]], where
            )
        return found
    data = _Bytes(path)
    for _ in range(data.count(24)):
        number, model, width, height = data.take("IiQQ")
        name, names = MODELS.get(model, ("", ()))
        if not name:
            raise DataError(f"{path}: camera {number} has the unknown model number {model}")
        found[number] = _camera(name, width, height, data.take(f"{len(names)}d"), f"{path}: camera {number}")
    return found


def read_images(folder: Path) -> dict[int, SparseImage]:
    """Return the registered images of a model by number, without their points."""
    path = _needed(folder, "images")
    found: dict[int, SparseImage] = {}
    if path.suffix == ".txt":
        # Every image has two lines, the second of which, its points, may be empty.
        for where, line in list(_raw_lines(path))[::2]:
            words = line.split(maxsplit=9)
            if len(words) < 10:
                raise DataError(
                    f"{where}: an image is IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points"
                )
            numbers = [_number(w, where) for w in words[1:8]]
            found[_whole(words[0], where)] = _image(numbers, _whole(words[8], where), words[9], where)
        return found
    data = _Bytes(path)
    for _ in range(data.count(73)):
        number, *numbers, camera = data.take("I7dI")
        name = data.text()
        (points,) = data.take("Q")
        data.skip(24 * points)
        found[number] = _image(numbers, camera, name, f"{path}: image {number}")
    return found


def read_points(folder: Path) -> SparsePoints:
    """Return the points of a model, in the order of the file."""
    path = _needed(folder, "points3D")
    rows: list[tuple[Any, ...]] = []
    if path.suffix == ".txt":
        for where, words in _lines(path):
            numbers = [_number(w, where) for w in words]
            if len(numbers) < 8 or len(numbers) % 2:
                raise DataError(f"{where}: a point is POINT3D_ID X Y Z R G B ERROR and pairs of IMAGE_ID POINT2D_IDX")
            rows.append((*numbers[1:8], (len(numbers) - 8) // 2))
    else:
        data = _Bytes(path)
        for _ in range(data.count(51)):
            _, *numbers, length = data.take("Q3d3BdQ")
            data.skip(8 * length)
            rows.append((*numbers, length))
    table = np.array(rows, dtype=np.float64).reshape(-1, 8)
    return SparsePoints(table[:, :3], table[:, 3:6].astype(np.uint8), table[:, 6], table[:, 7].astype(np.int64))


def _camera(name: str, width: int, height: int, values: Any, where: str) -> SparseCamera:
    if name not in NAMES:
        raise DataError(f"{where}: the camera model {name!r} is unknown; known are {', '.join(NAMES)}")
    if len(values) != len(NAMES[name]):
        raise DataError(f"{where}: {name} has the parameters {' '.join(NAMES[name])}; {len(values)} numbers are given")
    if width < 1 or height < 1 or not np.isfinite(values).all():
        raise DataError(f"{where}: {width} x {height} pixels with the parameters {list(values)} are no camera")
    return SparseCamera(name, width, height, dict(zip(NAMES[name], (float(v) for v in values), strict=True)))


def _image(numbers: Any, camera: int, name: str, where: str) -> SparseImage:
    values = np.array(numbers, dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"{where}: its pose has numbers that are not finite")
    return SparseImage(values[:4], values[4:], camera, name)


class _Bytes:
    """A binary file that is read from its beginning; DataError where it ends too early."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, _read(path), 0

    def take(self, kinds: str) -> tuple[Any, ...]:
        layout = struct.Struct("<" + kinds)
        if self.at + layout.size > len(self.data):
            raise DataError(f"{self.path}: its end is missing: the file was cut off, or is no binary model of COLMAP")
        self.at += layout.size
        return layout.unpack_from(self.data, self.at - layout.size)

    def count(self, least: int) -> int:
        """The number of entries, each at least so many bytes long."""
        (number,) = self.take("Q")
        if number * least > len(self.data) - self.at:
            raise DataError(f"{self.path}: its end is missing: the file was cut off, or is no binary model of COLMAP")
        return int(number)

    def skip(self, count: int) -> None:
        self.take(f"{count}x") if count <= len(self.data) else self.take(f"{len(self.data) + 1}x")

    def text(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise DataError(f"{self.path}: its end is missing: a name does not end")
        name, self.at = self.data[self.at : end], end + 1
        return decode(name, str(self.path))


def _file(folder: Path, stem: str) -> Path | None:
    return next((p for p in (folder / f"{stem}.bin", folder / f"{stem}.txt") if p.is_file()), None)


def _needed(folder: Path, stem: str) -> Path:
    found = _file(folder, stem)
    if found is None:
        raise DataError(f"{folder}: there is neither {stem}.bin nor {stem}.txt")
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _raw_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(place, line) of what is no comment; empty lines are kept."""
    lines = decode(_read(path), str(path)).rstrip("\n").split("\n")
    return ((f"{path}:{k}", line) for k, line in enumerate(lines, start=1) if not line.lstrip().startswith("#"))


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    return ((where, line.split()) for where, line in _raw_lines(path) if line.strip())


def _number(word: str, where: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise DataError(f"{where}: {word[:40]!r} is not a number") from None


def _whole(word: str, where: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 19):
        raise DataError(f"{where}: {word[:40]!r} is not a whole number; is it a text model of COLMAP?")
    return int(word)
