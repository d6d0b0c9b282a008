"""Position-welded edges of one mesh, on the host (docs/theory.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import SceneError
from pbdr.geometry import weld as welds

NO_FACE = 0xFFFFFFFF
FLAT_ANGLE = 1e-4  # radians: faces of a fan that are closer count as one sheet

SLIVER = 1e-6  # height over longest side below which a face has no area in single precision

Index = NDArray[np.uint32]


@dataclass(frozen=True)
class Fans:
    """Edges that more than two faces share: one entry a face, entries of an edge next to each other.

    group: (K,) number of the edge; face: (K,); corners: (K, 3) as in `Topology`.
    """

    group: Index
    face: Index
    corners: Index


@dataclass(frozen=True)
class Topology:
    """Edges of a mesh whose copies of a vertex (UV seams, face normals) count as one.

    faces: (E, 2) adjacent faces, NO_FACE where open; corners: (E, 2, 3) corner numbers in each face of the edge's start, its
    end and the opposite vertex; jump: (E,) the faces have opposite windings, so that one may be seen from its back (for what else
    jumps, see seams.py); weld: (V,) representative of every vertex; doubled: (P, 2) pairs of faces with the same vertices, the
    first of which is the one that edges know; fans: edges of more than two faces, apart.
    """

    faces: Index
    corners: Index
    jump: NDArray[np.bool_]
    weld: Index
    doubled: Index
    fans: Fans | None = None


def distinct_faces(welded: Index) -> tuple[Index, Index]:
    """Faces with three distinct vertices, one of each set of duplicates, (N,), and pairs (P, 2) of one of these and a duplicate.

    welded: (F, 3).
    """
    real = (welded[:, 0] != welded[:, 1]) & (welded[:, 1] != welded[:, 2]) & (welded[:, 2] != welded[:, 0])
    index = np.nonzero(real)[0]
    corners = np.sort(welded[index].astype(np.uint64), 1)
    key = corners @ np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
    _, first = np.unique(key, return_index=True)
    doubled = np.zeros((0, 2), np.uint32)
    if len(first) < len(index):
        _, first, inverse = np.unique(corners, axis=0, return_index=True, return_inverse=True)
        others = np.setdiff1d(np.arange(len(index)), first)
        doubled = index[np.stack([first[inverse.reshape(-1)[others]], others], 1)].astype(np.uint32)
        index = index[np.sort(first)]
    return index.astype(np.uint32), doubled


def flatness(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Height over longest side of triangles (N, 3, 3)."""
    sides = [corners[:, (k + 1) % 3] - corners[:, k] for k in range(3)]
    longest = np.max([np.einsum("ij,ij->i", s, s) for s in sides], axis=0)
    area = np.cross(sides[0], sides[1])
    return np.sqrt(np.einsum("ij,ij->i", area, area)) / np.maximum(longest, 1e-30)


def build(faces: Index, positions: NDArray[np.float32], name: str) -> Topology:
    """Edges of a mesh given faces (F, 3) and positions (V, 3).

    Raises SceneError for meshes without any area and for positions that are not finite.
    """
    if not np.isfinite(positions).all():
        raise SceneError(f"mesh '{name}' has vertex positions that are not finite; repair it.")
    weld = welds.vertices(positions, faces)
    welded = weld[faces]
    index, doubled = distinct_faces(welded)
    slivers = int((flatness(positions[faces[index]]) < SLIVER).sum())
    if slivers:
        raise SceneError(
            f"mesh '{name}' has {slivers} faces without area whose corners lie on a line: their neighbours meet there without "
            "sharing an edge. Remove these faces and split their neighbours, or use boundary='none' for the interior part alone."
        )
    if len(index) == 0:
        raise SceneError(f"mesh '{name}' has no face with three distinct vertices; remove it or repair it.")
    half = np.concatenate([index, index, index])
    first = np.repeat(np.arange(3, dtype=np.uint8), len(index))
    second, opposite = (first + 1) % 3, (first + 2) % 3
    a, b = welded[half, first], welded[half, second]
    flip = a > b
    key = np.minimum(a, b).astype(np.int64) * len(weld) + np.maximum(a, b)
    start, end = np.where(flip, second, first), np.where(flip, first, second)
    order = np.argsort(key, kind="stable")
    key, half, flip = key[order], half[order], flip[order]
    corners = np.stack([start[order], end[order], opposite[order]], 1).astype(np.uint8)
    begin = np.nonzero(np.r_[True, key[1:] != key[:-1]])[0]
    count = np.diff(np.r_[begin, len(key)])
    fans = None
    if (count > 2).any():
        many = np.repeat(count > 2, count)
        group = np.repeat(np.arange(len(count)), count)[many]
        fans = Fans(group.astype(np.uint32), half[many], corners[many].astype(np.uint32))
    begin, count = begin[count <= 2], count[count <= 2]
    paired = count == 2
    other = begin + paired  # index of the second half edge, or of the first again
    edge_faces = np.stack([half[begin], np.where(paired, half[other], NO_FACE)], 1).astype(np.uint32)
    edge_corners = np.stack([corners[begin], corners[other]], axis=1)
    jump = paired & (flip[begin] == flip[other])
    return Topology(edge_faces, edge_corners, jump, weld, doubled, fans)


