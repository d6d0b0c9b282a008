"""A scene as an XML file of Mitsuba with everything that it needs beside it.

Mitsuba's own writer forgets ids, takes the film of one sensor for that of all, and rounds poses to a viewpoint and a target.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import mitsuba as mi
import numpy as np

from ..data.images import encode_exr
from ..errors import SceneError
from ..job import storage
from ..scene import EMISSIVE, FILE_PROPERTIES, Scene

TAGS = {
    "BSDF": "bsdf", "Emitter": "emitter", "Film": "film", "Integrator": "integrator", "Medium": "medium", "PhaseFunction": "phase",
    "ReconstructionFilter": "rfilter", "Sampler": "sampler", "Sensor": "sensor", "Shape": "shape", "Texture": "texture",
    "Volume": "volume",
}  # fmt: skip
#: Kinds of pbdr's own plugins.
OURS = {EMISSIVE: "Medium", "smoothdielectric": "BSDF"}
#: Where files of a plugin go.
FOLDERS = {"Shape": "meshes", "Texture": "textures", "Emitter": "textures", "Volume": "volumes"}


def write(scene: Scene, path: Path) -> list[Path]:
    """Write the recipe of a scene to `path` and what it names beside it; returns all files.

    SceneError for objects that were built in Python, which a file cannot describe.
    """
    writer = _Writer(scene, path.parent)
    storage.write_text(path, writer.text())
    return [path, *writer.files]


class _Writer:
    def __init__(self, scene: Scene, folder: Path) -> None:
        self.nodes = mi.parser.ParserState(scene._state).nodes
        self.named = frozenset(scene.named)
        self.folder = folder
        self.files: list[Path] = []
        self.names: set[str] = set()
        self.written: set[int] = set()
        self.top = {int(index) for _, index in _children(self.nodes[0])}
        counts: dict[int, int] = {}
        for node in self.nodes:
            for _, index in _children(node):
                counts[index] = counts.get(index, 0) + 1
        self.shared = {index for index, count in counts.items() if count > 1}

    def text(self) -> str:
        """The whole file."""
        lines = [f'<scene version="{mi.__version__}">']
        lines += self._properties(self.nodes[0], 1)
        for _, index in _children(self.nodes[0]):
            lines += self._object(index, "", 1)
        return "\n".join([*lines, "</scene>", ""])

    def _object(self, index: int, slot: str, depth: int) -> list[str]:
        node = self.nodes[index]
        name = "" if not slot or slot.startswith("_arg_") else f" name={quoteattr(slot)}"
        pad = "  " * depth
        if index in self.written or (index in self.top and depth > 1):
            return [f"{pad}<ref{name} id={quoteattr(node.props.id())}/>"]
        self.written.add(index)
        kind = str(node.type).rsplit(".", 1)[-1]
        if kind == "Unknown":  # plugins in Python, where they do not come from a file
            kind = OURS.get(node.props.plugin_name(), kind)
        if kind not in TAGS:
            raise SceneError(f"'{node.props.id()}' ({kind}) has no place in a scene file")
        own = index in self.top or index in self.shared or node.props.id() in self.named
        label = f" id={quoteattr(node.props.id())}" if own else ""
        inside = self._properties(node, depth + 1)
        for key, child in _children(node):
            inside += self._object(child, key, depth + 1)
        head = f"{pad}<{TAGS[kind]} type={quoteattr(node.props.plugin_name())}{label}{name}"
        return [f"{head}>", *inside, f"{pad}</{TAGS[kind]}>"] if inside else [f"{head}/>"]

    def _properties(self, node: Any, depth: int) -> list[str]:
        pad = "  " * depth
        kinds = mi.Properties.Type
        kind = str(node.type).rsplit(".", 1)[-1]
        lines = []
        for key in node.props.keys():
            found = node.props.type(key)
            if found == kinds.ResolvedReference:
                continue
            value = node.props[key]
            if found == kinds.String and key in FILE_PROPERTIES:
                value = self._copied(Path(value), FOLDERS.get(kind, "files"))
            elif found in (kinds.Any, kinds.Object):
                key, value, found = self._array(node, key, value, FOLDERS.get(kind, "files"))
            lines.append(pad + _element(key, value, found, node.props.id()))
        return lines

    def _copied(self, source: Path, folder: str) -> str:
        name = self._fresh(folder, _plain(source.stem), source.suffix)
        target = self.folder / name
        with storage.reported(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.resolve() != target.resolve():
                shutil.copyfile(source, target)
        self.files.append(target)
        return name

    def _fresh(self, folder: str, stem: str, suffix: str) -> str:
        number, name = 1, f"{folder}/{stem}{suffix}"
        while name in self.names:
            number += 1
            name = f"{folder}/{stem}-{number}{suffix}"
        self.names.add(name)
        return name

    def _array(self, node: Any, key: str, value: Any, folder: str) -> tuple[str, Any, Any]:
        """Texels or voxels that the recipe holds itself become a file."""
        array = np.array(value)
        if key in ("data", "bitmap") and array.ndim in (2, 3):
            name = self._fresh(folder, _plain(node.props.id()), ".exr")
            array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
            storage.write_bytes(self.folder / name, encode_exr(array))
        elif key == "grid" and array.ndim in (3, 4):
            name = self._fresh("volumes", _plain(node.props.id()), ".vol")
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            with storage.reported(self.folder / name):
                mi.VolumeGrid(np.ascontiguousarray(array, dtype=np.float32)).write(str(self.folder / name))
        else:
            raise SceneError(f"'{key}' of '{node.props.id()}' was built in Python: a scene file cannot hold it")
        self.files.append(self.folder / name)
        return "filename", name, mi.Properties.Type.String


def _children(node: Any) -> list[tuple[str, int]]:
    kind = mi.Properties.Type.ResolvedReference
    return [(name, int(node.props[name].index())) for name in node.props.keys() if node.props.type(name) == kind]


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "file"


def _element(key: str, value: Any, kind: Any, owner: str) -> str:
    """One property as an element."""
    kinds = mi.Properties.Type
    name = f"name={quoteattr(key)}"
    if kind == kinds.Bool:
        return f'<boolean {name} value="{str(value).lower()}"/>'
    if kind == kinds.Integer:
        return f'<integer {name} value="{value}"/>'
    if kind == kinds.Float:
        return f'<float {name} value="{value!r}"/>'
    if kind == kinds.String:
        return f"<string {name} value={quoteattr(value)}/>"
    if kind == kinds.Vector:
        x, y, z = (repr(float(v)) for v in value)
        return f'<vector {name} x="{x}" y="{y}" z="{z}"/>'
    if kind == kinds.Color:
        return f'<rgb {name} value="{", ".join(repr(float(v)) for v in value)}"/>'
    if kind == kinds.Spectrum:
        values = [repr(float(v)) for v in value.values]
        if not value.is_uniform():
            values = [f"{float(w)!r}:{v}" for w, v in zip(value.wavelengths, values, strict=True)]
        return f'<spectrum {name} value="{", ".join(values)}"/>'
    if kind == kinds.Transform:
        numbers = " ".join(repr(float(v)) for v in np.array(value.matrix, dtype=np.float64).reshape(-1))
        return f'<transform {name}><matrix value="{numbers}"/></transform>'
    raise SceneError(f"'{key}' of '{owner}' was built in Python: a scene file cannot hold it")
