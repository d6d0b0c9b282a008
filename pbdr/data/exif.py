"""The tags of EXIF that matter here: how an image is turned, and the focal length that its camera states."""

from __future__ import annotations

import struct
from dataclasses import dataclass

ORIENTATION, EXIF_TABLE, FOCAL_35MM = 0x0112, 0x8769, 0xA405


@dataclass(frozen=True)
class Exif:
    """`orientation`: 1 to 8, 1 as stored. `focal35`: focal length in mm for a film 36 mm wide; 0 where none is stated."""

    orientation: int = 1
    focal35: int = 0


def read_exif(tiff: bytes) -> Exif:
    """Return what a block of EXIF data, which begins with its byte order, states. Tags that are damaged are left out."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return Exif()
    try:
        (first,) = struct.unpack_from(order + "I", tiff, 4)
    except struct.error:
        return Exif()
    tags = _tags(tiff, order, first)
    inner = _tags(tiff, order, tags[EXIF_TABLE]) if EXIF_TABLE in tags else {}
    turned = tags.get(ORIENTATION, 1)
    return Exif(turned if 1 <= turned <= 8 else 1, inner.get(FOCAL_35MM, 0))


def _tags(tiff: bytes, order: str, at: int) -> dict[int, int]:
    """First numbers of the entries of a table by tag, as far as the table can be read."""
    found: dict[int, int] = {}
    try:
        (count,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, _ = struct.unpack_from(order + "HHI", tiff, entry)
            (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), tiff, entry + 8)
            found.setdefault(tag, value)
    except struct.error:
        pass
    return found
