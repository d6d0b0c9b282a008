"""How edge points move: x_B(θ), attached."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.boundary import segment, sides
from pbdr.geometry import curves, grid_edges, grids, groups, poses, surfaces
from pbdr.geometry.edges import CREASE, NO_PAIR
from pbdr.geometry.topology import NO_FACE
from pbdr.parameters import traverse

NOT_MOVING = 0xFFFFFFFF
FLAT = 0.01  # sine of the angle between two faces in contact below which they do not meet in a line


class Motion:
    """x_B(θ): the attached position of edge points, for mesh edges and analytic shapes alike."""

    def __init__(self, scene: Any, features: Any, slot: Any) -> None:
        """`slot` from `slots`."""
        self.scene, self.slot = scene, slot
        analytic = self._analytic(scene, features.moving_shapes)
        self.matrices = [traverse(scene.shapes()[i])["to_world"].matrix for i in analytic]
        self.strands, self.grids = features.strands, features.grids

    @staticmethod
    def _analytic(scene: Any, moving: frozenset[int]) -> list[int]:
        shapes = scene.shapes()
        own = (groups.is_instance, curves.is_curve, grids.is_grid)  # shapes whose points move in their own way
        return [i for i in sorted(moving) if not (shapes[i].is_mesh() or any(test(shapes[i]) for test in own))]

    @staticmethod
    def slots(scene: Any, moving: frozenset[int]) -> Any:
        """Number of every shape among the moving ones that have no vertices; None if there is none of these."""
        analytic = Motion._analytic(scene, moving)
        if not analytic:
            return None
        slot = np.full(len(scene.shapes()), NOT_MOVING, np.uint32)
        slot[analytic] = np.arange(len(analytic))
        return mi.UInt32(aligned(slot, np.uint32))

    def position(self, edge: segment.Edge, active: Any) -> Any:
        """Attached x_B: the visible face's material point (its normal motion is the silhouette's for round shapes)."""
        is_mesh = edge.row.corners[0] != 0
        hit, ray = sides.mesh_hit(self.scene, edge, edge.front, 0.0, active & is_mesh)
        with curves.at_rest(self.strands):
            result = dr.select(is_mesh, surfaces.material_point(hit, ray, active & is_mesh), edge.point)
        if self.strands is not None:
            result = dr.select(edge.row.strand, self._on_strand(self.strands, edge, active & edge.row.strand), result)
        if self.grids is not None:
            result = dr.select(edge.row.voxel, grid_edges.moved(self.grids, edge.row, edge.point, active), result)
        if edge.row.pairs is not None:
            paired = active & (edge.row.pair != NO_PAIR) & (edge.row.face[1] != NO_FACE)
            hit, ray = sides.mesh_hit(self.scene, edge, mi.UInt32(1), 0.0, paired)
            with curves.at_rest(self.strands):
                other = surfaces.material_point(hit, ray, paired)
            # At a T-junction both faces have the edge; its faces may be nearly coplanar.
            both = dr.select(edge.crease, 0.5 * (result + other), result)
            through = paired & (edge.row.sign == 1)
            result = dr.select(
                paired,
                dr.select(through, segment.meeting(edge.point, edge.tangent, *_normals(edge), result, other), both),
                result,
            )
        if self.matrices:
            # Joined anew each time: a backward pass clears the edges behind what it has visited, so that a second term that
            # shares these nodes would lose its derivative.
            with dr.resume_grad():
                entries = [[dr.concat([m[i, j] for m in self.matrices]) for j in range(4)] for i in range(3)]
            slot = dr.gather(mi.UInt32, self.slot, edge.row.shape, active)
            chosen = active & (slot != NOT_MOVING)
            rows = [[dr.gather(mi.Float, entry, slot, chosen) for entry in row] for row in entries]
            column = [mi.Vector3f(rows[0][j], rows[1][j], rows[2][j]) for j in range(4)]
            local = poses.solve(
                dr.detach(column[0]), dr.detach(column[1]), dr.detach(column[2]), edge.point - dr.detach(column[3])
            )
            result = dr.select(
                chosen, column[0] * local.x + column[1] * local.y + column[2] * local.z + column[3], result
            )
        if edge.contact is not None:
            result = self._in_contact(edge, edge.contact, result)
        return dr.replace_grad(edge.point, result)

    def _in_contact(self, edge: segment.Edge, contact: segment.Contact, result: Any) -> Any:
        """Where the visible face and the shape that it touches meet: lifted off, their images would not meet at all."""
        hit, ray = contact.hit, contact.ray
        with curves.at_rest(self.strands):
            si = hit.compute_surface_interaction(ray, mi.RayFlags.Minimal | mi.RayFlags.FollowShape, contact.touching)
        faces = _normals(edge)
        face = dr.select(edge.front == 0, faces[0], faces[1])
        ground = dr.detach(si.n)
        crosses = contact.touching & (dr.abs(dr.dot(edge.tangent, dr.cross(face, ground))) > FLAT)
        met = dr.replace_grad(edge.point, si.p)
        return dr.select(crosses, segment.meeting(edge.point, edge.tangent, face, ground, result, met), result)

    def _on_strand(self, strands: curves.Strands, edge: segment.Edge, active: Any) -> Any:
        """Material points of curve shapes; on creases, of the curve in which the two cones meet."""
        points = []
        for which in (0, 1):
            lanes = active & ((edge.row.kind == CREASE) | (which == 0))
            hit, ray = sides.mesh_hit(self.scene, edge, mi.UInt32(which), 0.0, lanes)
            points.append(strands.moved(surfaces.follow_material, hit, ray, lanes, True).p)
        return dr.select(
            edge.row.kind == CREASE, segment.meeting(edge.point, edge.tangent, *_normals(edge), *points), points[0]
        )


def _normals(edge: segment.Edge) -> tuple[Any, Any]:
    """Unit normals of both faces, orthogonal to the edge."""
    first, second = (dr.normalize(dr.cross(edge.tangent, into)) for into in edge.into)
    return first, second
