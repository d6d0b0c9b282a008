"""Estimated meshes at the end of a run: files, and how far they are from the truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..parameters import Parameter, Variables
from ..parameters.meshes import Triangles
from . import storage
from .results import slug

Array = NDArray[Any]

POINTS = 20000  # random points of either surface
NEAR = 12  # faces among which the nearest one is looked for: those whose centres are nearest


def write(
    root: Path, variables: Variables, parameter: Parameter, initial: Array, final: Array, target: Any
) -> dict[str, float]:
    """Write init.ply, estimate.ply and target.ply of the positions `parameter` below eval/parameters; return `errors`.

    Nothing is written of other parameters. `target`: the scene of the truth, or None.
    """
    latent = next((x for x in variables.latents.values() if x.parameter.raw == parameter.raw), None)
    if latent is None or not latent.place.of_mesh:
        return {}
    found: dict[str, Triangles | None] = {
        "init": Triangles(initial, variables.own_faces(latent.key)),
        "estimate": Triangles(final, variables.faces(latent.key)),
        "target": None if target is None else _of_target(target, parameter),
    }
    for name, mesh in found.items():
        if mesh is not None:
            storage.write_bytes(root / "eval" / "parameters" / slug(parameter.name) / f"{name}.ply", ply(mesh))
    return errors(found)


def ply(mesh: Triangles) -> bytes:
    """The mesh as a binary PLY file."""
    import trimesh

    return bytes(trimesh.Trimesh(mesh.positions, mesh.faces, process=False).export(file_type="ply"))


def errors(found: Mapping[str, Triangles | None]) -> dict[str, float]:
    """Return `distance` of the estimate and `distance_init` of the start to the target, in sizes of the target, if there is one."""
    start, estimate, target = (found[name] for name in ("init", "estimate", "target"))
    if start is None or estimate is None or target is None:
        return {}
    size = float(np.ptp(target.positions, axis=0).max())
    return {"distance_init": distance(start, target) / size, "distance": distance(estimate, target) / size}


def distance(a: Triangles, b: Triangles, count: int = POINTS, seed: int = 0) -> float:
    """Chamfer distance: mean distance of `count` random points of either surface to the other, both ways, in scene units."""
    import trimesh

    first, second = (trimesh.Trimesh(mesh.positions, mesh.faces, process=False) for mesh in (a, b))
    p, q = (np.asarray(trimesh.sample.sample_surface(mesh, count, seed=seed)[0]) for mesh in (first, second))
    return 0.5 * float(distances(p, second).mean() + distances(q, first).mean())


def distances(points: Array, mesh: Any) -> Array:
    """Distances of points (N, 3) to a trimesh."""
    import trimesh
    from scipy.spatial import cKDTree

    near = min(NEAR, len(mesh.faces))
    _, index = cKDTree(mesh.triangles.mean(axis=1)).query(points, near)
    closest = trimesh.triangles.closest_point(mesh.triangles[index.reshape(-1)], np.repeat(points, near, axis=0))
    return np.asarray(np.linalg.norm(closest.reshape(-1, near, 3) - points[:, None], axis=2).min(axis=1))


def _of_target(target: Any, parameter: Parameter) -> Triangles | None:
    from ..parameters import list_parameters

    truths = {truth.name: truth for truth in list_parameters(target)}
    return Triangles.of(target, truths[parameter.name]) if parameter.name in truths else None
