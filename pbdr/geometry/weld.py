"""Which vertices of a mesh are one: copies at the same position, and corners of its open borders that agree up to rounding.

Exported models often have corners that agree to 10⁻⁵ only. Such corners are one where their borders would else be open; corners
inside a surface are never merged, however small its faces are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SHORT = 1e-4  # of the shortest open edge at a corner, within which others are the same
WHOLE = 2e-5  # of the mesh's extent: so far files that were written with five or six digits are off
APART = 0.05  # of the shortest edge: corners further away never are the same
ULPS = 2.0**-22  # of the coordinates: copies may have been rounded in different ways

Index = NDArray[np.uint32]
Array = NDArray[Any]


def tolerance(short: Array, extent: float, coordinate: Array) -> Array:
    """How far apart corners may be that are one, for edges of this length, a mesh of this size, and coordinates as these."""
    return np.minimum(np.maximum(np.maximum(SHORT * short, WHOLE * extent), ULPS * coordinate), APART * short)


def vertices(positions: NDArray[np.float32], faces: Index) -> Index:
    """Representative vertex of every vertex. positions: (V, 3), faces: (F, 3)."""
    same = copies(positions)
    edges = open_edges(same[faces])
    if not len(edges):
        return same
    corner, near = _corners(positions, edges)
    first, second = _pairs(positions[corner], near)
    if not len(first):
        return same
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(first)), (first, second)), (len(corner), len(corner)))
    _, group = connected_components(links, directed=False)
    lowest = np.full(group.max() + 1, len(positions), np.int64)
    np.minimum.at(lowest, group, corner)
    alias = np.arange(len(positions), dtype=np.uint32)
    alias[corner] = lowest[group]
    return alias[same]


def copies(positions: NDArray[np.float32]) -> Index:
    """First vertex at exactly the position of every vertex."""
    _, first, inverse = np.unique(_keys(positions), return_index=True, return_inverse=True)
    same = first[inverse.reshape(-1)]
    if (positions[same] != positions).any():
        _, first, inverse = np.unique(positions + np.float32(0), axis=0, return_index=True, return_inverse=True)
        same = first[inverse.reshape(-1)]
    return same.astype(np.uint32)


def distinct(positions: NDArray[np.float32]) -> int:
    """Number of positions (V, 3) that differ."""
    number = len(np.unique(_keys(positions)))
    return number if number == len(positions) else len(np.unique(positions + np.float32(0), axis=0))


def _keys(positions: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A number for every position; different ones rarely have the same."""
    bits = np.ascontiguousarray(positions + np.float32(0)).view(np.uint32).astype(np.uint64)  # −0 is 0
    key = bits @ np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
    key ^= key >> np.uint64(29)
    return key


def open_edges(welded: Index) -> NDArray[np.int64]:
    """Ends (E, 2) of the edges that one face (F, 3) alone has."""
    ends = np.concatenate([welded[:, [k, (k + 1) % 3]] for k in range(3)]).astype(np.int64)
    ends = np.sort(ends[ends[:, 0] != ends[:, 1]], 1)
    _, first, count = np.unique(ends[:, 0] << 32 | ends[:, 1], return_index=True, return_counts=True)
    return ends[first[count == 1]]


def _corners(positions: NDArray[np.float32], edges: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array]:
    """(vertices of open edges, how near others have to be to be the same)."""
    corner, number = np.unique(edges, return_inverse=True)
    number = number.reshape(edges.shape)
    length = np.linalg.norm(positions[edges[:, 1]].astype(np.float64) - positions[edges[:, 0]], axis=1)
    short = np.full(len(corner), np.inf)
    for end in (0, 1):
        np.minimum.at(short, number[:, end], length)
    return corner, tolerance(short, float(np.ptp(positions, axis=0).max()), np.abs(positions[corner]).max(1))


def _pairs(points: NDArray[np.float32], near: Array) -> tuple[Array, Array]:
    """Pairs of points that are nearer to each other than either allows."""
    from scipy.spatial import cKDTree

    found = cKDTree(points).query_pairs(float(near.max()), output_type="ndarray")
    first, second = found.T
    apart = np.linalg.norm(points[first].astype(np.float64) - points[second], axis=1)
    keep = apart <= np.minimum(near[first], near[second])
    return first[keep], second[keep]
