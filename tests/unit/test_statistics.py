"""The statistics toolbox: false-alarm and detection rates, measured by simulation with binomial bounds.

A rate that is p on paper is measured in `TRIALS` trials; the bound below is exceeded with probability 1e-6 by a binomial of p.
"""

import numpy as np
import pytest
from scipy import stats

from pbdr.verify import statistics as st

TRIALS = 1500


def at_most(rate: float, trials: int = TRIALS) -> float:
    """Largest fraction of successes that a probability of `rate` explains."""
    return float(stats.binom.isf(1e-6, trials, rate)) / trials


def at_least(rate: float, trials: int = TRIALS) -> float:
    return float(stats.binom.ppf(1e-6, trials, rate)) / trials


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("count", [4, 16])
def test_t_interval_covers_as_stated(rng, count):
    low, high = st.t_interval(3 + rng.standard_normal((count, TRIALS)), false_alarm=0.05)
    missed = np.mean((low > 3) | (high < 3))
    assert at_least(0.05) <= missed <= at_most(0.05)


def test_welch_keeps_its_rate_for_unequal_variances_and_sees_a_shift(rng):
    a, b = 1 + rng.standard_normal((6, TRIALS)), 1 + 5 * rng.standard_normal((20, TRIALS))
    rate = np.mean(st.welch(a, b).p_values() <= 0.01)
    assert rate <= at_most(0.013)  # Welch's approximation is good to a third of the rate
    pooled = stats.ttest_ind(b[:6], 5 * a.repeat(4, 0)[:20] / 5).pvalue <= 0.01  # negative control: pooled variances
    assert np.mean(pooled) > at_most(0.013)
    error = np.sqrt(1 / 6 + 25 / 20)
    shifted = st.welch(a + 4 * error, b)
    expected = 1 - stats.nct.cdf(stats.t.isf(0.005, 22), 22, 4)
    assert abs(np.mean(shifted.p_values() <= 0.01) - expected) < 0.03
    low, high = shifted.interval(0.01)
    assert np.mean((low < 4 * error) & (4 * error < high)) >= at_least(0.987)
    assert np.allclose(st.welch(a, b).p_values(), stats.ttest_ind(a, b, equal_var=False).pvalue)


def test_slack_only_lowers_the_rate(rng):
    a, b = 0.3 + rng.standard_normal((8, TRIALS)), rng.standard_normal((8, TRIALS))
    difference = st.welch(a, b)
    assert np.mean(difference.p_values(slack=0.3) <= 0.05) <= at_most(0.05)
    assert np.mean(difference.p_values() <= 0.05) > np.mean(difference.p_values(slack=0.3) <= 0.05)


def test_equivalence_at_the_margin_and_inside(rng):
    a, b = rng.standard_normal((8, TRIALS)), rng.standard_normal((8, TRIALS))
    error = np.sqrt(2 / 8)
    at_margin = st.welch(a + 6 * error, b).equivalence_p_values(6 * error) <= 0.01
    assert at_least(0.007) <= np.mean(at_margin) <= at_most(0.013)  # a wrong estimate passes as rarely as stated
    inside = st.welch(a, b).equivalence_p_values(6 * error) <= 0.01
    assert np.mean(inside) >= 0.98
    noisy = st.welch(a, b).equivalence_p_values(0.5 * error) <= 0.01  # noise is no evidence for agreement
    assert np.mean(noisy) <= at_most(0.01)
    assert st.equivalent(a[:, 0], a[::-1, 0], 100.0) and not st.equivalent(a[:, 0], a[:, 0] + 1, 1.0)


def test_exact_samples():
    same = st.welch(np.ones(4), np.ones(4))
    assert same.p_values() == 1 and same.equivalence_p_values(0.1) == 0
    other = st.welch(np.full(4, 2.0), np.ones(4))
    assert other.p_values() == 0 and other.equivalence_p_values(0.1) == 1 and other.p_values(slack=1.0) == 1


def test_holm_bounds_any_false_alarm_and_beats_bonferroni(rng):
    assert st.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    p = stats.norm.sf(rng.standard_normal((TRIALS, 30)) + rng.standard_normal((TRIALS, 1)) * 0.5, scale=1.118)
    assert np.mean([st.holm(row).min() <= 0.05 for row in p[:600]]) <= at_most(0.05, 600)
    p[:, :10] = 1e-9  # ten true ones: Holm divides by 20 for the rest
    p[:, 10] = 0.05 / 22
    found = np.array([st.holm(row)[10] <= 0.06 for row in p[:200]])
    assert found.mean() > 0.5 and not np.any(30 * p[:200, 10] <= 0.06)


@pytest.mark.parametrize("count", [5, 12])
def test_chi_square_over_blocks(rng, count):
    trials = 400
    a, b = rng.standard_normal((count, trials, 16)), 2 * rng.standard_normal((count, trials, 16))
    scores = st.welch(a, b).normal_scores()
    rate = np.mean([st.chi_square(z) <= 0.01 for z in scores])
    assert rate <= at_most(0.02, trials)
    t_values = st.welch(a, b).mean / st.welch(a, b).error
    naive = np.mean([st.chi_square(t) <= 0.01 for t in t_values])
    assert naive > (
        at_most(0.02, trials) if count == 5 else rate
    )  # negative control: squares of t-values as if they were normal
    everywhere = st.welch(a + 1.5 * np.sqrt(5 / count), b).normal_scores()
    # A shift of 1.5 standard errors in all of 16 blocks: none is significant alone, all together are.
    together = np.mean([st.chi_square(z) <= 0.01 for z in everywhere])
    alone = np.mean([st.holm(p).min() <= 0.01 for p in st.welch(a + 1.5 * np.sqrt(5 / count), b).p_values()])
    assert together > 0.3 and together > 2 * alone


def test_median_of_means_survives_heavy_tails(rng):
    heavy = rng.standard_t(1.6, (60, TRIALS))
    middle, error = st.median_of_means(heavy, 12)
    mean = heavy.mean(0)
    assert np.quantile(np.abs(middle), 0.99) < 0.5 * np.quantile(np.abs(mean), 0.99)
    normal = rng.standard_normal((60, TRIALS))
    middle, error = st.median_of_means(normal, 12)
    assert np.median(error) == pytest.approx(middle.std(), rel=0.15)


@pytest.mark.parametrize("count", [8, 32])
def test_maximum_share_alarm(rng, count):
    normal = rng.standard_normal((count, TRIALS))
    share = st.maximum_share(normal)
    assert np.mean(share > st.share_limit(count, 0.01)) <= at_most(0.01)
    assert np.mean(share > st.share_limit(count, 0.01)) >= at_least(0.006)
    assert np.mean([st.heavy_tailed(normal[:, k : k + 5], 0.01) for k in range(0, TRIALS, 5)]) <= at_most(0.01, 300)
    heavy = rng.pareto(1.2, (count, 500))
    assert np.mean([st.heavy_tailed(heavy[:, k], 0.01) for k in range(500)]) > (0.35 if count == 8 else 0.75)


def test_replicas_are_independent_and_reproducible():
    draw = lambda seed: np.random.default_rng(seed).random(3)  # noqa: E731
    a = st.replicas(draw, 4, "name")
    assert a.shape == (4, 3) and len(np.unique(a)) == 12
    np.testing.assert_array_equal(a, st.replicas(draw, 4, "name"))
    assert not np.array_equal(a, st.replicas(draw, 4, "name", seed=1))


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="replicas"):
        st.mean_and_error([1.0])
    with pytest.raises(ValueError, match="not finite"):
        st.mean_and_error([1.0, np.nan])
