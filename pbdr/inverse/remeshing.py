"""New triangles for a mesh during a job: even ones (Botsch & Kobbelt 2004), coarse at first and finer later.

A moving mesh stretches where it grows; even faces keep steps long and shapes free of folds, and few vertices at first find the
outline before many find details. The gpytoolbox package does the work (extra `remesh`).
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pbdr.errors import DataError, OptionError, ParameterError
from pbdr.inverse.optimisers.groups import joined
from pbdr.inverse.state import State
from pbdr.parameters import Variables
from pbdr.parameters.meshes import Triangles, fixed_faces

if TYPE_CHECKING:
    from pbdr.inverse.problem import Problem

Array = NDArray[Any]

#: Rounds of splitting, collapsing, flipping and smoothing.
ROUNDS = 6
INSTALL = "pip install 'pbdr[remesh]'"


def check(bound: Variables) -> None:
    """Raise for meshes that cannot be remeshed where a variable asks for it: ParameterError, OptionError."""
    for latent in bound.latents.values():
        spec = bound.spec(latent)
        if not spec.remesh:
            continue
        what = f"variable {latent.variable!r}: remesh of {latent.parameter.name!r}"
        if not latent.place.of_mesh:
            raise ParameterError(f"{what}: it is about the vertex positions of a mesh; leave remesh out")
        if importlib.util.find_spec("gpytoolbox") is None:
            raise OptionError(f"{what} needs the package gpytoolbox, which is not installed: {INSTALL}")
        if spec.init is not None:
            raise ParameterError(
                f"{what}: init gives the vertices of one mesh, which has other ones later; leave one out"
            )
        wrong = fixed_faces(bound.scene, latent.parameter)
        if wrong:
            raise ParameterError(f"{what}: {wrong}")


def due(bound: Variables, step: int) -> dict[str, float]:
    """Return by latent key the edge lengths, as fractions of sizes, of the meshes that get new faces before this step."""
    found = {}
    for key, latent in bound.latents.items():
        for start, edge in bound.spec(latent).remesh:
            if start == step:
                found[key] = edge
    return found


def applied(problem: Problem, state: State) -> tuple[State, tuple[str, ...]]:
    """Return the state with the meshes that are due before its step, and a line about each.

    The shape stays. Its latents start anew there, and so does what optimiser and integrator remember, which belongs to vertices
    that are gone.
    """
    before = problem.at(state)
    edges = due(before, state.step)
    if not edges:
        return state, ()
    meshes, notes = dict(state.meshes), []
    for key, edge in edges.items():
        latent = before.latents[key]
        surface = latent.place.surface
        value = np.array(before.values(state.latents)[key], np.float64)[surface.first]
        length = edge * float(np.ptp(value, axis=0).max())
        meshes[key] = remeshed(value, surface.faces, length)
        count = len(meshes[key].faces)
        notes.append(
            f"{latent.parameter.name}: {count} new faces in place of {len(surface.faces)}, edges of {length:.3g}"
        )
    state = replace(state, meshes=meshes, learned={})
    first = problem.at(state).init()
    fresh = {key: first[key] for key in edges}
    memory = joined(state.memory, problem.optimiser.init(fresh))
    return replace(state, latents={**state.latents, **fresh}, memory=memory), tuple(notes)


def remeshed(positions: Array, faces: Array, edge: float) -> Triangles:
    """Return the surface (V, 3), (F, 3) with edges of about the length `edge`. DataError where it is no surface that allows it."""
    from gpytoolbox import remesh_botsch

    try:
        points, triangles = remesh_botsch(
            np.asarray(positions, np.float64), np.asarray(faces, np.int32), ROUNDS, float(edge), True
        )
    except ValueError as error:
        raise DataError(f"a mesh cannot be remeshed: {error}") from None
    points, triangles = np.asarray(points, np.float32), np.asarray(triangles, np.uint32)
    if not len(triangles) or not np.isfinite(points).all():
        raise DataError(
            f"a mesh of {len(faces)} faces cannot be remeshed to edges of {edge:.3g}: nothing is left of it"
        )
    return Triangles(points, triangles)
