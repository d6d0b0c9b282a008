"""Rows for the curves in which shapes pass through each other, and which of these curves are refused."""

from __future__ import annotations

from collections.abc import Iterable

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.errors import SceneError
from pbdr.geometry import intersections
from pbdr.geometry.edges import Pairs, column, numbers
from pbdr.geometry.kind import Part
from pbdr.geometry.mesh import SEGMENT, THROUGH
from pbdr.geometry.mesh_rows import PAIRED
from pbdr.geometry.placed import Placed
from pbdr.transport.support import incomplete

SUNK = 1e-3  # of a sphere's radius: what is less deep only touches


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


def sheet_rows(placed: list[Placed], sheets: intersections.Sheets) -> Part:
    """Rows for the curves in which meshes pass through each other, and the faces that meet there."""
    shape = np.array([one.index for one in placed], np.uint32)[sheets.owner]
    member = np.array([one.member for one in placed], np.uint32)[sheets.owner]
    n = len(shape)
    face = sheets.face.astype(np.uint32)
    rows = {
        "form": dr.full(mi.UInt32, SEGMENT.code, n), "a": column("a", sheets.start), "b": column("b", sheets.along),
        "c": column("c", sheets.into[:, 0]), "d": column("d", sheets.into[:, 1]), "sign": dr.full(mi.Float, THROUGH, n),
        "face0": numbers(face[:, 0]), "face1": numbers(face[:, 1]),
        "corners0": dr.full(mi.UInt32, PAIRED, n), "corners1": dr.full(mi.UInt32, PAIRED, n),
        "jump": dr.full(mi.Bool, True, n), "faint": dr.full(mi.Float, 1, n),
        "shape": numbers(shape[:, 0]), "member": numbers(member[:, 0]),
    }  # fmt: skip
    both = lambda kind, columns: tuple(kind(*map(aligned, columns[:, k].T)) for k in (0, 1))  # noqa: E731
    number = lambda columns: (numbers(columns[:, 0]), numbers(columns[:, 1]))  # noqa: E731
    pairs = Pairs(
        n, number(shape), number(member), both(mi.Point2f, sheets.at_start),
        both(mi.Point2f, sheets.at_end), both(mi.Vector2f, sheets.inward),
    )  # fmt: skip
    return Part(rows, (SEGMENT,), True, pairs)


def spheres_meet(a: intersections.Array, b: intersections.Array) -> bool:
    """Whether two spheres, given by their poses, pass through each other."""
    radii = [float(np.linalg.norm(m[:3, 0])) for m in (a, b)]
    distance = float(np.linalg.norm(a[:3, 3] - b[:3, 3]))
    return abs(radii[0] - radii[1]) * (1 + SUNK) + SUNK * min(radii) < distance < sum(radii) * (1 - SUNK)


def refuse(
    placed: list[Placed], meshes: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]], moving: frozenset[int]
) -> None:
    """Raise SceneError for curves of intersection that have no boundary term, or warn where nothing that they belong to moves.

    `meshes`, `others`: pairs of shapes that pass through each other, both meshes or not.
    """
    for a, b in sorted(others):
        names = " and ".join(f"'{placed[k].shape.id()}'" for k in (a, b))
        message = (
            f"{names} pass through each other, and one of them is no mesh: the curve in which they meet has no boundary term. "
            "Replace it by a mesh, or move them apart."
        )
        if not moving or moving & {placed[a].index, placed[b].index}:
            raise SceneError(message)
        incomplete(message)
    for a, b in sorted(meshes):
        if not moving & {placed[a].index, placed[b].index}:
            continue
        for k in (a, b):
            if placed[k].shape.is_emitter():
                raise SceneError(
                    f"the light '{placed[k].shape.id()}' passes through '{placed[a + b - k].shape.id()}': the border of what "
                    "shines has no boundary term when one of them moves. Move them apart."
                )
