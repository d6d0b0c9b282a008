"""Edges that the camera sees in mirrors and through glass, and shadows on what it sees there."""

from __future__ import annotations

import numpy as np
import pytest

from pbdr.rendering import derivative, gradient
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import Differences, adjoint, gradients, parameters
from validation.scenes.specular import CASES, box, flat_mirror, shift

NOISE = 0.04  # of the derivative; without the chains nothing but the interior is left
SLOW = ("mirror and its border", "point light's shadow in a mirror", "index of a glass ball", "ball in a mirror",
        "box in a curved mirror", "lamp behind a box in a curved mirror")  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
)
def test_chains(name):
    make, parameter, step, depth, spp = CASES[name]
    given = make()
    tangent = (
        np.ones(parameters(given, parameter)[parameter].shape) if parameter.endswith("eta") else shift(given, parameter)
    )
    exact = Differences(given, parameter, tangent, step, spp=16384, integrator={"type": "path", "max_depth": depth})
    weights = exact.signs()
    expected = exact.replicas(weights, gap=0.05)
    scale = abs(expected.mean())
    ours = gradients(given, {parameter: tangent}, weights, spp=spp, max_depth=depth, n_indirect=100_000)[parameter]
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=NOISE)
    without = gradients(given, {parameter: tangent}, weights, spp=16, max_depth=depth, boundary="none")[parameter]
    assert_differs(without - expected, 0.0, scale=scale, by=0.2)


def test_forward_and_reverse_agree():
    given = flat_mirror(box)
    name = "mirror/pose"
    integrator = {"type": "pathspace", "max_depth": 3, "adjoint_sampling": False}
    tangent = shift(given, name)
    reverse = gradient(given, name, adjoint(), spp=8, seed=3, integrator=integrator, terms=("primary",)).total[name]
    forward = derivative(given, {name: tangent}, spp=8, seed=3, integrator=integrator, terms=("primary",))["primary"]
    expected = float(np.sum(reverse * tangent))
    assert abs(expected) > 0
    assert float(np.sum(forward.astype(np.float64) * adjoint())) == pytest.approx(expected, rel=1e-3)
