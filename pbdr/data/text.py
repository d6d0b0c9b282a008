"""Text files as people save them: UTF-8, with or without a byte-order mark; other encodings are told by name."""

from __future__ import annotations

import codecs
from pathlib import Path

from ..errors import DataError, PbdrError

MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def read_text(path: Path, error: type[PbdrError] = DataError) -> str:
    """The text of a file. FileNotFoundError passes through; anything else that is wrong raises `error`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as problem:
        raise error(f"{path}: cannot be read ({getattr(problem, 'strerror', None) or problem})") from problem
    return decode(data, str(path), error)


def decode(data: bytes, source: str, error: type[PbdrError] = DataError) -> str:
    """Bytes → text with its line ends as `\\n`; raises `error` for an encoding other than UTF-8."""
    name = next((name for mark, name in MARKS if data.startswith(mark)), None)
    if name is None and len(data) >= 4 and 0 in data[:4]:
        name = "UTF-16 or UTF-32" if data[:4].count(0) < 4 else None
    if name is not None:
        raise error(f"{source}: the file is encoded as {name}; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise error(
            f"{source}:{line}: the byte 0x{data[problem.start]:02x} is not UTF-8 text; save the file as UTF-8"
        ) from problem
    return text.replace("\r\n", "\n")
