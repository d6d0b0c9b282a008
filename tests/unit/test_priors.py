"""Priors of textures."""

from dataclasses import dataclass

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import OptionError, ParameterError
from pbdr.inverse import check_variables
from pbdr.inverse.priors import get_priors
from pbdr.inverse.priors import tv as priors
from pbdr.parameters import Variables, VariableSpec
from pbdr.parameters.place import Place
from pbdr.scene import load_scene


def texture(scale=(1.0, 1.0, 1.0)):
    values = np.random.default_rng(3).uniform(0.2, 0.9, (6, 5, 3)) * np.asarray(scale)
    return mi.TensorXf(values.astype(np.float32))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"tvv": 1.0}, "Closest: tv"),
        ({"tv": -1.0}, "weight"),
        ({"tv": {"smooth": 1e-4}}, "weight"),
        ({"tv": {"weight": 1.0, "smoth": 1e-4}}, "no option 'smoth'. Closest: smooth"),
    ],
)
def test_a_wrong_table_of_priors_is_refused(table, message):
    with pytest.raises(OptionError, match=message):
        get_priors(table)


def test_a_prior_is_a_weight_or_a_table():
    ((weight, prior),) = get_priors({"tv": {"weight": 2, "smooth": 0.1}, "tv_relative": 0.0})
    assert (weight, prior.name, prior.smooth) == (2.0, "tv", 0.1)


@pytest.mark.parametrize("wrap", [False, True])
def test_relative_variation_does_not_change_when_a_channel_is_scaled(wrap):
    reference = float(priors.variation(texture(), wrap=wrap, relative=True)[0])
    assert float(priors.variation(texture((2.0, 0.5, 1.3)), wrap=wrap, relative=True)[0]) == pytest.approx(
        reference, rel=1e-3
    )
    # Negative control: the absolute one does.
    change = float(priors.variation(texture((2.0, 0.5, 1.3)), wrap=wrap)[0]) / float(
        priors.variation(texture(), wrap=wrap)[0]
    )
    assert abs(change - 1) > 0.1


def test_gradient_of_relative_variation_agrees_with_differences_and_has_no_part_along_the_scale():
    leaf = texture()
    dr.enable_grad(leaf)
    dr.backward(priors.variation(leaf, relative=True))
    gradient, values = np.array(dr.grad(leaf), dtype=np.float64), np.array(texture(), dtype=np.float64)
    direction = np.random.default_rng(4).normal(size=values.shape)
    step = 1e-4  # below the width of the rounded corner
    ends = [
        float(priors.variation(mi.TensorXf((values + s * direction).astype(np.float32)), relative=True)[0])
        for s in (step, -step)
    ]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(np.sum(gradient * direction), rel=0.02)
    along = np.sum(gradient * values, axis=(0, 1))
    assert np.abs(along).max() < 0.01 * np.abs(gradient * values).sum()


def shifted(x, down, right, wrap):
    """Reference: neighbours of texels with a border that repeats, or wraps from left to right."""
    x = np.concatenate([x[:1], x, x[-1:]])[1 + down : 1 + down + len(x)]
    sides = (x[:, -1:], x[:, :1]) if wrap else (x[:, :1], x[:, -1:])
    return np.concatenate([sides[0], x, sides[1]], axis=1)[:, 1 + right : 1 + right + x.shape[1]]


def smooth(x, wrap):
    return np.mean((shifted(x, 0, 1, wrap) - x) ** 2 + (shifted(x, 1, 0, wrap) - x) ** 2)


def laplacian(x, wrap):
    around = sum(shifted(x, *step, wrap) for step in ((0, 1), (0, -1), (1, 0), (-1, 0)))
    return np.mean((around - 4 * x) ** 2)


def sparse(x, wrap):
    return np.mean(np.sqrt((x - 0.3) ** 2 + 1e-6) - 1e-3)


def white_light(x, wrap):
    weight = np.ones(x.shape[:2])
    if wrap:
        weight *= np.sin((np.arange(len(x)) + 0.5) / len(x) * np.pi)[:, None]
    off = (x - x.mean(axis=2, keepdims=True)) / np.average(x.mean(axis=2), weights=weight)
    return np.average((np.sqrt(off**2 + 1e-6) - 1e-3).mean(axis=2), weights=weight)


def cluster(x, wrap):
    """All pairs, but those of a texel with itself."""
    colours = x.reshape(-1, 3)
    square = ((colours[:, None] - colours[None]) ** 2).sum(axis=2)
    others = ~np.eye(len(colours), dtype=bool)
    return -np.log(np.mean(np.exp(-square[others] / (4 * 0.2**2))))


FORMULAS = {
    "smooth": (smooth, {}),
    "texture_laplacian": (laplacian, {}),
    "sparse": (sparse, {"at": 0.3}),
    "white_light": (white_light, {}),
    "cluster": (cluster, {"width": 0.2, "pairs": 100}),
}


@dataclass(frozen=True)
class Somewhere(Place):
    """A place whose edges touch, without a scene."""

    around: bool = False

    @property
    def wraps(self):
        return self.around


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("wrap", [False, True], ids=["open", "wraps"])
def test_value_and_derivative_are_those_of_the_formula(name, wrap):
    formula, options = FORMULAS[name]
    ((_, prior),) = get_priors({name: {"weight": 1.0, **options}})
    values = np.array(texture(), dtype=np.float64)
    leaf = texture()
    dr.enable_grad(leaf)
    found = prior(leaf, Somewhere((0.0, 1.0), around=wrap))
    assert float(found[0]) == pytest.approx(formula(values, wrap), rel=1e-4)
    dr.backward(found)
    gradient = np.array(dr.grad(leaf), dtype=np.float64)
    for seed in range(3):
        direction = np.random.default_rng(seed).normal(size=values.shape)
        ends = [formula(values + step * direction, wrap) for step in (1e-5, -1e-5)]
        expected = (ends[0] - ends[1]) / 2e-5
        assert np.sum(gradient * direction) == pytest.approx(expected, rel=2e-3, abs=1e-3 * np.abs(gradient).max())
        assert abs(expected) > 1e-2 * np.abs(gradient).max()  # power: a derivative of 0 would be seen


