"""Closed forms that several tests ask for."""

from __future__ import annotations

import numpy as np


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
