"""Topologies that are kept between calls, and whether they still hold.

What is kept here, as everywhere, names all that it was made of and is asked at every call whether that is still the same. A
topology is made of faces and positions. Where only positions have changed, it holds as long as vertices that count as one stay
together, no others have come together, no borders have come to lie on each other, and no face has lost its area.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.geometry import joined, junctions, topology, weld
from pbdr.geometry.topology import NO_FACE, Index

SPREAD = 4.0  # times the distance that copies of a corner had, up to which they still are copies


@dataclass
class Known:
    """Edges of a mesh on the host, and as index arrays on the device.

    faces, positions  Mitsuba's buffers: kept, so that their variables are not reused
    rows              what the table needs of the edges
    split             largest distance of vertices from those that they are copies of; None if none is
    rough             and do not quite agree with these
    joined            pieces of borders that meet at T-junctions
    borders           vertices (E, 3) of open borders: start, end, opposite
    flat              number of faces without area
    """

    faces: Any
    positions: Any
    topology: topology.Topology
    rows: dict[str, Any]
    split: float | None
    rough: bool
    joined: joined.Joined | None
    borders: Index
    flat: int

    @staticmethod
    def of(mesh: Any, rows: Any) -> Known:
        """Those of a mesh as it is now. `rows(mesh, topology)`: what the table needs of it."""
        built = topology.of_mesh(mesh)
        triangles, positions = topology.on_host(mesh)
        built, pieces = junctions.split(built, triangles, positions)
        found = rows(mesh, built)
        split, rough = None, bool((positions[built.weld] != positions).any())
        if (built.weld != np.arange(len(built.weld))).any():
            least = weld.ULPS * max(float(np.abs(positions).max()), float(np.ptp(positions, axis=0).max()))
            split = max(_spread(mesh, found["weld"]), least)
        together = None if pieces is None else joined.Joined.of(mesh, triangles, pieces)
        open_ = np.nonzero(built.faces[:, 1] == NO_FACE)[0]
        borders = triangles[built.faces[open_, 0][:, None], built.corners[open_, 0]]
        return Known(mesh.faces_buffer(), _positions(mesh), built, found, split, rough, together, borders, _flat(mesh))

    def holds(self, mesh: Any) -> bool:
        """Whether this is what `of` would make of the mesh now."""
        if self.faces.index != mesh.faces_buffer().index:
            return False
        positions = _positions(mesh)
        if self.positions.index == positions.index:
            return True
        if self._apart(mesh) or _flat(mesh) != self.flat or self._together(mesh):
            return False
        self.positions = positions
        return True

    def _apart(self, mesh: Any) -> bool:
        """Whether what counts as one in a mesh has moved apart."""
        if self.split is not None and not _spread(mesh, self.rows["weld"]) <= SPREAD * self.split:
            return True
        return self.joined is not None and self.joined.spread(mesh) > SPREAD * self.joined.near

    def _together(self, mesh: Any) -> bool:
        """Whether vertices have come together that did not count as one, or borders have come to lie on each other."""
        positions = np.array(_positions(mesh), dtype=np.float32).reshape(-1, 3)
        own = np.unique(self.topology.weld)
        if weld.distinct(positions[own]) < len(own):
            return True
        return junctions.meet(positions[self.borders], float(np.ptp(positions, axis=0).max()))


def _positions(mesh: Any) -> Any:
    return dr.detach(mesh.vertex_positions_buffer())


def _spread(mesh: Any, copies: Any) -> float:
    """Largest distance of a mesh's vertices from those that they are copies of."""
    positions = dr.unravel(mi.Point3f, _positions(mesh))
    return float(dr.max(dr.norm(positions - dr.gather(mi.Point3f, dr.ravel(positions), copies)))[0])


def _flat(mesh: Any) -> int:
    """Number of faces without area, and of those with corners that are not finite."""
    faces = dr.unravel(mi.Vector3u, mesh.faces_buffer())
    corner = [dr.gather(mi.Point3f, _positions(mesh), index) for index in faces]
    sides = [corner[(k + 1) % 3] - corner[k] for k in range(3)]
    longest = dr.maximum(dr.maximum(*(dr.squared_norm(side) for side in sides[:2])), dr.squared_norm(sides[2]))
    height = dr.norm(dr.cross(sides[0], sides[1]))
    return int(dr.count(~(height >= topology.SLIVER * longest) | ~dr.isfinite(longest) | (longest == 0))[0])
