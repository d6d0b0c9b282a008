"""Where a field is worth looking: a coarse grid of the largest densities seen lately in its cells (Müller et al. 2022, appendix B).

What lies in cells that are nearly empty is left out of rays, image and gradient alike. The grid is part of the state of a fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.fields.field import Box, Field
from pbdr.sequence import over_lanes

LOOKS = 4  # at every cell of a field that does not change any more
SIDE = 32  # cells along each side
EVERY = 16  # steps between two looks at all cells
FORGETS = 0.95  # a maximum counts for this much less at every look
FAINT = 0.03  # optical depth along the longest side of the box: a cell that would have less everywhere counts as empty


@dataclass  # not frozen: Dr.Jit traverses it as loop state
class Occupancy:
    """Largest densities by cell, and the one (width 1) below which a cell counts as empty."""

    densities: Any
    least: Any

    def __call__(self, point: Any) -> Any:
        """Whether a point of [0, 1]³ lies in a cell that counts."""
        cell = mi.Vector3u(dr.clip(point * SIDE, 0, SIDE - 1))
        index = (cell.z * SIDE + cell.y) * SIDE + cell.x
        return dr.gather(mi.Float, self.densities, index) > self.least


def everywhere() -> Any:
    """The grid before anything is known: every cell counts."""
    return dr.full(mi.Float, dr.largest(mi.Float), SIDE**3)


def of(densities: Any, box: Box) -> Occupancy:
    """What counts of the grid: what is not faint."""
    return Occupancy(densities, dr.opaque(mi.Float, FAINT / box.side))


def looked(field: Field, latents: Mapping[str, Any], box: Box, densities: Any, seed: Any) -> Any:
    """The grid after another look at one random point of every cell."""
    sequence, index = over_lanes(SIDE**3, seed), dr.arange(mi.UInt32, SIDE**3)
    corner = mi.Point3f(index % SIDE, (index // SIDE) % SIDE, index // SIDE**2)
    pair = sequence.next_2d()
    point = (corner + mi.Point3f(pair.x, pair.y, sequence.next_1d())) * (1 / SIDE)
    with dr.suspend_grad():
        found = field.density(field.raw(latents, point), box)
    # The first look replaces what stands for "not known".
    known = dr.select(densities >= dr.largest(mi.Float), 0, densities)
    grid = dr.maximum(FORGETS * known, found)
    dr.eval(grid)
    return grid


def whole(field: Field, latents: Mapping[str, Any], box: Box) -> Any:
    """The grid of a field that does not change: the largest densities at several random points of every cell."""
    grid = dr.zeros(mi.Float, SIDE**3)
    for number in range(LOOKS):
        grid = dr.maximum(grid, looked(field, latents, box, everywhere(), dr.opaque(mi.UInt32, number)))
    dr.eval(grid)
    return grid
