"""PLY: one file a shape, with normals, and the base colour at the vertices."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...job import storage
from ...srgb import linear_to_srgb
from ..asset import Part, vertex_values
from ..format import Format, Source, Written, names_of
from ..materials import is_image


class Ply(Format):
    """Triangles with colours of vertices (sRGB), in the axes of the scene."""

    name: ClassVar[str] = "ply"
    text: ClassVar[str] = "PLY, a file for each shape, in the scene's axes; the base colour as sRGB at the vertices"

    def write(self, source: Source, folder: Path) -> Written:
        """Write ply/<shape>.ply."""
        written = Written()
        for part, name in zip(source.asset.parts, names_of(source.asset.parts), strict=True):
            path = folder / "ply" / f"{name}.ply"
            storage.write_bytes(path, ply(part, colors(source, part)))
            written.files.append(path)
        written.lost.append(
            "of materials, only the base colour is in PLY files, at the vertices; lights and cameras are not"
        )
        if any(is_image(material.base_color) for material in source.asset.materials):
            written.lost.append("texels between vertices are not in PLY files")
        return written

    def check(self, source: Source, written: Written) -> dict[str, Any]:
        """Read by trimesh: vertices, faces and colours as they were written."""
        import trimesh

        worst, good = 0.0, True
        for part, path in zip(source.asset.parts, written.files, strict=True):
            mesh = trimesh.load(path, process=False)
            worst = max(worst, float(np.abs(mesh.vertices - part.positions).max()))
            same = np.array_equal(np.asarray(mesh.visual.vertex_colors)[:, :3], colors(source, part))
            good = good and same and len(mesh.faces) == len(part.faces)
        size = max((float(np.ptp(part.positions, axis=0).max()) for part in source.asset.parts), default=1.0)
        return {
            "reader": f"trimesh {trimesh.__version__}",
            "largest_distance": worst,
            "ok": bool(good and worst <= 1e-5 * size),
        }


def colors(source: Source, part: Part) -> NDArray[np.uint8]:
    """(V, 3) sRGB codes of the base colour at the vertices."""
    material = source.asset.materials[part.material]
    linear = vertex_values(part, material.base_color, material)
    return np.asarray(np.rint(np.clip(linear_to_srgb(linear), 0, 1) * 255), dtype=np.uint8)


def ply(part: Part, colors: NDArray[np.uint8]) -> bytes:
    """The binary file of a part."""
    fields = [(name, "<f4") for name in ("x", "y", "z")]
    columns = [*part.positions.T]
    if part.normals is not None:
        fields += [(name, "<f4") for name in ("nx", "ny", "nz")]
        columns += [*part.normals.T]
    fields += [(name, "u1") for name in ("red", "green", "blue")]
    columns += [*colors.T]
    vertices = np.zeros(len(part.positions), dtype=fields)
    for (name, _), column in zip(fields, columns, strict=True):
        vertices[name] = column
    faces = np.zeros(len(part.faces), dtype=[("count", "u1"), ("indices", "<i4", 3)])
    faces["count"], faces["indices"] = 3, part.faces
    kinds = {"<f4": "float", "u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property {kinds[kind]} {name}" for name, kind in fields]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    return "\n".join(header).encode("ascii") + vertices.tobytes() + faces.tobytes()
