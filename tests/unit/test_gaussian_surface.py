"""Meshes of Gaussians: a sphere of them comes back as a sphere, with its colours, the right way round."""

import numpy as np
import pytest
import trimesh

from pbdr.data.cameras import Camera
from pbdr.errors import DataError, OptionError
from pbdr.fields.gaussians import from_mesh, read_ply, write_ply
from pbdr.fields.gaussians.surface import to_mesh


def cameras(count=12, side=48):
    """All around, at the distance 3."""
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    angle = 2.39996 * np.arange(count)
    eyes = 3 * np.stack([np.sqrt(1 - z**2) * np.cos(angle), z, np.sqrt(1 - z**2) * np.sin(angle)], axis=1)
    return [Camera.look_at(eye, [0, 0, 0], [0, 1, 0], side, side, 0.8) for eye in eyes]


def test_a_sphere_comes_back(tmp_path):
    ball = trimesh.creation.icosphere(3, radius=0.8)
    colors = 0.5 + 0.4 * ball.vertices / 0.8
    made = from_mesh(ball.vertices, ball.faces, colors, count=2000, flatness=0.05)
    made = read_ply(write_ply(tmp_path / "ball.ply", made))
    found = to_mesh(made, cameras(), resolution=32)
    radius = np.linalg.norm(found.positions, axis=1)
    assert 0.8 < radius.mean() < 0.8 + np.sqrt(4 * np.pi * 0.8**2 / 2000) and radius.std() < 0.015
    mesh = trimesh.Trimesh(found.positions, found.faces, process=False)
    assert mesh.is_watertight and mesh.volume == pytest.approx(4 / 3 * np.pi * radius.mean() ** 3, rel=0.02)
    direction = found.positions / radius[:, None]
    assert np.abs(found.colors - 0.5 - 0.4 * direction).mean() < 0.06
    again = trimesh.load(found.write(tmp_path / "out" / "ball.ply"), process=False)
    assert len(again.vertices) == len(found.positions) and np.ptp(np.asarray(again.visual.vertex_colors)[:, 0]) > 150
    with pytest.raises(OptionError, match="cannot be written"):
        found.write(tmp_path / "ball.xyz1")


def test_what_is_refused():
    ball = trimesh.creation.icosphere(1)
    made = from_mesh(ball.vertices, ball.faces, count=50)
    faint = made.replaced({"logits": np.full(50, -6.0)})
    for given, message in (
        ((made, []), "no cameras"),
        ((faint, cameras(1)), "opacity above"),
    ):
        with pytest.raises(DataError, match=message):
            to_mesh(*given)
    with pytest.raises(DataError, match="lower one first"):
        to_mesh(made, cameras(1), box=[[1, 1, 1], [0, 0, 0]])
    with pytest.raises(DataError, match="see no surface"):
        to_mesh(made, cameras(2), box=[[5, 5, 5], [6, 6, 6]], resolution=8)
    with pytest.raises(OptionError, match="resolution"):
        to_mesh(made, cameras(1), resolution=1)
