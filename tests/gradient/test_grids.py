"""Grids of signed distances: their hits, silhouettes, creases and shading horizons, against finite differences."""

from __future__ import annotations

from types import SimpleNamespace

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.geometry import grid_edges, registry, surfaces
from pbdr.parameters import traverse
from pbdr.rendering import gradient
from pbdr.transport.features import Features
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import REPLICAS, Differences, adjoint, assert_transposed, check, gradients
from validation.scenes import zoo
from validation.scenes.grids import CASES, PLACE, case, change, distances, gate, scene
from validation.scenes.zoo import T


@pytest.mark.parametrize("normals", ["smooth", "analytic"])
@pytest.mark.parametrize("what", ["grid", "ray"])
def test_hits_slide(normals, what):
    """Point and normals of a hit, against rays traced again; Mitsuba's own derivatives by the values fail the same check."""
    made = scene(normals).mi
    params = traverse(made)
    start, moves = np.array(params["blob.grid"]), 0.3 * np.random.default_rng(3).normal(size=distances().shape)
    rng = np.random.default_rng(4)
    count = 4000
    origin = rng.normal(size=(3, count))
    origin = 4 * origin / np.linalg.norm(origin, axis=0) + [[0], [0], [4.5]]
    towards = rng.uniform(-0.5, 0.5, (3, count)) + [[0], [0], [0.95]] - origin
    towards /= np.linalg.norm(towards, axis=0)
    shift, tilt = (rng.normal(size=(3, count)) * x for x in (0.3, 0.1))
    tilt -= towards * (towards * tilt).sum(0)
    shape = next(s for s in made.shapes() if registry.kind_of(s) is registry.Grids)

    def ray(step):
        turned = towards + step * tilt * (what == "ray")
        o, d = origin + step * shift * (what == "ray"), turned / np.linalg.norm(turned, axis=0)
        return mi.Ray3f(mi.Point3f(o.astype(np.float32)), mi.Vector3f(d.astype(np.float32)))

    def traced(step):
        params["blob.grid"] = mi.TensorXf((start + step * moves * (what == "grid")).astype(np.float32))
        params.update()
        hit = made.ray_intersect_preliminary(ray(step))
        si = hit.compute_surface_interaction(ray(step))
        own = np.array(hit.is_valid()) & np.array(hit.shape == mi.ShapePtr(shape))
        values = np.concatenate([np.array(x) for x in (si.p, si.n, si.sh_frame.n, si.sh_frame.s)]).astype(np.float64)
        local = np.array(mi.Transform4f(PLACE.inverse()) @ si.p) * (len(start) - 1)
        return hit, values, own, np.floor(local), np.round(local)

    step = 2e-3
    (_, plus, *ahead), (_, minus, *behind) = traced(step), traced(-step)
    hit, values, own, voxel, corner = traced(0.0)
    alike = own & (np.abs((values[3:6] * towards).sum(0)) > 0.3) & (np.abs(plus - minus).max(0) < 0.3)
    for found, cell, nearest in (ahead, behind):
        alike &= found & (cell == voxel).all(0) & (nearest == corner).all(0)
    assert alike.sum() > 300
    exact = ((plus - minus) / (2 * step))[:, alike]

    def derivatives(known):
        amount = mi.Float(0)
        dr.enable_grad(amount)
        params["blob.grid"] = mi.TensorXf(start)
        if what == "grid":
            flat = mi.Float(start.ravel()) + amount * mi.Float(moves.astype(np.float32).ravel())
            params["blob.grid"] = mi.TensorXf(flat, start.shape)
        params.update()
        moving = ray(0.0)
        if what == "ray":
            moving.o += amount * mi.Point3f(shift.astype(np.float32))
            moving.d += amount * mi.Vector3f(tilt.astype(np.float32))
        features = SimpleNamespace(kinds=registry.present(made) if known else ())
        si = surfaces.sliding(features, hit, moving)
        found = [*si.p, *si.n, *si.sh_frame.n, *si.sh_frame.s]
        dr.set_grad(amount, 1)
        dr.enqueue(dr.ADMode.Forward, amount)
        dr.traverse(dr.ADMode.Forward)
        return np.stack([np.array(dr.grad(x)) + np.zeros(count) for x in found])[:, alike]

    size = np.median(np.abs(exact))
    assert np.quantile(np.abs(derivatives(True) - exact), 0.9) < 0.02 * size
    if what == "grid":
        assert np.quantile(np.abs(derivatives(False) - exact), 0.9) > 0.2 * size


SLOW = ("values under a lamp with a surface", "pose", "receiver")


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=pytest.mark.slow if x in (*SLOW, "values") else ()) for x in CASES]
)
def test_grids_cameras_and_receivers_move(name):
    made, parameter, step, samples = case(name)
    tangent, lit_by_area = change(made, parameter), CASES[name][2] == "area"
    many, count = (
        (16, 14) if name in SLOW else (4, REPLICAS)
    )  # penumbras, and shadows that move as a whole, are noisier
    exact = Differences(made, parameter, tangent, step, spp=1024 * many, integrator={"type": "path", "max_depth": 2})
    weights = adjoint() if lit_by_area else exact.signs()
    differences = exact.replicas(weights, gap=0.02, count=count)
    samples |= {"max_depth": 2, "count": count}
    ours = gradients(made, {parameter: tangent}, weights, **samples)[parameter]
    check(ours, differences, max_relative_se=0.02)
    left_out = gradients(made, {parameter: tangent}, weights, terms=("interior", "primary"), **samples)
    assert_differs(left_out[parameter] - differences, 0.0, scale=abs(differences.mean()), by=0.05)


