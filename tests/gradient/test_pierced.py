"""Which meshes are searched for passing through others: rays along edges decide, cheaply, and rounding must not."""

import numpy as np
import pytest

from pbdr.boundary.table import builder as table
from pbdr.boundary.table import solids
from pbdr.geometry import intersections
from pbdr.scene import load_scene
from validation.scenes import zoo
from validation.scenes.small import mesh

trimesh = pytest.importorskip("trimesh")
UP = np.array([0, 0, 1.0])


def searched(monkeypatch, **shapes):
    """Pairs of shapes (positions in the scene) that are given to the search on the host; empty when it is not called."""
    pairs = []
    monkeypatch.setattr(intersections, "find", lambda bodies, some: pairs.extend(some))
    scene = load_scene({"type": "scene", "camera": zoo.camera(), **shapes, "sky": zoo.sky()})
    table.TableBuilder().build(scene.mi, frozenset([0]))
    return {tuple(sorted(int(k) for k in pair)) for pair in pairs}


def bumpy(folder, name, height, rows=24):
    """A closed, bumpy ball of radius 0.5 ± 0.1 with two poles, about which the faces are narrow."""
    ball = trimesh.creation.uv_sphere(count=[rows, 2 * rows])
    points = np.asarray(ball.vertices)
    radius = 0.5 + 0.1 * np.sin(9 * points[:, 0]) * np.cos(8 * points[:, 1] + 1)
    return mesh(folder, name, points * radius[:, None] + height * UP, ball.faces)


def slab(folder, height):
    """A floor of 512 triangles whose vertices lie at no round numbers."""
    x, y = np.meshgrid(np.linspace(-1.03, 1.01, 17), np.linspace(-0.97, 1.05, 17), indexing="ij")
    k = np.arange(16)[:, None] * 17 + np.arange(16)[None]
    faces = np.concatenate([np.stack([k, k + 17, k + 18], -1), np.stack([k, k + 18, k + 1], -1)]).reshape(-1, 3)
    return mesh(folder, "slab", np.stack([x, y, np.full_like(x, height)], -1).reshape(-1, 3), faces)


def test_a_bumpy_mesh_does_not_pass_through_itself(tmp_path, monkeypatch):
    """Rays along its edges graze the neighbouring faces: that is rounding."""
    assert searched(monkeypatch, ball=bumpy(tmp_path, "ball", 1.0, rows=64)) == set()


def test_two_balls_in_one_mesh_pass_through_each_other(tmp_path, monkeypatch):
    ball = trimesh.creation.icosphere(subdivisions=2)
    points, faces = np.asarray(ball.vertices), np.asarray(ball.faces)
    both = np.concatenate([points, points + [0.7, 0.2, 0.1]])
    thing = mesh(tmp_path, "thing", both, np.concatenate([faces, faces + len(points)]))
    assert searched(monkeypatch, thing=thing) == {(0, 0)}


@pytest.mark.parametrize(("height", "expected"), [(1.0, set()), (0.3, {(0, 1)})])
def test_large_meshes_are_searched_where_others_are(tmp_path, monkeypatch, height, expected):
    """The same decision as for small meshes, from fewer rays."""
    shapes = {"ball": bumpy(tmp_path, "ball", height), "slab": slab(tmp_path, 0.0)}
    assert searched(monkeypatch, **shapes) == expected
    monkeypatch.setattr(solids, "SELF_LIMIT", 100)
    assert searched(monkeypatch, **shapes) == expected
