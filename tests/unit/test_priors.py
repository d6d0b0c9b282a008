"""Priors of textures."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import OptionError
from pbdr.inverse.priors import get_priors
from pbdr.inverse.priors import tv as priors


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
    reference = float(priors.tv_relative(texture(), wrap=wrap)[0])
    assert float(priors.tv_relative(texture((2.0, 0.5, 1.3)), wrap=wrap)[0]) == pytest.approx(reference, rel=1e-3)
    # Negative control: the absolute one does.
    change = float(priors.tv(texture((2.0, 0.5, 1.3)), wrap=wrap)[0]) / float(priors.tv(texture(), wrap=wrap)[0])
    assert abs(change - 1) > 0.1


def test_gradient_of_relative_variation_agrees_with_differences_and_has_no_part_along_the_scale():
    leaf = texture()
    dr.enable_grad(leaf)
    dr.backward(priors.tv_relative(leaf))
    gradient, values = np.array(dr.grad(leaf), dtype=np.float64), np.array(texture(), dtype=np.float64)
    direction = np.random.default_rng(4).normal(size=values.shape)
    step = 1e-4  # below the width of the rounded corner
    ends = [
        float(priors.tv_relative(mi.TensorXf((values + s * direction).astype(np.float32)))[0]) for s in (step, -step)
    ]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(np.sum(gradient * direction), rel=0.02)
    along = np.sum(gradient * values, axis=(0, 1))
    assert np.abs(along).max() < 0.01 * np.abs(gradient * values).sum()
