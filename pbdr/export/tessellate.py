"""Mitsuba's round and flat shapes as triangles, with the texture coordinates and normals that the plugins have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mesh = tuple[Array, Array, Array, NDArray[np.int64]]  # positions, normals, texture coordinates, faces

COLUMNS, ROWS = 128, 64  # around a round shape, and from pole to pole


def _grid(columns: int, rows: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """(u, v) of the vertices of a grid over [0, 1]², row by row, and its triangles."""
    v, u = (
        x.reshape(-1) for x in np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns + 1), indexing="ij")
    )
    i, j = (x.reshape(-1) for x in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    a, b = i * (columns + 1) + j, (i + 1) * (columns + 1) + j
    faces = np.concatenate([np.stack([a, a + 1, b], 1), np.stack([a + 1, b + 1, b], 1)])
    return u, v, faces


def sphere() -> Mesh:
    """The unit sphere; the longitude is u, from +x by way of +y, and v goes from +z to −z."""
    u, v, faces = _grid(COLUMNS, ROWS)
    phi, theta = 2 * np.pi * u, np.pi * v
    points = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], 1)
    return points, points, np.stack([u, v], 1), faces[:, ::-1]


def disk() -> Mesh:
    """The unit disk in the plane z = 0; u is the radius, v the angle."""
    u, v, faces = _grid(1, COLUMNS)
    points = np.stack([u * np.cos(2 * np.pi * v), u * np.sin(2 * np.pi * v), 0 * u], 1)
    return points, np.broadcast_to([0.0, 0.0, 1.0], points.shape), np.stack([u, v], 1), faces


def rectangle() -> Mesh:
    """[−1, 1]² in the plane z = 0."""
    u, v, faces = _grid(1, 1)
    points = np.stack([2 * u - 1, 2 * v - 1, 0 * u], 1)
    return points, np.broadcast_to([0.0, 0.0, 1.0], points.shape), np.stack([u, v], 1), faces


def cylinder() -> Mesh:
    """The cylinder of radius 1 about the z axis from 0 to 1, without ends; u is the angle, v the height."""
    u, v, faces = _grid(COLUMNS, 1)
    around = np.stack([np.cos(2 * np.pi * u), np.sin(2 * np.pi * u), 0 * u], 1)
    return around + v[:, None] * [0.0, 0.0, 1.0], around, np.stack([u, v], 1), faces


#: By Mitsuba's name of the class; each in the space that the shape's `to_world` maps from.
SHAPES = {"Sphere": sphere, "Disk": disk, "Rectangle": rectangle, "Cylinder": cylinder}
