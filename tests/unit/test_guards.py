"""Faces that a step would turn over, fold or collapse: found, and kept; and meshes that cannot be remeshed are refused."""

import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import DataError, OptionError, ParameterError
from pbdr.inverse import guards
from pbdr.inverse.remeshing import check, remeshed
from pbdr.parameters import Variables, VariableSpec
from pbdr.parameters.meshes import Surface
from pbdr.scene import load_scene
from validation.scenes import surfaces


def surface(mesh):
    return Surface.of(mesh.vertices, mesh.faces)


def wrong(start, points):
    return guards.damaged(guards.Shape.of(start.positions, start), guards.Shape.of(points, start), start)


def test_quality_of_known_triangles():
    start = Surface.of(np.array([[0, 0, 0], [1, 0, 0], [0.5, 3**0.5 / 2, 0], [0.5, -1e-3, 0]]), np.array([[0, 1, 2], [1, 0, 3]]))
    shape = guards.Shape.of(start.positions, start)
    flat = 2 * 3**0.5 * 1e-3 / (1 + 2 * (0.25 + 1e-6))
    np.testing.assert_allclose(shape.quality, [1, flat], rtol=1e-6)
    np.testing.assert_allclose(shape.normals, [[0, 0, 1]] * 2, atol=1e-9)
    assert not shape.folded.any()


def through(points, start, face=7):
    """The first corner of a face, moved through the opposite edge to twice its distance."""
    a, b, c = start.faces[face]
    points[a] = points[a] + 2 * (0.5 * (points[b] + points[c]) - points[a])
    return a


@pytest.mark.parametrize("how", ["turned over", "collapsed"])
def test_damage_is_found_where_it_is(how):
    start = surface(surfaces.ball(2))
    points = start.positions.copy()
    a, b, _ = start.faces[7]
    if how == "turned over":
        through(points, start)
    else:
        points[a] = points[b] + 1e-4 * (points[a] - points[b])
    found = wrong(start, points)
    assert found[7] and found.sum() < 12
    assert np.isin(start.faces[found], start.faces[(start.faces == a).any(1)]).any(1).all()


def hinge(degrees):
    """Two triangles whose normals are this many degrees apart."""
    angle = np.radians(degrees)
    return np.array([[0, 0, 0], [1, 0, 0], [0.5, 1, 0], [0.5, -np.cos(angle), np.sin(angle)]])


def test_a_hinge_that_closes_is_a_fold():
    start = Surface.of(hinge(140), np.array([[0, 1, 2], [1, 0, 3]]))
    assert not wrong(start, hinge(150)).any() and wrong(start, hinge(165)).all()


def test_what_was_so_before_does_not_count():
    start = surface(surfaces.ball(2))
    points = start.positions.copy()
    points[start.faces[7, 0]] = points[start.faces[7, 1]] * 0.9999 + 0.0001 * points[start.faces[7, 0]]
    bad = Surface(points, start.faces, start.vertex, start.first)
    assert not wrong(bad, points * 1.01).any() and wrong(start, points).any()


def test_steps_of_other_kinds_pass():
    """A turn of less than a right angle, growth, and a shift are no damage."""
    start = surface(surfaces.ball(2))
    c, s = np.cos(1.0), np.sin(1.0)
    assert not wrong(start, 3 * start.positions @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + 5).any()


def test_a_step_is_shortened_around_damage_alone():
    start = surface(surfaces.ball(3))
    before, after = start.positions, start.positions + [0.01, 0, 0]
    vertex = through(after, start)
    assert wrong(start, after).any()
    points, count = guards.shortened(before, after, start)
    assert count > 0 and not wrong(start, points).any()
    far = np.linalg.norm(before - before[vertex], axis=1) > 0.6
    np.testing.assert_array_equal(points[far], after[far])
    assert 0.1 < np.linalg.norm(points[vertex] - before[vertex]) / np.linalg.norm(after[vertex] - before[vertex]) <= 0.5
    # A step that damages nothing stays what it was; where no halving mends it, faces are held, and all others move.
    assert guards.shortened(before, before + 0.01, start)[1] == 0
    after[vertex] = before[vertex] + 1000 * (after[vertex] - before[vertex])
    points, _ = guards.shortened(before, after, start)
    np.testing.assert_array_equal(points[vertex], before[vertex])
    far = np.linalg.norm(before - before[vertex], axis=1) > 0.8
    np.testing.assert_array_equal(points[far], after[far])
    assert far.mean() > 0.4 and not wrong(start, points).any()


