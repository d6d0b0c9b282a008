"""How edge points move: x_B(θ), attached."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.boundary import segment
from pbdr.geometry import poses, registry, surfaces
from pbdr.geometry.kind import Joints, Kind
from pbdr.parameters import traverse

NOT_MOVING = 0xFFFFFFFF
FLAT = 0.01  # sine of the angle between two faces in contact below which they do not meet in a line


class Motion:
    """x_B(θ): the attached position of edge points, whatever kind of geometry they belong to."""

    def __init__(self, scene: Any, features: Any, slot: Any) -> None:
        """`slot` from `slots`."""
        self.scene, self.slot, self.kinds = scene, slot, features.kinds
        posed = self._posed(scene, features.moving_shapes)
        self.matrices = [traverse(scene.shapes()[i])["to_world"].matrix for i in posed]

    @staticmethod
    def _posed(scene: Any, moving: frozenset[int]) -> list[int]:
        kinds = {i: registry.kind_of(scene.shapes()[i]) for i in sorted(moving)}
        return [i for i, kind in kinds.items() if kind is not None and kind.follows_pose]

    @staticmethod
    def slots(scene: Any, moving: frozenset[int]) -> Any:
        """Number of every shape among the moving ones whose points follow its pose; None if there is none of these."""
        posed = Motion._posed(scene, moving)
        if not posed:
            return None
        slot = np.full(len(scene.shapes()), NOT_MOVING, np.uint32)
        slot[posed] = np.arange(len(posed))
        return mi.UInt32(aligned(slot, np.uint32))

    def position(self, edge: segment.Edge, active: Any) -> Any:
        """Attached x_B: the visible face's material point (its normal motion is the silhouette's for round shapes)."""
        result = edge.point
        for kind in edge.row.layout.kinds:
            if type(kind).moved is not Kind.moved:
                result = self._of_kind(kind, edge, active, result)
        if self.matrices:
            result = self._posed_point(edge, active, result)
        if edge.contact is not None:
            result = self._in_contact(edge, edge.contact, result)
        return dr.replace_grad(edge.point, result)

    def _of_kind(self, kind: Kind, edge: segment.Edge, active: Any, result: Any) -> Any:
        """`result` with the points of a kind that says itself how they move."""
        here = edge.row.faceted() if kind is edge.row.layout.kinds[0] else edge.row.of_kind(kind)
        joints = kind.joints(edge.row)
        which = edge.front if joints is None else dr.select(joints.meet, 0, edge.front)
        point = self._moved(kind, edge, which, active & here)
        if joints is not None:
            point = self._joined(kind, edge, joints, active & here, point)
        return dr.select(here, point, result)

    def _joined(self, kind: Kind, edge: segment.Edge, joints: Joints, active: Any, first: Any) -> Any:
        """Where both faces of a row move, each for itself."""
        lanes = active & (joints.meet | joints.shared)
        other = self._moved(kind, edge, mi.UInt32(1), lanes)
        both = dr.select(edge.crease, 0.5 * (first + other), first)
        met = segment.meeting(edge.point, edge.tangent, *_normals(edge), first, other)
        return dr.select(active & joints.meet, met, dr.select(active & joints.shared, both, first))

    def _moved(self, kind: Kind, edge: segment.Edge, which: Any, active: Any) -> Any:
        with surfaces.at_rest(other for other in self.kinds if other is not kind):
            return kind.moved(self.scene, edge, which, active)

    def _posed_point(self, edge: segment.Edge, active: Any, result: Any) -> Any:
        """`result` with the points of shapes that follow their pose."""
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
        return dr.select(chosen, column[0] * local.x + column[1] * local.y + column[2] * local.z + column[3], result)

    def _in_contact(self, edge: segment.Edge, contact: segment.Contact, result: Any) -> Any:
        """Where the visible face and the shape that it touches meet: lifted off, their images would not meet at all."""
        hit, ray = contact.hit, contact.ray
        with surfaces.at_rest(self.kinds):
            si = hit.compute_surface_interaction(ray, mi.RayFlags.Minimal | mi.RayFlags.FollowShape, contact.touching)
        faces = _normals(edge)
        face = dr.select(edge.front == 0, faces[0], faces[1])
        ground = dr.detach(si.n)
        crosses = contact.touching & (dr.abs(dr.dot(edge.tangent, dr.cross(face, ground))) > FLAT)
        met = dr.replace_grad(edge.point, si.p)
        return dr.select(crosses, segment.meeting(edge.point, edge.tangent, face, ground, result, met), result)


def _normals(edge: segment.Edge) -> tuple[Any, Any]:
    """Unit normals of both faces, orthogonal to the edge."""
    first, second = (dr.normalize(dr.cross(edge.tangent, into)) for into in edge.into)
    return first, second
