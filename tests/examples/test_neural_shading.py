"""`examples/neural_shading.py`: a network as a material. Its weights' gradient is that of differences, and a fit finds them."""

from __future__ import annotations

import mitsuba as mi
import numpy as np
import pytest

from pbdr.rendering import derivative, gradient
from validation import examples
from validation.agreement import assert_differs
from validation.finite_differences import Differences, check, gradients

NAME, DEPTH = "ball/weights", 3


@pytest.fixture(scope="module")
def example():
    return examples.load("neural_shading")


def test_gradients_of_the_weights(example):
    """All at once, with light by way of the floor; a network whose derivative lacks the indirect light would be noticed."""
    made = example.scene({"type": "neural"}, 12)
    tangent = 0.1 * np.random.default_rng(0).normal(size=403)
    exact = Differences(made, NAME, tangent, 0.05, spp=128, integrator={"type": "path", "max_depth": DEPTH})
    weights = exact.signs()
    differences = exact.replicas(weights, gap=0.03)
    ours, direct = (gradients(made, {NAME: tangent}, weights, spp=32, max_depth=depth)[NAME] for depth in (DEPTH, 2))
    check(ours, differences, max_relative_se=0.01)
    assert_differs(direct - ours, 0.0, scale=abs(ours.mean()), by=0.01)


def test_it_is_reciprocal(example):
    """And what it samples has the density and the value that it says."""
    bsdf = mi.load_dict({"type": "neural"})
    rng = np.random.default_rng(1)
    wi, wo = (mi.warp.square_to_uniform_hemisphere(mi.Point2f(rng.random((2, 64)))) for _ in range(2))
    np.testing.assert_allclose(np.array(bsdf.colour(wi, wo)), np.array(bsdf.colour(wo, wi)), rtol=1e-5)
    si = mi.SurfaceInteraction3f()
    si.wi = wi
    bs, weight = bsdf.sample(mi.BSDFContext(), si, mi.Float(0.5), mi.Point2f(rng.random((2, 64))), mi.Bool(True))
    value, pdf = bsdf.eval_pdf(mi.BSDFContext(), si, bs.wo, mi.Bool(True))
    np.testing.assert_allclose(np.array(weight) * np.array(pdf), np.array(value), rtol=1e-4)


@pytest.mark.slow
def test_forward_is_the_transpose_of_reverse(example):
    """On the same samples, up to rounding. Nothing moves, so that there is no boundary."""
    made, tangent = example.scene({"type": "neural"}, 12), np.cos(np.arange(403.0))
    weights = np.full((12, 12, 3), 1 / 144, np.float32)
    options = {
        "spp": 16,
        "seed": 5,
        "integrator": {"type": "pathspace", "max_depth": DEPTH, "adjoint_sampling": False},
    }
    image = sum(derivative(made, {NAME: tangent}, **options).values())
    reverse = gradient(made, NAME, weights, **options).total[NAME].astype(np.float64) * tangent
    assert abs(np.sum(image * weights) - reverse.sum()) <= 5e-4 * np.abs(reverse).sum() and reverse.any()


@pytest.mark.slow
def test_a_fit_finds_a_material(example):
    before, after = example.main()
    assert after < 0.12 and before > 3 * after
