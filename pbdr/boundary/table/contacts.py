"""Edges that touch another shape, as those of a block do on the floor: what is seen to move there is the line where both meet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.boundary.segment import AROUND, CLEARANCE, WIDER
from pbdr.boundary.table.boxes import Boxes
from pbdr.geometry import groups, rounding
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.view import View

PLACES = (0.1, 0.5, 0.9)  # along an edge


def touching(scene: Any, table: EdgeTable, rows: Any, others: Iterable[int]) -> Any:
    """Which of these `rows` touch one of the shapes `others` at one of a few places.

    A short ray runs past the edge along either of its faces. Most edges lie in none of the boxes of the others, and get none.
    """
    others = sorted(others)
    boxes = Boxes.of(scene, others)
    near = mi.Bool(False)
    for place in PLACES:
        near |= _near(boxes, table, *_at(table, place))
    index = dr.compress(near & table.having("fixed") & rows)
    result = dr.full(mi.Bool, False, table.count)
    if dr.width(index):
        dr.scatter(result, _met(scene, table.row(index), boxes, others), index)
    return result


def _at(row: EdgeTable, place: float) -> tuple[Any, Any]:
    """The curve at this place, and how far beside it rays run."""
    curve, extent = row.curve(View.along(mi.Vector3f(0, 0, -1)), mi.Float(place)), row.extent
    return curve, dr.maximum(CLEARANCE * extent, AROUND * WIDER * rounding.blur(curve.position, extent))


def _near(boxes: Boxes, row: EdgeTable, curve: Any, margin: Any) -> Any:
    return boxes.overlap(curve.position, curve.position, row.shape, margin)


def _met(scene: Any, row: EdgeTable, boxes: Boxes, others: list[int]) -> Any:
    """Which of the rows touch one of the others."""
    by_address = groups.indices(scene)
    known = np.isin(by_address, others)
    index, known = mi.UInt32(aligned(by_address, np.uint32)), mi.Bool(aligned(known, bool))
    result = mi.Bool(False)
    for place in PLACES:
        curve, margin = _at(row, place)
        near = _near(boxes, row, curve, margin)
        for inward, other in ((curve.into0, curve.into1), (curve.into1, curve.into0)):
            asked = near & (dr.squared_norm(inward) > 0)
            outside = dr.normalize(dr.cross(curve.derivative, inward))
            outside = dr.mulsign(outside, -dr.dot(outside, other))
            along = dr.normalize(inward)
            for way in (1, -1):  # a face without a neighbour has two outsides
                lanes = asked if way > 0 else asked & (dr.squared_norm(other) == 0)
                ray = mi.Ray3f(mi.Point3f(curve.position + margin * (way * outside + along)), -along)
                ray.maxt = 2 * margin
                hit = scene.ray_intersect_preliminary(ray, coherent=False, active=lanes)
                seen = dr.select(hit.instance != None, hit.instance, hit.shape)  # noqa: E711 (Dr.Jit comparison)
                address = dr.reinterpret_array(mi.UInt32, seen)
                lanes = lanes & hit.is_valid()
                lanes = lanes & dr.gather(mi.Bool, known, address, lanes)
                result |= lanes & (dr.gather(mi.UInt32, index, address, lanes) != row.shape)
    return result
