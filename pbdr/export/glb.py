"""The container of glTF: buffers and their tables, packed into one GLB file; and unpacked."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOAT, UINT32 = 5126, 5125
VERTICES, INDICES = 34962, 34963  # targets of buffer views
WRAP = {"repeat": 10497, "mirror": 33648, "clamp": 33071}
COLUMNS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


class Builder:
    """Collects arrays and images, and knows the tables that name them."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.samplers: list[dict[str, Any]] = []
        self.textures: list[dict[str, Any]] = []

    def _view(self, content: bytes, target: int | None = None) -> int:
        self.content += b"\0" * (-len(self.content) % 4)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.content), "byteLength": len(content)}
        if target is not None:
            view["target"] = target
        self.content += content
        self.views.append(view)
        return len(self.views) - 1

    def vertices(self, values: Any, *, bounds: bool = False) -> int:
        """Number of the accessor of (V, n) floats; positions must have bounds."""
        array = np.ascontiguousarray(values, dtype="<f4")
        entry = {
            "bufferView": self._view(array.tobytes(), VERTICES), "componentType": FLOAT, "count": len(array),
            "type": COLUMNS[array.shape[1]],
        }  # fmt: skip
        if bounds:
            entry |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def indices(self, faces: NDArray[Any]) -> int:
        """Number of the accessor of (F, 3) vertex numbers."""
        array = np.ascontiguousarray(faces.reshape(-1), dtype="<u4")
        self.accessors.append(
            {
                "bufferView": self._view(array.tobytes(), INDICES),
                "componentType": UINT32,
                "count": len(array),
                "type": "SCALAR",
            }
        )
        return len(self.accessors) - 1

    def texture(self, png: bytes, wrap: str, smooth: bool) -> int:
        """Number of a texture."""
        sampler = {"wrapS": WRAP[wrap], "wrapT": WRAP[wrap], "magFilter": 9729 if smooth else 9728}
        if sampler not in self.samplers:
            self.samplers.append(sampler)
        self.images.append({"bufferView": self._view(png), "mimeType": "image/png"})
        self.textures.append({"source": len(self.images) - 1, "sampler": self.samplers.index(sampler)})
        return len(self.textures) - 1

    def tables(self) -> dict[str, Any]:
        """The tables, and the one buffer."""
        return {
            "buffers": [{"byteLength": len(self.content)}], "bufferViews": self.views, "accessors": self.accessors,
            "images": self.images, "samplers": self.samplers, "textures": self.textures,
        }  # fmt: skip

    def pack(self, document: dict[str, Any]) -> bytes:
        """A GLB file of a document and what was collected."""
        text = json.dumps(document, separators=(",", ":")).encode("utf-8")
        text += b" " * (-len(text) % 4)
        binary = bytes(self.content) + b"\0" * (-len(self.content) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
        if binary:
            chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
        return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


def unpack(path: Path) -> tuple[dict[str, Any], bytes]:
    """The document and the buffer of a GLB file."""
    content = path.read_bytes()
    length = struct.unpack_from("<I", content, 12)[0]
    document: dict[str, Any] = json.loads(content[20 : 20 + length])
    return document, content[28 + length :]


def array(document: dict[str, Any], buffer: bytes, accessor: int) -> NDArray[Any]:
    """The numbers of an accessor, one row for each of its elements."""
    entry = document["accessors"][accessor]
    view = document["bufferViews"][entry["bufferView"]]
    columns = {name: n for n, name in COLUMNS.items()}[entry["type"]]
    kind = {FLOAT: "<f4", UINT32: "<u4"}[entry["componentType"]]
    return np.frombuffer(buffer, kind, entry["count"] * columns, view.get("byteOffset", 0)).reshape(-1, columns)
