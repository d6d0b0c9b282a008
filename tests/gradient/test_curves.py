"""B-spline and linear curves: their hits, outlines, open ends and creases, against finite differences."""

from __future__ import annotations

from types import SimpleNamespace

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.geometry import registry, surfaces
from pbdr.parameters import traverse
from pbdr.rendering import gradient
from validation.agreement import assert_differs
from validation.finite_differences import Differences, adjoint, assert_transposed, check, gradients
from validation.scenes import zoo
from validation.scenes.curves import POINTS, bending, scene

FLAGS = ("p", "n", "uv")


@pytest.mark.parametrize("kind", POINTS)
@pytest.mark.parametrize("what", ["curve", "ray"])
def test_hits_slide(tmp_path, kind, what):
    """Point, normal and texture coordinates of a hit, against rays traced again; Mitsuba's own derivatives fail the same check."""
    made = scene(tmp_path, kind).mi
    params = traverse(made)
    start = np.array(params["curve.control_points"])
    rng = np.random.default_rng(3)
    moves = rng.normal(size=start.size) * 0.3
    count = 2000
    origin = rng.normal(size=(3, count))
    origin = 4 * origin / np.linalg.norm(origin, axis=0) + [[0], [0], [4.5]]
    towards = rng.uniform(-1, 1, (3, count)) * [[1], [0.4], [0.4]] + [[0], [0], [0.8]] - origin
    towards /= np.linalg.norm(towards, axis=0)
    shift, tilt = (rng.normal(size=(3, count)) * x for x in (0.3, 0.1))
    tilt -= towards * (towards * tilt).sum(0)

    def traced(step):
        params["curve.control_points"] = mi.Float((start + step * moves * (what == "curve")).astype(np.float32))
        params.update()
        move = step * (what == "ray")
        turned = towards + move * tilt
        o, d = (origin + move * shift).astype(np.float32), (turned / np.linalg.norm(turned, axis=0)).astype(np.float32)
        hit = made.ray_intersect_preliminary(mi.Ray3f(mi.Point3f(o), mi.Vector3f(d)))
        si = hit.compute_surface_interaction(mi.Ray3f(mi.Point3f(o), mi.Vector3f(d)))
        own = np.array(hit.is_valid()) & np.array(hit.shape == mi.ShapePtr(made.shapes()[0]))
        values = np.concatenate([np.array(getattr(si, name)) for name in FLAGS]).astype(np.float64)
        return hit, values, own, np.array(hit.prim_index), np.array(hit.prim_uv.x), np.array(si.n)

    step = 4e-3
    (_, plus, *ahead), (_, minus, *behind) = traced(step), traced(-step)
    hit, _, own, prim, v, normal = traced(0.0)
    facing = np.abs((normal * towards).sum(0)) > 0.3
    flat = (v > 0) & (v < 1)
    alike = own & facing & (np.abs(plus - minus).max(0) < 0.3)
    for found, number, place, _ in (ahead, behind):
        alike &= found & (number == prim) & (((place > 0) & (place < 1)) == flat)
    assert alike.sum() > 300
    exact = ((plus - minus) / (2 * step))[:, alike]

    def derivatives(known):
        angle = mi.Float(0)
        dr.enable_grad(angle)
        params["curve.control_points"] = mi.Float(start)
        if what == "curve":
            params["curve.control_points"] = mi.Float(start) + angle * mi.Float(moves.astype(np.float32))
        params.update()
        ray = mi.Ray3f(mi.Point3f(origin.astype(np.float32)), mi.Vector3f(towards.astype(np.float32)))
        if what == "ray":
            ray.o += angle * mi.Point3f(shift.astype(np.float32))
            ray.d += angle * mi.Vector3f(tilt.astype(np.float32))
        features = SimpleNamespace(kinds=registry.present(made) if known else ())
        si = surfaces.sliding(features, hit, ray)
        values = [*si.p, *si.n, *si.uv]
        dr.set_grad(angle, 1)
        dr.enqueue(dr.ADMode.Forward, angle)
        dr.traverse(dr.ADMode.Forward)
        return np.stack([np.array(dr.grad(x)) + np.zeros(count) for x in values])[:, alike]

    size = np.median(np.abs(exact))
    assert np.quantile(np.abs(derivatives(True) - exact), 0.9) < 0.02 * size
    assert np.quantile(np.abs(derivatives(False) - exact), 0.9) > 0.2 * size


CASES = [
    pytest.param(kind, name, light, marks=pytest.mark.slow if (name, light) != ("curve/control_points", "lamp") else ())
    for kind in POINTS
    for name, light in (("curve/control_points", "lamp"), ("camera/pose", "lamp"), ("floor/pose", "area"))
]


@pytest.mark.parametrize(("kind", "name", "light"), CASES)
def test_moving_curves_receivers_and_cameras(tmp_path, kind, name, light):
    shining = zoo.above(size=0.4, emitter={"type": "area", "radiance": zoo.rgb(30.0)}) if light == "area" else None
    made = scene(tmp_path, kind, shining)
    tangent = bending(made, name)
    many = 12 if light == "area" else 1
    exact = Differences(made, name, tangent, 0.02, spp=2048 * many, integrator={"type": "path", "max_depth": 2})
    weights = adjoint() if light == "area" else exact.signs()
    differences = exact.replicas(weights, gap=0.02)
    ours = gradients(made, {name: tangent}, weights, spp=128 * many, max_depth=2)[name]
    check(ours, differences, max_relative_se=0.02)
    scale = abs(differences.mean())
    left_out = gradients(made, {name: tangent}, weights, spp=128 * many, max_depth=2, terms=("interior", "primary"))[
        name
    ]
    assert_differs(left_out - differences, 0.0, scale=scale, by=0.05)


@pytest.mark.slow  # the matrix at small size asks the same of such cases
@pytest.mark.parametrize("kind", POINTS)
def test_forward_and_reverse_mode(tmp_path, kind):
    made, name = scene(tmp_path, kind), "curve/control_points"
    tangent, weights = bending(made, name), adjoint()
    assert_transposed(made, name, tangent, weights, max_depth=3)


@pytest.mark.parametrize(
    ("kind", "points", "message"),
    [
        ("bsplinecurve", [(0, 0, 1, 0.5), (1, 0, 1, 0.5), (1, 0.3, 1, 0.5), (0, 0.3, 1, 0.5)], "folds"),
        ("linearcurve", [(0, 0, 1, 0.5), (0.1, 0, 1, 0.1)], "ball lies within"),
        ("linearcurve", [(0, 0, -0.5, 0.1), (0, 0, 0.5, 0.1)], "pass through each other"),
        (
            "bsplinecurve",
            [(0.1, 0, -2, 0.1), (0.2, 0, -0.5, 0.1), (0.3, 0.1, 0.6, 0.1), (0.2, 0, 2.1, 0.1)],
            "pass through each other",
        ),
    ],
)
def test_refusals(tmp_path, kind, points, message):
    made = scene(tmp_path, kind, points=points)
    with pytest.raises(pbdr.errors.SceneError, match=message):
        gradient(made, "curve/control_points", adjoint(), spp=1, integrator={"type": "pathspace", "max_depth": 2})
