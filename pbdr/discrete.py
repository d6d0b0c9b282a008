"""Discrete distributions on the device, and mixtures with a defensive part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi


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
        """u in [0, 1) → (index, its probability, u rescaled within the entry); probability 0 where all mass is zero.

        `u`: in double precision where single would not tell neighbouring lanes apart.
        """
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

    `mass` alone where `factor` is zero on all of it, or not finite somewhere.
    """
    dr.eval(mass, factor)  # else each of the sums computes all of it again
    scale = dr.sum(mass) / dr.sum(mass * factor)
    usual = dr.isfinite(scale) & (scale > 0)
    return mass * dr.select(usual, share + (1 - share) * factor * scale, 1)
