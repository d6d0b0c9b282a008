"""Edges that can be silhouettes as seen from lights: a test that never errs on the wrong side, for the regions lights fill.

The exact lists of silhouettes, one for each light point, then need to look at these edges only: of a dense mesh under a lamp, a few
in a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.geometry import rounding
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.topology import NO_FACE

FEW = 1024  # edges up to which looking at all of them is cheaper
REGIONS = 64  # boxes that every edge is compared with
ROUNDING = 1e-5  # of the sums that decide on which side of a face a light lies


@dataclass
class Regions:
    """Boxes that hold the positions of all lights, and the directions of those infinitely far away: centres and half sizes."""

    centre: Any
    half: Any
    distant: Any
    count: int


def regions(scene: Any, draw: Callable[[], Any]) -> Regions | None:
    """Where the lights of a scene are; None if one of them is all around.

    `draw()`: one `light_points.LightViews` entry for each emitter, in order; asked for if there are lights without a surface.
    """
    emitters = scene.emitters()
    surface = np.array([bool(mi.has_flag(emitter.flags(), mi.EmitterFlags.Surface)) for emitter in emitters])
    low, high, distant = np.zeros((len(emitters), 3)), np.zeros((len(emitters), 3)), np.zeros(len(emitters), bool)
    if not surface.all():
        pilot = draw()
        delta, distant = np.array(pilot.delta), np.array(pilot.view.distant)
        if (distant & ~delta).any():
            return None
        points, directions = np.array(pilot.view.point).T, np.array(pilot.view.towards).T
        low, high = np.where(distant[:, None], directions, points), np.where(distant[:, None], directions, points)
    for k, emitter in enumerate(emitters):
        if surface[k]:
            box = emitter.get_shape().bbox()
            low[k], high[k] = np.array(box.min).ravel(), np.array(box.max).ravel()
    parts = []
    for far in (False, True):
        index = np.nonzero(distant == far)[0]
        groups = np.array_split(index, min(len(index), REGIONS // 2)) if len(index) else []
        parts += [(low[g].min(0), high[g].max(0), far) for g in groups]
    bottom, top, away = (np.array([part[i] for part in parts]) for i in range(3))
    as_vectors = lambda x: mi.Vector3f(*(mi.Float(aligned(column)) for column in x.T))  # noqa: E731
    far = mi.Bool(aligned(away, bool))
    return Regions(as_vectors((bottom + top) / 2), as_vectors((top - bottom) / 2), far, len(parts))


def candidates(table: EdgeTable, where: Regions | None) -> Any:
    """Rows that may be silhouettes from some point of the regions, as a device array of indices.

    A line of sight sees two faces of an edge on different sides, so that no silhouette is there, if it passes their planes on
    different sides; which side of a plane a point lies on does not depend on the point of the edge.
    """
    everything = dr.arange(mi.UInt32, table.count)
    if where is None or table.count <= FEW:
        return everything
    planes = dr.cross(table.b, table.c), dr.cross(table.b, table.d)
    two_sided = table.having("straight") & (table.face[1] != NO_FACE)
    return dr.compress(_possible(table.a, planes[0], planes[1], where, where.count) | ~two_sided)


@dr.syntax
def _possible(start: Any, first: Any, second: Any, where: Regions, count: int) -> Any:
    possible = mi.Bool(False) & (start.x == start.x)
    k = mi.UInt32(0) * mi.UInt32(start.x)
    centre, half, distant = where.centre, where.half, where.distant
    lost = rounding.POSITION * rounding.largest(start)
    while dr.hint(~possible & (k < count), label="pathspace: possible silhouettes"):
        box = dr.gather(mi.Vector3f, centre, k)
        size = dr.gather(mi.Vector3f, half, k)
        offset = box - dr.select(dr.gather(mi.Bool, distant, k), 0, mi.Vector3f(start))
        low0, high0 = _range(first, offset, size, lost)
        low1, high1 = _range(second, offset, size, lost)
        apart = ((low0 > 0) & (high1 < 0)) | ((high0 < 0) & (low1 > 0))
        possible |= ~apart
        k += 1
    return possible


def _range(plane: Any, offset: Any, size: Any, lost: Any) -> tuple[Any, Any]:
    """Bounds of plane · y over a box of vectors y; `lost`: digits that their coordinates lack."""
    middle = dr.dot(plane, offset)
    reach = dr.dot(dr.abs(plane), size + ROUNDING * dr.abs(offset) + lost)
    return middle - reach, middle + reach
