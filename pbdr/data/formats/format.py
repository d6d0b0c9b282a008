"""What a format of cameras is, what it is told, and what it gives.

A format is one file beside this one and one line in `formats.FORMATS`: `[data] cameras` picks the first that claims the path.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from ...errors import DataError, DataWarning
from ..cache import GIB, Cache
from ..files import natural_key
from ..images import SUFFIXES, Color, Exif, LoadedImage, load_image, load_mask

Missing = Literal["error", "skip"]


def warn(message: str) -> None:
    """How things are told when nobody asked for them."""
    warnings.warn(message, DataWarning, stacklevel=3)


@dataclass(frozen=True)
class Frame:
    """One posed image: its path, its camera (Mitsuba axes), and the path of its mask.

    camera   a `Camera`; None where a sensor is in its place
    sensor   a sensor of a scene, or its index in the scene that is fitted
    seen_by  what messages call the camera
    """

    path: Path
    camera: Any = None
    mask: Path | None = None
    sensor: Any = None
    seen_by: str = ""


def _bytes(image: LoadedImage) -> int:
    return image.nbytes


@dataclass(frozen=True)
class Source:
    """What is asked for: where cameras are, where images are if they are not named there, and how files are read.

    images   a folder, or a pattern; None: where the format says
    missing  "skip" leaves out frames whose image is not there
    masks    read the masks that frames name
    fov      horizontal field of view in degrees, for images without cameras
    sensors  of the scene that is fitted, and `scene`, what messages call it
    tell     is called with what a reader of the files may not expect
    cache    images that were loaded; `orientations` are those that EXIF states of all that were
    """

    cameras: Path
    images: str | None = None
    color: Color = "srgb"
    layer: str | None = None
    exif: Exif = "ignore"
    missing: Missing = "error"
    masks: bool = True
    fov: float | None = None
    sensors: Sequence[Any] = ()
    scene: str = "the scene"
    tell: Callable[[str], None] = warn
    cache: Cache[LoadedImage] = field(default_factory=lambda: Cache(2 * GIB, _bytes), repr=False)
    orientations: dict[Path, int] = field(default_factory=dict, repr=False)

    def load(self, path: Path, mask: Path | None = None) -> LoadedImage:
        """Return an image with its mask, from the cache or the files. Raises DataError where the two do not go together."""
        return self.cache.get((path, mask), lambda: self._read(path, mask))

    def _read(self, path: Path, mask: Path | None) -> LoadedImage:
        image = load_image(path, self.color, layer=self.layer, exif=self.exif)
        self.orientations[path] = image.orientation
        if mask is None:
            return image
        weight = load_mask(mask, exif=self.exif)
        if weight.shape != image.rgb.shape[:2]:
            raise DataError(
                f"{path}: the mask {mask} has {weight.shape[1]} x {weight.shape[0]} pixels, "
                f"the image {image.size[0]} x {image.size[1]}"
            )
        if not (weight > 0).any():
            raise DataError(f"{path}: the mask {mask} is black everywhere, so that no pixel counts")
        return replace(image, mask=weight)


class Format(ABC):
    """A format of cameras. `name`: what messages call it; `images`: whether it takes `[data] images`."""

    name: ClassVar[str]
    images: ClassVar[bool] = True

    @abstractmethod
    def claims(self, path: Path) -> bool:
        """Return whether a path that exists is of this format; only names may be looked at."""

    @abstractmethod
    def read(self, source: Source) -> list[Frame]:
        """Return the frames in the order of their views, each image loaded once. Raises DataError for what is wrong."""


def check_absent(where: str, absent: Sequence[str], count: int, source: Source, hint: str = "") -> None:
    """Raise DataError for frames without image, or tell of them where `missing` says that they are left out."""
    if not absent:
        return
    shown = ", ".join(sorted(absent, key=natural_key))
    if source.missing != "skip":
        raise DataError(
            f"{where}: no image for {len(absent)} of {count} frames, also not with the extensions {' '.join(SUFFIXES)}: "
            f"{shown}.{hint} "
            'Add them, or leave these frames out with [data] missing = "skip"'
        )
    if len(absent) == count:
        raise DataError(f"{where}: none of the {count} frames has its image: {shown}{hint}")
    source.tell(f"{where}: {len(absent)} of {count} frames are left out, their images are missing: {shown}")


def exchanged(image: LoadedImage, size: tuple[int, int], exif: Exif) -> str:
    """Return what to do where an image has the wanted size turned the other way; "" where it has not."""
    if image.orientation < 5 or image.size != (size[1], size[0]):
        return ""
    other = "ignore" if exif == "apply" else "apply"
    return f'. Width and height are exchanged by its EXIF orientation {image.orientation}: [data] exif = "{other}"'
