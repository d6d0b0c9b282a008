"""Owen-scrambled Sobol' points as a sampler: every pair of numbers that is drawn is a (0,2)-sequence over the lanes.

What a gradient sums over is one integral over film, lights and lobes, and points that are spread evenly over all of it leave less
noise than independent ones. Pairs of dimensions are shuffled against each other ("padded"), so that their number is not bounded.
Sources: Owen 1995; Burley 2020, "Practical Hash-based Owen Scrambling" (padding, shuffled indices); Ahmed and Wonka 2020 (Morton
order over the film). Every lane's number is uniform, whatever the lane: estimators stay unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi


@dataclass  # not frozen: Dr.Jit traverses it as loop state
class Sequence:
    """The sampler's methods that this project uses. `index`: place of the lane in the sequence; `seed`, `dimension`: width 1."""

    index: Any
    seed: Any
    dimension: Any

    def clone(self) -> Sequence:
        """The same numbers once more."""
        return Sequence(self.index, self.seed, mi.UInt32(self.dimension))

    def next_1d(self, active: Any = True) -> Any:
        """A number in [0, 1) a lane."""
        index, key, _ = self._pair()
        return _unit(scrambled(dr.brev(index), key))

    def next_2d(self, active: Any = True) -> Any:
        """A point of the unit square a lane."""
        index, first, second = self._pair()
        return mi.Point2f(_unit(scrambled(dr.brev(index), first)), _unit(scrambled(second_dimension(index), second)))

    def _pair(self) -> tuple[Any, Any, Any]:
        """The lanes' indices, shuffled for the next pair of dimensions, and the keys of both dimensions."""
        shuffle, first = mi.sample_tea_32(self.seed, self.dimension)
        self.dimension += 1
        return scrambled(self.index, shuffle), first, mi.sample_tea_32(first, shuffle)[0]


def scrambled(x: Any, key: Any) -> Any:
    """Nested uniform (Owen) scrambling of 32 bits: whether a bit flips depends on the bits above it and on `key`.

    The permutation is Laine's and Karras's, with the constants that Vegdahl found by search.
    """
    x = dr.brev(x)
    x ^= x * 0x3D20ADEA
    x += key
    x *= (key >> 16) | 1
    x ^= x * 0x05526C56
    x ^= x * 0x53A22864
    return dr.brev(x)


def second_dimension(index: Any) -> Any:
    """Bits of the second Sobol' dimension: `index` times Pascal's triangle modulo 2, from the highest bit down."""
    x = mi.UInt32(index)
    for shift, mask in ((16, 0xFFFF), (8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        x ^= (x >> shift) & mask  # bit j of the result: of all i whose binomial coefficient (i over j) is odd
    return dr.brev(x)


def _unit(bits: Any) -> Any:
    """Highest 24 bits as a number in [0, 1)."""
    return mi.Float(bits >> 8) * 2.0**-24


def number(seed: Any) -> Any:
    """One number in (0, 1) from a seed, a `mitsuba.UInt32` of width 1."""
    return _unit(_variable(seed)) + 2.0**-25


def over_lanes(count: int, seed: Any) -> Sequence:
    """One point a lane, in the order of the lanes. `seed`: an integer, or a `mitsuba.UInt32` of width 1."""
    return Sequence(dr.arange(mi.UInt32, count), _variable(seed), mi.UInt32(0))


def over_film(width: int, height: int, spp: int, seed: Any, curve: Any = None) -> Sequence:
    """`spp` lanes a pixel, row by row, or pixel after pixel as in the list `curve`.

    Pixels follow one another along a Morton curve: neighbours complement each other.
    """
    samples = dr.opaque(mi.UInt32, spp)
    lane = dr.arange(mi.UInt32, width * height * spp)
    number = lane // samples
    pixel = number if curve is None else dr.gather(mi.UInt32, curve, number)
    y = pixel // width
    block = dr.opaque(mi.UInt32, 1 << (spp - 1).bit_length())  # every pixel has a net of its own
    place = morton(pixel - y * width, y) * block
    return Sequence(place + (lane - number * samples), _variable(seed), mi.UInt32(0))


def morton(x: Any, y: Any) -> Any:
    """Place of pixels along the Morton curve."""
    return _spread(x) | (_spread(y) << 1)


def _spread(x: Any) -> Any:
    """The lower 16 bits, with a zero after each."""
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        x = (x | (x << shift)) & mask
    return x


def _variable(seed: Any) -> Any:
    """A seed that is no constant of the kernel: other seeds reuse it."""
    result = mi.UInt32(seed)
    dr.make_opaque(result)
    return result
