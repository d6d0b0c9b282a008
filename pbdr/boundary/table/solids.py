"""Shapes of a scene as solids in world space: which ones pass through each other, and which of these curves are refused."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.aligned import aligned
from pbdr.errors import SceneError
from pbdr.geometry import groups, intersections, weld
from pbdr.geometry.edges import NO_MEMBER, EdgeTable, Pairs, column, numbers
from pbdr.geometry.kind import Part
from pbdr.geometry.mesh import SEGMENT, THROUGH
from pbdr.geometry.mesh_rows import PAIRED
from pbdr.geometry.placed import Placed
from pbdr.transport.support import incomplete

SELF_LIMIT = 200_000  # faces up to which a mesh is searched for passing through itself: short edges drown in rounding
MARGIN = 1e-3  # of an edge, at its ends, in which faces that share its vertex may lie
SUNK = 1e-3  # of a sphere's radius: what is less deep only touches


def pierced_meshes(scene: Any, placed: list[Placed], table: EdgeTable) -> set[tuple[int, int]]:
    """Pairs of meshes (a mesh and itself) of which one has an edge that passes through a face of the other.

    Where two triangles pass through each other, an edge of one passes through the other: one ray along each edge finds them.
    Only the first face on each edge counts, so that all pairs among the shapes found are returned.
    """
    ray = mi.Ray3f(mi.Point3f(table.a + MARGIN * table.b), table.b)
    ray.maxt = 1 - 2 * MARGIN
    straight = table.having("straight") & (dr.squared_norm(table.b) > 0) & _worth_a_ray(scene, placed, table)
    hit = scene.ray_intersect_preliminary(ray, coherent=False, active=straight)
    same = table.own(scene, hit)
    member = mi.UInt32(NO_MEMBER) if table.member is None else table.member
    grouped = hit.instance != None  # noqa: E711 (Dr.Jit comparison)
    adjacent = same & ((hit.prim_index == table.face[0]) | (hit.prim_index == table.face[1]))
    # Evaluated with the rays: the rare case that some pass through would else compile kernels of its own, in the middle of a fit.
    passes = straight & hit.is_valid() & ~adjacent
    seen = dr.reinterpret_array(mi.UInt32, dr.select(grouped, hit.instance, hit.shape))
    other = dr.select(grouped, groups.member(hit), NO_MEMBER)
    prim, member = mi.UInt32(hit.prim_index), member + dr.zeros(mi.UInt32, table.count)
    dr.eval(passes, seen, other, prim, member, same)
    [through] = np.nonzero(np.array(passes))
    if not len(through):
        return set()
    at = lambda x: np.broadcast_to(np.array(x), table.count)[through]  # noqa: E731
    address = {int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(s))[0]): i for i, s in enumerate(scene.shapes())}
    index = {(one.index, one.member): k for k, one in enumerate(placed)}
    edges = np.stack([at(table.shape), at(member), at(seen), at(other)], 1)
    found = {
        (index[shape, inner], index[address[pointer], number])
        for shape, inner, pointer, number in np.unique(edges, axis=0).tolist()
    }
    names = sorted({k for pair in found for k in pair if placed[k].kind.triangles})
    own = {(i, i) for i in names if (i, i) in found and placed[i].shape.face_count() <= SELF_LIMIT}
    if own:
        start, along = (np.stack([at(x) for x in column], 1) for column in (table.a, table.b))
        prims, number = at(prim), np.array([index[tuple(row)] for row in edges[:, :2].tolist()])
        inside = at(same)
        own = {(i, i) for i, _ in own if _passes_itself(placed[i], prims, start, along, inside & (number == i))}
    return own | {(i, j) for i in names for j in names if i < j and any(a != b and {a, b} & {i, j} for a, b in found)}


def _worth_a_ray(scene: Any, placed: list[Placed], table: EdgeTable) -> Any:
    """False for edges of meshes too large to be searched for passing through themselves, outside the boxes of all other shapes."""
    large = {one.index for one in placed if one.kind.triangles and one.frame is None}
    large = {i for i in large if scene.shapes()[i].face_count() > SELF_LIMIT}
    result = mi.Bool(True)
    low, high = dr.minimum(table.a, table.a + table.b), dr.maximum(table.a, table.a + table.b)
    for index in sorted(large):
        own = scene.shapes()[index].bbox()
        near = mi.Bool(False)
        for other, shape in enumerate(scene.shapes()):
            box = shape.bbox()
            if other != index and box.overlaps(own):
                corners = mi.Point3f(box.min), mi.Point3f(box.max)
                dr.make_opaque(corners)  # literals would make new kernels when the shape moves
                near |= dr.all((low <= corners[1]) & (high >= corners[0]))
        result &= near | (table.shape != index)
    return result


def _passes_itself(
    placed: Placed, face: Any, start: intersections.Array, along: intersections.Array, chosen: NDArray[np.bool_]
) -> bool:
    """Whether an edge of a mesh meets a face of it that has no corner in common with the edge.

    Faces about an end of the edge are hit by rounding alone, and `intersections.find` leaves them out.
    """
    solid = placed.kind.solid(placed, None)
    corners = solid.triangles(face[chosen])
    ends = np.stack([start, start + along], 1)[chosen]
    gap = np.abs(corners[:, :, None] - ends[:, None]).max(-1).min((1, 2))
    return bool((gap > 2 * weld.WHOLE * np.ptp(solid.positions, axis=0).max()).any())


def pierced(sphere: intersections.Array, solid: intersections.Solid) -> bool:
    """Whether a sphere, given by its pose, passes through a face of a solid."""
    centre, radius = sphere[:3, 3], float(np.linalg.norm(sphere[:3, 0]))
    triangles = solid.triangles(slice(None))
    near = ((triangles.min(1) <= centre + radius) & (triangles.max(1) >= centre - radius)).all(1)
    triangles = triangles[near] - centre
    if not len(triangles):
        return False
    outside = np.linalg.norm(triangles, axis=2).max(1) > radius * (1 + SUNK)
    return bool((outside & (_distance(triangles) < radius * (1 - SUNK))).any())


def _distance(triangles: intersections.Array) -> intersections.Array:
    """Distance of triangles (N, 3, 3) from the origin."""
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.maximum(np.linalg.norm(normal, axis=1), 1e-300)
    height = np.einsum("ni,ni->n", normal, triangles[:, 0]) / length
    foot = height[:, None] * normal / length[:, None]
    best = np.full(len(triangles), np.inf)
    inside = np.ones(len(triangles), bool)
    for k in range(3):
        a, edge = triangles[:, k], triangles[:, (k + 1) % 3] - triangles[:, k]
        t = np.clip(-np.einsum("ni,ni->n", a, edge) / np.maximum(np.einsum("ni,ni->n", edge, edge), 1e-300), 0, 1)
        best = np.minimum(best, np.linalg.norm(a + t[:, None] * edge, axis=1))
        inside &= np.einsum("ni,ni->n", np.cross(edge, foot - a), normal) >= 0
    return np.where(inside, np.abs(height), best)


def intersecting(
    placed: list[Placed], solids: list[intersections.Solid], meshes: set[tuple[int, int]]
) -> tuple[intersections.Sheets | None, list[tuple[int, int]]]:
    """Where shapes pass through each other: (curves between meshes, pairs that involve a round shape).

    `meshes`: pairs of meshes that are known to pass through each other.
    """
    is_mesh = np.array([one.kind.triangles for one in placed])
    some = [(i, j) for i in range(len(placed)) for j in range(i + 1, len(placed)) if not (is_mesh[i] and is_mesh[j])]
    sheets = intersections.find(solids, [*some, *meshes])
    pairs = set()
    if sheets is not None:
        round_ones = np.asarray(~is_mesh[sheets.owner].all(1))
        pairs |= {(int(a), int(b)) for a, b in sheets.owner[round_ones]}
        sheets = sheets.of(~round_ones)
    balls = {k: pose for k, one in enumerate(placed) if (pose := one.kind.ball(one)) is not None}
    for k, pose in balls.items():
        pairs |= {(k, other) for other, solid in enumerate(solids) if pierced(pose, solid)}
        pairs |= {(k, other) for other in balls if other > k and _spheres_meet(pose, balls[other])}
    return sheets, sorted(pairs)


def sheet_rows(placed: list[Placed], sheets: intersections.Sheets, moving: frozenset[int]) -> Part:
    """Rows for the curves in which meshes pass through each other, and the faces that meet there."""
    shape = np.array([one.index for one in placed], np.uint32)[sheets.owner]
    member = np.array([one.member for one in placed], np.uint32)[sheets.owner]
    n = len(shape)
    moves = np.isin(shape, list(moving)).any(1)
    face = sheets.face.astype(np.uint32)
    rows = {
        "form": dr.full(mi.UInt32, SEGMENT.code, n), "a": column("a", sheets.start), "b": column("b", sheets.along),
        "c": column("c", sheets.into[:, 0]), "d": column("d", sheets.into[:, 1]), "sign": dr.full(mi.Float, THROUGH, n),
        "face0": numbers(face[:, 0]), "face1": numbers(face[:, 1]),
        "corners0": dr.full(mi.UInt32, PAIRED, n), "corners1": dr.full(mi.UInt32, PAIRED, n),
        "jump": dr.full(mi.Bool, True, n), "shape": numbers(shape[:, 0]), "member": numbers(member[:, 0]),
        "moving": mi.Bool(aligned(moves, bool)),
    }  # fmt: skip
    both = lambda kind, columns: tuple(kind(*map(aligned, columns[:, k].T)) for k in (0, 1))  # noqa: E731
    number = lambda columns: (numbers(columns[:, 0]), numbers(columns[:, 1]))  # noqa: E731
    pairs = Pairs(
        n, number(shape), number(member), both(mi.Point2f, sheets.at_start),
        both(mi.Point2f, sheets.at_end), both(mi.Vector2f, sheets.inward),
    )  # fmt: skip
    return Part(rows, (SEGMENT,), True, pairs)


def _spheres_meet(a: intersections.Array, b: intersections.Array) -> bool:
    radii = [float(np.linalg.norm(m[:3, 0])) for m in (a, b)]
    distance = float(np.linalg.norm(a[:3, 3] - b[:3, 3]))
    return abs(radii[0] - radii[1]) * (1 + SUNK) + SUNK * min(radii) < distance < sum(radii) * (1 - SUNK)


def refuse(
    placed: list[Placed], sheets: intersections.Sheets | None, pairs: list[tuple[int, int]], moving: frozenset[int]
) -> None:
    """Raise SceneError for curves of intersection that have no boundary term, or warn where nothing that they belong to moves."""
    for a, b in pairs:
        names = " and ".join(f"'{placed[k].shape.id()}'" for k in (a, b))
        message = (
            f"{names} pass through each other, and one of them is no mesh: the curve in which they meet has no boundary term. "
            "Replace it by a mesh, or move them apart."
        )
        if not moving or moving & {placed[a].index, placed[b].index}:
            raise SceneError(message)
        incomplete(message)
    if sheets is None:
        return
    for a, b in np.unique(sheets.owner, axis=0):
        if not moving & {placed[a].index, placed[b].index}:
            continue
        for k in (a, b):
            if placed[k].shape.is_emitter():
                raise SceneError(
                    f"the light '{placed[k].shape.id()}' passes through '{placed[a + b - k].shape.id()}': the border of what "
                    "shines has no boundary term when one of them moves. Move them apart."
                )
