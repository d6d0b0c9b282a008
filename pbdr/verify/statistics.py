"""Statistics of replicas: intervals, tests of difference and of equivalence, and what to do about heavy tails.

A *replica* is an independent repetition of an estimate; samples are arrays (N, ...) with the replicas along the first axis. Every
test states its false-alarm rate, and tests/unit/test_statistics.py measures it, and the detection rate, by simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pbdr.seeds import hashed

Array = NDArray[np.float64]


def replicas(estimate: Callable[[int], Any], count: int, *names: str | int, seed: int = 0) -> Array:
    """`count` independent values of `estimate(seed)`, seeded by hashes of `names` and the replica's number: (count, ...)."""
    return np.array([np.asarray(estimate(hashed(seed, *names, k)), dtype=np.float64) for k in range(count)])


def mean_and_error(samples: Any) -> tuple[Array, Array]:
    """Mean and its standard error over the first axis. ValueError for fewer than 2 replicas or values that are not finite."""
    values = np.asarray(samples, dtype=np.float64)
    if len(values) < 2:
        raise ValueError(f"{len(values)} replicas; give at least 2.")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} replica values are not finite")
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))


def t_interval(samples: Any, false_alarm: float = 0.05) -> tuple[Array, Array]:
    """Two-sided confidence interval (low, high) of the mean; misses it with probability `false_alarm` for normal samples."""
    mean, error = mean_and_error(samples)
    half = stats.t.isf(0.5 * false_alarm, len(np.asarray(samples)) - 1) * error
    return mean - half, mean + half


class Difference(NamedTuple):
    """Difference of two means, its standard error and the degrees of freedom of that."""

    mean: Array
    error: Array
    freedom: Array

    def p_values(self, slack: Any = 0.0) -> Array:
        """Two-sided p-values of a difference whose size is at most `slack` (≥ 0).

        Exact samples (standard error 0) give 0 or 1.
        """
        beyond = np.maximum(np.abs(self.mean) - slack, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(self.error > 0, beyond / self.error, np.where(beyond > 0, np.inf, 0.0))
        return np.asarray(np.minimum(2 * stats.t.sf(t, self.freedom), 1.0))

    def normal_scores(self, slack: Any = 0.0) -> Array:
        """|z| of a standard normal with the same two-sided p-values."""
        return np.asarray(stats.norm.isf(0.5 * np.maximum(self.p_values(slack), 1e-300)))

    def interval(self, false_alarm: float = 0.05) -> tuple[Array, Array]:
        """Two-sided confidence interval (low, high)."""
        half = stats.t.isf(0.5 * false_alarm, self.freedom) * self.error
        return self.mean - half, self.mean + half

    def equivalence_p_values(self, margin: Any) -> Array:
        """p-values of TOST, two one-sided t-tests (Schuirmann 1987), that the means differ by less than `margin`.

        A small one is evidence *for* agreement: with a true difference of `margin` or more it is ≤ α with probability α at most.
        """
        room = np.asarray(margin - np.abs(self.mean))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(self.error > 0, room / self.error, np.where(room > 0, np.inf, -np.inf))
        return np.asarray(stats.t.sf(t, self.freedom))


def welch(a: Any, b: Any) -> Difference:
    """mean(a) − mean(b) of independent samples with variances of their own (Welch 1947)."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    (mean_a, error_a), (mean_b, error_b) = mean_and_error(a), mean_and_error(b)
    va, vb = error_a**2, error_b**2
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    freedom = np.where(va + vb > 0, freedom, len(a) + len(b) - 2)
    return Difference(mean_a - mean_b, np.sqrt(va + vb), np.asarray(freedom))


def equivalent(a: Any, b: Any, margin: float, false_pass: float = 0.05) -> bool:
    """TOST: are the means of `a` and `b` closer than `margin`? Wrongly true with probability `false_pass` at most."""
    return bool(np.all(welch(a, b).equivalence_p_values(margin) <= false_pass))


def holm(p_values: Any) -> Array:
    """p-values adjusted for their number (Holm 1979): rejecting those ≤ α raises any false alarm with probability α at most.

    Valid under any dependence. The shape is kept.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, axis=None)
    steps = np.maximum.accumulate(p.ravel()[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted.reshape(p.shape)


def chi_square(scores: Any) -> float:
    """p-value of independent normal scores (any shape) being standard normal: χ² of their squares.

    `scores` over pixel blocks come from `Difference.normal_scores`: squares of t-values are no χ² for few replicas.
    """
    z = np.asarray(scores, dtype=np.float64)
    return float(stats.chi2.sf(np.sum(z**2), z.size))


def median_of_means(samples: Any, blocks: int = 5) -> tuple[Array, Array]:
    """Median of the means of `blocks` groups of replicas, and its standard error from their spread.

    Keeps its precision under heavy tails, where the mean and its standard error do not (Lugosi and Mendelson 2019); for skewed
    samples it lies between median and mean.
    """
    values = np.asarray(samples, dtype=np.float64)
    blocks = min(blocks, len(values))
    if blocks < 2:
        raise ValueError(f"{len(values)} replicas in {blocks} groups; give at least 2.")
    means = np.array([group.mean(0) for group in np.array_split(values, blocks)])
    middle = np.median(means, axis=0)
    # √(π/2): a median of normal values against their mean; 1.4826: a median deviation against the standard deviation.
    spread = 1.4826 * np.median(np.abs(means - middle), axis=0)
    return middle, np.sqrt(np.pi / 2) * spread / np.sqrt(blocks)


def maximum_share(samples: Any) -> Array:
    """Share of the largest replica in the sum of squared deviations from the mean, in [1/N, 1)."""
    squares = (np.asarray(samples, dtype=np.float64) - np.mean(samples, axis=0)) ** 2
    total = squares.sum(0)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(total > 0, squares.max(0) / total, 1 / len(squares)))


def share_limit(count: int, false_alarm: float = 1e-3) -> float:
    """The `maximum_share` that `count` normal replicas exceed with probability `false_alarm` at most (Grubbs 1950)."""
    t = stats.t.isf(0.5 * false_alarm / count, count - 2) ** 2
    return float((count - 1) / count * t / (count - 2 + t))


def heavy_tailed(samples: Any, false_alarm: float = 1e-3) -> bool:
    """Alarm: one replica dominates the variance of some entry, so that a t-interval is too optimistic.

    Normal samples raise it with probability `false_alarm` at most, all entries together.
    """
    values = np.asarray(samples, dtype=np.float64)
    if len(values) < 4:
        return False
    share = maximum_share(values)
    return bool(np.any(share > share_limit(len(values), false_alarm / max(share.size, 1))))
