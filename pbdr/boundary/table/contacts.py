"""Edges that touch another shape, as those of a block do on the floor: what is seen to move there is the line where both meet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.segment import AROUND, CLEARANCE, WIDER
from pbdr.geometry import rounding
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.view import View

PLACES = (0.1, 0.5, 0.9)  # along an edge


def touching(scene: Any, table: EdgeTable, rows: Any, others: Iterable[int]) -> Any:
    """Which of these `rows` touch one of the shapes `others` at one of a few places.

    A short ray runs past the edge along either of its faces.
    """
    shapes, others = scene.shapes(), sorted(others)
    number = dr.opaque(mi.UInt32, 0)  # literals would make new kernels when shapes move
    result = mi.Bool(False)
    for place in PLACES:
        curve = table.curve(View.along(mi.Vector3f(0, 0, -1)), mi.Float(place))
        extent = table.extent
        margin = dr.maximum(CLEARANCE * extent, AROUND * WIDER * rounding.blur(curve.position, extent))
        near = mi.Bool(False)
        for index in others:
            box = shapes[index].bbox()
            low, high = mi.Point3f(box.min), mi.Point3f(box.max)
            dr.make_opaque(low, high)
            inside = dr.all((curve.position + margin >= low) & (curve.position - margin <= high))
            near |= inside & (table.shape != number + index)
        near &= table.having("fixed") & rows
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
                for index in others:
                    shape = dr.gather(mi.ShapePtr, scene.shapes_dr(), number + index)
                    met = (hit.shape == shape) | (hit.instance == shape)
                    result |= lanes & hit.is_valid() & met & (table.shape != number + index)
    return result
