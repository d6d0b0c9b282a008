"""What the header of an image file says before anything is decoded: its size, how it is turned, the parts of an EXR file.

A header that claims more pixels than any camera has would make the decoder allocate them; a JPEG file whose end is missing is
decoded to grey without a word; a multi-part EXR file is decoded to its first part. All of it can be read off the header.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, replace

from .exif import Exif, read_exif

MOST_PIXELS = 1 << 26
PIXELS_PER_BYTE = 1024  # more than any of these formats can pack into a byte, but for PNG, whose header has a sum
PNG, EXR, JPEG = b"\x89PNG\r\n\x1a\n", b"\x76\x2f\x31\x01", b"\xff\xd8"
MULTIPART, DEEP = 0x1000, 0x800  # flags in the version field of an EXR file
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
#: Lines of a block, by EXR's number of the compression.
LINES = {bytes([k]): n for k, n in enumerate((1, 1, 1, 16, 32, 16, 32, 32, 32, 256))}


@dataclass(frozen=True)
class Header:
    """`orientation` and `focal35` are EXIF's, 1 as stored, and 0 where it states none. `gamma` is the exponent that a PNG file
    states; None: that of sRGB, or none.

    `parts` are (name, channel names) of an EXR file. `problem` says why the file cannot be taken for what it seems to be; it is
    empty when it can.
    """

    kind: str = ""
    width: int = 0
    height: int = 0
    orientation: int = 1
    gamma: float | None = None
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    problem: str = ""
    focal35: int = 0

    @property
    def turned(self) -> bool:
        """Whether EXIF's orientation exchanges width and height."""
        return self.orientation >= 5


def read_header(data: bytes) -> Header:
    """The header of a PNG, JPEG, EXR, HDR, PFM, PPM or BMP file; a `problem` for any other. A damaged header is its `problem`."""
    try:
        found = _by_kind(data)
    except (struct.error, IndexError, ValueError, OverflowError):
        return Header(problem="its header is damaged or cut off")
    if not found.problem and found.width * found.height > MOST_PIXELS:
        return _with(found, f"its header says {found.width} x {found.height} pixels; at most {MOST_PIXELS} are read")
    if not found.problem and found.kind != "PNG" and found.width * found.height > PIXELS_PER_BYTE * len(data):
        return _with(found, f"its header says {found.width} x {found.height} pixels, for which the file is too short")
    return found


def _by_kind(data: bytes) -> Header:
    if not data:
        return Header(problem="the file is empty")
    if data.startswith(PNG):
        return _png(data)
    if data.startswith(JPEG):
        return _jpeg(data)
    if data.startswith(EXR):
        return _exr(data)
    if data.startswith(b"#?"):
        return _hdr(data)
    if data[:2] in (b"PF", b"Pf", b"P6"):
        return _plain(data)
    if data.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", data, 18)
        return Header("BMP", abs(width), abs(height))
    return Header(problem="neither PNG, JPEG, EXR, HDR, PFM, PPM nor BMP")


def _hdr(data: bytes) -> Header:
    """Every line is walked through: the decoder ends the process where the file ends too soon."""
    size = re.search(rb"\n-Y (\d{1,6}) \+X (\d{1,6})\n", data[:65536])
    if size is None:
        return Header("HDR", problem="its header gives no resolution of the form -Y height +X width")
    height, width, at = int(size.group(1)), int(size.group(2)), size.end()
    if width * height > min(MOST_PIXELS, PIXELS_PER_BYTE * len(data)):
        return Header("HDR", width, height)  # refused for its size
    packed = 8 <= width < 32768 and data[at : at + 2] == b"\2\2" and data[at + 2] < 128
    if not packed:
        whole = at + 4 * width * height <= len(data)
        return Header("HDR", width, height, problem="" if whole else "its end is missing: the file was cut off")
    for _ in range(height):
        if data[at : at + 4] != bytes((2, 2, width >> 8, width & 255)):
            return Header("HDR", width, height, problem="it is damaged, or its end is missing")
        at += 4
        for _ in range(4):
            left = width
            while left > 0:
                count = data[at]
                run = count > 128
                at += 2 if run else 1 + count
                left = left - (count - 128 if run else count)
                if left < 0 or count == 0:
                    return Header("HDR", width, height, problem="it is damaged")
    return Header("HDR", width, height, problem="" if at <= len(data) else "its end is missing: the file was cut off")


