"""Discrete distributions on the device, and mixtures with a defensive part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

#: E f² / (E f)² of a factor from which on `mixed` follows it. The variance of independent samples would fall by about that; those
#: of a sequence are spread less evenly where their density jumps, which may double it (docs/explanation/performance.md).
UNEVEN = 1.5


@dataclass
class Discrete:
    """Distribution proportional to `mass` (non-negative). Sums run in double precision: a million edges would drown in float32.

    Nothing waits for the device, and kernels depend neither on the sum nor on the number of entries.
    """

    cdf: Any
    last: Any  # index

    @staticmethod
    def of(mass: Any) -> Discrete:
        """The distribution proportional to `mass`."""
        cdf = dr.cumsum(dr.float64_array_t(mi.Float)(dr.detach(mass)))
        dr.eval(cdf)
        return Discrete(cdf, dr.opaque(mi.UInt32, dr.width(mass) - 1))

    def sample(self, u: Any) -> tuple[Any, Any, Any]:
        """u in [0, 1) → (index, its probability, u rescaled within the entry); probability 0 where all mass is zero."""
        double = type(self.cdf)
        total = dr.gather(double, self.cdf, self.last)
        target = double(u) * total
        index = _search(self.cdf, self.last, target)
        upper = dr.gather(double, self.cdf, index)
        lower = dr.select(index > 0, dr.gather(double, self.cdf, index - 1, index > 0), 0)
        width = upper - lower
        probability = mi.Float(dr.select(total > 0, width / total, 0))
        rest = mi.Float(dr.select(width > 0, (target - lower) / width, 0))
        return index, probability, dr.clip(rest, 0, 1 - 2**-24)

    def systematic(self, count: int, offset: Any) -> tuple[Any, Any]:
        """`count` lanes, at equal steps after one random `offset` in (0, 1): (index of the entry, number of lanes to divide by).

        Which lanes an entry has depends on the offset alone. Where it surely has some, dividing by how many they are gives a mean
        over the entry whatever the offset; elsewhere by how many it has in expectation.
        """
        double = type(self.cdf)
        step = dr.gather(double, self.cdf, self.last) / dr.opaque(double, count)
        index = _search(self.cdf, self.last, (double(dr.arange(mi.UInt32, count)) + double(offset)) * step)
        upper = dr.gather(double, self.cdf, index) / step
        lower = dr.select(index > 0, dr.gather(double, self.cdf, index - 1, index > 0), 0) / step
        lanes = dr.ceil(upper - offset) - dr.ceil(lower - offset)
        return index, mi.Float(dr.select(upper - lower >= 1, dr.maximum(lanes, 1), upper - lower))


@dr.syntax
def _search(cdf: Any, last: Any, target: Any) -> Any:
    """First index whose entry is above `target`, at most `last`. (Dr.Jit's own search is another kernel for every size.)"""
    low = dr.zeros(mi.UInt32, dr.width(target))
    high = low + last
    while dr.hint(low < high, label="pathspace: search"):
        middle = (low + high) >> 1
        after = dr.gather(type(cdf), cdf, middle) <= target
        low = dr.select(after, middle + 1, low)
        high = dr.select(after, high, middle)
    return low


def mixed(mass: Any, factor: Any, share: float) -> Any:
    """`mass` · `factor`, scaled to the sum of `mass`, and this share of `mass` itself: no entry gets less than that.

    `mass` alone where `factor` is zero on all of it, not finite somewhere, or nearly the same everywhere (`UNEVEN`).
    """
    dr.eval(mass, factor)  # else each of the sums computes all of it again
    whole = dr.sum(mass)
    relative = factor * (whole / dr.sum(mass * factor))
    unevenness = dr.sum(mass * dr.square(relative)) / whole  # not finite where one of the others is not
    follow = dr.isfinite(unevenness) & (unevenness > UNEVEN)
    return mass * dr.select(follow, share + (1 - share) * relative, 1)
