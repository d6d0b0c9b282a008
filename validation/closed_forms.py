"""Closed forms that several tests ask for, and their derivatives, exact in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from validation.agreement import Array


def clipped_area(polygon, bounds):
    """Area of a convex polygon (K, 2) of complex numbers with infinitesimal parts inside a pixel."""
    points = [np.asarray(p) for p in polygon]
    for axis, sign, limit in ((0, 1, bounds[0]), (0, -1, bounds[1]), (1, 1, bounds[2]), (1, -1, bounds[3])):
        inside = [sign * (p[axis].real - limit) >= 0 for p in points]
        kept = []
        for k, p in enumerate(points):
            q, q_inside = points[(k + 1) % len(points)], inside[(k + 1) % len(points)]
            if inside[k]:
                kept.append(p)
            if inside[k] != q_inside:
                kept.append(p + (q - p) * (limit - p[axis]) / (q[axis] - p[axis]))
        points = kept
        if not points:
            return 0j
    return 0.5 * sum(p[0] * q[1] - p[1] * q[0] for p, q in zip(points, points[1:] + points[:1], strict=True))


def derivative_of(function: Callable[..., Any], *at: float) -> Array:
    """Partial derivatives of an analytic function of real arguments, exact in double precision (complex step)."""
    step = 1e-40
    return np.array(
        [np.imag(function(*[x + 1j * step * (i == k) for i, x in enumerate(at)])) / step for k in range(len(at))]
    )


def lambert(corners: Any, x: Any, y: Any, z: Any = 0.0) -> Any:
    """Irradiance at (x, y, z), normal upwards, from a polygon of unit radiance above that plane (form 11).

    corners: (K, 3), possibly complex; x, y: (M,). Positive for corners that run clockwise when seen from below.
    """
    offsets = [[np.asarray(c[0] - x), np.asarray(c[1] - y), c[2] - z + 0 * x] for c in corners]
    norms = [np.sqrt(a * a + b * b + c * c) for a, b, c in offsets]
    total = 0.0
    for k, (a, n) in enumerate(zip(offsets, norms, strict=True)):
        b, m = offsets[(k + 1) % len(offsets)], norms[(k + 1) % len(offsets)]
        cosine = (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) / (n * m)
        sine = np.sqrt(1 - cosine * cosine)
        total = total + 0.5 * np.arccos(cosine) * (a[0] * b[1] - a[1] * b[0]) / (n * m * sine)
    return total
