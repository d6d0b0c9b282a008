"""Error rates of the verdict, by simulation of both estimators: the sequential procedure as it is used, without rendering."""

import itertools

import numpy as np
import pytest
from scipy import stats

from pbdr.verify import decision
from pbdr.verify.decision import AGREES, UNDECIDED, WRONG, Stream, sequence

TRIALS = 100
BLOCKS = 16
APART = np.arange(BLOCKS) % 4 == 0
TOLERANCE = 0.02


def at_most(rate: float) -> float:
    return float(stats.binom.isf(1e-4, TRIALS, rate))


def trial(number, *, bias=0.0, block=0.0, truncation=0.0, noise=0.02, heavy=False, replicas=120):
    """Verdict about an estimator with a relative bias, and an error in one block; `replicas` is the budget."""
    rng = np.random.default_rng(number)
    truth = np.concatenate([[1.0, 0.7], np.linspace(0.2, 1.8, BLOCKS)])

    def sample(seed, shift):
        spread = noise * np.concatenate([[1.0, 1.0], np.full(BLOCKS, 3.0)])
        value = truth * (1 + shift) + spread * rng.standard_normal(truth.size)
        if heavy:
            value = value + 0.01 * rng.standard_t(1.5)
        return value

    error = np.zeros(truth.size)
    error[decision.GLOBALS + 3] = block
    ours = Stream("ours", lambda seed: sample(seed, bias) + error)
    reference = Stream("reference", lambda seed: np.stack([sample(seed, truncation / 3), np.full(truth.size, truncation)]),
                       value=lambda s: s[0])  # fmt: skip
    clock = itertools.count(0, 1.0).__next__
    return sequence(
        ours, reference, lambda s: s[1], APART, tolerance=TOLERANCE, budget=2.0 * replicas, seed=number, clock=clock
    ).verdict


def rates(**options):
    found = [trial(k, **options) for k in range(TRIALS)]
    return {v: found.count(v) for v in (AGREES, WRONG, UNDECIDED)}


def test_right_code_agrees():
    found = rates()
    assert found[AGREES] >= 95 and found[WRONG] <= at_most(decision.FALSE_ALARM)


def test_three_per_cent_are_flagged():
    found = rates(bias=0.03)
    assert found[AGREES] <= at_most(decision.FALSE_PASS)
    assert found[WRONG] >= 90


def test_a_bias_of_the_tolerance_does_not_pass():
    assert rates(bias=TOLERANCE)[AGREES] <= at_most(decision.FALSE_PASS)


@pytest.mark.parametrize("bias", [-2.0, -0.3, 0.1])
def test_large_errors_are_flagged(bias):
    assert rates(bias=bias)[WRONG] == TRIALS


def test_an_error_in_one_block_is_flagged():
    assert rates(block=0.3)[WRONG] >= 95


def test_noise_is_undecided_and_says_so():
    found = rates(noise=0.5, replicas=30)
    assert found[UNDECIDED] >= 95 and found[AGREES] <= at_most(decision.FALSE_PASS)


def test_truncation_of_the_reference_is_no_error_of_ours():
    """A reference off by what its two steps differ by is not blamed on the estimator, and nothing that small can pass either."""
    found = rates(truncation=0.09, replicas=30)
    assert found[WRONG] <= at_most(decision.FALSE_ALARM) and found[AGREES] <= at_most(decision.FALSE_PASS)


def test_heavy_tails_raise_no_false_alarm():
    found = rates(heavy=True, replicas=30)
    assert found[WRONG] <= at_most(5 * decision.FALSE_ALARM)


def test_the_budget_that_would_do():
    """Undecided says how much more is needed: with that many times the replicas it decides."""
    rng = np.random.default_rng(5)
    truth = np.ones(2 + BLOCKS)
    few = [truth + 0.05 * rng.standard_normal((10, truth.size)) for _ in range(2)]
    found = decision.decide(*few, np.zeros((10, truth.size)), APART, TOLERANCE)
    assert found.verdict == UNDECIDED and found.reason == "noise" and 3 < found.needed < 60
    count = int(10 * found.needed)
    many = [truth + 0.05 * rng.standard_normal((count, truth.size)) for _ in range(2)]
    assert decision.decide(*many, np.zeros((count, truth.size)), APART, TOLERANCE).verdict == AGREES
