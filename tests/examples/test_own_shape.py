"""`examples/own_shape.py`: a kind of geometry from outside the package, against finite differences of Mitsuba's own `path`."""

from __future__ import annotations

import sys

import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import OptionError, SceneError
from pbdr.geometry import kind, registry
from pbdr.rendering import gradient
from validation import examples
from validation.agreement import assert_differs
from validation.finite_differences import Differences, assert_transposed, check, gradients

NAME = "ball/data"
LOW = {"max_depth": 2}


@pytest.fixture(scope="module")
def example(root):
    module = examples.load("own_shape")
    yield module
    registry.forget("ellipsoids")
    del sys.modules["own_shape"]


def test_it_agrees_with_differences(example):
    """Centre, half axes and quaternion at once; 10 % more, or no shadow, would be noticed."""
    made, tangent = example.scene(), np.sin(3.0 * np.arange(10) + 1) * 0.5
    exact = Differences(made, NAME, tangent, 0.02, spp=4096, integrator={"type": "path", **LOW})
    weights = exact.signs()
    differences = exact.replicas(weights, gap=0.02)
    ours = gradients(made, {NAME: tangent}, weights, spp=256, **LOW)[NAME]
    check(ours, differences, max_relative_se=0.025)
    left_out = gradients(made, {NAME: tangent}, weights, spp=256, terms=("interior", "primary"), **LOW)[NAME]
    assert_differs(left_out - differences, 0.0, scale=abs(differences.mean()), by=0.05)


@pytest.mark.slow
def test_forward_and_reverse_mode(example):
    weights = np.full((example.SIZE, example.SIZE, 3), 1 / example.SIZE**2, np.float32)
    assert_transposed(example.scene(), NAME, np.sin(3.0 * np.arange(10) + 1), weights, max_depth=3)


def test_a_fit_gets_closer(example):
    before, after = example.main()
    assert after < 0.4 * before


def test_it_is_refused_by_name_without_its_kind(example):
    made, weights = example.scene(), np.ones((example.SIZE, example.SIZE, 3), np.float32)
    registry.forget("ellipsoids")
    try:
        with pytest.raises(SceneError, match="moves a Ellipsoids, whose visibility edges are not supported"):
            gradient(made, NAME, weights, spp=1, integrator={"type": "pathspace", **LOW})
    finally:
        registry.register(example.Ellipsoid)


def test_what_it_refuses(example):
    """What passes through it, and several in one shape."""
    weights = np.ones((example.SIZE, example.SIZE, 3), np.float32)
    sunk = example.scene((0, 0, 0.1, *example.TRUTH[3:]))
    with pytest.raises(SceneError, match="pass through each other"):
        gradient(sunk, NAME, weights, spp=1, integrator={"type": "pathspace", **LOW})
    two = mi.load_dict({
        "type": "scene", "ball": {
            "type": "ellipsoids", "centers": mi.TensorXf(np.eye(3)[:2]), "scales": mi.TensorXf(np.full((2, 3), 0.1)),
            "quaternions": mi.TensorXf(np.eye(4)[[3, 3]]),
        },
    })  # fmt: skip
    with pytest.raises(SceneError, match="several ellipsoids"):
        registry.present(two)


def test_what_is_no_kind_is_refused(example):
    class Again(kind.Kind):
        name, plugins = "round", ("Sphere",)

    class Still(kind.Kind):
        name, plugins, forms = "still", ("Still",), (kind.Form("edge"),)
        rows, curve = example.Ellipsoid.rows, example.Ellipsoid.curve

    codes = [form.code for one in registry.KINDS for form in one.forms]
    assert codes == list(range(len(codes)))
    for entry, message in (
        (Again, "'Sphere' is a kind of geometry already"),
        (Still, "must have moved or follows_pose"),
        (len, "is no kind"),
    ):
        with pytest.raises(OptionError, match=message):
            registry.register(entry)
    before = list(registry.KINDS)
    assert registry.register(example.Ellipsoid) is example.Ellipsoid  # again: nothing happens
    assert before == registry.KINDS
