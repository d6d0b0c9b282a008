"""Gradients after a mesh has got other faces are those of a scene that had them from the start, whatever an integrator has kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

import pbdr
from pbdr.parameters import list_parameters
from pbdr.parameters.meshes import Triangles
from pbdr.scene import integrator_of, load_scene
from validation.scenes import surfaces


def loaded(mesh: trimesh.Trimesh, path: Path, smooth: bool) -> Any:
    mesh.export(path)
    return load_scene(surfaces.seen(str(path), 1, 16, face_normals=not smooth))


def gradient(scene: Any, integrator: Any) -> Any:
    adjoint = np.random.default_rng(1).normal(size=(16, 16, 3)).astype(np.float32)
    found = pbdr.gradient(scene, ["object/positions"], adjoint, spp=4, seed=3, integrator=integrator)
    return found.total["object/positions"]


CASES = [
    pytest.param(False, {"max_depth": 2}, id="flat"),
    pytest.param(False, {"max_depth": 3, "replay": True}, id="flat, replayed", marks=pytest.mark.slow),
    pytest.param(True, {"max_depth": 3}, id="smooth", marks=pytest.mark.slow),
    pytest.param(True, {"max_depth": 3, "replay": True}, id="smooth, replayed", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("smooth", "options"), CASES)
def test_nothing_of_the_old_faces_is_left(tmp_path: Path, smooth: bool, options: dict[str, Any]) -> None:
    description = {"type": "pathspace", "guiding": "none", **options}
    scene, other = loaded(surfaces.ball(1), tmp_path / "a.ply", smooth), surfaces.peanut(2)
    integrator = integrator_of(scene, description)
    before = [gradient(scene, integrator) for _ in range(2)]
    (parameter,) = [p for p in list_parameters(scene) if p.name == "object/positions"]
    own = Triangles.of(scene, parameter)
    Triangles(np.asarray(other.vertices, np.float32), np.asarray(other.faces, np.uint32)).install(scene, parameter)
    changed = [gradient(scene, integrator) for _ in range(2)][1]
    fresh = loaded(other, tmp_path / "b.ply", smooth)
    expected = gradient(fresh, integrator_of(fresh, description))
    assert changed.shape == (162, 3) and np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(changed, expected, atol=2e-3 * np.abs(expected).max())
    own.install(scene, parameter)
    np.testing.assert_allclose(gradient(scene, integrator), before[1], atol=2e-3 * np.abs(before[1]).max())
    assert before[1].shape == (42, 3)
