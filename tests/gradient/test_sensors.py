"""Every sensor with a boundary term against finite differences of Mitsuba's own `path`, which renders with the same sensor.

A cube over a floor with a pattern, and its shadow: interior, primary and direct terms all count. (Meshes only: their kernels are
small, and there is one for each sensor.)
"""

import numpy as np
import pytest

from pbdr.boundary.inside_faces import horizon
from pbdr.rendering import derivative, gradient
from pbdr.scene import load_scene
from pbdr.seeds import hashed
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import Differences, adjoint, check, gradients
from validation.scenes import zoo
from validation.scenes.sensors import CAMERA, CROP, SENSORS, area, scene, tangent
from validation.scenes.vertex_normals import bumpy_ball
from validation.scenes.zoo import T

NOISE = 0.02


class Comparison:
    """Finite differences of several parameters (name → step), and weights with which none of them cancels."""

    def __init__(self, found, steps, spp):
        path = {"type": "path", "max_depth": 2}
        self.found, self.tangents = found, {name: tangent(found, name) for name in steps}
        self.exact = {n: Differences(found, n, self.tangents[n], h, spp=spp, integrator=path) for n, h in steps.items()}
        images = [
            np.mean([d.image(d.step, hashed(0, "weights", name, k)) for k in range(4)], 0)
            for name, d in self.exact.items()
        ]
        self.weights = np.sign(sum(x / np.abs(x).mean() for x in images)) / images[0][..., 0].size

    def check(self, spp, **options):
        """All agree; without the boundary, one of them at least is wrong."""
        options = {"spp": spp, "max_depth": 2, **options}
        ours = gradients(self.found, self.tangents, self.weights, **options)
        alone = gradients(self.found, self.tangents, self.weights, count=3, **options, boundary="none")
        wrong, failures = [], []
        print(f"{'parameter':26} differences (se)   ours (se)   difference (se), %   without boundary")
        for name, exact in self.exact.items():
            differences = exact.replicas(self.weights, gap=0.03)
            rows = [
                [x.mean(), x.std(ddof=1) / len(x) ** 0.5] for x in (differences, ours[name], ours[name] - differences)
            ]
            values = np.array(rows) / differences.mean()
            print(
                f"{name:26} {differences.mean():.5f} {np.round(100 * values.ravel()[1:], 2)} {alone[name].mean():.5f}"
            )
            failures += _failure(name, ours[name], differences)
            wrong.append(abs(alone[name].mean() / differences.mean() - 1))
        assert not failures, "\n".join(failures)
        assert max(wrong) > 0.1, wrong


def _failure(name, ours, differences):
    try:
        check(ours, differences, max_relative_se=NOISE)
    except AssertionError as error:
        return [f"{name}: {error}"]
    return []


FILMS = {
    "orthographic": {"rfilter": {"type": "gaussian"}, "sample_border": True},
    "thinlens": {"rfilter": {"type": "tent"}, **CROP},
    "opencv": {"rfilter": {"type": "gaussian"}, "sample_border": True, **CROP},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["opencv", "thinlens", "opencv_fisheye", "orthographic", "perspective"])
def test_camera_parameters(kind):
    """Every parameter, on films with crop windows, borders and filters."""
    found = scene(kind, film=zoo.film(**FILMS.get(kind, {})))
    Comparison(found, {f"camera/{role}": step for role, step in CAMERA[kind].items()}, 16384).check(512)


@pytest.mark.parametrize(
    "kind", ["orthographic", *(pytest.param(k, marks=pytest.mark.slow) for k in ("thinlens", "opencv_fisheye"))]
)
def test_moving_shapes(kind):
    """Edges and soft shadows, seen by every kind of view."""
    Comparison(scene(kind, light=area()), {"block/positions": 0.02}, 8192).check(256)


@pytest.mark.parametrize("kind", ["orthographic", pytest.param("thinlens", marks=pytest.mark.slow)])
def test_shading_horizons(kind, tmp_path, monkeypatch):
    """The rim of a coarse smooth-shaded mesh, whose faces and normals move; without the horizon's term it is wrong."""
    path, vertices = bumpy_ball(tmp_path)
    camera = {"type": kind, "to_world": zoo.VIEW, "film": zoo.film(), "sampler": {"type": "ldsampler"}}
    bsdf = {"type": "diffuse", "reflectance": zoo.rgb(0.3, 0.5, 0.8)}
    found = load_scene({
        "type": "scene", "camera": {**camera, **SENSORS[kind]}, "ball": {"type": "ply", "filename": path, "bsdf": bsdf},
        "sky": {"type": "constant", "radiance": zoo.rgb(1.0)}, "floor": {"type": "rectangle", "to_world": T().scale(3)},
    })  # fmt: skip
    wobble = {"ball/positions": np.sin(7 * vertices[:, [1, 2, 0]])}
    integrator = {"type": "path", "max_depth": 2}
    exact = Differences(found, "ball/positions", wobble["ball/positions"], 0.006, spp=8192, integrator=integrator)
    weights = exact.signs()
    differences = exact.replicas(weights, gap=0.05)
    ours = gradients(found, wobble, weights, spp=1024, max_depth=2)["ball/positions"]
    scale = abs(differences.mean())
    assert_agrees(ours - differences, 0.0, scale=scale, max_relative_se=NOISE)
    monkeypatch.setattr(horizon.HorizonsOnFilm, "draw", lambda *_: iter(()))
    without = gradients(found, wobble, weights, spp=1024, max_depth=2)["ball/positions"]
    assert_differs(without - ours, 0.0, scale=scale, by=0.03)  # on the same samples: only the horizon's noise is left


@pytest.mark.slow  # the matrix at small size asks the same of such cases
@pytest.mark.parametrize(("kind", "name"), [("thinlens", "camera/aperture_radius"), ("opencv", "camera/pose")])
def test_forward_is_the_transpose_of_reverse(kind, name):
    """On the same samples, lens points of connections included, for every term."""
    found = scene(kind, light=area())
    rng = np.random.default_rng(5)
    weights = adjoint() * rng.normal(size=(zoo.SIZE, zoo.SIZE, 3))
    options = {"type": "pathspace", "max_depth": 2, "adjoint_sampling": False}
    reverse = gradient(found, name, weights, spp=8, seed=3, integrator=options)
    along = rng.normal(size=reverse.total[name].shape)
    forward = derivative(found, {name: along}, spp=8, seed=3, integrator=options)
    for term in ("interior", "primary", "direct"):
        product = getattr(reverse, term)[name].astype(np.float64) * along
        size = max(np.abs(product).sum(), np.abs(weights * forward[term]).sum())
        assert size > 0
        assert np.sum(weights * forward[term]) == pytest.approx(product.sum(), abs=2e-4 * size), term


def test_several_sensors():
    """Each sensor of a scene has the gradient that it has alone; parameters of the others give none."""
    one = scene("perspective")
    description = {"type": "opencv", "film": zoo.film(), **SENSORS["opencv"], "sampler": {"type": "ldsampler"}}
    two = scene("perspective", other=description)
    options = {"spp": 8, "seed": 4, "integrator": {"type": "pathspace", "max_depth": 2}}
    expected = gradient(one, ["camera/fov"], adjoint(), **options).total["camera/fov"]
    found = gradient(two, ["camera/fov", "other/k1"], adjoint(), sensor=0, **options).total
    assert found["camera/fov"] == pytest.approx(expected, rel=1e-4) and found["other/k1"] == 0
    found = gradient(two, ["camera/fov", "other/k1"], adjoint(), sensor=1, **options).total
    assert found["camera/fov"] == 0 and found["other/k1"] != 0
