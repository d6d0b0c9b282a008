"""Grids of signed distances in shape groups: twins without a group, and finite differences.

With 6 replicas whose standard errors are at most 2 % of the derivative, an error of 20 % fails with a probability of 99 %; `check`
asserts that 10 % more would have failed.
"""

from __future__ import annotations

from types import SimpleNamespace

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.boundary.table.builder import TableBuilder
from pbdr.geometry import grids, registry, surfaces
from pbdr.parameters import resolve
from pbdr.parameters.attach import attached
from pbdr.rendering import gradient
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import REPLICAS, Differences, adjoint, assert_transposed, check, gradients
from validation.scenes.grids import PLACE, blob, distances
from validation.scenes.grids_in_groups import (
    AXIS,
    CASES,
    MIRRORED,
    OWN,
    TURNED,
    case,
    change,
    gate,
    grouped,
    scene,
    shown,
)
from validation.scenes.zoo import T


@pytest.mark.parametrize("frame", [TURNED, MIRRORED], ids=["turned", "mirrored"])
@pytest.mark.parametrize("normals", ["smooth", "analytic"])
def test_mitsuba_traces_grids_of_turned_instances(normals, frame):
    """Its hits on an instance are those of the grid alone, by rays taken into the group; re-evaluated here, they stay.

    Negative control: the grid alone, turned as the instance is.
    """
    alone = mi.load_dict({"type": "scene", "blob": blob(normals) | {"to_world": OWN}})
    made = mi.load_dict({
        "type": "scene", "group": {"type": "shapegroup", "blob": blob(normals) | {"to_world": OWN}}, "one": shown(frame),
    })  # fmt: skip
    rng = np.random.default_rng(2)
    middle = np.array(frame @ OWN @ mi.ScalarPoint3f(0.5)).reshape(3, 1)
    out = rng.normal(size=(3, 20000))
    start = middle + 4 * out / np.linalg.norm(out, axis=0)
    towards = middle + rng.uniform(-0.5, 0.5, out.shape) - start
    ray = mi.Ray3f(mi.Point3f(start.astype(np.float32)), mi.Vector3f(towards.astype(np.float32)))
    back = mi.Transform4f(frame.inverse())
    hit = made.ray_intersect_preliminary(ray, coherent=False)
    exact = alone.ray_intersect_preliminary(mi.Ray3f(back @ ray.o, back @ ray.d), coherent=False)
    found, same = np.array(hit.is_valid()), np.array(exact.is_valid())
    turned = mi.load_dict({"type": "scene", "blob": blob(normals) | {"to_world": frame @ OWN}})
    assert (found != np.array(turned.ray_intersect_preliminary(ray, coherent=False).is_valid())).sum() > 50
    assert (found != same).sum() <= 2 and found.sum() > 3000
    both = found & same
    assert np.abs(np.array(hit.t)[both] - np.array(exact.t)[both]).max() < 1e-4
    features = SimpleNamespace(kinds=registry.present(made))
    ours, theirs = surfaces.sliding(features, hit, ray), hit.compute_surface_interaction(ray)
    assert np.array(features.kinds[-1].sighted(hit, True))[both].all()
    for name in ("p", "n"):
        assert np.abs(np.array(getattr(ours, name)) - np.array(getattr(theirs, name)))[:, both].max() < 1e-4
    for name in "nst":
        a, b = (np.array(getattr(si.sh_frame, name))[:, both] for si in (ours, theirs))
        assert np.quantile(np.abs(a - b).max(0), 0.99) < 1e-4  # a frame may turn over


def test_every_grid_is_found():
    """Grids of several sizes, alone, beside other shapes in groups, and shown twice."""
    ball = lambda size: {"type": "sdfgrid", "grid": mi.TensorXf(distances(size))}  # noqa: E731
    box = lambda x: {"type": "cube", "to_world": T().translate([x, 0.5, 0.5]).scale(0.2)}  # noqa: E731
    at = lambda x: T().translate([x, 0, 0])  # noqa: E731
    made = mi.load_dict({
        "type": "scene", "mixed": {"type": "shapegroup", "first": box(2), "ball": ball(8), "last": box(4)},
        "single": {"type": "shapegroup", "ball": ball(7)}, "a": shown(at(0), "mixed"), "plain": ball(9) | {"to_world": at(10)},
        "b": shown(at(20), "single"), "c": shown(at(30), "mixed"),
    })  # fmt: skip
    found = grids.Grids.of(made)
    x = np.array([0.5, 2, 4, 10.5, 20.5, 30.5, 32, 50])
    ray = mi.Ray3f(mi.Point3f(x.astype(np.float32), 0.5, 5), mi.Vector3f(0, 0, -1))
    here, number = (np.array(x) for x in found.on(made.ray_intersect_preliminary(ray, coherent=False), True))
    assert here.tolist() == [True, False, False, True, True, True, False, False]
    names = [made.shapes()[found.shown[k].index].id() for k in number[here]]
    assert names == ["a", "plain", "b", "c"]
    assert [found.side_host[k] for k in number[here]] == [8, 9, 7, 8]
    assert len(found.shapes) == 3


# ---------------------------------------------------------------------- twins