def wedges(fans: Fans, faces: Index, positions: NDArray[np.float64]) -> tuple[Index, Index, NDArray[np.bool_]]:
    """Rows for the edges of `fans`: adjacent sheets in pairs, as the faces (F, 3) lie around the edge now.

    A line of sight to the edge comes from one of the wedges between its sheets: only the two sheets that bound it can be
    seen. Returns (faces (R, 2), corners (R, 2, 3), wedge (R,): the row counts only as seen from the wedge that lies
    between its first and its second face, turning about the edge). Sheets on top of each other count as one.
    """
    vertex = positions[faces[fans.face[:, None], fans.corners]]  # (K, 3 corners, 3)
    return _wedge_rows(fans.group, *sheets(vertex), fans.face, fans.corners)


def sheets(vertex: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(unit edge direction, offset into the face orthogonal to it), each (K, 3), of faces given as start, end, opposite."""
    along = vertex[:, 1] - vertex[:, 0]
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)
    into = vertex[:, 2] - vertex[:, 0]
    return along, into - along * np.einsum("ij,ij->i", into, along)[:, None]


def _wedge_rows(
    group: Index, along: NDArray[np.float64], into: NDArray[np.float64], face: Index, corners: Index
) -> tuple[Index, Index, NDArray[np.bool_]]:
    order, follow, number = around(group, along, into)
    single, pair = number == 1, number == 2
    leader = np.r_[True, group[order][1:] != group[order][:-1]]
    keep = (number > 2) | leader  # one row for one or two sheets, one a wedge for more
    second = order[follow]
    first, second, single, fan = order[keep], second[keep], single[keep], ~(single | pair)[keep]
    rows = np.stack([face[first], np.where(single, NO_FACE, face[second])], 1).astype(np.uint32)
    return rows, np.stack([corners[first], corners[second]], 1), fan


def around(
    group: NDArray[Any], along: NDArray[np.float64], into: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct sheets of every group by their angle about its edge.

    Entries of a group are next to each other and share `along`. Returns (entries (N,), for each the position in that list of
    the next sheet, cyclic (N,), number of sheets of its group (N,)).
    """
    leader = np.searchsorted(group, group)
    reference, axis = into[leader], along[leader]
    side = np.cross(reference, into)
    angle = np.arctan2(np.einsum("ij,ij->i", axis, side), np.einsum("ij,ij->i", reference, into)) % (2 * np.pi)
    angle[angle > 2 * np.pi - FLAT_ANGLE] = 0
    order = np.lexsort((angle, group))
    new = np.r_[True, (group[order][1:] != group[order][:-1]) | (np.diff(angle[order]) > FLAT_ANGLE)]
    order = order[new]
    begin = np.nonzero(np.r_[True, group[order][1:] != group[order][:-1]])[0]
    number = np.diff(np.r_[begin, len(order)])
    follow = np.arange(1, len(order) + 1)
    follow[begin + number - 1] = begin
    return order, follow, np.repeat(number, number)


def on_host(mesh: Any) -> tuple[Index, NDArray[np.float32]]:
    """Faces (F, 3) and detached positions (V, 3) of a Mitsuba mesh."""
    faces = np.array(mesh.faces_buffer(), dtype=np.uint32).reshape(-1, 3)
    return faces, np.array(dr.detach(mesh.vertex_positions_buffer()), dtype=np.float32).reshape(-1, 3)


def of_mesh(mesh: Any) -> Topology:
    """Topology of a Mitsuba mesh."""
    faces, positions = on_host(mesh)
    return build(faces, positions, mesh.id() or "unnamed")
