"""Discrete distributions: systematic sampling, and mixtures that never starve an entry."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr import backend
from pbdr.discrete import UNEVEN, Discrete, mixed

backend.activate()

MASS = np.array([3.0, 0.0, 0.25, 1.0, 0.05, 7.7])


def drawn(count, offset):
    offset = dr.opaque(mi.Float, offset)  # else each would be a kernel of its own
    index, number = Discrete.of(mi.Float(MASS)).systematic(count, offset)
    return np.array(index), np.array(number, dtype=np.float64)


def test_lanes_are_shared_out_in_proportion():
    """Every entry has its expected number of lanes, rounded up or down; none lies where the mass is zero."""
    expected = 40 * MASS / MASS.sum()
    for offset in (0.01, 0.4, 0.99):
        index, _ = drawn(40, offset)
        counts = np.bincount(index, minlength=len(MASS))
        assert (np.diff(index) >= 0).all()
        assert (np.abs(counts - expected) < 1).all()
        assert counts[1] == 0


def test_sums_over_lanes_are_unbiased():
    """Σ 1/number of every entry is 1: for each offset where an entry surely has lanes, else as the mean over offsets."""
    offsets = (np.arange(1000) + 0.5) / 1000
    sums = np.array([np.bincount(i, 1 / n, len(MASS)) for i, n in (drawn(20, offset) for offset in offsets)])
    sure = 20 * MASS / MASS.sum() >= 1
    assert sums[:, sure] == pytest.approx(1)
    rare = ~sure & (MASS > 0)
    assert sums[:, rare].mean(0) == pytest.approx(1, abs=0.03)
    assert sums[:, rare].std() > 0.5  # some of them really are drawn by chance


def test_equal_masses_have_equal_shares_whatever_the_offset():
    for offset in (2.0**-25, 0.5, 1 - 2.0**-24):
        index, number = Discrete.of(dr.full(mi.Float, 0.3, 1000)).systematic(7000, mi.Float(offset))
        assert (np.array(index) == np.arange(7000) // 7).all()
        assert (np.array(number) == 7).all()


def test_mixtures():
    mass, factor = mi.Float(1, 1, 2, 0, 4), mi.Float(0, 0, 0, 1, 9)
    found = np.array(mixed(mass, factor, 0.2))
    assert found.sum() == pytest.approx(8)
    assert (found >= 0.2 * np.array(mass) - 1e-6).all()
    assert found == pytest.approx([0.2, 0.2, 0.4, 0, 7.2])


@pytest.mark.parametrize("factor", [[0, 0, 0], [1, np.nan, 50], [np.inf, 1, 1], [3, 3, 3], [1, 1.5, 2]])
def test_nothing_to_follow(factor):
    """A factor that is zero, not finite, or nearly constant leaves the masses alone; so it does where there is no mass."""
    mass = mi.Float(1, 2, 3)
    assert np.array(mixed(mass, mi.Float(factor), 0.2)) == pytest.approx([1, 2, 3])
    assert (np.array(mixed(mi.Float(0, 0, 0), mi.Float(factor), 0.2)) == 0).all()
    if np.isfinite(factor).all() and np.any(factor):
        square, mean = (np.average(np.power(factor, k), weights=[1, 2, 3]) for k in (2, 1))
        assert square < UNEVEN * mean**2


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_size_of_the_factor_plays_no_part(scale):
    mass, factor = mi.Float(1, 1, 1, 1), np.array([0, 0, 1, 9])
    one, other = (np.array(mixed(mass, mi.Float(s * factor), 0.2)) for s in (1, scale))
    assert other == pytest.approx(one, rel=1e-5)