@pytest.mark.parametrize("left_out", [grid_edges.SILHOUETTE, grid_edges.CREASE], ids=["silhouettes", "creases"])
def test_every_part_of_the_outline_counts(left_out, monkeypatch):
    """Negative controls: without one of them, the gradient is another one."""
    made, parameter, _, samples = case("values, no smooth normals")
    tangent = change(made, parameter)
    exact = gradients(made, {parameter: tangent}, adjoint(), max_depth=2, **samples)[parameter]
    rows = grid_edges.rows

    def without(*args):
        found = rows(*args)
        keep = dr.compress(found["form"] != left_out.code)
        return {name: dr.gather(type(x), x, keep) for name, x in found.items()}

    monkeypatch.setattr(grid_edges, "rows", without)
    changed = gradients(made, {parameter: tangent}, adjoint(), max_depth=2, **samples)[parameter]
    assert_differs(changed - exact, 0.0, scale=abs(exact.mean()), by=0.05)


@pytest.mark.slow  # heavy-tailed: a million samples of few crossings
def test_where_light_grazes_smooth_normals(monkeypatch):
    """Two pixels that the terminator runs through: within voxels, it is no edge."""
    made, parameter, step, samples = case("values")
    samples["n_primary"] = 1_500_000
    tangent, weights = change(made, parameter), np.zeros((zoo.SIZE, zoo.SIZE, 3))
    weights[6, 7:9] = 1.0
    exact = Differences(made, parameter, tangent, step, spp=16384, integrator={"type": "path", "max_depth": 2})
    differences = exact.replicas(weights, gap=0.02)
    ours = gradients(made, {parameter: tangent}, weights, max_depth=2, **samples)[parameter]
    check(ours, differences, max_relative_se=0.02)
    monkeypatch.setattr(Features, "lit_smoothly", property(lambda self: False))
    without = gradients(made, {parameter: tangent}, weights, max_depth=2, **samples)[parameter]
    assert_differs(without - differences, 0.0, scale=abs(differences.mean()), by=0.2)


@pytest.mark.slow  # the differences take a minute
def test_indirect_light():
    """What a grid hides of a lit wall from the floor."""
    made, parameter = gate(), "blob/grid"
    tangent = change(made, parameter)
    path = {"type": "path", "max_depth": 3}
    exact = Differences(made, parameter, tangent, 0.02, spp=32768, integrator=path).replicas(adjoint(), gap=0.05)
    options = {"max_depth": 3, "n_indirect": 400_000, "spp": 4}
    ours = gradients(made, {parameter: tangent}, adjoint(), **options)[parameter]
    scale = abs(exact.mean())
    assert_agrees(ours - exact, 0.0, scale=scale, max_relative_se=0.04)
    without = gradients(made, {parameter: tangent}, adjoint(), **{**options, "n_indirect": 0})[parameter]
    assert_differs(without - exact, 0.0, scale=scale, by=0.5)


@pytest.mark.slow  # the matrix at small size asks the same of such cases
@pytest.mark.parametrize("name", ["blob/grid", "blob/pose", "camera/pose"])
def test_forward_and_reverse_mode(name):
    made, weights = scene("smooth"), adjoint()
    tangent = change(made, name)
    assert_transposed(made, name, tangent, weights, max_depth=3)


def open_end():
    return distances() - 0.9


def along_a_border():
    z, y, x = np.meshgrid(*[np.arange(9)] * 3, indexing="ij")
    return (np.maximum(np.maximum(abs(x - 4), abs(y - 4)), abs(z - 4)) - 2.0)[..., None].astype(np.float32)


@pytest.mark.parametrize(
    ("values", "others", "message"),
    [
        (open_end(), {}, "reaches its border"),
        (along_a_border(), {}, "exactly zero at neighbouring points"),
        (distances()[1:], {}, "10 x 10 x 9 values"),
        (np.where(distances() > 1, np.nan, distances()), {}, "not finite"),
        (None, {"wall": {"type": "rectangle", "to_world": T().translate([0, 0, 0.9])}}, "pass through each other"),
        (None, {"stick": {"type": "sphere", "center": [0.5, 0, 0.9], "radius": 0.3}}, "pass through each other"),
    ],
)
def test_refusals(values, others, message):
    made = scene("smooth", values=values, **others)
    with pytest.raises(pbdr.errors.SceneError, match=message):
        gradient(made, "blob/grid", adjoint(), spp=1, integrator={"type": "pathspace", "max_depth": 2})


def test_turned_grids_are_refused():
    made = scene("smooth")
    params = traverse(made.mi)
    params["blob.to_world"] = mi.Transform4f(PLACE.rotate([0, 0, 1], 5))
    params.update()
    with pytest.raises(pbdr.errors.SceneError, match="turned or sheared"):
        gradient(made, "blob/grid", adjoint(), spp=1, integrator={"type": "pathspace", "max_depth": 2})


def test_what_has_no_derivative_is_refused():
    integrator = {"type": "pathspace", "max_depth": 2}
    made = scene("smooth", zoo.above(size=0.4, emitter={"type": "area", "radiance": zoo.rgb(30.0)}))
    with pytest.raises(pbdr.errors.SceneError, match="is a grid"):
        gradient(made, "blob/grid", adjoint(), spp=1, integrator={**integrator, "boundary": "warp"})
