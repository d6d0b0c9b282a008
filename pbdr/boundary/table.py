"""Builds the edge table of a scene from the topology of its meshes, and keeps what does not change between calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.boundary import contacts, crossings, edges, joined, seams, solids, strands, topology, voxels
from pbdr.boundary.edges import (
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
from pbdr.boundary.known import Known
from pbdr.errors import SceneError
from pbdr.parameters import traverse
from pbdr.transport import curves, grids, groups

PAIRED = 1 << 6  # packed corners of rows whose faces are described by `Pairs`
INSTEAD = "Replace it by a mesh, or use boundary='none' for the interior part alone."
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


class TableBuilder:
    """Builds the edge table; keeps between calls what still holds: topologies of meshes, where shapes pass through each other, and
    contacts."""

    def __init__(self) -> None:
        self.cache: dict[str, Known] = {}
        self.built = 0  # topologies so far: rows may mean other edges than before when it has changed
        self.crossed: tuple[list[Any], crossings.Sheets | None, list[tuple[int, int]]] | None = None
        self.touched: tuple[Any, Any] | None = (
            None  # what it depends on beside where shapes are; edges at rest that touch moving ones
        )
        self.open: list[bool] | None = None  # which parts of the table have seams of texture coordinates

    def topology(self, mesh: Any, key: str) -> Known:
        """Topology of a mesh, kept as long as it holds."""
        if key not in self.cache or not self.cache[key].holds(mesh):
            self.cache[key] = Known.of(mesh, _known_rows)
            self.built += 1
        return self.cache[key]

    def build(self, scene: Any, moving: frozenset[int], features: Any = None) -> EdgeTable:
        """Table of every edge of `scene`; `moving`: indices of the shapes whose geometry carries derivatives.

        `features`: of this scene, whose curves and grids are else looked up.
        Raises SceneError for shapes without an edge model, and for round shapes and lights that pass through others.
        """
        parts, found = [], []
        control_points = 0
        inside = groups.members(scene)
        fields = grids.Grids.of(scene) if features is None else features.grids
        for index, shape in enumerate(scene.shapes()):
            frame = dr.detach(traverse(shape)["to_world"]) if index in inside else None
            shown = inside.get(index, [shape])
            ids = [NO_MEMBER] if frame is None else groups.member_ids(shown)
            for member, inner in zip(ids, shown, strict=True):
                if fields is not None and grids.is_grid(inner):
                    part: dict[str, Any] | None = _voxel_rows(fields, inner, index, member)
                else:
                    part = self._rows(inner, index, member, frame, control_points)
                control_points += _control_points(inner) if frame is None else 0
                if part is not None:
                    parts.append(part | {"moving": dr.full(mi.Bool, index in moving, dr.width(part["kind"]))})
                found.append(solids.Placed(inner, index, member, frame))
        if not found:
            raise SceneError("the scene has no shape; add one.")
        opened = [part.get("seam", False) for part in parts]
        if self.open is not None and self.open != opened:
            self.built += 1
        self.open = opened
        known = curves.Strands.of(scene) if features is None else features.strands
        points = None if known is None else known.points
        pieces, pairs = self._pieces(found, moving)
        parts += pieces
        table = _concatenate(parts, bool(inside), pairs, points, fields)
        sheets = self._crossings(scene, found, table, moving)
        if sheets is not None:
            rows, crossed = _sheet_rows(found, sheets, moving)
            table = _concatenate([*parts, rows], bool(inside), joined.both(pairs, crossed), points, fields)
        if moving and len(moving) < len(scene.shapes()):
            key = moving, self.built, table.count
            if self.touched is None or self.touched[0] != key:
                touched = contacts.touching(scene, table, ~table.moving, moving)
                dr.eval(touched)
                self.touched = key, touched
            table = replace(table, moving=table.moving | self.touched[1])
            dr.eval(table.moving)
        return table

    def _pieces(self, placed: list[solids.Placed], moving: frozenset[int]) -> tuple[list[dict[str, Any]], Pairs | None]:
        """Rows for pieces of borders that meet at T-junctions, and their faces."""
        parts: list[dict[str, Any]] = []
        pairs: Pairs | None = None
        for one in placed:
            if not one.shape.is_mesh():
                continue
            found = self.topology(one.shape, one.key).joined
            if found is not None:
                rows, more = found.rows(one, PAIRED)
                n = dr.width(rows["kind"])
                parts.append(rows | {"moving": dr.full(mi.Bool, one.index in moving, n)})
                pairs = joined.both(pairs, more)
        return parts, pairs

    def _crossings(
        self, scene: Any, placed: list[solids.Placed], table: EdgeTable, moving: frozenset[int]
    ) -> crossings.Sheets | None:
        """Where shapes pass through each other, searched again only when one has moved."""
        state = [x for one in placed for x in one.state()]
        if self.crossed is None or not _unchanged(self.crossed[0], state):
            meshes = solids.pierced_meshes(scene, placed, table)
            round_shapes = not all(one.shape.is_mesh() for one in placed)
            sheets: crossings.Sheets | None = None
            pairs: list[tuple[int, int]] = []
            if meshes or round_shapes:
                bodies = [one.solid(self._weld(one)) for one in placed]
                sheets, pairs = solids.crossing_sheets(placed, bodies, meshes)
            self.crossed, self.touched = (state, sheets, pairs), None
        _, sheets, pairs = self.crossed
        solids.refuse(placed, sheets, pairs, moving)
        return sheets

    def _weld(self, placed: solids.Placed) -> Any:
        return self.topology(placed.shape, placed.key).topology.weld if placed.shape.is_mesh() else None

    def _rows(self, shape: Any, index: int, member: int, frame: Any, control_points: int) -> dict[str, Any] | None:
        if shape.is_mesh():
            return self._mesh_rows(shape, index, member, frame)
        kind = shape.class_name()
        if curves.is_curve(shape) and frame is None:
            return _strand_rows(shape, index, control_points)
        rows = _analytic_rows(shape, kind) if frame is None else None
        if rows is None:
            where = "" if frame is None else " in a shape group"
            raise SceneError(
                f"shape '{shape.id()}' is a {kind}{where}: its visibility edges are not supported, so that gradients of moving "
                f"geometry would be wrong. {INSTEAD}"
            )
        n = len(rows["kind"])
        return {
            **{k: _device(k, v) for k, v in rows.items()},
            "face0": dr.zeros(mi.UInt32, n), "face1": dr.full(mi.UInt32, topology.NO_FACE, n),
            "corners0": dr.zeros(mi.UInt32, n), "corners1": dr.zeros(mi.UInt32, n), "jump": dr.full(mi.Bool, True, n),
            "shape": dr.full(mi.UInt32, index, n), "member": dr.full(mi.UInt32, member, n),
            "border": bool((rows["kind"] <= SEAM).any()), "seam": bool((rows["kind"] == SEAM).any()),
            "straight": False, "fans": False,
        }  # fmt: skip

    def _mesh_rows(self, mesh: Any, index: int, member: int, frame: Any) -> dict[str, Any] | None:
        """Rows of a mesh; None if all its borders meet at T-junctions."""
        known = self.topology(mesh, solids.Placed(mesh, index, member, frame).key)
        positions = dr.detach(mesh.vertex_positions_buffer())
        parts = []
        if len(known.topology.faces):
            seam = seams.jumps(mesh, known.rows, positions, known.split is not None)
            parts = [_edge_rows(known.rows, positions, frame, known.rows["jump"] | seam, known.rough)]
        if known.topology.fans is not None:
            points = np.array(positions, dtype=np.float64).reshape(-1, 3)
            corners = np.array(mesh.faces_buffer()).reshape(-1, 3)
            faces, turns, wedge = topology.wedges(known.topology.fans, corners, points)
            mirrored = frame is not None and float(dr.det(mi.Matrix3f(frame.matrix))[0]) < 0
            if mirrored:  # turning about the edge goes the other way round
                swap = wedge[:, None]
                faces, turns = np.where(swap, faces[:, ::-1], faces), np.where(swap[..., None], turns[:, ::-1], turns)
            jump = dr.full(mi.Bool, True, len(faces))
            fan = _edge_rows(_vertex_rows(mesh, faces, turns), positions, frame, jump, known.rough)
            fan["sign"] = mi.Float(aligned(wedge))
            fan["fans"] = True
            parts.append(fan)
        for part in parts:
            n = dr.width(part["kind"])
            part.update({"shape": dr.full(mi.UInt32, index, n), "member": dr.full(mi.UInt32, member, n)})
        return _join(parts) if len(parts) > 1 else parts[0] if parts else None


def _unchanged(before: list[Any], now: list[Any]) -> bool:
    """Whether buffers and bytes hold the same values. The terms of a gradient write their own copies of what moves."""
    if len(before) != len(now):
        return False
    for old, new in zip(before, now, strict=True):
        if isinstance(old, bytes) or isinstance(new, bytes):
            if old != new:
                return False
        elif old.index != new.index and (dr.width(old) != dr.width(new) or not dr.all(old == new)):
            return False
    return True


def _sheet_rows(
    placed: list[solids.Placed], sheets: crossings.Sheets, moving: frozenset[int]
) -> tuple[dict[str, Any], Pairs]:
    """Rows for the curves in which meshes pass through each other, and the faces that meet there."""
    shape = np.array([one.index for one in placed], np.uint32)[sheets.owner]
    member = np.array([one.member for one in placed], np.uint32)[sheets.owner]
    n = len(shape)
    moves = np.isin(shape, list(moving)).any(1)
    face = sheets.face.astype(np.uint32)
    rows = {
        "kind": dr.full(mi.UInt32, SEGMENT, n), "a": _device("a", sheets.start), "b": _device("b", sheets.along),
        "c": _device("c", sheets.into[:, 0]), "d": _device("d", sheets.into[:, 1]), "sign": dr.full(mi.Float, 1, n),
        "face0": _number(face[:, 0]), "face1": _number(face[:, 1]),
        "corners0": dr.full(mi.UInt32, PAIRED, n), "corners1": dr.full(mi.UInt32, PAIRED, n),
        "jump": dr.full(mi.Bool, True, n), "shape": _number(shape[:, 0]), "member": _number(member[:, 0]),
        "moving": mi.Bool(aligned(moves, bool)), "border": False, "straight": True, "fans": True,
    }  # fmt: skip
    both = lambda kind, columns: tuple(kind(*map(aligned, columns[:, k].T)) for k in (0, 1))  # noqa: E731
    number = lambda columns: (_number(columns[:, 0]), _number(columns[:, 1]))  # noqa: E731
    pairs = Pairs(
        n, number(shape), number(member), both(mi.Point2f, sheets.at_start),
        both(mi.Point2f, sheets.at_end), both(mi.Vector2f, sheets.inward),
    )  # fmt: skip
    return rows, pairs


def _known_rows(mesh: Any, built: topology.Topology) -> dict[str, Any]:
    """What is kept of a mesh's edges on the device."""
    rows = _vertex_rows(mesh, built.faces, built.corners)
    rows |= {"jump": mi.Bool(aligned(built.jump, bool)), "weld": _number(built.weld)}
    dr.eval(rows)
    return rows


