"""Poses: matrices (4, 4) of shapes and instances, on the host and as columns on the device."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

UNIT = ([1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0])


def safe(vector: Any, active: Any) -> Any:
    """`vector`, or a unit vector on inactive lanes: a derivative there would be 0 · ∞ although nobody asks for it."""
    return dr.select(active, vector, type(vector)(1, 0, 0))


def on_host(matrix: Any) -> Any:
    """A pose (4, 4), detached, as a NumPy array."""
    return np.array(dr.detach(matrix), dtype=np.float64).reshape(4, 4, -1)[..., 0]


def pose_of_lanes(matrix: Any, active: Any) -> list[Any]:
    """Columns (three axes and the origin) of one attached matrix for many lanes.

    Gathered, although there is one matrix: as plain numbers, its derivatives would take a kernel for each entry, which computes all
    that they depend on.
    """
    first = dr.zeros(mi.UInt32, dr.width(active))
    entry = lambda i, j: dr.gather(mi.Float, mi.Float(matrix[i, j]), first, active)  # noqa: E731
    return [mi.Vector3f(entry(0, j), entry(1, j), entry(2, j)) for j in range(4)]


def solve(x: Any, y: Any, z: Any, b: Any) -> Any:
    """Coordinates of `b` in the basis x, y, z (Cramer's rule)."""
    yz = dr.cross(y, z)
    inverse = dr.rcp(dr.dot(x, yz))
    return mi.Vector3f(dr.dot(b, yz), dr.dot(b, dr.cross(z, x)), dr.dot(b, dr.cross(x, y))) * inverse
