"""Normals at random points of shapes, as rays that meet these points have them.

The normal that Mitsuba 3.9 gives with a random point of a sphere (`sample_position`) is one of the sphere before its `to_world`
turned it, while the point is turned. Shadows of a turned spherical lamp then are spread wrongly over its penumbra, although their
sums over a film that holds all of it are right: over a sphere, |n·ω| and |Rn·ω| have the same mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned

SPHERE = "Sphere"


def normals(shapes: Sequence[Any], index: Any, sample: Any) -> Any:
    """Unit normals, either way round, at the points of a `PositionSample3f`.

    `shapes`: on the host, None where there is none; `index`: which of them each point lies on.
    """
    round_ = [shape is not None and shape.class_name() == SPHERE for shape in shapes]
    if not any(round_):
        return mi.Normal3f(sample.n)
    places = np.array([_centre(shape) if yes else (0, 0, 0) for shape, yes in zip(shapes, round_, strict=True)])
    centre = mi.Point3f(*(mi.Float(aligned(column)) for column in places.T))
    outwards = dr.normalize(sample.p - dr.gather(mi.Point3f, centre, index))
    return mi.Normal3f(dr.select(dr.gather(mi.Bool, mi.Bool(aligned(round_, bool)), index), outwards, sample.n))


def _centre(shape: Any) -> Any:
    box = shape.bbox()
    return 0.5 * (np.array(box.min, dtype=np.float64).ravel() + np.array(box.max, dtype=np.float64).ravel())
