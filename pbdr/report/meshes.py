"""Meshes of a report, drawn on the host: before, after and the truth from two sides, in the colours of their error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..job.results import ERROR_COLORS, colored
from ..job.surfaces import distances
from ..page import embedded, number, png

Array = NDArray[Any]

SIDE = 300  # pixels of a drawing
DENSITY = 14  # points for a pixel of the surface, on average: one in a million pixels gets none
MOST = 1_500_000  # points of a drawing
#: Directions from which meshes are seen: two opposite ones, so that every point that can be seen from there is on one of them.
SIDES = (np.array([1.0, 0.6, 1.0]), np.array([-1.0, 0.4, -1.0]))
LABELS = {"init": "Start", "estimate": "Estimate", "target": "Target"}
#: Distance, in sizes of the target, at which the colours saturate.
LIMIT = 0.05


def figures(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Drawings of the PLY files of a parameter: {"rows": [{label, images}], "note", "size", "colors"}."""
    import trimesh

    found = {
        key: trimesh.load(folder / f"{key}.ply", process=False, force="mesh")
        for key in LABELS
        if (folder / f"{key}.ply").is_file()
    }
    target, estimate = found.get("target"), found["estimate"]
    frame = target if target is not None else estimate
    middle, size = frame.bounds.mean(axis=0), float(np.ptp(frame.vertices, axis=0).max()) or 1.0
    radius = max(float(np.linalg.norm(mesh.vertices - middle, axis=1).max()) for mesh in found.values())
    rows = []
    for key, mesh in found.items():
        shades = None
        if key != "target" and target is not None:
            shades = shade(distances(np.asarray(mesh.vertices), target) / size)
        images = [embedded(png(drawn(mesh, side, middle, radius, shades))) for side in SIDES]
        rows.append({"label": LABELS[key], "images": images})
    scale = shade(np.linspace(0, LIMIT, len(ERROR_COLORS)))
    note = "The surfaces from two opposite sides."
    if target is not None:
        note += f" Colour: distance to the target, from 0 (pale) to {number(100 * LIMIT)} % of its size and more (dark)."
    return {
        "rows": rows, "note": note, "size": f"{len(estimate.vertices)} vertices, {len(estimate.faces)} faces",
        "colors": "" if target is None else ", ".join(f"rgb({r:.0f}, {g:.0f}, {b:.0f})" for r, g, b in scale),
    }  # fmt: skip


def shade(error: Array) -> Array:
    """(…, 3) colours of errors (…) in sizes of the target: pale where a surface is right; black would hide its shape."""
    return np.asarray(40.0 + 0.84 * colored(np.atleast_2d(1 - np.clip(error / LIMIT, 0, 1)))[0])


def drawn(mesh: Any, side: Array, middle: Array, radius: float, colors: Array | None = None) -> NDArray[np.uint8]:
    """(SIDE, SIDE, 4) orthographic drawing of a mesh by points on its faces, the nearest to the eye at `side` on top.

    `colors` (V, 3) at the vertices; light grey without. Transparent where nothing is.
    """
    points, faces, corners = scattered(mesh, radius)
    forward = side / np.linalg.norm(side)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    up = np.cross(forward, right)
    local = points - middle
    x = np.floor((0.5 + 0.48 * local @ right / radius) * SIDE).astype(int)
    y = np.floor((0.5 - 0.48 * local @ up / radius) * SIDE).astype(int)
    inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    cell = (y * SIDE + x)[inside]
    order = np.argsort((local @ forward)[inside], kind="stable")  # the last one written to a pixel is the nearest
    nearest = np.full(SIDE * SIDE, -1)
    nearest[cell[order]] = np.nonzero(inside)[0][order]
    seen = nearest >= 0
    hit = nearest[seen]
    light = 0.35 + 0.65 * np.abs(mesh.face_normals[faces[hit]] @ (forward + 0.5 * up + 0.3 * right) / 1.2)
    base = np.full((len(hit), 3), 205.0)
    if colors is not None:
        base = np.einsum("nk,nkc->nc", corners[hit], colors[mesh.faces[faces[hit]]])
    image = np.zeros((SIDE * SIDE, 4), np.uint8)
    image[seen, :3] = np.clip(base * np.minimum(light, 1.0)[:, None], 0, 255).astype(np.uint8)
    image[seen, 3] = 255
    return image.reshape(SIDE, SIDE, 4)


def scattered(mesh: Any, radius: float) -> tuple[Array, Array, Array]:
    """Points (N, 3) on a mesh in proportion to its area, their faces (N,) and weights of the corners (N, 3); always the same."""
    area = np.asarray(mesh.area_faces)
    total = float(area.sum())
    pixel = (2 * radius / 0.96 / SIDE) ** 2
    count = int(np.clip(DENSITY * total / pixel, 1, MOST))
    # Systematic samples: every face gets its share, to one point.
    place = (np.arange(count) + 0.5) / count * total
    faces = np.minimum(np.searchsorted(np.cumsum(area), place), len(area) - 1)
    golden = np.array([0.7548776662466927, 0.5698402909980532])  # a sequence that covers the square evenly
    u, v = np.modf(0.5 + np.arange(1, count + 1)[:, None] * golden)[0].T
    root = np.sqrt(u)
    corners = np.stack([1 - root, root * (1 - v), root * v], axis=1)
    points = np.einsum("nk,nkc->nc", corners, np.asarray(mesh.vertices)[mesh.faces[faces]])
    return points, faces, corners
