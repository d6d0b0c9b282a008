"""Forward and reverse mode are transposes of each other: ⟨a, J t⟩ = ⟨Jᵀ a, t⟩ for every term, on the same samples.

The same seed gives the same paths and edges in both modes, so that the two sides differ by rounding only, whatever the noise. By
default, reverse mode follows the adjoint, which forward mode does not know: `adjoint_sampling` is switched off here.
"""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.backend import on_gpu
from pbdr.parameters import read, resolve, traverse, write
from pbdr.rendering import derivative, gradient, render
from validation.scenes.small import area_light, diffuse, film_camera, pose, quad, scene_of, shape

SIZE = 8
GEOMETRY = ("slab/positions", "floor/pose", "ball/pose", "lamp/pose")
RADIOMETRIC = ("floor/base_color", "lamp/radiance", "ball/roughness", "sky/radiance")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    sky = np.random.default_rng(3).uniform(0.2, 1, (4, 8, 3)).astype(np.float32)
    plastic = {"type": "principled", "base_color": {"type": "rgb", "value": 0.3}, "roughness": 0.4, "specular": 0.8}
    grey = {"type": "twosided", "bsdf": diffuse(0.6)}
    return scene_of(
        camera=film_camera(0.5, SIZE),
        sky={"type": "envmap", "bitmap": mi.Bitmap(sky)},
        floor=shape("rectangle", pose((0, -1, 5), x=(2, 0, 0), y=(0, 0.5, 2), z=(0, 1, -0.25)), bsdf=grey),
        ball=shape("sphere", pose((0.3, 0.2, 4.2)) @ np.diag([0.5, 0.5, 0.5, 1]), bsdf=plastic),
        lamp=shape("disk", pose((0.5, 1.6, 3.5), x=(0.6, 0, 0), y=(0, 0, 0.6), z=(0, -1, 0)), emitter=area_light(8)),
        slab=quad(
            tmp_path_factory.mktemp("slab"), "slab", pose((-0.6, 0.1, 4), x=(0.4, 0.1, 0), y=(0, 0.3, 0.2)), bsdf=grey
        ),
    )


def both_sides(scene, name, term, mode_seeds=(7, 7)):
    """⟨a, J t⟩, ⟨Jᵀ a, t⟩ and the size Σ |Jᵀ a| |t| that their rounding errors are relative to."""
    rng = np.random.default_rng(len(name))
    adjoint = rng.normal(size=(SIZE, SIZE, 3)).astype(np.float32)
    depth = 2 if name in GEOMETRY else 3
    integrator = {"type": "pathspace", "max_depth": depth, "adjoint_sampling": False}
    options = {"spp": 8, "terms": (term,), "integrator": integrator}
    reverse = getattr(gradient(scene, name, adjoint, seed=mode_seeds[0], **options), term)[name].astype(np.float64)
    tangent = rng.normal(size=reverse.shape)
    forward = derivative(scene, {name: tangent}, seed=mode_seeds[1], **options)[term].astype(np.float64)
    return np.sum(adjoint * forward), np.sum(reverse * tangent), np.sum(np.abs(reverse * tangent))


@pytest.mark.parametrize("term", ["interior", "primary", "direct"])
@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry(scene, name, term):
    forward, reverse, size = both_sides(scene, name, term)
    assert size > 0
    assert forward == pytest.approx(reverse, abs=2e-4 * size)


@pytest.mark.parametrize("name", RADIOMETRIC)
def test_materials_and_lights(scene, name):
    if name == "lamp/radiance" and on_gpu():
        pytest.skip("OptiX (driver 580.159) crashes while it compiles this kernel")
    forward, reverse, size = both_sides(scene, name, "interior")
    assert size > 0
    assert forward == pytest.approx(reverse, abs=2e-4 * size)


def test_the_tolerance_tells_other_samples_apart(scene):
    """Negative control: with different seeds, both sides are unbiased but no transposes of each other."""
    forward, reverse, size = both_sides(scene, "floor/base_color", "interior", mode_seeds=(7, 8))
    assert abs(forward - reverse) > 2e-3 * size


def test_terms_at_once_are_the_sum_of_the_terms(scene):
    """Autograd runs all terms in one pass: none may use up the graph of another. (Several round shapes share their motion.)"""
    names, integrator = ["floor/pose", "ball/pose", "lamp/pose"], {"type": "pathspace", "max_depth": 2}
    adjoint = np.random.default_rng(1).normal(size=(SIZE, SIZE, 3)).astype(np.float32)
    apart = gradient(scene, names, adjoint, spp=8, seed=9, integrator=integrator)
    params = traverse(scene)
    chosen = {name: resolve(scene, name)[0] for name in names}
    before = {name: mi.TensorXf(read(scene, p).astype(np.float32)) for name, p in chosen.items()}
    leaves = {name: mi.TensorXf(value) for name, value in before.items()}
    try:
        for name, leaf in leaves.items():
            dr.enable_grad(leaf)
            write(params, chosen[name], leaf)
        params.update()
        image = render(scene, params, spp=8, seed=1, seed_grad=9, integrator=integrator)
        dr.backward(dr.sum((image * mi.TensorXf(adjoint)).array))
        together = {name: np.array(dr.grad(leaf)) for name, leaf in leaves.items()}
    finally:
        for name, value in before.items():
            write(params, chosen[name], value)
        params.update()
    for name in names:
        assert np.any(apart.direct[name] != 0)
        largest = float(np.abs(apart.total[name]).max())
        assert np.abs(together[name] - apart.total[name]).max() < 1e-4 * largest, name