def _vertex_rows(mesh: Any, faces: topology.Index, corners: topology.Index) -> dict[str, Any]:
    """Device arrays of edges (E, 2 faces), (E, 2, 3 corners): faces, packed corners, and the vertices at start, end, opposite."""
    second = faces[:, 1] != topology.NO_FACE
    both = np.where(faces == topology.NO_FACE, faces[:, :1], faces)
    triangles = np.array(mesh.faces_buffer(), dtype=np.uint32)
    at = lambda which, corner: _number(triangles[both[:, which] * np.uint32(3) + corners[:, which, corner]])  # noqa: E731
    wide = corners.astype(np.uint32)
    packed = wide[:, :, 0] | wide[:, :, 1] << 2 | wide[:, :, 2] << 4
    return {
        "face0": _number(faces[:, 0]), "face1": _number(faces[:, 1]), "second": mi.Bool(aligned(second, bool)),
        "corners0": _number(packed[:, 0]), "corners1": _number(packed[:, 1]),
        "start": at(0, 0), "end": at(0, 1), "opposite0": at(0, 2), "opposite1": at(1, 2), "start1": at(1, 0), "end1": at(1, 1),
    }  # fmt: skip


def _edge_rows(known: dict[str, Any], positions: Any, frame: Any, jump: Any, rough: bool) -> dict[str, Any]:
    """Rows of a mesh's edges at its present vertex positions, taken to the world by `frame` if there is one.

    `jump`: where radiance may jump although the surface does not bend; `rough`: corners that count as one do not quite agree.
    """

    def vertex(name: str) -> Any:
        point = dr.gather(mi.Point3f, positions, known[name])
        return point if frame is None else mi.Point3f(frame @ point)

    a, b = vertex("start"), vertex("end")
    into0, into1 = _into(vertex("opposite0"), a, b), _into(vertex("opposite1"), a, b)
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


