"""PLY files of 3DGS: their reader and writer. A file that was read and written holds the same numbers, bit by bit.

Properties, in this order: x y z nx ny nz f_dc_0…2 f_rest_0… opacity scale_0…2 rot_0…3. `f_rest` counts channel by channel: of
degree 3, f_rest_0…14 belong to red.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pbdr.errors import DataError, DataWarning, OptionError
from pbdr.fields.gaussians.harmonics import DEGREES, count_of
from pbdr.fields.gaussians.model import Gaussians

FORMATS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
#: Types of PLY → NumPy's.
TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"), **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"), **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"), **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"), **dict.fromkeys(("double", "float64"), "f8"),
}  # fmt: skip
POSITION, NORMAL = ("x", "y", "z"), ("nx", "ny", "nz")
COLOR = tuple(f"f_dc_{k}" for k in range(3))
SCALE = tuple(f"scale_{k}" for k in range(3))
ROTATION = tuple(f"rot_{k}" for k in range(4))
END = re.compile(rb"^end_header[ \t]*\r?\n", re.MULTILINE)


def names(degree: int) -> list[str]:
    """Properties of a file whose colours have this degree, in order."""
    rest = [f"f_rest_{k}" for k in range(3 * (count_of(degree) - 1))]
    return [*POSITION, *NORMAL, *COLOR, *rest, "opacity", *SCALE, *ROTATION]


def write_ply(path: str | Path, gaussians: Gaussians) -> Path:
    """Write the binary file (little endian) and return its path. Raises OptionError where it cannot be written."""
    properties = names(gaussians.degree)
    rest = gaussians.harmonics[:, 1:].transpose(0, 2, 1).reshape(len(gaussians), -1)
    columns = (
        gaussians.positions, gaussians.normals, gaussians.harmonics[:, 0], rest, gaussians.logits[:, None],
        gaussians.log_scales, gaussians.rotations,
    )  # fmt: skip
    table = np.concatenate(columns, axis=1).astype("<f4")
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(gaussians)}"]
    header += [f"property float {name}" for name in properties] + ["end_header", ""]
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("\n".join(header).encode("ascii") + table.tobytes())
    except OSError as error:
        raise OptionError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
    return path


def read_ply(path: str | Path) -> Gaussians:
    """Read a file of 3DGS: binary of either order or text, properties in any order, degree 0 to 3.

    Raises DataError, with what is wrong, for a file that is none, is cut off, or lacks a property. Tells of properties that it does
    not know, in a DataWarning, and leaves them out.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    header = _header(path, data)
    degree = _degree(path, header.names)
    _tell_of_others(path, header.names, degree)
    table = _table(path, header, data)
    column = lambda *wanted: np.stack([table[name] for name in wanted], axis=1).astype(np.float32)  # noqa: E731
    count = len(table)
    rest = [f"f_rest_{k}" for k in range(3 * (count_of(degree) - 1))]
    colors = column(*COLOR, *rest)
    higher = colors[:, 3:].reshape(count, 3, -1).transpose(0, 2, 1)
    try:
        return Gaussians(
            positions=column(*POSITION),
            log_scales=column(*SCALE),
            rotations=column(*ROTATION),
            logits=column("opacity")[:, 0],
            harmonics=np.concatenate([colors[:, None, :3], higher], axis=1),
            normals=column(*NORMAL) if set(NORMAL) <= set(header.names) else np.zeros((count, 3), np.float32),
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


@dataclass(frozen=True)
class _Header:
    """`order`: the byte order, "" for text; `start`: where the body begins; `count` rows of `names` with NumPy's `kinds`."""

    order: str
    start: int
    count: int
    names: list[str]
    kinds: list[str]


def _header(path: Path, data: bytes) -> _Header:
    end = END.search(data)
    if not data.startswith(b"ply") or end is None:
        raise DataError(f"{path}: no PLY file: it has no header from 'ply' to 'end_header'")
    lines = [line.split() for line in data[: end.start()].decode("ascii", "replace").splitlines()[1:] if line.strip()]
    order, count, element = None, None, ""
    properties: list[str] = []
    kinds: list[str] = []
    for words in lines:
        if words[0] == "format" and len(words) == 3:
            order = FORMATS.get(words[1])
        elif words[0] == "element" and len(words) == 3:
            element = words[1]
            if element == "vertex" and words[2].isdecimal() and count is None:
                count = int(words[2])
            elif element != "vertex" or count is not None:
                hint = (
                    "; compressed files, as of SuperSplat, are not read: export them uncompressed"
                    if element == "chunk"
                    else ""
                )
                raise DataError(
                    f"{path}: element '{element}': a file of Gaussians has the element 'vertex' alone{hint}"
                )
        elif words[0] == "property" and element == "vertex":
            if len(words) != 3 or words[1] not in TYPES:
                raise DataError(
                    f"{path}: '{' '.join(words)}': a property of Gaussians is a number, as 'property float x'"
                )
            kinds.append(TYPES[words[1]])
            properties.append(words[2])
        elif words[0] not in ("comment", "obj_info"):
            raise DataError(f"{path}: its header has the line '{' '.join(words)[:60]}', which is none of PLY")
    if order is None:
        raise DataError(f"{path}: its header has no format that is known; formats are {', '.join(FORMATS)}")
    if count is None:
        raise DataError(f"{path}: its header does not say how many Gaussians it has: 'element vertex' and their number")
    twice = sorted({name for name in properties if properties.count(name) > 1})
    if twice:
        raise DataError(f"{path}: property '{twice[0]}' stands twice in its header")
    return _Header(order, end.end(), count, properties, kinds)


def _degree(path: Path, properties: list[str]) -> int:
    """Degree of the colours, by the number of `f_rest`. DataError for properties that are missing."""
    missing = [name for name in names(0) if name not in (*properties, *NORMAL)]
    if missing:
        hint = "; it holds points, not Gaussians: Gaussians.from_points takes these" if "opacity" in missing else ""
        raise DataError(f"{path}: property {', '.join(missing)} missing{hint}")
    rest = [name for name in properties if name.startswith("f_rest_")]
    for degree in DEGREES:
        if len(rest) == 3 * (count_of(degree) - 1):
            gap = [name for name in names(degree) if name not in (*properties, *NORMAL)]
            if gap:
                raise DataError(f"{path}: property {gap[0]} missing among {len(rest)} of f_rest")
            return degree
    raise DataError(f"{path}: {len(rest)} properties f_rest; degree 0, 1, 2, 3 have 0, 9, 24, 45")


def _tell_of_others(path: Path, properties: list[str], degree: int) -> None:
    import warnings

    others = [name for name in properties if name not in names(degree)]
    if others:
        warnings.warn(f"{path}: left out, because 3DGS has none: {', '.join(others[:6])}", DataWarning, stacklevel=3)


def _table(path: Path, header: _Header, data: bytes) -> NDArray[np.void]:
    """(N,) rows by name. DataError where the body is too short or too long, or no numbers."""
    body = memoryview(data)[header.start :]
    kind = np.dtype([(name, header.order + kind) for name, kind in zip(header.names, header.kinds, strict=True)])
    if header.order:
        if len(body) != header.count * kind.itemsize:
            raise DataError(
                f"{path}: {len(body)} bytes behind its header; {header.count} Gaussians of {kind.itemsize} bytes are "
                f"{header.count * kind.itemsize}: the file was cut off, or is none"
            )
        return np.frombuffer(body, dtype=kind)
    words = bytes(body).split()
    if len(words) != header.count * len(header.names):
        raise DataError(
            f"{path}: {len(words)} numbers; {header.count} Gaussians have {header.count * len(header.names)}"
        )
    try:
        numbers = np.array(words, dtype=np.float64).reshape(header.count, len(header.names))
    except ValueError:
        raise DataError(f"{path}: its body has words that are no numbers") from None
    table = np.zeros(header.count, dtype=kind)
    for k, name in enumerate(header.names):
        table[name] = numbers[:, k]
    return table
