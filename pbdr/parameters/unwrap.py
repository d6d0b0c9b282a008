"""Texture coordinates for meshes that have none: cut into charts and packed by xatlas, which finds the same for the same mesh."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import ParameterError
from pbdr.parameters.recipe import as_file

#: Texels between charts, so that the interpolation of one does not read another.
PADDING = 2
#: What begins as attributes do, and is none.
BUFFERS = frozenset({"vertex_positions", "vertex_normals", "vertex_texcoords", "face_normals"})


@dataclass(frozen=True)
class Unwrapped:
    """Meshes with texture coordinates in one atlas, by id of their shapes; `note` says what was done."""

    meshes: dict[str, Any]
    note: str

    def replace(self, props: Any) -> None:
        """Make the recipe's node of one of the shapes a file of the mesh."""
        as_file(props, self.meshes[props.id()], _folder())


def unwrapped(shapes: Sequence[Any], name: str, texels: int) -> Unwrapped:
    """Give texture coordinates to meshes that share a material, for a texture of `texels` × `texels` of the parameter `name`.

    Vertices along the borders of charts are doubled; their normals and attributes stay. Raises ParameterError without xatlas.
    """
    ids = [str(shape.id()) for shape in shapes]
    if importlib.util.find_spec("xatlas") is None:
        raise ParameterError(
            f"{name!r} cannot become a texture: {_listed(ids)} no texture coordinates. pip install 'pbdr[unwrap]', which makes "
            "some, give the mesh texture coordinates, or leave out 'texture'"
        )
    import xatlas

    atlas = xatlas.Atlas()
    for shape in shapes:
        points = np.array(shape.vertex_positions_buffer(), np.float32).reshape(-1, 3)
        atlas.add_mesh(points / np.ptp(points, axis=0).max(), np.array(shape.faces_buffer(), np.uint32).reshape(-1, 3))
    packing = xatlas.PackOptions()
    packing.padding, packing.resolution = PADDING, texels
    atlas.generate(pack_options=packing)
    meshes = {one: _with(shape, *atlas.get_mesh(n)) for n, (one, shape) in enumerate(zip(ids, shapes, strict=True))}
    charts = f"{atlas.chart_count} chart{'s' * (atlas.chart_count != 1)}"
    return Unwrapped(meshes, f"{_listed(ids)} no texture coordinates, and got some: {charts} for {name!r}")


def _with(shape: Any, vertex: NDArray[Any], faces: NDArray[Any], uv: NDArray[Any]) -> Any:
    """The mesh with these faces and texture coordinates; `vertex`: the old vertex of every new one."""
    normals = shape.has_vertex_normals()
    mesh = mi.Mesh(shape.id(), len(vertex), len(faces), has_vertex_normals=normals, has_vertex_texcoords=True)
    old, new = mi.traverse(shape), mi.traverse(mesh)
    new["faces"] = mi.UInt32(faces.ravel().astype(np.uint32))
    new["vertex_texcoords"] = mi.Float(np.clip(uv, 0, 1).astype(np.float32).ravel())
    for key in ("vertex_positions", "vertex_normals")[: 1 + normals]:
        new[key] = mi.Float(_rows(old[key], 3)[vertex].ravel())
    new.update()
    for key in old.keys():
        name = key.rsplit(".", 1)[-1]
        if name.startswith(("vertex_", "face_")) and name not in BUFFERS:
            count = shape.vertex_count() if name.startswith("vertex_") else shape.face_count()
            rows = np.array(old[key], np.float32).reshape(count, -1)
            rows = rows[vertex] if name.startswith("vertex_") else rows
            mesh.add_attribute(name, rows.shape[1], rows.ravel())
    return mesh


def _rows(values: Any, width: int) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1, width)


def _listed(ids: Sequence[str]) -> str:
    shown = ", ".join(map(repr, ids[:4])) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")
    return f"{'shape' if len(ids) == 1 else 'shapes'} {shown} {'has' if len(ids) == 1 else 'have'}"


@cache
def _files() -> Any:
    """Where files of such meshes live, as long as this process does: recipes of scenes name them."""
    return tempfile.TemporaryDirectory(prefix="pbdr-unwrapped-")


def _folder() -> Path:
    return Path(tempfile.mkdtemp(dir=_files().name))
