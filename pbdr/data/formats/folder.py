"""A folder of images without cameras: all are seen by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...errors import DataError
from ..files import find_images
from ..headers import read_header
from .format import Format, Frame, Source
from .mitsuba import ends, pinhole_at, seen_by_sensors

FILM = 36.0  # mm, width of the film that focal lengths "in 35 mm" belong to


class Folder(Format):
    """A folder of images that the scene's one sensor sees; with `[data] fov`, or a focal length in EXIF, a pinhole at its pose."""

    name: ClassVar[str] = "a folder of images"
    images: ClassVar[bool] = False

    def claims(self, path: Path) -> bool:
        return path.is_dir()

    def read(self, source: Source) -> list[Frame]:
        files = find_images(str(source.cameras))
        if not files:
            raise DataError(
                f"{source.cameras}: the folder holds neither images nor a COLMAP model (cameras.bin, images.bin; or .txt)"
            )
        if len(source.sensors) != 1:
            raise DataError(
                f"{source.cameras}: a folder of images has no poses, so that {source.scene} must have one sensor that sees them "
                f"all; it has {len(source.sensors)}"
            )
        sensor = source.sensors[0]
        sizes = {source.load(file).size for file in files}
        if len(sizes) > 1:
            shown = ", ".join(f"{w} x {h}" for w, h in sorted(sizes))
            raise DataError(f"{source.cameras}: images of one camera have one size; these have {shown}")
        (size,) = sizes
        film = tuple(int(n) for n in sensor.film().crop_size())
        if source.fov is None and film == size:
            return seen_by_sensors(replace(source, images=str(source.cameras)), source.sensors, source.scene)
        return self._pinhole(source, files, sensor, size)

    def _pinhole(self, source: Source, files: Sequence[Path], sensor: Any, size: tuple[int, int]) -> list[Frame]:
        fov = source.fov if source.fov is not None else _estimated(files, size, source)
        if not 0 < fov < 180:
            raise DataError(f"[data] fov = {fov:g}: the horizontal field of view is between 0 and 180 degrees")
        label = f"a pinhole of {fov:.4g} degrees at the pose of sensor '{sensor.id()}' of {source.scene}"
        source.tell(f"all {len(files)} images are seen by {label}")
        camera = pinhole_at(sensor, *size, fov)
        return [Frame(file, camera, seen_by=label) for file in files]


def _estimated(files: Sequence[Path], size: tuple[int, int], source: Source) -> float:
    """Return the horizontal field of view in degrees that the EXIF data of all images agree on."""
    found = {file.name: read_header(file.read_bytes()).focal35 for file in files}
    without = [name for name, focal in found.items() if not focal]
    if without:
        raise DataError(
            f"{source.cameras}: give [data] fov, the horizontal field of view in degrees. It cannot be estimated: {len(without)} "
            f"of {len(files)} images ({ends(without)}) state no focal length (FocalLengthIn35mmFilm) in EXIF, and the film of "
            f"{source.scene}'s sensor is not of their size, {size[0]} x {size[1]}"
        )
    lengths = sorted({float(focal) for focal in found.values() if focal})
    if lengths[-1] > 1.02 * lengths[0]:
        raise DataError(
            f"{source.cameras}: images of one camera have one focal length; EXIF states {lengths[0]:g} to {lengths[-1]:g} mm"
        )
    # The long side of the image is that of the film, whichever way the camera was held.
    focal = lengths[0] * max(size) / FILM
    return float(np.degrees(2 * np.arctan(0.5 * size[0] / focal)))
