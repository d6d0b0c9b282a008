"""Rows of the edge table for pieces of borders that lie on each other in one mesh (junctions.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.geometry.edges import Pairs
from pbdr.geometry.junctions import Junctions
from pbdr.geometry.topology import NO_FACE
from pbdr.parameters import traverse

WEDGE = 2.0  # sign of pieces that count as seen from one wedge only: that of curves in which surfaces pass through each other is 1
SHOWN = ("vertex_texcoords", "vertex_normals")  # what may differ between two faces in one plane


@dataclass
class Joined:
    """Pieces of borders of a mesh on the device. `corners`: vertices of either face; `weights`: barycentric coordinates of start
    and end in either face; `near`: how far apart the faces may be."""

    count: int
    face: tuple[Any, Any]
    corners: list[list[Any]]
    opposite: list[Any]
    weights: list[list[list[Any]]]
    inward: list[Any]
    sign: Any
    jump: bool
    near: float

    @staticmethod
    def of(mesh: Any, triangles: Any, pieces: Junctions) -> Joined:
        """Of the pieces of a mesh with these triangles (F, 3)."""
        shown = traverse(mesh).keys()
        jump = any(name in SHOWN or name.startswith(("vertex_", "face_")) for name in shown if "positions" not in name)
        both = np.where(pieces.face == NO_FACE, pieces.face[:, :1], pieces.face)
        rows = np.arange(len(both))
        inward = []
        for k in (0, 1):
            into = -pieces.at[:, k].mean(1)
            into[rows, pieces.opposite[:, k]] += 1
            inward.append(mi.Vector2f(aligned(into[:, 1]), aligned(into[:, 2])))
        number = lambda values: mi.UInt32(aligned(values, np.uint32))  # noqa: E731
        made = Joined(
            len(both), (number(pieces.face[:, 0]), number(pieces.face[:, 1])),
            [[number(triangles[both[:, k], c]) for c in range(3)] for k in (0, 1)],
            [number(triangles[both[:, k], pieces.opposite[:, k]]) for k in (0, 1)],
            [[[mi.Float(aligned(pieces.at[:, k, end, c])) for c in range(3)] for end in (0, 1)] for k in (0, 1)],
            inward, mi.Float(aligned(np.where(pieces.wedge, WEDGE, 0.0))), jump, float(pieces.near.max()),
        )  # fmt: skip
        dr.eval(made.corners, made.opposite, made.weights, made.inward, made.sign, made.face)
        return made

    def ends(self, mesh: Any, frame: Any) -> list[list[Any]]:
        """Start and end of the pieces on either face, in the world."""
        positions = dr.detach(mesh.vertex_positions_buffer())
        found = []
        for corners, weights in zip(self.corners, self.weights, strict=True):
            vertex = [dr.gather(mi.Point3f, positions, corner) for corner in corners]
            points = [mi.Point3f(sum(w * x for w, x in zip(end, vertex, strict=True))) for end in weights]
            found.append([point if frame is None else mi.Point3f(frame @ point) for point in points])
        return found

    def spread(self, mesh: Any) -> float:
        """How far apart the two faces of a piece are by now."""
        return float(dr.max(_gap(self.ends(mesh, None)))[0])

    def rows(self, placed: Any, paired: int) -> tuple[dict[str, Any], Pairs]:
        """Rows of the table for a mesh that is `placed` in the scene, and their faces; `paired` in place of corners."""
        mesh, frame, n = placed.shape, placed.frame, self.count
        ends = self.ends(mesh, frame)
        start, along = ends[0][0], mi.Vector3f(ends[0][1] - ends[0][0])
        second = self.face[1] != NO_FACE
        positions = dr.detach(mesh.vertex_positions_buffer())
        into = []
        for opposite in self.opposite:
            point = dr.gather(mi.Point3f, positions, opposite)
            offset = (point if frame is None else mi.Point3f(frame @ point)) - start
            into.append(mi.Vector3f(offset - along * (dr.dot(offset, along) / dr.squared_norm(along))))
        normals = dr.normalize(dr.cross(along, into[0])), dr.normalize(dr.cross(along, -into[1]))
        bends = dr.squared_norm(normals[0] - normals[1]) > 1e-10
        sign = self.sign
        if frame is not None and float(dr.det(mi.Matrix3f(frame.matrix))[0]) < 0:
            sign = -sign  # turning about the edge goes the other way round
        same = lambda value: dr.full(mi.UInt32, value, n)  # noqa: E731
        rows = {
            "a": start, "b": along, "c": into[0], "d": dr.select(second, into[1], mi.Vector3f(0)),
            "sign": dr.select(sign < 0, 0, sign), "face0": self.face[0], "face1": self.face[1], "corners0": same(paired),
            "corners1": same(paired), "jump": bends | self.jump, "gap": _gap(ends),
        }  # fmt: skip
        place = lambda end: tuple(mi.Point2f(w[end][1], w[end][2]) for w in self.weights)  # noqa: E731
        index, member = same(placed.index), same(placed.member)
        inward = self.inward[0], self.inward[1]
        return rows, Pairs(n, (index, index), (member, member), place(0), place(1), inward)


def _gap(ends: list[list[Any]]) -> Any:
    return dr.maximum(dr.norm(ends[0][0] - ends[1][0]), dr.norm(ends[0][1] - ends[1][1]))
