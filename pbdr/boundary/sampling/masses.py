"""Sampling masses of edges, and systematic sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.view import View

MOVING = 0.8  # share of samples that edges which move get


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
    known = table.having("straight") | table.having("winding")
    length = dr.select(known, table.size, dr.norm(table.curve(view, mi.Float(0.5)).derivative))
    return favour_moving(length, table.moving)


@dataclass
class Reservoir:
    """One of several candidates, chosen in proportion to its value (Talbot et al. 2005): what is kept while they come by.

    `total`: sum of their shares, value over density; `best`: value of the one that is chosen now.
    """

    total: Any
    best: Any

    @staticmethod
    def empty() -> Reservoir:
        """Before the first one."""
        return Reservoir(mi.Float(0), mi.Float(0))

    def add(self, value: Any, share: Any, u: Any) -> tuple[Reservoir, Any]:
        """With one more; and whether it takes the place of the one before. `u`: a random number in [0, 1)."""
        total = self.total + share
        taken = u * total < share
        return Reservoir(total, dr.select(taken, value, self.best)), taken

    def weight(self, count: int) -> Any:
        """What stands in place of 1 / density of the chosen one, after `count` candidates."""
        return dr.select(self.best > 0, self.total / (count * self.best), 0)


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


def random_direction(sampler: Any) -> Any:
    """A unit vector in the plane."""
    sine, cosine = dr.sincos(dr.two_pi * sampler.next_1d())
    return mi.Vector2f(cosine, sine)