@pytest.mark.parametrize("normals", ["analytic", pytest.param("smooth", marks=pytest.mark.slow)])
def test_a_twin_without_a_group(normals):
    """Instance and grid moved and scaled: the grid itself, term by term, on the same seed.

    For F = M O, derivatives G by F give G Oᵀ by M and Mᵀ G by O. Negative control: the pose of the grid in its group is left out.
    """
    options = {"spp": 64, "seed": 3, "integrator": {"type": "pathspace", "max_depth": 2, "n_primary": 2**13}}
    frame = PLACE @ OWN.inverse()
    ours, alone = grouped(normals, [frame]), scene(blob=blob(normals))
    twin = gradient(alone, ["blob/grid", "blob/pose", "camera/pose"], adjoint(), **options)
    inside = gradient(ours, ["group/group__blob_grid", "group/group__blob_pose", "camera/pose"], adjoint(), **options)
    outside, turn = (
        gradient(made, name, adjoint(), **options) for made, name in ((ours, "one/pose"), (alone, "blob/pose"))
    )
    outer, own = (np.array(x.matrix, dtype=np.float64) for x in (frame, OWN))
    for term in ("interior", "primary", "direct"):
        exact, found = getattr(twin, term), getattr(inside, term)
        pose, moved = exact["blob/pose"], getattr(turn, term)["blob/pose"]
        pairs = [
            (found["group/group__blob_grid"], exact["blob/grid"]),
            (found["camera/pose"], exact["camera/pose"]),
            (found["group/group__blob_pose"], outer[:3, :3].T @ pose),
            (getattr(outside, term)["one/pose"], moved @ own.T),
        ]
        for a, b in pairs:
            size = np.abs(b).max()
            assert size > 0
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-2 * size, err_msg=term)
        assert np.abs(pairs[3][0] - moved).max() > 0.05 * np.abs(moved).max()


# ---------------------------------------------------------------------- finite differences


@pytest.mark.parametrize("name", [pytest.param(x, marks=() if x == "pose" else pytest.mark.slow) for x in CASES])
def test_grids_and_cameras_move(name):
    """Negative control: without the shadows."""
    made, parameter, step, samples = case(name)
    moves, lit_by_area = change(made, parameter), CASES[name][3] == "area"
    many, count = (16, 14) if lit_by_area else (4, REPLICAS)  # penumbras are noisier
    exact = Differences(made, parameter, moves, step, spp=1024 * many, integrator={"type": "path", "max_depth": 2})
    weights = adjoint() if lit_by_area else exact.signs()
    differences = exact.replicas(weights, gap=0.02, count=count)
    samples |= {"max_depth": 2, "count": count}
    ours = gradients(made, {parameter: moves}, weights, **samples)[parameter]
    left_out = gradients(made, {parameter: moves}, weights, terms=("interior", "primary"), **samples)
    check(ours, differences, max_relative_se=0.02)
    assert_differs(left_out[parameter] - differences, 0.0, scale=abs(differences.mean()), by=0.05)


@pytest.mark.slow  # the differences take a minute
@pytest.mark.parametrize("parameter", ["group/group__blob_grid", "low/pose"])
def test_indirect_light(parameter):
    """What the instance, turned, hides of a lit wall from the floor. Negative control: without the indirect term."""
    made = gate(T().translate([0.9, -0.05, 0.4]).rotate(AXIS, 30).scale(0.6).translate([-0.5, -0.5, -0.5]))
    moves = np.array([[0.4, 0, 0, -0.2], [0, 0.4, 0, -0.2], [0, 0, 0.4, -0.1]])
    if parameter != "low/pose":
        z, y, x = np.meshgrid(*[np.linspace(-1, 1, 8)] * 3, indexing="ij")
        moves = (np.sin(2 * x + 1) + np.cos(3 * y - z) - 0.5 * np.sin(4 * z) - 1.5)[..., None]
    path = {"type": "path", "max_depth": 3}
    exact = Differences(made, parameter, moves, 0.02, spp=32768, integrator=path).replicas(adjoint(), gap=0.05)
    options = {"max_depth": 3, "n_indirect": 400_000, "spp": 4}
    ours = gradients(made, {parameter: moves}, adjoint(), **options)[parameter]
    scale = abs(exact.mean())
    assert_agrees(ours - exact, 0.0, scale=scale, max_relative_se=0.04)
    without = gradients(made, {parameter: moves}, adjoint(), **{**options, "n_indirect": 0})[parameter]
    assert_differs(without - exact, 0.0, scale=scale, by=0.5)


@pytest.mark.parametrize("name", ["group/group__blob_grid", "group/group__blob_pose", "one/pose"])
def test_the_table_is_detached(name):
    """Attached rows are computed outside of the loop in which forward mode asks for derivatives, and would end it there.

    Negative control: the frames of the grids are attached where a pose moves.
    """
    made = grouped("analytic", [TURNED])
    (parameter,) = resolve(made, name)
    with attached(made.mi, {name: parameter}):
        found = grids.Grids.of(made.mi)
        table = TableBuilder().build(made.mi, frozenset({0}))
        assert not any(dr.grad_enabled(x) for x in (table.a, table.b, table.c, table.d, table.sign))
        assert dr.grad_enabled(found.frame(mi.UInt32(0), True).origin) == name.endswith("pose")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["group/group__blob_grid", "one/pose"])
def test_forward_and_reverse_mode(name):
    made = grouped("smooth", [TURNED, MIRRORED])
    assert_transposed(made, name, change(made, name), adjoint(), max_depth=3)


@pytest.mark.parametrize(
    ("own", "others", "message"),
    [
        (OWN.rotate([0, 0, 1], 5), {}, "turned or sheared"),
        (OWN, {"wall": {"type": "rectangle", "to_world": T().translate([0, 0, 0.75])}}, "pass through each other"),
    ],
)
def test_refusals(own, others, message):
    made = grouped("analytic", [TURNED], own, **others)
    with pytest.raises(pbdr.errors.SceneError, match=message):
        gradient(made, "one/pose", adjoint(), spp=1, integrator={"type": "pathspace", "max_depth": 2})
