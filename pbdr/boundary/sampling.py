"""Discrete distributions over pairs of a view and an edge, sampled systematically."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.edges import EdgeTable, View

MOVING = 0.8  # share of samples that edges which move get


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


def favour_moving(mass: Any, moving: Any) -> Any:
    """`mass` with the share MOVING given to edges that move, where there are any.

    The others count too, where the segments that touch them move, but in most scenes most of those do not.
    """
    return favour(mass, moving, MOVING)


def favour(mass: Any, chosen: Any, share: float) -> Any:
    """`mass` with this share given to entries that are `chosen`, where there are any."""
    dr.eval(mass, chosen)  # else each of the sums computes all of it again
    some = dr.sum(dr.select(chosen, mass, 0))
    rest = dr.sum(dr.select(chosen, 0, mass))
    usual = (some > 0) & (rest > 0)
    return mass * dr.select(usual, dr.select(chosen, share / some, (1 - share) / rest), 1)


def systematic(sampler: Any, count: int) -> Any:
    """One jittered stratum of [0, 1) a lane."""
    return (mi.Float(dr.arange(mi.UInt32, count)) + sampler.next_1d()) / count


def edge_mass(table: EdgeTable) -> Any:
    """Sampling mass of every edge: its length (of round shapes, of their silhouette from far away), more if it moves."""
    view = View.along(mi.Vector3f(0, 0, -1))
    known = table.segment | table.winding
    length = dr.select(known, table.size, dr.norm(table.curve(view, mi.Float(0.5)).derivative))
    return favour_moving(length, table.moving)


def trial_lanes(trials: int, count: int) -> Any:
    """Which of `count` lanes each trial belongs to."""
    return dr.arange(mi.UInt32, trials) % dr.opaque(mi.UInt32, count)


def one_trial(succeeds: Any, lane: Any, count: int, each: int, sampler: Any) -> tuple[Any, Any]:
    """For every lane, of its trials (`each` of them, on `trial_lanes`): the number that succeed, and the index of one by chance."""
    k, lanes = dr.arange(mi.UInt32, dr.width(lane)), dr.opaque(mi.UInt32, count)
    number, winner = dr.zeros(mi.UInt32, count), dr.zeros(mi.UInt32, count)
    dr.scatter_add(number, mi.UInt32(1), lane, succeeds)
    chance = mi.UInt32(sampler.next_1d() * (1 << 24)) + 1
    dr.scatter_reduce(dr.ReduceOp.Max, winner, chance * each + k // lanes, lane, succeeds)
    return number, (winner % each) * lanes + dr.arange(mi.UInt32, count)
