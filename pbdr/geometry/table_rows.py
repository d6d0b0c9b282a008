"""Rows of the edge table, kind by kind: meshes, curves in which they pass through each other, round shapes, curve shapes, grids."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.geometry import curve_edges, curves, edges, grid_edges, grids, intersections, poses, seams, topology
from pbdr.geometry.edges import (
    CYLINDER_LINE,
    ELLIPSE,
    NO_MEMBER,
    SEAM,
    SEGMENT,
    SPHERE,
    VOXEL,
    VOXEL_FACE,
    EdgeTable,
    Pairs,
)
from pbdr.geometry.placed import Placed
from pbdr.parameters import traverse

PAIRED = 1 << 6  # packed corners of rows whose faces are described by `Pairs`
COLUMNS = (
    "kind",
    "a",
    "b",
    "c",
    "d",
    "sign",
    "face0",
    "face1",
    "corners0",
    "corners1",
    "jump",
    "shape",
    "moving",
    "member",
)


def sheet_rows(
    placed: list[Placed], sheets: intersections.Sheets, moving: frozenset[int]
) -> tuple[dict[str, Any], Pairs]:
    """Rows for the curves in which meshes pass through each other, and the faces that meet there."""
    shape = np.array([one.index for one in placed], np.uint32)[sheets.owner]
    member = np.array([one.member for one in placed], np.uint32)[sheets.owner]
    n = len(shape)
    moves = np.isin(shape, list(moving)).any(1)
    face = sheets.face.astype(np.uint32)
    rows = {
        "kind": dr.full(mi.UInt32, SEGMENT, n), "a": column("a", sheets.start), "b": column("b", sheets.along),
        "c": column("c", sheets.into[:, 0]), "d": column("d", sheets.into[:, 1]), "sign": dr.full(mi.Float, 1, n),
        "face0": numbers(face[:, 0]), "face1": numbers(face[:, 1]),
        "corners0": dr.full(mi.UInt32, PAIRED, n), "corners1": dr.full(mi.UInt32, PAIRED, n),
        "jump": dr.full(mi.Bool, True, n), "shape": numbers(shape[:, 0]), "member": numbers(member[:, 0]),
        "moving": mi.Bool(aligned(moves, bool)), "border": False, "straight": True, "fans": True,
    }  # fmt: skip
    both = lambda kind, columns: tuple(kind(*map(aligned, columns[:, k].T)) for k in (0, 1))  # noqa: E731
    number = lambda columns: (numbers(columns[:, 0]), numbers(columns[:, 1]))  # noqa: E731
    pairs = Pairs(
        n, number(shape), number(member), both(mi.Point2f, sheets.at_start),
        both(mi.Point2f, sheets.at_end), both(mi.Vector2f, sheets.inward),
    )  # fmt: skip
    return rows, pairs


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


def edge_rows(known: dict[str, Any], positions: Any, frame: Any, jump: Any, rough: bool) -> dict[str, Any]:
    """Rows of a mesh's edges at its present vertex positions, taken to the world by `frame` if there is one.

    `jump`: where radiance may jump although the surface does not bend; `rough`: corners that count as one do not quite agree.
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
    gap = {"gap": dr.maximum(dr.norm(a - vertex("start1")), dr.norm(b - vertex("end1")))} if rough else {}
    return gap | {
        "kind": dr.full(mi.UInt32, SEGMENT, n), "a": a, "b": mi.Vector3f(b - a), "c": into0,
        "d": dr.select(known["second"], into1, mi.Vector3f(0)), "sign": dr.zeros(mi.Float, n),
        "face0": known["face0"], "face1": known["face1"], "corners0": known["corners0"], "corners1": known["corners1"],
        "jump": jump | (dr.squared_norm(n0 - n1) > 1e-10), "border": False,
        "straight": True, "fans": False,
    }  # fmt: skip


def into_face(opposite: Any, a: Any, b: Any) -> Any:
    """Direction from the edge a–b into the face with this opposite vertex, orthogonal to the edge."""
    edge = b - a
    offset = opposite - a
    length2 = dr.squared_norm(edge)
    return mi.Vector3f(offset - edge * dr.select(length2 > 0, dr.dot(offset, edge) / length2, 0))


def analytic_rows(shape: Any, kind: str) -> dict[str, Any] | None:
    """Rows of a disk, sphere or cylinder as host arrays; None for any other shape."""
    parameters = traverse(shape)
    if kind not in seams.ROUND:
        return None
    matrix = poses.on_host(parameters["to_world"].matrix)
    x, y, z, o = matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3]
    zero = np.zeros(3)
    if kind == "Disk":
        rows = [(ELLIPSE, o, x, y, zero, 0.0)]
    elif kind == "Sphere":
        rows = [(SPHERE, o, x, zero, zero, 0.0)]
    else:
        rows = [(ELLIPSE, o, x, y, z, 0.0), (ELLIPSE, o + z, x, y, -z, 0.0),
                (CYLINDER_LINE, o, z, x, zero, 1.0), (CYLINDER_LINE, o, z, x, zero, -1.0)]  # fmt: skip
    if seams.opens(shape):
        start, along = {"Disk": (o, x), "Sphere": (o, z), "Cylinder": (o + x, z)}[kind]
        rows.append((SEAM, start, along, x, y, float(kind == "Sphere")))
    names = ("kind", "a", "b", "c", "d", "sign")
    return {name: np.array([row[i] for row in rows]) for i, name in enumerate(names)}


