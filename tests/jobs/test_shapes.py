"""Fits of shapes, small: a ball becomes an ellipsoid, with new faces on the way, and after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
import pytest
import trimesh

from pbdr import inverse
from pbdr.errors import DataError
from pbdr.inverse import Options, Problem, State, View
from pbdr.parameters import VariableSpec
from pbdr.scene import load_object, load_scene
from validation import shapes
from validation.scenes import surfaces

STEPS, VIEWS, SIZE = 20, 6, 32
TRUTH = trimesh.Trimesh(surfaces.ball(3).vertices * [1.2, 0.9, 0.6], surfaces.ball(3).faces, process=False)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> list[View]:
    """Images of the truth."""
    path = str(tmp_path_factory.mktemp("truth") / "truth.ply")
    TRUTH.export(path)
    scene, path_tracer = load_scene(surfaces.seen(path, VIEWS, SIZE)), load_object({"type": "path", "max_depth": 2})
    return [
        View(np.array(mi.render(scene.mi, sensor=k, integrator=path_tracer, spp=64, seed=k)), k) for k in range(VIEWS)
    ]


def problem(views: list[View], folder: Path, steps: int = STEPS, subdivisions: int = 2, **given: Any) -> Problem:
    path = str(folder / "ball.ply")
    surfaces.ball(subdivisions, 0.7, seed=1).export(path)
    options = Options(steps=steps, views_per_step=2, spp=4, integrator={"type": "pathspace", "max_depth": 2})
    variable = VariableSpec("object/positions", **given)
    return Problem(load_scene(surfaces.seen(path, VIEWS, SIZE)), views, {"shape": variable}, options)


def mesh(stated: Problem, state: State) -> trimesh.Trimesh:
    """The estimate."""
    bound = stated.at(state)
    ((key, _),) = bound.latents.items()
    (value,) = bound.numpy(state.latents).values()
    return trimesh.Trimesh(value, bound.faces(key), process=False)


def test_a_ball_becomes_an_ellipsoid_by_default_and_crumples_entry_by_entry(views: list[View], tmp_path: Path) -> None:
    start = shapes.chamfer(surfaces.ball(3, 0.7, seed=1), TRUTH)
    found = {}
    for map_, lr in ((None, 0.08), ("clamp", 0.02)):
        stated = problem(views, tmp_path, subdivisions=3, map=map_, lr=lr)
        found[map_] = mesh(stated, inverse.fit(stated).state)
    good, crumpled = found[None], found["clamp"]
    assert shapes.chamfer(good, TRUTH) < start / 3
    assert shapes.inverted(good) == 0 and shapes.bend(good) < 2 * shapes.bend(TRUTH)
    # Negative control: gradients are the same.
    assert shapes.bend(crumpled) > 2 * shapes.bend(TRUTH) and shapes.chamfer(crumpled, TRUTH) > shapes.chamfer(good, TRUTH)


def test_new_faces_on_the_way_and_a_resumed_job(views: list[View], tmp_path: Path) -> None:
    pytest.importorskip("gpytoolbox")
    given: dict[str, Any] = {"steps": 6, "lr": 0.08, "remesh": ((2, 0.09), (4, 0.06))}
    states: list[State] = []
    stated = problem(views, tmp_path, **given)
    whole = inverse.fit(stated, lambda state, info: states.append(state))
    notes = [info.notes for info in whole.infos]
    assert [bool(n) for n in notes] == [k in (2, 4) for k in range(6)] and "new faces in place of 320" in notes[2][0]
    counts = [len(mesh(stated, state).faces) for state in states]
    assert counts[1] == 320 and counts[2] == counts[3] != 320 and counts[4] > 1.5 * counts[3]
    assert shapes.chamfer(mesh(stated, whole.state), TRUTH) < 0.85 * shapes.chamfer(surfaces.ball(2, 0.7, seed=1), TRUTH)
    # States before the new faces, and after them, are shown by the same problem.
    images = [inverse.render_view(stated, states[k], 0, spp=32) for k in (5, 1, 5)]
    np.testing.assert_allclose(images[0], images[2], atol=1e-5)
    assert np.abs(images[1] - images[0]).mean() > 0.005
    # On from what checkpoints hold, in a problem made anew.
    for k in (0, 2):
        again = State.from_arrays(*states[k].to_arrays())
        result = inverse.fit(problem(views, tmp_path, **given), resume_state=again)
        np.testing.assert_allclose(result.losses, whole.losses[k + 1 :], rtol=1e-3)
        np.testing.assert_array_equal(mesh(stated, result.state).faces, mesh(stated, whole.state).faces)
    other = Problem(stated.scene, views, {"grey": VariableSpec("object/base_color")}, stated.options)
    with pytest.raises(DataError, match="of another problem"):
        inverse.fit(other, resume_state=states[5])


def test_interpolated_normals_follow_the_positions(views: list[View], tmp_path: Path) -> None:
    """Those of a sphere that grows and moves stay radial, after a step as well as on other faces."""
    path = str(tmp_path / "ball.ply")
    surfaces.ball(2).export(path)
    scene = load_scene(surfaces.seen(path, 1, 8, face_normals=False))
    stated = Problem(scene, [View(np.zeros((8, 8, 3)))], {"shape": VariableSpec("object/positions")})
    bound = stated.bound
    ((key, latent),) = bound.latents.items()
    start = latent.place.surface.positions
    stretched = start * [1, 1, 2]
    bound.apply({key: mi.TensorXf(bound.to_latent(key, stretched))})
    normals = np.array(mi.traverse(scene.mi)["object.vertex_normals"]).reshape(-1, 3)
    expected = stretched / [1, 1, 4]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.sum(normals * expected, axis=1).min() > 0.99
    assert np.sum(normals * start / np.linalg.norm(start, axis=1, keepdims=True), axis=1).min() < 0.95  # not the old ones
