"""Adam, total variation, schedules and the gauge: each against a plain reference."""

import itertools

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import OptionError, ParameterError
from pbdr.inverse import gauge, schedules
from pbdr.inverse.optimisers import Adam
from pbdr.inverse.priors import tv as priors
from pbdr.parameters import Variables, VariableSpec
from pbdr.scene import load_scene


def tensor(values):
    return mi.TensorXf(np.asarray(values, np.float32))


def test_adam_is_the_published_recursion():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 3))
    latents, state = {"x": tensor(x), "still": tensor([1.0])}, None
    state = Adam().init(latents)
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t in range(1, 8):
        g = rng.normal(size=(4, 3)).astype(np.float32)
        lr = 0.1 / t
        latents, state = Adam().step(state, latents, {"x": tensor(g)}, {"x": lr})
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g.astype(float) ** 2
        x = x - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(np.array(latents["x"]), x, rtol=1e-4, atol=1e-6)
    assert np.array(latents["still"]) == 1.0
    assert state.t == {"x": 7, "still": 0}


def test_adam_does_not_change_what_it_was_given():
    latents = {"x": tensor([1.0, 2.0])}
    state = Adam().init(latents)
    moved, later = Adam().step(state, latents, {"x": tensor([1.0, 1.0])}, {"x": 0.1})
    np.testing.assert_array_equal(np.array(latents["x"]), [1.0, 2.0])
    assert state.t == {"x": 0} and later.t == {"x": 1}
    np.testing.assert_allclose(np.array(moved["x"]), [0.9, 1.9], rtol=1e-6)


def test_adam_scale_invariance():
    """The step does not depend on the scale of the gradient: an environment and an albedo need no tuning apart."""
    results = []
    for scale in (1e-3, 1e3):
        latents = {"x": tensor([0.5])}
        state = Adam().init(latents)
        for _ in range(3):
            latents, state = Adam().step(state, latents, {"x": tensor([scale])}, {"x": 0.1})
        results.append(float(latents["x"].array[0]))
    assert results == pytest.approx([0.2, 0.2], rel=1e-3)


@pytest.mark.parametrize("wrap", [False, True])
def test_total_variation_and_its_derivative(wrap):
    value = np.random.default_rng(2).uniform(size=(4, 5, 3)).astype(np.float32)

    def reference(x):
        s = priors.SMOOTH
        dx = np.diff(np.concatenate([x, x[:, :1] if wrap else x[:, -1:]], 1), axis=1)
        dy = np.diff(np.concatenate([x, x[-1:]], 0), axis=0)
        return (np.sqrt(dx**2 + s * s) - s + np.sqrt(dy**2 + s * s) - s).mean()

    leaf = tensor(value)
    dr.enable_grad(leaf)
    result = priors.variation(leaf, wrap=wrap)
    assert float(result[0]) == pytest.approx(reference(value.astype(float)), rel=1e-4)
    dr.backward(result)
    for index in ((0, 0, 0), (3, 4, 2), (1, 2, 1)):
        shifted = [value.astype(float), value.astype(float)]
        shifted[0][index] -= 1e-6
        shifted[1][index] += 1e-6
        slope = (reference(shifted[1]) - reference(shifted[0])) / 2e-6
        assert np.array(dr.grad(leaf))[index] == pytest.approx(slope, rel=1e-3, abs=1e-5)
    assert float(priors.variation(tensor(np.full((3, 3, 1), 0.7)))[0]) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(("count", "per_step"), [(1, 1), (5, 2), (6, 3), (3, 8)])
