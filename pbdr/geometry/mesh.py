"""Meshes, with rectangles and cubes: edges between faces, open borders, edges of many sheets, borders that lie on each other."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.geometry import doubled, mesh_rows, seams, surfaces, topology, vertex_normals
from pbdr.geometry.edges import NO_MEMBER, NO_PAIR, columns, joined_columns
from pbdr.geometry.intersections import Solid
from pbdr.geometry.kind import Form, Inside, Joints, Kind, Part
from pbdr.geometry.known import Known
from pbdr.geometry.placed import Kept, Placed
from pbdr.geometry.topology import NO_FACE
from pbdr.geometry.view import Curve, View
from pbdr.parameters import own_entries

#: An edge of a mesh. `sign`: 0, or positive where the row counts only as seen from the wedge between the first and the second face,
#: turning about b; of rows with pairs: THROUGH for curves in which two meshes pass through each other.
SEGMENT = Form("segment", straight=True, fixed=True)
THROUGH = 1.0


class Mesh(Kind):
    """Triangles. All meshes of all scenes have one object: it knows nothing of them."""

    name = "meshes"
    plugins = ()
    forms = (SEGMENT,)
    grouped = triangles = replayed = True

    @classmethod
    def matches(cls, shape: Any) -> bool:
        """All that Mitsuba takes for a mesh."""
        return bool(shape.is_mesh())

    @classmethod
    def of(cls, scene: Any) -> Mesh:
        """The same object always: what is recorded (`dr.freeze`) compares it."""
        return MESH

    @staticmethod
    def known(placed: Placed, kept: Kept) -> Known:
        """Topology of a mesh, kept as long as it holds."""
        mesh = placed.shape
        return kept.get(placed.key, lambda known: known.holds(mesh), lambda: Known.of(mesh, mesh_rows.known_rows))

    # ------------------------------------------------------------------ rows of the table

    def rows(self, placed: Placed, kept: Kept) -> list[Part]:
        """Edges of one or two faces and wedges of those with more; apart from these, pieces of borders that lie on each other."""
        known = self.known(placed, kept)
        edges = self._edges(placed, known)
        if known.joined is None:
            return edges
        rows, pairs = known.joined.rows(placed, mesh_rows.PAIRED)
        return [*edges, Part(self._filled(placed, rows), self.forms, True, pairs)]

    def made_of(self, placed: Placed) -> list[Any]:
        """What Mitsuba shows of the mesh, its material and light, and where an instance shows it."""
        mesh = placed.shape
        pose = [] if placed.frame is None else [placed.outer().tobytes()]
        flags = [mesh.has_face_normals(), mesh.has_vertex_normals(), mesh.has_vertex_texcoords()]
        values = [value.matrix if "Transform" in type(value).__name__ else value for _, value in own_entries(mesh)]
        return [mesh, mesh.bsdf(), mesh.emitter(), *flags, *pose, *map(dr.detach, values)]

    def _filled(self, placed: Placed, rows: dict[str, Any]) -> dict[str, Any]:
        count = dr.width(rows["face0"])
        return columns(placed, {"form": dr.full(mi.UInt32, SEGMENT.code, count), **rows})

    def _edges(self, placed: Placed, known: Known) -> list[Part]:
        """Empty if all borders meet at T-junctions."""
        mesh, frame = placed.shape, placed.frame
        positions = dr.detach(mesh.vertex_positions_buffer())
        parts = []
        if len(known.topology.faces):
            seam = seams.jumps(mesh, known.rows, positions, known.split is not None)
            normals = dr.detach(mesh.vertex_normals_buffer()) if vertex_normals.interpolates_normals(mesh) else None
            jump = known.rows["jump"] | seam
            parts.append(mesh_rows.edge_rows(known.rows, positions, frame, jump, known.rough, normals))
        if known.topology.fans is not None:
            points = np.array(positions, dtype=np.float64).reshape(-1, 3)
            corners = np.array(mesh.faces_buffer()).reshape(-1, 3)
            faces, turns, wedge = topology.wedges(known.topology.fans, corners, points)
            mirrored = frame is not None and float(dr.det(mi.Matrix3f(frame.matrix))[0]) < 0
            if mirrored:  # turning about the edge goes the other way round
                swap = wedge[:, None]
                faces, turns = np.where(swap, faces[:, ::-1], faces), np.where(swap[..., None], turns[:, ::-1], turns)
            jump = dr.full(mi.Bool, True, len(faces))
            rows = mesh_rows.vertex_rows(mesh, faces, turns)
            parts.append(
                mesh_rows.edge_rows(rows, positions, frame, jump, known.rough) | {"sign": mi.Float(aligned(wedge))}
            )
        if not parts:
            return []
        found = [self._filled(placed, part) for part in parts]
        wedges = known.topology.fans is not None
        return [Part(joined_columns(found) if len(found) > 1 else found[0], self.forms, wedges)]

    def curve(self, row: Any, view: View, u: Any, here: Any) -> Curve:
        """From a along b, whatever the view."""
        return Curve(
            mi.Point3f(row.a + u * row.b), mi.Vector3f(row.b), mi.Vector3f(row.c), mi.Vector3f(row.d),
            here & (row.face[1] != NO_FACE), wedge=here & (row.sign > 0) if row.layout.wedges else None,
        )  # fmt: skip

    def refuse(self, placed: Placed, kept: Kept) -> None:
        """Faces on each other that look different."""
        doubled.refuse(placed.shape, self.known(placed, kept).topology)

    # ------------------------------------------------------------------ motion and hits

    def moved(self, scene: Any, edge: Any, which: Any, here: Any) -> Any:
        """The material point of the face."""
        hit, ray = surfaces.beside(scene, edge, which, 0.0, here)
        return surfaces.material_point(hit, ray, here)

    def joints(self, row: Any) -> Joints | None:
        """Two meshes that pass through each other, each with a face of its own; T-junctions, whose faces may be nearly coplanar."""
        if row.pairs is None:
            return None
        paired = (row.pair != NO_PAIR) & (row.face[1] != NO_FACE)
        return Joints(paired & (row.sign == THROUGH), paired & (row.sign != THROUGH))

    def inside(self, edge: Any, which: Any, inward: Any, active: Any) -> Inside:
        """From the edge towards the opposite corner of the face."""
        row = edge.row
        packed = dr.select(which == 0, row.corners[0], row.corners[1])
        start, end, opposite = packed & 3, (packed >> 2) & 3, packed >> 4
        weights = [
            dr.select(start == k, (1 - edge.u) * (1 - inward), 0)
            + dr.select(end == k, edge.u * (1 - inward), 0)
            + dr.select(opposite == k, mi.Float(inward), 0)
            for k in range(3)
        ]
        uv = mi.Point2f(weights[1], weights[2])
        if row.pairs is None:
            return Inside(uv)
        paired = active & (row.pair != NO_PAIR)
        shape, member, other = row.pairs.of(which, row.pair, edge.u, inward, paired)
        return Inside(
            dr.select(paired, other, uv), dr.select(paired, shape, row.shape),
            None if row.member is None else dr.select(paired, member, row.member),
        )  # fmt: skip

    # ------------------------------------------------------------------ on the host

    def state(self, placed: Placed) -> list[Any]:
        """Positions, faces, and where an instance shows them."""
        pose = [] if placed.frame is None else [placed.outer().tobytes()]
        mesh = placed.shape
        return [dr.detach(mesh.vertex_positions_buffer()), dr.detach(mesh.faces_buffer()), *pose]

    def solid(self, placed: Placed, kept: Kept | None) -> Solid:
        """The mesh; without `kept`, copies of a vertex stay apart."""
        positions = np.array(dr.detach(placed.shape.vertex_positions_buffer()), dtype=np.float64).reshape(-1, 3)
        if placed.frame is not None:
            matrix = placed.outer()
            positions = positions @ matrix[:3, :3].T + matrix[:3, 3]
        faces = np.array(placed.shape.faces_buffer()).reshape(-1, 3)
        return Solid(faces if kept is None else self.known(placed, kept).topology.weld[faces], positions)

    def unwarped(self, shape: Any) -> str:
        """Horizons of interpolated normals are no edges."""
        if vertex_normals.interpolates_normals(shape) and vertex_normals.shades_smoothly(shape):
            return "interpolates its normals: the horizons of its shading are no edges. Give it face_normals."
        return ""


MESH = Mesh()


def topology_of(shape: Any, index: int, kept: Kept) -> Known:
    """What is known of a mesh that stands in the scene itself."""
    return Mesh.known(Placed(shape, index, NO_MEMBER, None, MESH), kept)
