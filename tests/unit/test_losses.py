"""Losses against their formulas, their derivatives, masks, and the bias that noise brings."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import OptionError
from pbdr.inverse import losses

RNG = np.random.default_rng(11)
IMAGE = RNG.uniform(0.1, 2, (6, 5, 3)).astype(np.float32)
TARGET = RNG.uniform(0.1, 2, (6, 5, 3)).astype(np.float32)
OTHER = RNG.uniform(0.1, 2, (6, 5, 3)).astype(np.float32)
MASK = (RNG.uniform(size=(6, 5)) > 0.4).astype(np.float32)
WEIGHTS = RNG.uniform(0.2, 2, (6, 5)).astype(np.float32)

FORMULAS = {
    "l1": lambda i, t: np.abs(i - t),
    "l2": lambda i, t: (i - t) ** 2,
    "relmse": lambda i, t: (i - t) ** 2 / (t**2 + 0.01),
    "log": lambda i, t: (np.log1p(i) - np.log1p(t)) ** 2,
    "l2_dual": lambda i, t: (i - t) * (OTHER - t),
}


def value(name, image, target, mask=None, weights=None):
    extra = {"other": mi.TensorXf(OTHER)} if name == "l2_dual" else {}
    tensors = [None if x is None else mi.TensorXf(x) for x in (image, target, mask, weights)]
    return losses.get_loss(name)(*tensors, **extra)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
def test_value_is_the_weighted_mean_of_the_formula(name, mask, weights):
    weight = np.ones((6, 5)) if mask is None else mask.astype(float)
    weight = weight if weights is None else weight * weights
    error = FORMULAS[name](IMAGE.astype(float), TARGET.astype(float))
    expected = (error * weight[..., None]).sum() / (3 * weight.sum())
    assert float(value(name, IMAGE, TARGET, mask, weights).array[0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["l1", "l2", "relmse", "log"])
def test_derivative_matches_finite_differences(name):
    leaf = mi.TensorXf(IMAGE)
    dr.enable_grad(leaf)
    dr.backward(value(name, leaf, TARGET, MASK))
    gradient = np.array(dr.grad(leaf))
    weight = MASK.astype(float)[..., None]
    for index in ((0, 0, 0), (2, 3, 1), (5, 4, 2)):
        shifted = [IMAGE.astype(float).copy(), IMAGE.astype(float).copy()]
        shifted[0][index] -= 1e-5
        shifted[1][index] += 1e-5
        low, high = ((FORMULAS[name](x, TARGET.astype(float)) * weight).sum() / (3 * MASK.sum()) for x in shifted)
        assert gradient[index] == pytest.approx((high - low) / 2e-5, rel=1e-3, abs=1e-7)
    assert (gradient[MASK == 0] == 0).all()


def test_dual_derivative_takes_the_mean_of_both_residuals():
    leaf = mi.TensorXf(IMAGE)
    dr.enable_grad(leaf)
    dr.backward(value("l2_dual", leaf, TARGET))
    np.testing.assert_allclose(np.array(dr.grad(leaf)), (IMAGE + OTHER - 2 * TARGET) / IMAGE.size, rtol=1e-4, atol=1e-8)


def test_dual_loss_is_unbiased_under_noise_and_the_plain_one_is_not():
    rng = np.random.default_rng(12)
    truth, sigma, replicas = TARGET + 0.05, 0.3, 400
    plain, dual = [], []
    for _ in range(replicas):
        first, second = (mi.TensorXf((truth + rng.normal(0, sigma, truth.shape)).astype(np.float32)) for _ in range(2))
        target = mi.TensorXf(TARGET)
        plain.append(float(losses.get_loss("l2")(first, target).array[0]))
        dual.append(float(losses.get_loss("l2_dual")(first, target, other=second).array[0]))
    error = np.std(dual) / np.sqrt(replicas)
    assert error < 0.0005  # power: a fifth of the loss itself would be seen at five standard errors
    assert abs(np.mean(dual) - 0.05**2) < 4 * error
    assert np.mean(plain) - 0.05**2 == pytest.approx(sigma**2, rel=0.05)


@pytest.mark.parametrize("name", FORMULAS)
def test_nan_is_not_hidden(name):
    image = IMAGE.copy()
    image[2, 2, 1] = np.nan
    assert np.isnan(float(value(name, image, TARGET).array[0]))


def test_an_unknown_loss_offers_the_closest():
    with pytest.raises(OptionError, match=r"'relmes' is unknown\. Closest: relmse"):
        losses.get_loss("relmes")
