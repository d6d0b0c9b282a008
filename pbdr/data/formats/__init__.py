"""Formats of cameras, picked by what `[data] cameras` is. A new one is a file here and a place in the list."""

from __future__ import annotations

from pathlib import Path

from ...errors import DataError
from .colmap import Colmap
from .folder import Folder
from .format import Format, Frame, Missing, Source, warn
from .mitsuba import Sensors
from .transforms import Transforms, read_frames, write_transforms

__all__ = [
    "FORMATS",
    "Format",
    "Frame",
    "Missing",
    "Source",
    "find_format",
    "read",
    "read_frames",
    "warn",
    "write_transforms",
]

FORMATS: tuple[Format, ...] = (Transforms(), Colmap(), Sensors(), Folder())


def find_format(path: Path) -> Format:
    """Return the first format that claims a path; DataError, naming what there is, where none does."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; [data] cameras is {_names()}")
    for entry in FORMATS:
        if entry.claims(path):
            return entry
    raise DataError(f"{path}: not cameras of a format that is known; [data] cameras is {_names()}")


def read(source: Source) -> list[Frame]:
    """Return the frames of a source, by the format of its cameras. Raises DataError."""
    found = find_format(source.cameras)
    if source.images is not None and not found.images:
        raise DataError(f"[data] images = {source.images!r}: {found.name} names its own images; leave this out")
    return found.read(source)


def _names() -> str:
    return ", ".join(entry.name for entry in FORMATS) + ', or "scene"'