def _into(opposite: Any, a: Any, b: Any) -> Any:
    """Direction from the edge a–b into the face with this opposite vertex, orthogonal to the edge."""
    edge = b - a
    offset = opposite - a
    length2 = dr.squared_norm(edge)
    return mi.Vector3f(offset - edge * dr.select(length2 > 0, dr.dot(offset, edge) / length2, 0))


def _analytic_rows(shape: Any, kind: str) -> dict[str, Any] | None:
    """Rows of a disk, sphere or cylinder as host arrays; None for any other shape."""
    parameters = traverse(shape)
    if kind not in seams.ROUND:
        return None
    matrix = groups.on_host(parameters["to_world"].matrix)
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


def _control_points(shape: Any) -> int:
    return dr.width(traverse(shape)["control_points"]) // 4 if curves.is_curve(shape) else 0


def _strand_rows(shape: Any, index: int, control_points: int) -> dict[str, Any]:
    """Rows of a curve shape; `control_points`: how many those before it have."""
    kinds = {name: getattr(edges, name) for name in ("TUBE", "TUBE_END", "CONE_LINE", "CAP", "CREASE")}
    rows = strands.rows(shape, kinds, control_points)
    n = len(rows["kind"])
    number = lambda name: _number(rows[name])  # noqa: E731
    gap = {"gap": mi.Float(aligned(rows["gap"]))} if rows["gap"].any() else {}
    return gap | {
        **{k: _device(k, rows[k]) for k in ("kind", "a", "b", "c", "d", "sign")},
        "face0": number("prim"), "face1": number("prim1"), "corners0": dr.zeros(mi.UInt32, n), "corners1": number("first"),
        "jump": dr.full(mi.Bool, True, n), "shape": dr.full(mi.UInt32, index, n), "member": dr.full(mi.UInt32, NO_MEMBER, n),
        "border": False, "straight": False, "fans": False,
    }  # fmt: skip