def test_few_colours_have_less_entropy_than_many_and_single_pairs_are_enough_to_see_it():
    rng = np.random.default_rng(5)
    two = np.array([[0.2, 0.3, 0.8], [0.7, 0.5, 0.1]])[rng.integers(0, 2, (20, 20))]
    many = rng.uniform(0, 1, (20, 20, 3))
    ((_, prior),) = get_priors({"cluster": 1.0})
    few, spread = (float(prior(mi.TensorXf(x.astype(np.float32)), Place((0, 1)))[0]) for x in (two, many))
    assert few == pytest.approx(np.log(2), abs=0.15) and spread > 4
    assert float(prior(mi.TensorXf(np.full((20, 20, 3), 0.4, np.float32)), Place((0, 1)))[0]) == pytest.approx(
        0, abs=1e-5
    )


def test_the_colour_of_light_has_no_scale():
    ((_, prior),) = get_priors({"white_light": 1.0})
    reference, brighter = (float(prior(texture((s, s, s)), Place((0, 9)))[0]) for s in (1.0, 7.0))
    assert brighter == pytest.approx(reference, rel=1e-4)
    assert float(prior(mi.TensorXf([2.0, 2.0, 2.0]), Place((0, 9)))[0]) == pytest.approx(0, abs=1e-6)
    assert float(prior(texture((1, 1, 3)), Place((0, 9)))[0]) > 1.5 * reference


def test_priors_that_mean_nothing_are_refused():
    scene = load_scene(
        {
            "type": "scene",
            "camera": {"type": "perspective"},
            "sky": {"type": "constant"},
            "floor": {"type": "rectangle"},
            "ball": {"type": "sphere", "bsdf": {"type": "roughconductor", "alpha": 0.2}},
        }
    )
    for name, prior, message in (
        ("ball/roughness", {"texture_laplacian": 1.0}, "a constant has no variation"),
        ("ball/roughness", {"smooth": 1.0}, "a constant has no variation"),
        ("ball/roughness", {"white_light": 1.0}, "it is no light"),
        ("sky/radiance", {"white_light": 1.0}, "no three channels"),
        ("ball/roughness", {"cluster": 1.0}, "no colour of a surface"),
        ("floor/base_color", {"cluster": {"weight": 1.0, "width": 0.0}}, "width = 0"),
        ("ball/roughness", {"sparse": 1.0}, "at = 0 is outside of the bounds"),
    ):
        with pytest.raises(ParameterError, match=message):
            check_variables(Variables(scene, {"x": VariableSpec(name, prior=prior)}))
    check_variables(
        Variables(scene, {"x": VariableSpec("ball/roughness", prior={"sparse": {"weight": 1.0, "at": 1.0}})})
    )


def test_variation_of_colours_is_that_of_their_differences_and_has_its_gradient():
    x = np.array(texture(), dtype=np.float64)
    expected = sum(
        np.mean(np.sqrt(((shifted(x, *step, False) - x) ** 2).sum(axis=2) + 1e-6) - 1e-3) for step in ((0, 1), (1, 0))
    )
    assert float(priors.variation(texture(), joint=True)[0]) == pytest.approx(expected, rel=1e-4)
    # Negative control: channels one by one are something else.
    assert float(priors.variation(texture())[0]) != pytest.approx(expected, rel=0.1)
    leaf = texture()
    dr.enable_grad(leaf)
    dr.backward(priors.variation(leaf, joint=True))
    gradient, direction = np.array(dr.grad(leaf), dtype=np.float64), np.random.default_rng(4).normal(size=x.shape)
    ends = [
        float(priors.variation(mi.TensorXf((x + s * direction).astype(np.float32)), joint=True)[0])
        for s in (1e-3, -1e-3)
    ]
    assert (ends[0] - ends[1]) / 2e-3 == pytest.approx(np.sum(gradient * direction), rel=0.02)


@pytest.mark.parametrize("joint", [False, True])
def test_variation_of_grids(joint):
    """(Z, Y, X, C): differences along three axes, against NumPy, and the derivative against differences."""
    values = np.random.default_rng(7).uniform(size=(3, 4, 5, 2))
    smooth = 0.05

    def formula(x):
        total = 0.0
        for axis in range(3):
            square = np.diff(x, axis=axis, append=np.take(x, [-1], axis)) ** 2
            square = square.sum(-1) if joint else square
            total += np.mean(np.sqrt(square + smooth**2) - smooth)
        return total

    leaf = mi.TensorXf(values.astype(np.float32))
    dr.enable_grad(leaf)
    found = priors.variation(leaf, joint=joint, smooth=smooth)
    assert float(found[0]) == pytest.approx(formula(values), rel=1e-4)
    dr.backward(found)
    direction = np.random.default_rng(8).normal(size=values.shape)
    slope = (formula(values + 1e-5 * direction) - formula(values - 1e-5 * direction)) / 2e-5
    assert float(np.sum(np.array(dr.grad(leaf)) * direction)) == pytest.approx(slope, rel=1e-3)
