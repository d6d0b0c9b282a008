"""Sensors of a Mitsuba scene, the one that is fitted or another one, with an image for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...errors import DataError
from ..cameras import Camera
from ..files import find_images
from ..images import SUFFIXES
from ..pairing import described, pair
from .format import Format, Frame, Source, exchanged


class Sensors(Format):
    """A scene file: its sensors see the images of `[data] images`."""

    name: ClassVar[str] = "a scene file (.xml) with sensors"

    def claims(self, path: Path) -> bool:
        return path.suffix.lower() == ".xml"

    def read(self, source: Source) -> list[Frame]:
        from ...scene import load_scene  # which loads Mitsuba

        scene = load_scene(str(source.cameras), emitter_required=False)
        frames = seen_by_sensors(source, scene.sensors, str(source.cameras))
        return [replace(frame, sensor=scene.sensors[frame.sensor]) for frame in frames]


def seen_by_sensors(source: Source, sensors: Sequence[Any], scene: str) -> list[Frame]:
    """Return one frame for each image, whose `sensor` is the index of its partner among `sensors`.

    A single sensor sees all images, however many. Raises DataError where there is no partner, or of another size.
    """
    if source.images is None:
        raise DataError(f'the sensors of {scene} name no images: give [data] images = "folder/*.png"')
    found = find_images(source.images)
    ids = [str(sensor.id()) for sensor in sensors]
    if not found:
        raise DataError(f"[data] images = '{source.images}' finds no image{_why_none(source.images)}")
    if len(found) != len(ids) != 1:
        raise DataError(
            f"[data] images = '{source.images}' finds {len(found)} files ({ends([f.name for f in found])}), "
            f"{scene} has {len(ids)} sensors ({ends(ids)}); there must be one image for each"
        )
    if len(ids) == 1 and len(found) > 1:
        source.tell(f"all {len(found)} images are seen by the one sensor '{ids[0]}' of {scene}")
        partners = [0] * len(found)
        files = found
    else:
        files, rule = pair(ids, found)
        partners = list(range(len(ids)))
        source.tell(
            f"images and sensors paired by {rule}: {described([(i, f.name) for i, f in zip(ids, files, strict=True)])}"
        )
    return [_frame(source, file, sensors[k], k, scene) for file, k in zip(files, partners, strict=True)]


def _why_none(pattern: str) -> str:
    """What is wrong with a pattern that finds nothing."""
    folder = Path(pattern) if Path(pattern).is_dir() else Path(pattern).parent
    if not folder.is_dir():
        return f": there is no folder {folder}"
    there = find_images(str(folder))
    if there:
        return f"; {folder} holds {ends([path.name for path in there])}"
    return f": there is none in {folder} ({' '.join(sorted(SUFFIXES))})"


def _frame(source: Source, file: Path, sensor: Any, index: int, scene: str) -> Frame:
    image = source.load(file)
    size = sensor.film().crop_size()
    width, height = int(size[0]), int(size[1])
    if image.size != (width, height):
        raise DataError(
            f"{file}: {image.size[0]} x {image.size[1]} pixels, but sensor {index} ('{sensor.id()}') of {scene} "
            f"has a film of {width} x {height}{exchanged(image, (width, height), source.exif)}"
        )
    return Frame(file, sensor=index, seen_by=f"sensor {index} '{sensor.id()}' of {scene}")


def pinhole_at(sensor: Any, width: int, height: int, fov: float) -> Camera:
    """Return a pinhole with the pose of a sensor; `fov` in degrees, horizontally."""
    matrix = np.array(sensor.world_transform().matrix, dtype=np.float64).reshape(4, 4)
    return Camera.from_fov(matrix, width, height, float(np.radians(fov)))


def ends(names: Sequence[str]) -> str:
    """Return names for a message, those in the middle left out."""
    return ", ".join(names) if len(names) < 5 else f"{names[0]}, {names[1]}, ..., {names[-1]}"
