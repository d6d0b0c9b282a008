"""Owen-scrambled Sobol' points: nets, uniform lanes, independent pairs, less noise than independent numbers."""

import itertools

import mitsuba as mi
import numpy as np
import pytest
from scipy.stats import kstest, qmc

from pbdr import backend, sequence
from pbdr.errors import OptionError
from pbdr.pathspace.options import PathspaceOptions
from pbdr.seeds import hashed

backend.activate()


def points(sampler):
    return np.array(sampler.next_2d()).T


def cells(p, a, b):
    return {tuple(c) for c in (p * [2**a, 2**b]).astype(int)}


def test_the_points_are_those_of_sobol():
    """Without scrambling; SciPy has them in the order of a Gray code, so that sets of 2^m are compared."""
    ours = np.array(sequence.second_dimension(mi.UInt32(np.arange(16).tolist())), dtype=np.float64) / 2**32
    theirs = qmc.Sobol(2, scramble=False).random(16)[:, 1]
    for m in range(5):
        assert sorted(ours[: 2**m]) == sorted(theirs[: 2**m])


def test_every_pair_is_a_net_over_the_lanes():
    """64 points: one in each cell of every grid of 64 equal cells. Negative control: independent points leave cells empty."""
    sampler = sequence.over_lanes(64, hashed(0, "net"))
    for _ in range(3):
        p = points(sampler)
        assert all(len(cells(p, a, 6 - a)) == 64 for a in range(7))
    assert len(cells(np.random.default_rng(0).uniform(size=(64, 2)), 3, 3)) < 64


def test_pixels_and_their_neighbours_are_nets():
    sampler = sequence.over_film(8, 8, 4, hashed(0, "film"))
    p = points(sampler).reshape(8, 8, 4, 2)
    for y, x in itertools.product(range(8), repeat=2):
        assert all(len(cells(p[y, x], a, 2 - a)) == 4 for a in range(3))
    assert all(len(cells(p[2:4, 4:6].reshape(-1, 2), a, 4 - a)) == 16 for a in range(5))


def test_numbers_of_pixels_and_samples_that_are_no_powers_of_two():
    p = points(sequence.over_film(5, 3, 3, 1))
    assert p.shape == (45, 2) and len({tuple(x) for x in p}) == 45


def test_every_lane_is_uniform_and_pairs_are_uncorrelated():
    """Over seeds, a lane's number is uniform; products of numbers of different pairs have the mean of independent ones."""
    values = []
    for k in range(400):
        sampler = sequence.over_lanes(2, hashed(k, "uniform"))
        values.append([*points(sampler)[1], np.array(sampler.next_1d())[1], *points(sampler)[1]])
    values = np.array(values)
    for column in values.T:
        assert kstest(column, "uniform").pvalue > 1e-3
    correlation = np.corrcoef(values.T) - np.eye(5)
    assert np.abs(correlation).max() < 4 / np.sqrt(400)


def test_less_noise_than_independent_numbers():
    """A product of eight numbers over 1,024 lanes: less than half of the variance; unbiased within 4 standard errors."""

    def spread(make):
        found = []
        for k in range(100):
            sampler = make(k)
            u, v = points(sampler), points(sampler)
            found.append(np.mean(np.prod(0.5 + u, axis=1) * np.prod(0.5 + v, axis=1)))
        return np.mean(found), np.std(found, ddof=1)

    def independent(k):
        sampler = mi.load_dict({"type": "independent"})
        sampler.seed(hashed(k, "independent"), 1024)
        return sampler

    mean, ours = spread(lambda k: sequence.over_lanes(1024, hashed(k, "noise")))
    assert abs(mean - 1) < 4 * ours / 10
    assert ours**2 < 0.5 * spread(independent)[1] ** 2


def test_other_sequences_are_refused():
    with pytest.raises(OptionError, match="sequence = 'halton'"):
        PathspaceOptions(sequence="halton").check()


def test_pixels_keep_their_numbers_in_another_order():
    """Lanes along a list of pixels have the points that these have row by row."""
    order = np.random.default_rng(2).permutation(15)
    seed = hashed(0, "film")
    rows, listed = (
        points(sequence.over_film(5, 3, 4, seed, curve)).reshape(15, 4, 2)
        for curve in (None, mi.UInt32(order.tolist()))
    )
    assert (listed == rows[order]).all()
