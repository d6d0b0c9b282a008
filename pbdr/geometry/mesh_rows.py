"""Rows of the edge table for the edges of meshes: what is kept of them on the device, and what depends on vertex positions."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.geometry import topology
from pbdr.geometry.edges import numbers

#: Least part of the radiance that may jump at an edge of interpolated normals, as samples are spread: glossy materials and bright
#: lights close to the horizon of a face make it larger than `_faint` says, and none may be lost.
FAINT = 0.03
PAIRED = 1 << 6  # packed corners of rows whose faces are described by `Pairs`


def known_rows(mesh: Any, built: topology.Topology) -> dict[str, Any]:
    """What is kept of a mesh's edges on the device."""
    rows = vertex_rows(mesh, built.faces, built.corners)
    rows |= {"jump": mi.Bool(aligned(built.jump, bool)), "weld": numbers(built.weld)}
    dr.eval(rows)
    return rows


def vertex_rows(mesh: Any, faces: topology.Index, corners: topology.Index) -> dict[str, Any]:
    """Device arrays of edges (E, 2 faces), (E, 2, 3 corners): faces, packed corners, and the vertices at start, end, opposite."""
    second = faces[:, 1] != topology.NO_FACE
    both = np.where(faces == topology.NO_FACE, faces[:, :1], faces)
    triangles = np.array(mesh.faces_buffer(), dtype=np.uint32)
    at = lambda which, corner: numbers(triangles[both[:, which] * np.uint32(3) + corners[:, which, corner]])  # noqa: E731
    wide = corners.astype(np.uint32)
    packed = wide[:, :, 0] | wide[:, :, 1] << 2 | wide[:, :, 2] << 4
    return {
        "face0": numbers(faces[:, 0]), "face1": numbers(faces[:, 1]), "second": mi.Bool(aligned(second, bool)),
        "corners0": numbers(packed[:, 0]), "corners1": numbers(packed[:, 1]),
        "start": at(0, 0), "end": at(0, 1), "opposite0": at(0, 2), "opposite1": at(1, 2), "start1": at(1, 0), "end1": at(1, 1),
    }  # fmt: skip


def edge_rows(
    known: dict[str, Any], positions: Any, frame: Any, jump: Any, rough: bool, normals: Any = None
) -> dict[str, Any]:
    """Rows of a mesh's edges at its present vertex positions, taken to the world by `frame` if there is one.

    `jump`: where radiance may jump although the surface does not bend; `rough`: corners that count as one do not quite agree;
    `normals`: at the vertices, where shading interpolates them.
    """

    def vertex(name: str) -> Any:
        point = dr.gather(mi.Point3f, positions, known[name])
        return point if frame is None else mi.Point3f(frame @ point)

    a, b = vertex("start"), vertex("end")
    into0, into1 = into_face(vertex("opposite0"), a, b), into_face(vertex("opposite1"), a, b)
    # Smooth shading does not help: light below the plane of a face is shadowed by the face, whatever its vertex normals say,
    # so that radiance jumps at the edges along the terminator.
    n0, n1 = dr.normalize(dr.cross(b - a, into0)), dr.normalize(dr.cross(b - a, -into1))
    n = dr.width(known["face0"])
    faint = dr.full(mi.Float, 1, n)
    if normals is not None:
        faint = dr.select(jump | ~known["second"], 1, _faint(known, normals, frame, n0, n1))
    gap = {"gap": dr.maximum(dr.norm(a - vertex("start1")), dr.norm(b - vertex("end1")))} if rough else {}
    return gap | {
        "a": a, "b": mi.Vector3f(b - a), "c": into0,
        "d": dr.select(known["second"], into1, mi.Vector3f(0)), "sign": dr.zeros(mi.Float, n),
        "face0": known["face0"], "face1": known["face1"], "corners0": known["corners0"], "corners1": known["corners1"],
        "jump": jump | (dr.squared_norm(n0 - n1) > 1e-10), "faint": faint,
    }  # fmt: skip


def _faint(known: dict[str, Any], normals: Any, frame: Any, n0: Any, n1: Any) -> Any:
    """About how much of the radiance jumps where faces with normals `n0`, `n1` share the interpolated normals of their edge.

    Light from between the planes of both faces counts on one side alone (docs/theory.md, section 7a). It is as small as the cosine
    there, to which normals lean from those of the faces; where a light may be anywhere, a part of all edges as large as the bend
    has any: the root of the mean square is the lean times the root of the bend. The root of that is taken: too many samples on
    edges that are faint cost little, too few on those next to a bright light cost much.
    """
    lean = mi.Float(0)
    for name, face in (("start", n0), ("end", n0), ("start1", n1), ("end1", n1)):
        normal = dr.gather(mi.Normal3f, normals, known[name])
        normal = dr.normalize(normal if frame is None else mi.Normal3f(frame @ normal))
        lean = dr.maximum(lean, dr.norm(dr.cross(face, normal)))
    expected = dr.select(dr.isfinite(lean), lean, 1) * dr.sqrt(dr.norm(n0 - n1))
    return dr.clip(dr.sqrt(expected), FAINT, 1)


def into_face(opposite: Any, a: Any, b: Any) -> Any:
    """Direction from the edge a–b into the face with this opposite vertex, orthogonal to the edge."""
    edge = b - a
    offset = opposite - a
    length2 = dr.squared_norm(edge)
    return mi.Vector3f(offset - edge * dr.select(length2 > 0, dr.dot(offset, edge) / length2, 0))
