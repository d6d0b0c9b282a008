"""Priors of meshes: values by plain formulas, derivatives by differences, units, refusals."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import ParameterError
from pbdr.inverse import Problem, View
from pbdr.inverse.priors import PRIORS
from pbdr.parameters import Variables, VariableSpec
from pbdr.scene import load_scene
from validation.scenes import surfaces

NAMES = ("laplacian", "normal_consistency", "edge_length")


def place_of(tmp_path, mesh):
    path = str(tmp_path / "mesh.ply")
    mesh.export(path)
    variables = Variables(load_scene(surfaces.seen(path, 1, 4)), {"shape": VariableSpec("object/positions")})
    return next(iter(variables.latents.values())).place


def formula(name, x, faces, unit):
    """The prior of positions `x`, by loops; `unit`: the mean edge length of the start."""
    edges = {tuple(sorted((f[a], f[b]))) for f in faces for a, b in ((0, 1), (1, 2), (2, 0))}
    if name == "edge_length":
        lengths = np.array([np.linalg.norm(x[a] - x[b]) for a, b in edges])
        return lengths.var() / lengths.mean() ** 2
    if name == "laplacian":
        around = [[b if a == k else a for a, b in edges if k in (a, b)] for k in range(len(x))]
        return np.mean([np.sum((x[k] - x[n].mean(0)) ** 2) for k, n in enumerate(around)]) / unit**2
    normals = [np.cross(x[b] - x[a], x[c] - x[a]) for a, b, c in faces]
    normals = [n / np.linalg.norm(n) for n in normals]
    at = {edge: [k for k, f in enumerate(faces) if set(edge) <= set(f)] for edge in edges}
    return np.mean([1 - normals[k[0]] @ normals[k[1]] for k in at.values() if len(k) == 2])


@pytest.mark.parametrize("name", NAMES)
def test_values_and_derivatives(tmp_path, name):
    mesh = surfaces.ball(1)
    mesh.update_faces(np.arange(len(mesh.faces)) > 5)  # with an open border
    place = place_of(tmp_path, mesh)
    faces = place.surface.faces
    rng = np.random.default_rng(1)
    x = place.surface.positions + 0.05 * rng.normal(size=place.surface.positions.shape)
    unit = place.surface.edge_length
    leaf = mi.TensorXf(x.astype(np.float32))
    dr.enable_grad(leaf)
    value = PRIORS.make(name)(leaf, place)
    assert float(value[0]) == pytest.approx(formula(name, x, faces, unit), rel=1e-4) and float(value[0]) > 1e-3
    dr.backward(value)
    direction = rng.normal(size=x.shape)
    ends = [formula(name, x + s * direction, faces, unit) for s in (1e-5, -1e-5)]
    assert np.sum(np.array(dr.grad(leaf)) * direction) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_units_and_origin_do_not_matter(tmp_path, name):
    mesh = surfaces.ball(2)
    mesh.vertices *= 1 + 0.1 * np.sin(5 * mesh.vertices[:, :1])
    values = []
    for scale, shift in ((1.0, 0.0), (100.0, 30.0)):
        other = mesh.copy()
        other.vertices = scale * mesh.vertices + shift
        values.append(
            float(PRIORS.make(name)(mi.TensorXf(other.vertices.astype(np.float32)), place_of(tmp_path, other))[0])
        )
    assert values[0] == pytest.approx(values[1], rel=1e-2) and values[0] > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_faces_without_area_and_edges_without_length_have_finite_derivatives(tmp_path, name):
    place = place_of(tmp_path, surfaces.ball(1))
    x = place.surface.positions.copy()
    a, b, _ = place.surface.faces[0]
    x[a] = x[b]
    leaf = mi.TensorXf(x.astype(np.float32))
    dr.enable_grad(leaf)
    value = PRIORS.make(name)(leaf, place)
    dr.backward(value)
    assert np.isfinite(float(value[0])) and np.isfinite(np.array(dr.grad(leaf))).all()


def test_priors_of_meshes_are_refused_elsewhere(tmp_path):
    surfaces.ball(1).export(tmp_path / "mesh.ply")
    scene = load_scene(surfaces.seen(str(tmp_path / "mesh.ply"), 1, 4))
    view = View(np.zeros((4, 4, 3)))
    for name in NAMES:
        with pytest.raises(ParameterError, match="about the vertex positions of a mesh"):
            Problem(scene, [view], {"x": VariableSpec("*/base_color", prior={name: 1.0})})
    Problem(scene, [view], {"x": VariableSpec("object/positions", prior=dict.fromkeys(NAMES, 1.0))})
    with pytest.raises(ParameterError, match="constant"):  # as textures' priors are here
        Problem(scene, [view], {"x": VariableSpec("*/base_color", prior={"tv": 1.0})})
