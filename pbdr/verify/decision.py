"""The decision: do two estimators with errors of their own have the same mean? Sequential, with stated error rates.

A verdict is `WRONG` although the means are equal with probability `FALSE_ALARM` at most, and `AGREES` although a global
functional is off by the tolerance or more with probability `FALSE_PASS` at most, looks taken together: look j spends
α / (j (j + 1)), which sums to α. What neither can be said of is `UNDECIDED`. tests/unit/test_decision.py measures the rates.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pbdr.seeds import hashed
from pbdr.verify import statistics
from pbdr.verify.functionals import GLOBALS

Array = NDArray[np.float64]
AGREES, WRONG, UNDECIDED = "agrees", "wrong", "undecided"
FALSE_ALARM = 1e-3
FALSE_PASS = 1e-2
LEAST = 6  # replicas of each side before the first look
GROWTH = 1.5  # of the number of replicas between two looks


@dataclass
class Stream:
    """Replicas of one estimator: `draw(seed)` → (K, …) numbers, of which `value` makes the (m,) that are compared."""

    name: str
    draw: Callable[[int], Array]
    value: Callable[[Array], Array] = lambda sample: sample
    samples: list[Array] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def grow(self, seed: int) -> None:
        """One more replica."""
        start = time.perf_counter()
        self.samples.append(self.draw(hashed(seed, self.name, len(self.samples))))
        self.seconds.append(time.perf_counter() - start)

    @property
    def values(self) -> Array:
        """(N, m)."""
        return np.array([self.value(sample) for sample in self.samples])

    @property
    def second(self) -> float:
        """Seconds of a replica."""
        return float(np.median(self.seconds))


@dataclass
class Decision:
    """One look.

    difference  estimator − reference, of every entry; `slack`: what of it the reference's own truncation error may explain
    scale       the size that relative numbers are relative to
    p_global, p_blocks, p_chi   Holm-adjusted p-values of equality of the functionals, of the blocks, and of all blocks together
    needed      factor on the time spent that would probably decide; 1 when decided
    """

    verdict: str
    difference: statistics.Difference
    slack: Array
    scale: float
    p_global: Array
    p_blocks: Array
    p_chi: float
    heavy: bool
    needed: float = 1.0
    reason: str = ""

    @property
    def bias(self) -> float:
        """Difference of the aligned functional relative to the scale."""
        return float(self.difference.mean[0]) / self.scale if self.scale else 0.0

    @property
    def bias_error(self) -> float:
        """Its standard error, likewise."""
        return float(self.difference.error[0]) / self.scale if self.scale else 0.0


def decide(ours: Array, reference: Array, truncation: Array, apart: Array, tolerance: float, look: int = 1) -> Decision:
    """The verdict of samples (N, m) and (M, m): GLOBALS functionals, then blocks (`apart`: a mask of those that share no pixels).

    `truncation` (M, m): differences of the reference between its two step sizes. After extrapolation a third of their mean is taken
    as the bound of what is left of the truncation error in the functionals; in single blocks, which edges cross, all of it.
    """
    spend = 1.0 / (look * (look + 1))
    difference = statistics.welch(ours, reference)
    share = np.where(np.arange(ours.shape[1]) < GLOBALS, 1 / 3, 1.0)
    slack = share * np.abs(truncation.mean(0))
    mean, error = statistics.mean_and_error(reference)
    # The reference sets the scale; where it is zero within its noise, the estimator's own size does.
    own = statistics.mean_and_error(ours)[0]
    scale = max(abs(float(mean[0])), abs(float(own[0])) if abs(mean[0]) <= 4 * error[0] else 0.0)
    size = np.maximum(scale, np.abs(mean[GLOBALS:]))
    # A block counts only for what it is off by more than half of the tolerance: rounding is significant where there is no noise.
    within = np.concatenate([slack[:GLOBALS], slack[GLOBALS:] + 0.5 * tolerance * size])
    p = difference.p_values(within)
    p_global, p_blocks = statistics.holm(p[:GLOBALS]), statistics.holm(p[GLOBALS:])
    p_chi = statistics.chi_square(difference.normal_scores(within)[GLOBALS:][apart]) if apart.any() else 1.0
    heavy = statistics.heavy_tailed(ours[:, :GLOBALS]) or statistics.heavy_tailed(reference[:, :GLOBALS])
    found = Decision(UNDECIDED, difference, slack, scale, p_global, p_blocks, p_chi, heavy)
    level = FALSE_ALARM * spend / 3
    distance = np.abs(difference.mean)
    in_blocks = p_blocks <= level
    beyond = bool((p_global <= level).any() or in_blocks.any() or p_chi <= level)
    near = bool((difference.equivalence_p_values(tolerance * scale - slack)[:GLOBALS] <= FALSE_PASS * spend).all())
    if scale == 0:
        found.verdict = WRONG if (distance > 0).any() else AGREES
        found.reason = "zero"
        return found
    if heavy:
        # One replica dominates: mean and standard error cannot be trusted, so that medians of means must say the same.
        a, b = (statistics.median_of_means(x[:, :GLOBALS]) for x in (ours, reference))
        gap, spread = np.abs(a[0] - b[0]), np.hypot(a[1], b[1])
        near = near and bool((gap < tolerance * scale).all())
        beyond = beyond and bool((gap - slack[:GLOBALS] > 4 * spread).any())
    local = bool(in_blocks.any() or p_chi <= level)
    if near and not local:
        found.verdict = AGREES
    elif beyond:
        found.verdict = WRONG
        found.reason = "blocks" if near or not (p_global <= level).any() else "globals"
    else:
        # To agree, the way to the tolerance must be about 4.5 standard errors; what of the difference is no noise shortens it.
        real = np.maximum(distance - 2 * difference.error, 0)[:GLOBALS]
        way = np.maximum(tolerance * scale - slack[:GLOBALS] - real, 0.25 * tolerance * scale)
        found.needed = float(max(1.5, np.max((4.5 * difference.error[:GLOBALS] / way) ** 2)))
        # Steps too long for the tolerance, beyond their own noise: shorter ones are needed, not more samples.
        long = slack[:GLOBALS] - (2 / 3) * statistics.mean_and_error(truncation)[1][:GLOBALS] > 0.5 * tolerance * scale
        found.reason = "truncation" if long.any() else "heavy" if heavy else "noise"
    return found


def sequence(
    ours: Stream, reference: Stream, truncation: Callable[[Array], Array], apart: Array, *, tolerance: float, budget: float,
    seed: int, clock: Callable[[], float] = time.perf_counter, told: Callable[[float, Decision | None], None] | None = None,
) -> Decision:  # fmt: skip
    """Draw replicas of both until a look decides or `budget` seconds are spent; at least LEAST of each are drawn.

    The next replica goes where it lowers the variance of the difference most for its time. Looks become rarer as replicas grow.
    """
    begin, look, found, next_look = clock(), 0, None, 2 * LEAST
    while True:
        counts = len(ours.samples), len(reference.samples)
        if min(counts) >= LEAST and sum(counts) >= next_look:
            look += 1
            next_look = max(math.ceil(GROWTH * sum(counts)), next_look + 2)
            rows = np.array([truncation(sample) for sample in reference.samples])
            found = decide(ours.values, reference.values, rows, apart, tolerance, look)
            if found.verdict != UNDECIDED or found.reason == "truncation":
                return found
        if found is not None and clock() - begin >= budget:
            return found
        _poorer(ours, reference).grow(seed)
        if told is not None:
            told(min((clock() - begin) / budget, 1.0), found)


def _poorer(a: Stream, b: Stream) -> Stream:
    """Whose next replica is worth more."""
    for one in sorted((a, b), key=lambda s: len(s.samples)):
        if len(one.samples) < LEAST:
            return one
    gain = [float(s.values[:, 0].var(ddof=1)) / len(s.samples) ** 2 / max(s.second, 1e-6) for s in (a, b)]
    # Neither side is starved: its own variance would not be known.
    if len(a.samples) * 4 < len(b.samples):
        return a
    if len(b.samples) * 4 < len(a.samples):
        return b
    return a if gain[0] >= gain[1] else b
