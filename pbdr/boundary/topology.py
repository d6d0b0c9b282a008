"""Position-welded edges of one mesh, on the host (docs/theory.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import SceneError
from pbdr.parameters import traverse

NO_FACE = 0xFFFFFFFF
WELD_TOLERANCE = 1e-6  # of the mesh's largest extent: float32 copies of a vertex agree to about 1e-7


def interpolates_normals(shape: Any) -> bool:
    """Whether a shape is a mesh whose shading normals may differ from the normals of its faces."""
    mesh = shape.is_mesh() and shape.class_name() != "Rectangle"
    return bool(mesh and shape.has_vertex_normals() and not shape.has_face_normals())


@dataclass(frozen=True)
class Topology:
    """Edges of a mesh whose copies of a vertex (UV seams, face normals) count as one.

    faces: (E, 2) adjacent faces, NO_FACE where open; corners: (E, 2, 3) corner numbers in each face of the edge's start, its
    end and the opposite vertex; jump: (E,) shading may differ across the edge even if the faces are coplanar (UV seams, split
    normals, face attributes); weld: (V,) representative of every vertex.
    """

    faces: NDArray[np.uint32]
    corners: NDArray[np.uint32]
    jump: NDArray[np.bool_]
    flat: bool
    weld: NDArray[np.uint32]


def weld_vertices(positions: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Representative vertex of every vertex: the first one at the same position. positions: (V, 3)."""
    extent = float(np.ptp(positions, axis=0).max()) or 1.0
    cells = np.round(positions / (WELD_TOLERANCE * extent)).astype(np.int64)
    _, first, inverse = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)].astype(np.uint32)


def build(
    faces: NDArray[np.uint32], positions: NDArray[np.float32], normals: NDArray[np.float32] | None,
    texcoords: NDArray[np.float32] | None, face_attributes: bool, name: str,
) -> Topology:  # fmt: skip
    """Edges of a mesh given faces (F, 3), positions (V, 3) and optional per-vertex normals (V, 3) and UVs (V, 2)."""
    weld = weld_vertices(positions)
    welded = weld[faces]
    real = (welded[:, 0] != welded[:, 1]) & (welded[:, 1] != welded[:, 2]) & (welded[:, 2] != welded[:, 0])
    index = np.nonzero(real)[0].astype(np.uint32)
    if len(index) == 0:
        raise SceneError(f"mesh '{name}' has no face with three distinct vertices; remove it or repair it.")
    half = np.concatenate([index, index, index])
    first = np.repeat(np.arange(3, dtype=np.uint32), len(index))
    second, opposite = (first + 1) % 3, (first + 2) % 3
    a, b = welded[half, first], welded[half, second]
    flip = a > b
    key = np.stack([np.minimum(a, b), np.maximum(a, b)], 1)
    start, end = np.where(flip, second, first), np.where(flip, first, second)
    order = np.lexsort((half, key[:, 1], key[:, 0]))
    key, half, start, end, opposite = key[order], half[order], start[order], end[order], opposite[order]
    new = np.r_[True, (key[1:] != key[:-1]).any(1)]
    begin = np.nonzero(new)[0]
    count = np.diff(np.r_[begin, len(key)])
    if (count > 2).any():
        raise SceneError(
            f"mesh '{name}' has {int((count > 2).sum())} edges shared by more than two faces. Geometry gradients need a "
            "manifold mesh: split it there or repair it, or use boundary='none' for the interior part alone."
        )
    paired = count == 2
    other = begin + paired  # index of the second half edge, or of the first again
    edge_faces = np.stack([half[begin], np.where(paired, half[other], NO_FACE)], 1).astype(np.uint32)
    corners = np.stack([np.stack([start[k], end[k], opposite[k]], 1) for k in (begin, other)], axis=1).astype(np.uint32)
    jump = np.zeros(len(begin), bool)
    for values, tolerance in ((normals, 1e-4), (texcoords, 1e-6)):
        if values is not None:
            jump |= _differs(values, faces, edge_faces, corners, paired, tolerance)
    if face_attributes:
        jump[:] = True
    return Topology(edge_faces, corners, jump, normals is None, weld)


def _differs(
    values: NDArray[np.float32], faces: NDArray[np.uint32], edge_faces: NDArray[np.uint32],
    corners: NDArray[np.uint32], paired: NDArray[np.bool_], tolerance: float,
) -> NDArray[np.bool_]:  # fmt: skip
    """Where a per-vertex quantity differs between the two faces of an edge."""
    safe = np.where(edge_faces == NO_FACE, edge_faces[:, :1], edge_faces)
    result = np.zeros(len(edge_faces), bool)
    for end in (0, 1):
        first = values[faces[safe[:, 0], corners[:, 0, end]]]
        second = values[faces[safe[:, 1], corners[:, 1, end]]]
        result |= paired & (np.abs(first - second).max(1) > tolerance)
    return result


def of_mesh(mesh: Any) -> Topology:
    """Topology of a Mitsuba mesh."""
    faces = np.array(mesh.faces_buffer(), dtype=np.uint32).reshape(-1, 3)
    positions = np.array(dr.detach(mesh.vertex_positions_buffer()), dtype=np.float32).reshape(-1, 3)
    smooth = mesh.has_vertex_normals() and not mesh.has_face_normals()
    normals = texcoords = None
    if smooth:
        normals = np.array(dr.detach(mesh.vertex_normals_buffer()), dtype=np.float32).reshape(-1, 3)
    if mesh.has_vertex_texcoords():
        texcoords = np.array(dr.detach(mesh.vertex_texcoords_buffer()), dtype=np.float32).reshape(-1, 2)
    face_attributes = any(name.startswith("face_") for name in traverse(mesh).keys())
    return build(faces, positions, normals, texcoords, face_attributes, mesh.id() or "unnamed")
