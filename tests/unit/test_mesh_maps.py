"""Maps of vertex positions against dense linear algebra; uniform Adam against the published recursion."""

import math

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest
import trimesh

from pbdr.errors import DataWarning, OptionError, ParameterError
from pbdr.inverse.optimisers import OPTIMISERS
from pbdr.parameters import Variables, VariableSpec, read, resolve
from pbdr.parameters.maps.largesteps import REACH
from pbdr.scene import load_scene
from validation.scenes import surfaces


def tensor(values):
    return mi.TensorXf(np.asarray(values, np.float32))


def bound(tmp_path, mesh, map_="largesteps", **given):
    """The positions of a mesh as the variable `shape`, and the key of its latent."""
    path = str(tmp_path / "mesh.ply")
    mesh.export(path)
    scene = load_scene(surfaces.seen(path, 1, 4))
    variables = Variables(scene, {"shape": VariableSpec("object/positions", map=map_, **given)})
    return variables, next(iter(variables.latents))


def matrix_of(vertices, faces, weight):
    """I + λL, dense."""
    laplacian = np.zeros((len(vertices),) * 2)
    for face in faces:
        for a, b in ((0, 1), (1, 2), (2, 0)):
            laplacian[face[a], face[b]] = laplacian[face[b], face[a]] = -1
    np.fill_diagonal(laplacian, -laplacian.sum(1))
    return np.eye(len(vertices)) + weight * laplacian


def moved(variables, key, latent):
    return np.array(variables.values({key: tensor(latent)})[key], dtype=np.float64)


def test_positions_are_those_of_the_formula(tmp_path):
    mesh = surfaces.ball(2, seed=1)
    variables, key = bound(tmp_path, mesh)
    edges = mesh.vertices[mesh.edges_unique]
    size = np.ptp(mesh.vertices, axis=0).max()
    weight = (REACH * size / np.linalg.norm(edges[:, 0] - edges[:, 1], axis=1).mean()) ** 2
    assert weight == pytest.approx(19 * 320 / 20480, rel=0.1)  # the λ of the paper, for a ball of 20,480 faces
    latent = np.random.default_rng(2).normal(size=(len(mesh.vertices), 3))
    expected = mesh.vertices + size * np.linalg.solve(matrix_of(mesh.vertices, mesh.faces, weight), latent)
    np.testing.assert_allclose(moved(variables, key, latent), expected, atol=2e-5)
    np.testing.assert_allclose(variables.to_latent(key, expected), latent, atol=2e-4)
    start = variables.init()[key]
    assert not np.array(start).any()
    np.testing.assert_array_equal(moved(variables, key, start), read(variables.scene, variables.latents[key].parameter))


@pytest.mark.parametrize(("map_", "columns"), [("largesteps", 3), ("normal_displacement", 1)])
def test_derivatives_both_ways(tmp_path, map_, columns):
    """Of maps that are linear: ⟨w, J d⟩ by differences, in forward mode, and in reverse mode."""
    mesh = surfaces.ball(1, seed=1)
    variables, key = bound(tmp_path, mesh, map_)
    rng = np.random.default_rng(3)
    d, w = rng.normal(size=(len(mesh.vertices), columns)), rng.normal(size=mesh.vertices.shape)
    reference = np.sum(w * (moved(variables, key, d) - moved(variables, key, 0 * d)))
    leaf = tensor(0 * d)
    dr.enable_grad(leaf)
    dr.backward(dr.sum(variables.values({key: leaf})[key] * tensor(w), axis=None))
    assert np.sum(np.array(dr.grad(leaf)) * d) == pytest.approx(reference, rel=1e-3)
    leaf = tensor(0 * d)
    dr.enable_grad(leaf)
    value = variables.values({key: leaf})[key]
    dr.set_grad(leaf, tensor(d))
    dr.forward_to(value)
    assert np.sum(np.array(dr.grad(value)) * w) == pytest.approx(reference, rel=1e-3)


def test_neither_units_nor_origin_matter(tmp_path):
    mesh = surfaces.ball(2)
    latent = 0.05 * np.random.default_rng(4).normal(size=(len(mesh.vertices), 3))
    first = moved(*bound(tmp_path, mesh), latent)
    other = mesh.copy()
    other.vertices = 1000 * mesh.vertices + [300, -200, 7]
    second = moved(*bound(tmp_path, other), latent)
    np.testing.assert_allclose((second - [300, -200, 7]) / 1000, first, atol=2e-6)


def cube(map_):
    scene = load_scene({"type": "scene", "camera": surfaces.camera(np.array([0, -1, 0]), 4), "sky": {"type": "constant"},
                        "box": {"type": "cube"}})  # fmt: skip
    variables = Variables(scene, {"shape": VariableSpec("box/positions", map=map_)})
    return variables, next(iter(variables.latents))


def torn(variables, key, start):
    """How far copies of one corner come apart by a gradient that pulls at a single vertex of the mesh."""
    leaf = variables.init()[key]
    dr.enable_grad(leaf)
    weights = np.zeros(start.shape)
    weights[5] = 1
    dr.backward(dr.sum(variables.values({key: leaf})[key] * tensor(weights), axis=None))
    value = np.array(variables.values({key: dr.detach(leaf) + dr.grad(leaf)})[key])
    copies = np.flatnonzero((start == start[5]).all(1))
    assert len(copies) == 3 and np.abs(value[5] - start[5]).max() > 0.01
    return np.abs(value[copies] - value[5]).max()


