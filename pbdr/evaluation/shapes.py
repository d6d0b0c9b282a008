"""Distances between the shapes of two scenes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export.asset import triangles
from ..job.surfaces import distances
from ..scene import Scene

POINTS = 20000
NEAR = 0.01  # of the size of the true shape

PROTOCOL = (
    f"{POINTS} random points of either surface, their distances to the triangles of the other: chamfer is the mean"
    f" of both means, also divided by the size of the true shape (longest side of its bounding box); F-score: "
    f"harmonic mean of the fractions of points nearer than {NEAR:g} of that size. Shapes have the same id in both "
    f"scenes; round ones are triangulated. Nothing is aligned: cameras fix the scale"
)


def scores(estimate: Scene, truth: Scene) -> dict[str, Any]:
    """Errors of every shape that both scenes have, by id; those that lack a partner are under `only_estimate` and `only_truth`."""
    ours, theirs = _meshes(estimate), _meshes(truth)
    found: dict[str, Any] = {name: compared(ours[name], theirs[name]) for name in ours if name in theirs}
    return {
        "shapes": found, "only_estimate": sorted(set(ours) - set(theirs)), "only_truth": sorted(set(theirs) - set(ours)),
    }  # fmt: skip


def _meshes(scene: Scene) -> dict[str, Any]:
    import trimesh

    found = {}
    for shape in scene.mi.shapes():
        parts = triangles(shape)
        if parts is not None:
            found[str(shape.id())] = trimesh.Trimesh(parts[0], parts[1], process=False)
    return found


def compared(mesh: Any, true: Any) -> dict[str, float]:
    """Chamfer distance and F-score of two trimeshes, as PROTOCOL says."""
    size = float(np.ptp(true.vertices, axis=0).max())
    if mesh.vertices.shape == true.vertices.shape and np.array_equal(mesh.triangles, true.triangles):
        return {"chamfer": 0.0, "chamfer_relative": 0.0, "f_score": 1.0, "threshold": NEAR * size}
    there, back = (distances(_points(a), b) for a, b in ((mesh, true), (true, mesh)))
    precision, recall = float((there < NEAR * size).mean()), float((back < NEAR * size).mean())
    chamfer = 0.5 * float(there.mean() + back.mean())
    score = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
    return {
        "chamfer": chamfer, "chamfer_relative": chamfer / size, "f_score": score, "precision": precision, "recall": recall,
        "threshold": NEAR * size,
    }  # fmt: skip


def _points(mesh: Any) -> NDArray[np.float64]:
    import trimesh

    return np.asarray(trimesh.sample.sample_surface(mesh, POINTS, seed=0)[0])
