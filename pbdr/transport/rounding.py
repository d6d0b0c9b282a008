"""Lengths below which single precision does not tell points apart: every clearance and offset grows from them.

They scale with the geometry and with the distance of its coordinates from the origin, so that nothing depends on units, and on the
origin only as far as coordinates lose digits there.
"""

from __future__ import annotations

from typing import Any

import drjit as dr

POSITION = 4e-7  # of the largest coordinate: three roundings of all three coordinates are 3.1e-7
GRAZING = 8.0  # how much further along a ray what rounding displaces sideways
DISTANCE = 1e-6  # of the length of a ray, and of the size of what it passes


def largest(point: Any) -> Any:
    """Largest coordinate of a point, without its sign."""
    return dr.max(dr.abs(point))


def blur(point: Any, local: Any, relative: Any = DISTANCE) -> Any:
    """How far a computed point may lie from where it should; `local`: length of the ray or size of the surface that it is on."""
    return POSITION * largest(point) + relative * local