@pytest.fixture
def variables(tmp_path):
    surfaces.ball(2).export(tmp_path / "ball.ply")
    scene = load_scene(surfaces.seen(str(tmp_path / "ball.ply"), 1, 4))
    return lambda **given: Variables(scene, {"shape": VariableSpec("object/positions", **given)})


@pytest.mark.parametrize("map_", ["clamp", "largesteps"])
def test_latents_follow(variables, map_):
    bound = variables(map=map_)
    ((key, before),) = bound.init().items()
    place = bound.latents[key].place
    away = place.surface.positions.copy()
    through(away, place.surface)
    after = {key: mi.TensorXf(bound.to_latent(key, away))}
    latents, notes = guards.kept("shorten", bound, {key: before}, after)
    value = np.array(bound.values(latents)[key], np.float64)
    assert len(notes) == 1 and "shortened" in notes[0] and not wrong(place.surface, value).any()
    assert guards.kept("ignore", bound, {key: before}, after) == (after, ())
    assert wrong(place.surface, np.array(bound.values(after)[key], np.float64)).any()


def test_a_map_that_cannot_follow_takes_no_step(variables, monkeypatch):
    bound = variables(map="clamp")
    ((key, before),) = bound.init().items()
    away = bound.latents[key].place.surface.positions.copy()
    through(away, bound.latents[key].place.surface)
    after = {key: mi.TensorXf(bound.to_latent(key, away))}

    def refused(self, key, value):
        raise ParameterError("no")

    monkeypatch.setattr(Variables, "to_latent", refused)
    latents, notes = guards.kept("shorten", bound, {key: before}, after)
    assert latents[key] is before and "undone" in notes[0]


def test_even_faces_of_the_same_shape():
    pytest.importorskip("gpytoolbox")
    ball = surfaces.ball(2)
    new = remeshed(ball.vertices, ball.faces, 0.1)
    start = Surface.of(new.positions, new.faces)
    shape = guards.Shape.of(start.positions, start)
    assert len(new.faces) > 2 * len(ball.faces) and start.edge_length == pytest.approx(0.1, rel=0.15)
    assert np.median(shape.quality) > 0.9 and len(start.border) == 0
    assert np.abs(np.linalg.norm(new.positions, axis=1) - 0.78).max() < 0.03
    again = remeshed(ball.vertices, ball.faces, 0.1)
    np.testing.assert_array_equal(again.positions, new.positions)  # a resumed job gets the same
    with pytest.raises(DataError, match="cannot be remeshed"):
        remeshed(ball.vertices, np.r_[ball.faces, ball.faces[:1, [0, 1, 2]] * 0 + [0, 1, 2], [[0, 1, 5]], [[0, 1, 9]]], 0.1)


def test_what_cannot_be_remeshed_is_refused(variables, tmp_path):
    pytest.importorskip("gpytoolbox")
    check(variables(remesh=((3, 0.1),)))
    scene = load_scene({"type": "scene", "sky": {"type": "constant"}, "box": {"type": "cube"},
                        "camera": surfaces.camera(np.array([0, -1, 0]), 4)})  # fmt: skip
    for match, message in (("box/positions", "vertex_texcoords belong"), ("box/base_color", "about the vertex positions")):
        with pytest.raises(ParameterError, match=message):
            check(Variables(scene, {"x": VariableSpec(match, remesh=((3, 0.1),))}))
    with pytest.raises(ParameterError, match="leave one out"):
        check(variables(remesh=((3, 0.1),), init=0.0, map="clamp"))
    for given in (((3, 0.1), (3, 0.2)), ((3, 1.5),), ((-1, 0.1),)):
        with pytest.raises(OptionError, match="remesh"):
            variables(remesh=given)