def _voxel_rows(fields: grids.Grids, shape: Any, index: int, member: int) -> dict[str, Any]:
    """Rows of a grid of signed distances."""
    number = fields.number_of(shape, index)
    rows = voxels.rows(fields, number, VOXEL, VOXEL_FACE)
    n = dr.width(rows["kind"])
    nothing, zero = dr.zeros(mi.Vector3f, n), dr.zeros(mi.UInt32, n)
    same = dr.full(mi.UInt32, number, n)
    return {
        **{k: rows[k] for k in ("kind", "a", "b", "sign", "jump")}, "c": nothing, "d": nothing, "face0": same, "face1": same,
        "corners0": zero, "corners1": rows["first"], "shape": dr.full(mi.UInt32, index, n),
        "member": dr.full(mi.UInt32, member, n), "border": False, "straight": False, "fans": False,
    }  # fmt: skip


def _device(name: str, values: Any) -> Any:
    """Column on the device."""
    if name == "kind":
        return _number(values)
    if name == "sign":
        return mi.Float(aligned(values))
    kind = mi.Point3f if name == "a" else mi.Vector3f
    return kind(*[mi.Float(aligned(values[..., i])) for i in range(values.shape[-1])])


def _number(values: Any) -> Any:
    return mi.UInt32(aligned(values, np.uint32))


def _join(parts: list[dict[str, Any]]) -> dict[str, Any]:
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


def _concatenate(
    parts: list[dict[str, Any]], instanced: bool, pairs: Pairs | None, points: Any, fields: grids.Grids | None
) -> EdgeTable:
    all_of = _join(parts)
    dr.eval(all_of)
    return EdgeTable(
        dr.width(all_of["kind"]), all_of["kind"], all_of["a"], all_of["b"], all_of["c"], all_of["d"], all_of["sign"],
        (all_of["face0"], all_of["face1"]), (all_of["corners0"], all_of["corners1"]), all_of["jump"], all_of["shape"],
        all_of["moving"], all_of["border"], all_of["member"] if instanced else None, pairs,
        points=points, grids=fields, straight=all_of["straight"], fans=all_of["fans"], gap=all_of.get("gap"),
        has_seams=all_of["seam"],
    )  # fmt: skip