def test_copies_of_a_vertex_stay_together():
    start = read(None, resolve(cube("clamp")[0].scene, "box/positions")[0], mi.traverse(cube("clamp")[0].scene.mi))
    assert start.shape == (24, 3)
    for map_ in ("largesteps", "normal_displacement"):
        assert torn(*cube(map_), start) == 0
    assert torn(*cube("clamp"), start) > 0.5  # negative control: entry by entry, the corner opens
    variables, key = cube("largesteps")
    away = start.copy()
    away[5] += 0.1
    with pytest.raises(ParameterError, match="copies of a vertex"):
        variables.to_latent(key, away)


def test_displacement_goes_along_the_normals(tmp_path):
    mesh = surfaces.ball(2)
    variables, key = bound(tmp_path, mesh, "normal_displacement")
    value = moved(variables, key, np.random.default_rng(5).normal(size=(len(mesh.vertices), 1)))
    away = value - mesh.vertices
    assert np.abs(away).max() > 0.1
    sideways = away - np.sum(away * mesh.vertex_normals, 1, keepdims=True) * mesh.vertex_normals
    assert np.abs(sideways).max() < 0.02 * np.abs(away).max()  # normals weighted by area or by angle
    np.testing.assert_allclose(moved(variables, key, variables.to_latent(key, value)), value, atol=1e-5)
    with pytest.raises(ParameterError, match="sideways"):
        variables.to_latent(key, mesh.vertices + [0.1, 0, 0])


def test_borders_that_are_held_stay(tmp_path):
    mesh = surfaces.ball(2)
    mesh.update_faces(mesh.triangles_center[:, 2] > 0.1)
    mesh.remove_unreferenced_vertices()
    variables, key = bound(tmp_path, mesh, {"type": "largesteps", "fix_border": True})
    border = np.unique(
        mesh.edges_sorted[np.flatnonzero(np.bincount(mesh.edges_unique_inverse)[mesh.edges_unique_inverse] == 1)]
    )
    latent = np.random.default_rng(6).normal(size=variables.init()[key].shape)
    assert len(latent) == len(mesh.vertices) - len(border) and len(border) > 5
    away = np.linalg.norm(moved(variables, key, latent) - mesh.vertices, axis=1)
    assert away[border].max() < 1e-6 and np.median(away) > 0.05
    with pytest.raises(ParameterError, match="fix_border"):
        variables.to_latent(key, mesh.vertices + 0.1)


@pytest.mark.parametrize("smooth", [True, False])
def test_seams_of_interpolated_normals_are_told(tmp_path, smooth, recwarn):
    mesh = surfaces.ball(2)
    half = np.flatnonzero(mesh.triangles_center[:, 0] > 0)
    faces = np.array(mesh.faces)
    faces[half] += len(mesh.vertices)  # a second copy of every vertex
    twice = np.tile(mesh.vertices, (2, 1))
    split = trimesh.Trimesh(twice, faces, vertex_normals=twice / 0.8, process=False)
    path = str(tmp_path / "split.ply")
    split.export(path, vertex_normal=True)
    scene = load_scene(surfaces.seen(path, 1, 4, face_normals=not smooth))
    Variables(scene, {"shape": VariableSpec("object/positions")})
    told = [str(w.message) for w in recwarn if issubclass(w.category, DataWarning)]
    assert len(told) == smooth and all("162 vertices are copies along seams" in text for text in told)


@pytest.mark.parametrize(
    ("match", "map_", "bounds", "message"),
    [
        ("*/base_color", "largesteps", None, "serves the vertex positions of meshes only$"),
        ("object/positions", "largesteps", (-1.0, 1.0), "keeps no bounds"),
        ("object/positions", {"type": "largesteps", "smoothness": -1.0}, None, "at least 0"),
    ],
)
def test_what_the_maps_are_not_for_is_refused(tmp_path, match, map_, bounds, message):
    surfaces.ball(1).export(tmp_path / "mesh.ply")
    scene = load_scene(surfaces.seen(str(tmp_path / "mesh.ply"), 1, 4))
    with pytest.raises(OptionError, match=message):
        Variables(scene, {"x": VariableSpec(match, map=map_, bounds=bounds)})


def test_a_border_alone_cannot_be_held(tmp_path):
    mesh = surfaces.ball(1)
    mesh.update_faces(np.arange(len(mesh.faces)) == 0)
    mesh.remove_unreferenced_vertices()
    with pytest.raises(ParameterError, match="every vertex is on an open border"):
        bound(tmp_path, mesh, {"type": "largesteps", "fix_border": True})


def test_uniform_adam_is_the_published_recursion():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 3))
    optimiser = OPTIMISERS.make({"type": "adam_uniform", "beta2": 0.99})
    latents = {"x": tensor(x)}
    state = optimiser.init(latents)
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t in range(1, 8):
        g = rng.normal(size=(4, 3)) * [1, 10, 0.1]
        latents, state = optimiser.step(state, latents, {"x": tensor(g)}, {"x": 0.1})
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        x = x - 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v.max() / (1 - 0.99**t)) + 1e-8)
        np.testing.assert_allclose(np.array(latents["x"]), x, rtol=1e-4, atol=1e-6)


def test_uniform_adam_keeps_the_direction():
    g = np.array([[1.0, -0.1], [0.01, 0.0]])
    steps = {}
    for name in ("adam", "adam_uniform"):
        optimiser, latents = OPTIMISERS.make(name), {"x": tensor(np.zeros((2, 2)))}
        latents, _ = optimiser.step(optimiser.init(latents), latents, {"x": tensor(g)}, {"x": 0.1})
        steps[name] = -np.array(latents["x"]) / 0.1
    np.testing.assert_allclose(steps["adam_uniform"], g, atol=1e-6)
    assert (
        np.abs(steps["adam"] - g).max() > 0.5
    )  # negative control: entry by entry, small gradients go as far as large ones
