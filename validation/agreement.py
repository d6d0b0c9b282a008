"""Does a Monte Carlo estimate agree with a known value? Replicas, intervals, and a bound on the noise.

An estimate that is noisy enough agrees with everything. `assert_agrees` therefore demands two things: the mean lies within
the interval of its own standard error, *and* that standard error is small compared with the expected value.

Power: with a standard error of s and n replicas, an error of `detectable(n) · s` or more fails with a probability of at least
99 %; for 8 replicas that is 13.3 s, for 16 replicas 8.4 s. A correct estimator fails with a probability of at most `FALSE_ALARM`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from pbdr.verify.statistics import mean_and_error, replicas

FALSE_ALARM = 1e-4  # probability that one assertion fails although the estimator is right
POWER = 0.99
ROUNDING = 1e-4  # relative error of single precision that is left when an estimator has no variance at all

__all__ = ["Array", "assert_agrees", "assert_differs", "detectable", "deviations", "interval", "replicas", "summary"]
Array = NDArray[np.float64]


def summary(samples: Array) -> tuple[Array, Array]:
    """Mean and standard error over the first axis."""
    samples = np.asarray(samples, dtype=np.float64)
    if len(samples) < 3:
        raise ValueError(f"{len(samples)} replicas; give at least 3.")
    if not np.isfinite(samples).all():
        raise AssertionError(f"{int((~np.isfinite(samples)).sum())} replica values are not finite")
    return mean_and_error(samples)


@functools.cache
def interval(replica_count: int, comparisons: int = 1) -> float:
    """Half width, in standard errors, of a two-sided t-interval for `comparisons` values at once (Bonferroni)."""
    return float(stats.t.isf(0.5 * FALSE_ALARM / comparisons, replica_count - 1))


@functools.cache
def detectable(replica_count: int) -> float:
    """Error, in standard errors, that a single comparison catches with probability `POWER`."""
    limit, freedom = interval(replica_count), replica_count - 1
    missed = lambda shift: stats.nct.cdf(limit, freedom, shift) - (1 - POWER)  # noqa: E731
    return float(optimize.brentq(missed, limit, 10 * limit))


def deviations(samples: Array, expected: Any, scale: float, rounding: float) -> tuple[Array, Array]:
    """Distance of the mean from the expected value beyond rounding, in standard errors; and those relative to `scale`."""
    mean, error = summary(samples)
    beyond = np.maximum(np.abs(mean - expected) - rounding * scale, 0)
    return beyond / np.maximum(error, 1e-3 * rounding * scale), error / scale


def assert_agrees(
    samples: Array, expected: Any, *, max_relative_se: float, scale: float | None = None, t_limit: float | None = None,
    rounding: float = ROUNDING,
) -> None:  # fmt: skip
    """Fail unless the mean of `samples` (N, ...) is `expected` (...) within its t-interval, and the noise is bounded.

    "Too noisy" is said of means within the interval only: what lies outside is wrong, however noisy.

    `scale` is what errors are relative to: by default the largest |expected|; give it where zero is expected.
    """
    expected = np.asarray(expected, dtype=np.float64)
    scale = float(np.abs(expected).max()) if scale is None else float(scale)
    assert scale > 0, "the expected value is zero everywhere: give the scale that errors are measured against"
    samples = np.asarray(samples, dtype=np.float64)
    assert samples.shape[1:] == expected.shape, f"samples of shape {samples.shape[1:]}, expected {expected.shape}"
    away, relative_se = deviations(samples, expected, scale, rounding)
    limit = interval(len(samples), expected.size) if t_limit is None else t_limit
    mean = samples.mean(0)
    worst = np.unravel_index(np.argmax(away), away.shape)
    assert away[worst] <= limit, (
        f"{mean[worst]:.6g} instead of {expected[worst]:.6g}: {away[worst]:.1f} standard errors away "
        f"({(mean[worst] - expected[worst]) / scale:+.2%} of {scale:.5g}); allowed {limit:.1f}"
    )
    assert relative_se.max() <= max_relative_se, (
        f"too noisy to decide: standard error {relative_se.max():.2%} of {scale:.5g}, allowed {max_relative_se:.2%}"
    )


def assert_differs(samples: Array, expected: Any, *, by: float, scale: float | None = None) -> None:
    """Negative control: fail unless the mean is away from `expected` by more than its interval and by `by`, relative to scale.

    Put what a wrong estimator gives here (a term left out, a derivative without its boundary).
    """
    expected = np.asarray(expected, dtype=np.float64)
    scale = float(np.abs(expected).max()) if scale is None else float(scale)
    away, _ = deviations(samples, expected, scale, ROUNDING)
    error = np.abs(np.asarray(samples).mean(0) - expected) / scale
    significant = away > interval(len(samples), expected.size)
    assert np.any(significant & (error > by)), f"agrees within {error.max():.2%}, although it should differ by {by:.0%}"