def _plain(data: bytes) -> Header:
    """PFM and PPM: numbers as text, then all pixels. The decoder does not end where the text does not."""
    found = re.match(rb"P([Ff6])\s{1,9}(\d{1,9})\s{1,9}(\d{1,9})\s{1,9}([-+.\deE]{1,32})\s", data[:256])
    if found is None:
        return Header("PFM", problem="its header is damaged or cut off")
    width, height, scale = int(found.group(2)), int(found.group(3)), float(found.group(4))
    bytes_each = {b"F": 12, b"f": 4, b"6": 3 if scale < 256 else 6}[found.group(1)]
    if scale == 0 or len(data) < found.end() + bytes_each * width * height:
        return Header("PFM", problem="its end is missing: the file was cut off")
    return Header("PPM" if found.group(1) == b"6" else "PFM", width, height)


def _with(header: Header, problem: str) -> Header:
    return replace(header, problem=problem)


# --- PNG ---------------------------------------------------------------------------------------------------------


def _png(data: bytes) -> Header:
    """Every chunk is checked against its sum: the decoder reads on where some do not agree, and where the last ones are missing."""
    width, height = struct.unpack_from(">II", data, 16)
    exif, at, whole, gamma, srgb = Exif(), 8, False, None, False
    while at < len(data) and not whole:
        length, kind = struct.unpack_from(">I4s", data, at)
        (stated,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(data[at + 4 : at + 8 + length]) != stated:
            return Header("PNG", problem=f"it is damaged: the sum of its chunk {kind!r} is wrong")
        if kind == b"eXIf":
            exif = read_exif(data[at + 8 : at + 8 + length])
        elif kind == b"gAMA" and gamma is None:
            gamma = struct.unpack_from(">I", data, at + 8)[0] / 100000
        srgb = srgb or kind in (b"sRGB", b"iCCP")  # these go before gAMA
        whole = kind == b"IEND"
        at += 12 + length
    problem = "" if whole else "its end is missing: the file was cut off"
    gamma = None if srgb else gamma
    return Header("PNG", width, height, exif.orientation, gamma, problem=problem, focal35=exif.focal35)


# --- JPEG --------------------------------------------------------------------------------------------------------


def _jpeg(data: bytes) -> Header:
    at, size, exif = 2, None, Exif()
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # padding
            at += 1
        marker, length = struct.unpack_from(">HH", data, at)
        if marker >> 8 != 0xFF:
            return Header("JPEG", problem="its header is damaged or cut off")
        kind, body = marker & 0xFF, at + 4
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, body + 1)
            size = (width, height)
        elif kind == 0xE1 and data[body : body + 6] == b"Exif\0\0":
            exif = read_exif(data[body + 6 : at + 2 + length])
        elif kind == 0xDA:
            break
        at += 2 + length
    if size is None:
        return Header("JPEG", problem="its header gives no size")
    found = Header("JPEG", *size, exif.orientation, focal35=exif.focal35)
    return found if data.find(b"\xff\xd9", at) >= 0 else _with(found, "its end is missing: the file was cut off")


# --- EXR ---------------------------------------------------------------------------------------------------------


