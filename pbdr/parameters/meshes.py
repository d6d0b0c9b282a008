"""Triangle meshes as maps, priors and guards see them: faces, vertices that are one, edges, neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.aligned import aligned
from pbdr.parameters.names import Parameter, traverse
from pbdr.parameters.values import read

Array = NDArray[Any]
Index = NDArray[np.int64]


#: Cosine of the angle between normals that are meant to be the same.
ALIKE = 0.999


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh whose coinciding vertices are one.

    positions  (V, 3) of the welded vertices, float64, in scene units
    faces      (F, 3) indices of them; faces that have lost a corner by welding are left out
    vertex     (N,) the welded vertex of every vertex of the mesh
    first      (V,) the first vertex of the mesh at every welded one
    """

    positions: Array
    faces: Index
    vertex: Index
    first: Index
    _device: dict[str, Any] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(positions: Array, faces: Array) -> Surface:
        """Weld a mesh: vertices (N, 3) at exactly the same position are one, as copies along seams of files are."""
        given = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
        _, first, vertex = np.unique(given, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)  # in the order of the mesh, so that a mesh without copies stays as it is
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        vertex = place[vertex.reshape(-1)]
        welded = vertex[np.asarray(faces, dtype=np.int64).reshape(-1, 3)]
        whole = (welded != np.roll(welded, 1, axis=1)).all(axis=1)
        return Surface(given[first[order]], welded[whole], vertex, first[order])

    @cached_property
    def _ends(self) -> tuple[Index, Index]:
        """(edges (E, 2) with the lower vertex first, number of faces at each)."""
        edges, count = np.unique(_sorted_ends(self.faces), axis=0, return_counts=True)
        return edges, count

    @property
    def edges(self) -> Index:
        """(E, 2) ends of every edge, the lower vertex first."""
        return self._ends[0]

    @property
    def border(self) -> Index:
        """Vertices on edges that one face alone has, in increasing order."""
        edges, count = self._ends
        return np.unique(edges[count == 1])

    @property
    def branches(self) -> bool:
        """Whether an edge has more than two faces."""
        return bool((self._ends[1] > 2).any())

    @cached_property
    def pairs(self) -> Index:
        """(P, 2) faces that share an edge; an edge of more than two faces gives its first two."""
        ends = _sorted_ends(self.faces)
        key = ends[:, 0] * len(self.positions) + ends[:, 1]
        order = np.argsort(key, kind="stable")
        key, face = key[order], order // 3
        start = np.r_[True, key[1:] != key[:-1]]
        second = np.flatnonzero(np.r_[False, start[:-1]] & ~start)
        return np.stack([face[second - 1], face[second]], axis=1)

    @property
    def size(self) -> float:
        """Longest side of the bounding box, in scene units."""
        return float(np.ptp(self.positions, axis=0).max())

    @property
    def edge_length(self) -> float:
        """Mean length of the edges, in scene units."""
        ends = self.positions[self.edges]
        return float(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).mean())

    @cached_property
    def normals(self) -> Array:
        """(V, 3) unit normals of the vertices: of the faces around, weighted by their areas; 0 where these cancel."""
        total = np.zeros_like(self.positions)
        for corner in range(3):
            np.add.at(total, self.faces[:, corner], face_normals(self.positions, self.faces))
        length = np.linalg.norm(total, axis=1, keepdims=True)
        return np.asarray(total / np.where(length > 0, length, 1))

    def device(self, name: str) -> list[Any]:
        """Return the columns of `faces`, `edges`, `pairs` or `first` as index arrays of the device; made once."""
        if name not in self._device:
            columns = np.atleast_2d(getattr(self, name).T)
            self._device[name] = [mi.UInt32(aligned(column, np.uint32)) for column in columns]
        return list(self._device[name])


@dataclass(frozen=True, eq=False)
class Triangles:
    """A mesh in place of the scene's own: positions (V, 3) float32 in scene units, faces (F, 3) uint32."""

    positions: Array
    faces: Array

    @staticmethod
    def of(scene: Any, parameter: Parameter) -> Triangles:
        """What the scene has now."""
        params = traverse(scene)
        faces = np.array(params[faces_key(parameter.raw)], np.uint32).reshape(-1, 3)
        return Triangles(np.array(params[parameter.raw], np.float32).reshape(-1, 3), faces)

    def install(self, scene: Any, parameter: Parameter) -> None:
        """Give the scene this mesh; interpolated normals follow."""
        params = traverse(scene)
        params[parameter.raw] = mi.Float(aligned(self.positions.reshape(-1)))
        params[faces_key(parameter.raw)] = mi.UInt32(aligned(self.faces.reshape(-1), np.uint32))
        params.update()


def fixed_faces(scene: Any, parameter: Parameter) -> str:
    """Return why the mesh whose positions `parameter` is cannot have other faces; "" if it can."""
    params = traverse(scene)
    prefix = parameter.raw.rsplit(".", 1)[0] + "."
    own = ("vertex_positions", "vertex_normals")
    more = [k.removeprefix(prefix) for k in params.keys() if k.startswith((prefix + "vertex_", prefix + "face_"))]
    more = [name for name in more if name not in own and len(params[prefix + name])]
    if more:
        return f"its {', '.join(more)} belong to the vertices or faces that it has; leave remesh out, or take a mesh without"
    if params.properties[parameter.raw][2].class_name() in ("Rectangle", "Cube"):
        return "the shape is no mesh of a file; leave remesh out"
    if surface_of(scene, parameter).branches:
        return "edges with more than two faces cannot be remeshed; leave remesh out"
    return ""


def smooth_copies(scene: Any, parameter: Parameter, surface: Surface) -> int:
    """Return how many vertices are copies that share an interpolated normal with the first one at their position.

    Mitsuba computes normals for each copy, of the faces that have it: once positions move, the seam between copies shows.
    """
    params = traverse(scene)
    key = parameter.raw.rsplit(".", 1)[0] + ".vertex_normals"
    normals = np.array(params[key], np.float64).reshape(-1, 3) if key in params else np.zeros((0, 3))
    if len(normals) != len(surface.vertex):
        return 0
    first = surface.first[surface.vertex]
    same = np.sum(normals * normals[first], axis=1) > ALIKE
    return int((same & (first != np.arange(len(first)))).sum())


def surface_of(scene: Any, parameter: Parameter) -> Surface:
    """Return the mesh whose positions `parameter` is, as it is in the scene now."""
    params = traverse(scene)
    return Surface.of(read(scene, parameter, params), np.array(params[faces_key(parameter.raw)]))


def faces_key(raw: str) -> str:
    """Mitsuba's key of the faces that belong to the positions `raw`."""
    return raw.rsplit(".", 1)[0] + ".faces"


def face_normals(positions: Array, faces: Index) -> Array:
    """(F, 3) normals with the length of twice the area of each face."""
    a, b, c = (positions[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def _sorted_ends(faces: Index) -> Index:
    """(3 F, 2) ends of the edges of all faces, face by face, the lower vertex first."""
    return np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
