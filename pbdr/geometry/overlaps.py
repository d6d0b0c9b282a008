"""Pairs of boxes that overlap, on the host."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

BRUTE_FORCE = 1 << 20  # pairs of boxes that are compared one by one
MAX_CELLS = 64  # cells a box may cover in the grid; larger ones are compared one by one


def pairs(low_a: Array, high_a: Array, low_b: Array, high_b: Array) -> Iterator[tuple[Index, Index]]:
    """Pairs of overlapping boxes, in pieces: a uniform grid for small boxes, one by one for those that are large."""
    if not len(low_a) or not len(low_b):
        return
    if len(low_a) * len(low_b) <= BRUTE_FORCE:
        yield _one_by_one(low_a, high_a, low_b, high_b)
        return
    origin = np.minimum(low_a.min(0), low_b.min(0))
    sizes = np.concatenate([(high_a - low_a).max(1), (high_b - low_b).max(1)])
    cell = max(float(np.median(sizes)), 1e-9 * float(sizes.max()), 1e-30)
    cells = [np.floor((x - origin) / cell).astype(np.int64) for x in (low_a, high_a, low_b, high_b)]
    large = [(cells[k + 1] - cells[k] + 1).prod(1) > MAX_CELLS for k in (0, 2)]
    for a in np.array_split(np.nonzero(large[0])[0], max(1, int(large[0].sum()) * len(low_b) // BRUTE_FORCE)):
        x, y = _one_by_one(low_a[a], high_a[a], low_b, high_b)
        yield a[x], y
    small = np.nonzero(~large[0])[0]
    for b in np.array_split(np.nonzero(large[1])[0], max(1, int(large[1].sum()) * len(small) // BRUTE_FORCE)):
        x, y = _one_by_one(low_a[small], high_a[small], low_b[b], high_b[b])
        yield small[x], b[y]
    other = np.nonzero(~large[1])[0]
    key_a, owner_a = _cells(cells[0], cells[1], small)
    key_b, owner_b = _cells(cells[2], cells[3], other)
    order = np.argsort(key_b, kind="stable")
    key_b, owner_b = key_b[order], owner_b[order]
    begin, end = np.searchsorted(key_b, key_a, "left"), np.searchsorted(key_b, key_a, "right")
    steps = np.searchsorted(
        np.cumsum(end - begin), np.arange(4 * BRUTE_FORCE, int((end - begin).sum()), 4 * BRUTE_FORCE)
    )
    for piece in np.split(np.arange(len(key_a)), steps):
        number = (end - begin)[piece]
        x = np.repeat(piece, number)
        y = np.arange(len(x)) - np.repeat(np.cumsum(number) - number, number) + np.repeat(begin[piece], number)
        a, b, key = owner_a[x], owner_b[y], key_a[x]
        keep = ((low_a[a] <= high_b[b]) & (low_b[b] <= high_a[a])).all(1)
        a, b, key = a[keep], b[keep], key[keep]
        once = _key(np.maximum(cells[0][a], cells[2][b])) == key  # of the cells both cover, the lowest
        yield a[once], b[once]


def _one_by_one(low_a: Array, high_a: Array, low_b: Array, high_b: Array) -> tuple[Index, Index]:
    overlap = np.ones((len(low_a), len(low_b)), bool)
    for axis in range(3):
        overlap &= low_a[:, None, axis] <= high_b[None, :, axis]
        overlap &= low_b[None, :, axis] <= high_a[:, None, axis]
    a, b = np.nonzero(overlap)
    return a, b


def _key(cell: Index) -> Index:
    return (cell[:, 0] << 42) + (cell[:, 1] << 21) + cell[:, 2]


def _cells(low: Index, high: Index, chosen: Index) -> tuple[Index, Index]:
    """(key of the cell, box) for every cell that the chosen boxes cover."""
    low, span = low[chosen], (high - low)[chosen] + 1
    number = span.prod(1)
    owner = np.repeat(np.arange(len(chosen)), number)
    k = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
    y, z = span[owner, 1], span[owner, 2]
    cell = low[owner] + np.stack([k // (y * z), k // z % y, k % z], 1)
    return _key(cell), chosen[owner]