def _exr(data: bytes) -> Header:
    (version,) = struct.unpack_from("<I", data, 4)
    if version & DEEP:
        return Header("EXR", problem="it holds deep data, several values a pixel: flatten it")
    at, parts, problem, size = 8, [], "", (0, 0)
    first: dict[str, bytes] = {}
    while True:
        attributes, at = _attributes(data, at)
        if not attributes:
            break
        names = _channel_names(attributes.get("channels", b""))
        parts.append((attributes.get("name", b"").decode("utf-8", "replace"), names))
        if len(parts) == 1:
            window = struct.unpack("<4i", attributes.get("dataWindow", b""))
            size = (window[2] - window[0] + 1, window[3] - window[1] + 1)
            problem = _exr_problem(attributes, window, size, names)
            first = attributes
        if not version & MULTIPART:
            break
    if not parts:
        return Header("EXR", problem="its header is damaged or cut off")
    if not problem and not _all_chunks(data, at, size, first, bool(version & MULTIPART)):
        problem = "parts of it are missing: the file was cut off"
    return Header("EXR", *size, parts=tuple(parts), problem=problem)


def _all_chunks(data: bytes, table: int, size: tuple[int, int], attributes: dict[str, bytes], numbered: bool) -> bool:
    """Whether every block of the first part lies within the file; the decoder leaves missing ones black. True where unknown."""
    tiles = attributes.get("tiles")
    lines = LINES.get(attributes.get("compression", b"")[:1])
    if tiles is not None:
        across, down, mode = struct.unpack("<IIB", tiles)
        count = -(-size[0] // across) * -(-size[1] // down) if across and down and mode & 15 == 0 else 0
    else:
        count = -(-size[1] // lines) if lines else 0
    if table + 8 * count > len(data):
        return False
    place = (20 if tiles is not None else 8) + (4 if numbered else 0)
    for (offset,) in struct.iter_unpack("<Q", data[table : table + 8 * count]):
        if not table < offset <= len(data) - place:
            return False
        (length,) = struct.unpack_from("<I", data, offset + place - 4)
        if offset + place + length > len(data):
            return False
    return True


def _attributes(data: bytes, at: int) -> tuple[dict[str, bytes], int]:
    """Attributes of one part by name, and where the next part's begin."""
    found: dict[str, bytes] = {}
    while data[at] != 0:
        end = data.index(b"\0", at)
        after = data.index(b"\0", end + 1)
        (length,) = struct.unpack_from("<i", data, after + 1)
        start = after + 5
        if length < 0 or start + length > len(data):
            raise ValueError
        found[data[at:end].decode("latin-1")] = data[start : start + length]
        at = start + length
    return found, at + 1


def _channel_names(value: bytes) -> tuple[str, ...]:
    names, at = [], 0
    while at < len(value) and value[at] != 0:
        end = value.index(b"\0", at)
        names.append(value[at:end].decode("utf-8", "replace"))
        at = end + 17
    return tuple(names)


def _exr_problem(
    attributes: dict[str, bytes], window: tuple[int, ...], size: tuple[int, int], names: tuple[str, ...]
) -> str:
    if min(size) < 1:
        return "its header is damaged or cut off"
    display = struct.unpack("<4i", attributes.get("displayWindow", b""))
    if display != window:
        whole = f"{display[2] - display[0] + 1} x {display[3] - display[1] + 1}"
        return (
            f"it holds {size[0]} x {size[1]} pixels of an image of {whole} (data and display window differ): "
            "save it without crop and overscan"
        )
    (aspect,) = struct.unpack("<f", attributes.get("pixelAspectRatio", struct.pack("<f", 1.0)))
    if abs(aspect - 1.0) > 1e-3:
        return f"its pixels are not square (pixelAspectRatio {aspect:g}): resample it"
    space = attributes.get("chromaticities")
    if space is not None and len(names) not in (3, 4):  # with these, the decoder converts colours itself
        values = struct.unpack("<8f", space)
        if max(abs(a - b) for a, b in zip(values, REC709, strict=True)) > 2e-3:
            return "its colours are not those of Rec. 709 (attribute chromaticities): convert it to linear sRGB"
    return ""