def test_every_view_comes_once_per_epoch_in_an_order_of_its_own(count, per_step):
    per_epoch = -(-count // per_step)
    orders = []
    for epoch in range(4):
        steps = [schedules.views(count, per_step, epoch * per_epoch + i, 7) for i in range(per_epoch)]
        assert all(1 <= len(s) <= per_step for s in steps)
        orders.append([view for s in steps for view in s])
        assert sorted(orders[-1]) == list(range(count))
    assert count < 5 or len({tuple(o) for o in orders}) > 1
    assert schedules.views(count, per_step, 3, 7) == schedules.views(count, per_step, 3, 7)


def test_decay_and_resolution():
    rates = [schedules.decay("cosine", i, 10) for i in range(11)]
    assert rates[0] == 1.0 and rates[10] == pytest.approx(schedules.FINAL)
    assert all(b < a for a, b in itertools.pairwise(rates))
    assert schedules.decay("none", 9, 10) == 1.0
    plan = ((0, 0.25), (10, 0.5), (20, 1.0))
    assert [schedules.resolution(plan, i) for i in (0, 9, 10, 19, 20, 99)] == [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]
    with pytest.raises(OptionError, match="Closest: cosine"):
        schedules.check_decay("cosin")
    for wrong in ((), ((1, 0.5),), ((0, 0.5), (0, 1.0)), ((0, 0.0),), ((0, 2.0),)):
        with pytest.raises(OptionError, match="resolution"):
            schedules.check_resolution(wrong)


def furnished():
    color = {"type": "rgb", "value": [0.1, 0.2, 0.3]}
    return load_scene(
        {
            "type": "scene",
            "camera": {"type": "perspective"},
            "sky": {"type": "constant", "radiance": {"type": "rgb", "value": [2, 3, 4]}},
            "one": {"type": "sphere", "bsdf": {"type": "diffuse", "reflectance": color}},
            "two": {"type": "sphere", "center": [3, 0, 0], "bsdf": {"type": "diffuse", "reflectance": color}},
        }
    )


@pytest.mark.parametrize(("albedo_map", "light_map"), [("clamp", "clamp"), ("sigmoid", "exp"), ("srgb", "softplus")])
def test_the_gauge_trades_scale_without_changing_the_product(albedo_map, light_map):
    specs = {"a": VariableSpec("*/base_color", map=albedo_map), "l": VariableSpec("sky/radiance", map=light_map)}
    variables = Variables(furnished(), specs)
    rule = gauge.parse("mean_luminance(*/base_color) = 0.5", variables)
    before = variables.init()
    after = gauge.fix(rule, variables, before)
    old, new = variables.numpy(before), variables.numpy(after)
    luminance = [float(new[f"{n}/base_color"] @ gauge.LUMINANCE) for n in ("one", "two")]
    assert np.mean(luminance) == pytest.approx(0.5, rel=1e-4)
    for name in ("one/base_color", "two/base_color"):
        np.testing.assert_allclose(new[name] * new["sky/radiance"], old[name] * old["sky/radiance"], rtol=1e-3)


def test_a_tint_goes_from_the_lights_into_the_albedo():
    """The product stays, channel by channel; the tint is none afterwards."""
    specs = {"a": VariableSpec("*/base_color", map="sigmoid"), "l": VariableSpec("sky/radiance", map="exp")}
    variables = Variables(furnished(), specs)
    rule = gauge.parse("mean_luminance(*/base_color) = 0.3", variables)
    gauge.check_tint(rule, variables)
    tint = mi.TensorXf(np.array([0.2, 0.0, -0.1], np.float32))
    before = variables.init()
    after = gauge.fix(rule, variables, {**before, gauge.TINT: tint})
    old, new = variables.numpy(before), variables.numpy(after)
    assert np.array(after[gauge.TINT]).tolist() == [0, 0, 0]
    ratio = new["one/base_color"] / old["one/base_color"]
    np.testing.assert_allclose(ratio / ratio[1], np.exp([0.2, 0, -0.1]), rtol=1e-3)
    np.testing.assert_allclose(
        new["one/base_color"] * new["sky/radiance"], old["one/base_color"] * old["sky/radiance"], rtol=1e-3
    )


def test_a_tint_needs_three_channels():
    scene = load_scene(
        {
            "type": "scene",
            "camera": {"type": "perspective"},
            "sky": {"type": "constant"},
            "ball": {"type": "sphere", "bsdf": {"type": "diffuse", "reflectance": {"type": "spectrum", "value": 0.5}}},
        }
    )
    variables = Variables(scene, {"a": VariableSpec("ball/base_color"), "l": VariableSpec("sky/radiance")})
    with pytest.raises(OptionError, match="three channels"):
        gauge.check_tint(gauge.parse("mean_luminance(ball/base_color) = 0.5", variables), variables)


def test_a_wrong_gauge_is_refused():
    variables = Variables(furnished(), {"a": VariableSpec("one/base_color"), "l": VariableSpec("sky/radiance")})
    for text, message in (
        ("mean(one/base_color) = 0.5", "not understood"),
        ("mean_luminance(one/base_color) = 1e", "not understood"),
        ("mean_luminance(one/base_color) = 0", "above 0"),
        ("mean_luminance(*/base_color) = 0.5", "no variable optimises"),
    ):
        with pytest.raises(OptionError, match=message):
            gauge.parse(text, variables)
    with pytest.raises(ParameterError, match="one/base_color"):
        gauge.parse("mean_luminance(one/base_colour) = 0.5", variables)
    dark = Variables(furnished(), {"a": VariableSpec("one/base_color")})
    with pytest.raises(OptionError, match="needs a light"):
        gauge.parse("mean_luminance(one/base_color) = 0.5", dark)