def control_points(shape: Any) -> int:
    return dr.width(traverse(shape)["control_points"]) // 4 if curves.is_curve(shape) else 0


def strand_rows(shape: Any, index: int, control_points: int) -> dict[str, Any]:
    """Rows of a curve shape; `control_points`: how many those before it have."""
    kinds = {name: getattr(edges, name) for name in ("TUBE", "TUBE_END", "CONE_LINE", "CAP", "CREASE")}
    rows = curve_edges.rows(shape, kinds, control_points)
    n = len(rows["kind"])
    number = lambda name: numbers(rows[name])  # noqa: E731
    gap = {"gap": mi.Float(aligned(rows["gap"]))} if rows["gap"].any() else {}
    return gap | {
        **{k: column(k, rows[k]) for k in ("kind", "a", "b", "c", "d", "sign")},
        "face0": number("prim"), "face1": number("prim1"), "corners0": dr.zeros(mi.UInt32, n), "corners1": number("first"),
        "jump": dr.full(mi.Bool, True, n), "shape": dr.full(mi.UInt32, index, n), "member": dr.full(mi.UInt32, NO_MEMBER, n),
        "border": False, "straight": False, "fans": False,
    }  # fmt: skip


def voxel_rows(fields: grids.Grids, shape: Any, index: int, member: int) -> dict[str, Any]:
    """Rows of a grid of signed distances."""
    number = fields.number_of(shape, index)
    rows = grid_edges.rows(fields, number, VOXEL, VOXEL_FACE)
    n = dr.width(rows["kind"])
    nothing, zero = dr.zeros(mi.Vector3f, n), dr.zeros(mi.UInt32, n)
    same = dr.full(mi.UInt32, number, n)
    return {
        **{k: rows[k] for k in ("kind", "a", "b", "sign", "jump")}, "c": nothing, "d": nothing, "face0": same, "face1": same,
        "corners0": zero, "corners1": rows["first"], "shape": dr.full(mi.UInt32, index, n),
        "member": dr.full(mi.UInt32, member, n), "border": False, "straight": False, "fans": False,
    }  # fmt: skip


def column(name: str, values: Any) -> Any:
    """Column on the device."""
    if name == "kind":
        return numbers(values)
    if name == "sign":
        return mi.Float(aligned(values))
    kind = mi.Point3f if name == "a" else mi.Vector3f
    return kind(*[mi.Float(aligned(values[..., i])) for i in range(values.shape[-1])])


def numbers(values: Any) -> Any:
    return mi.UInt32(aligned(values, np.uint32))


def joined_columns(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Columns of several parts of the table, one after the other."""
    result: dict[str, Any] = {name: any(part.get(name, False) for part in parts) for name in ("border", "fans", "seam")}
    result["straight"] = all(part["straight"] for part in parts)
    if any("gap" in part for part in parts):
        result["gap"] = dr.concat([part.get("gap", dr.zeros(mi.Float, dr.width(part["kind"]))) for part in parts])
    for name in [n for n in COLUMNS if n in parts[0]]:
        if name in "abcd":
            kind = mi.Point3f if name == "a" else mi.Vector3f
            result[name] = kind(*[dr.concat([part[name][i] for part in parts]) for i in range(3)])
        elif name in ("jump", "moving"):
            result[name] = dr.concat([dr.select(part[name], mi.UInt32(1), 0) for part in parts]) != 0
        else:
            result[name] = dr.concat([part[name] for part in parts])
    return result


def table_of(
    parts: list[dict[str, Any]], instanced: bool, pairs: Pairs | None, points: Any, fields: grids.Grids | None
) -> EdgeTable:
    all_of = joined_columns(parts)
    dr.eval(all_of)
    return EdgeTable(
        dr.width(all_of["kind"]), all_of["kind"], all_of["a"], all_of["b"], all_of["c"], all_of["d"], all_of["sign"],
        (all_of["face0"], all_of["face1"]), (all_of["corners0"], all_of["corners1"]), all_of["jump"], all_of["shape"],
        all_of["moving"], all_of["border"], all_of["member"] if instanced else None, pairs,
        points=points, grids=fields, straight=all_of["straight"], fans=all_of["fans"], gap=all_of.get("gap"),
        has_seams=all_of["seam"],
    )  # fmt: skip
