"""The toolbox of the gradient tests: its false-alarm and detection rates, and that noise cannot pass."""

import numpy as np
import pytest

from validation.agreement import FALSE_ALARM, assert_agrees, assert_differs, detectable, replicas, summary
from validation.replicas import mean_and_error

TRIALS = 1000


def agrees(samples, expected, **options):
    try:
        assert_agrees(samples, expected, **options)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("count", [4, 8, 16])
def test_false_alarm_and_detection_rates(count):
    rng = np.random.default_rng(count)
    noise = 0.01 * np.sqrt(count) * rng.standard_normal((TRIALS, count))  # the standard error of a mean is 1 %
    right = sum(not agrees(1 + x, 1.0, max_relative_se=0.1, rounding=0) for x in noise)
    assert right <= 4 + 4 * TRIALS * FALSE_ALARM
    biased = sum(not agrees(1 + 0.01 * detectable(count) + x, 1.0, max_relative_se=0.1, rounding=0) for x in noise)
    assert biased >= 0.98 * TRIALS


def test_arrays_keep_the_false_alarm_rate_of_one_number():
    noise = 0.01 * np.random.default_rng(0).standard_normal((500, 8, 40))
    assert sum(not agrees(1 + x, np.ones(40), max_relative_se=0.05) for x in noise) <= 2
    assert not agrees(1 + noise[0] + 0.1 * (np.arange(40) == 7), np.ones(40), max_relative_se=0.05)


def test_noise_cannot_pass():
    samples = np.random.default_rng(1).normal(0, 10, 8)
    with pytest.raises(AssertionError, match="too noisy"):
        assert_agrees(samples, 1.0, max_relative_se=0.05)
    with pytest.raises(AssertionError, match="agrees"):
        assert_differs(samples, 1.0, by=0.1)


def test_estimators_without_variance():
    assert_agrees(np.full(4, 1.00005), 1.0, max_relative_se=0.01)
    with pytest.raises(AssertionError, match="standard errors away"):
        assert_agrees(np.full(4, 1.001), 1.0, max_relative_se=0.01)
    assert_differs(np.zeros(4), 1.0, by=0.5)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(AssertionError, match="not finite"):
        assert_agrees(np.array([1, np.nan, 1]), 1.0, max_relative_se=0.1)
    with pytest.raises(AssertionError, match="scale"):
        assert_agrees(np.zeros(4), 0.0, max_relative_se=0.1)
    with pytest.raises(ValueError, match="replicas"):
        summary(np.ones(2))


def test_replicas_are_independent_and_reproducible():
    draw = lambda seed: np.random.default_rng(seed).random(3)  # noqa: E731
    a = replicas(draw, 4, "name")
    assert a.shape == (4, 3) and len(np.unique(a)) == 12
    np.testing.assert_array_equal(a, replicas(draw, 4, "name"))
    assert not np.array_equal(a, replicas(draw, 4, "other"))


def test_mean_and_error_of_known_samples() -> None:
    mean, error = mean_and_error([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]])
    assert mean == pytest.approx([3.0, 2.0])
    assert error == pytest.approx([2 / np.sqrt(3), 0.0])
