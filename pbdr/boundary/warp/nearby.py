"""Edges near a direction, as they are seen from a point: where on the edge, how far away, and how both change with the direction.

All is detached. Directions ω are unit vectors; gradients with respect to ω are tangent vectors of the unit sphere at ω.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.table.incidence import NO_ROW, SIDES, Face
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.near import Line, Round, orthogonal
from pbdr.geometry.view import View

FAR = 4.0  # longer than any chord of the unit sphere: no point of the edge is near


@dataclass
class Near:
    """The point of an edge that is next to a direction.

    `point`, and `along` its derivative by the edge's own parameter q; `q` for straight edges (0 at the row's start, 1 at its end);
    `slope` ∇q; `chord` |ω − u| with u the direction of the point, and `away` ∇chord.
    """

    point: Any
    along: Any
    q: Any
    slope: Any
    chord: Any
    away: Any


@dataclass
class Side:
    """An edge of a face: its row and whether it counts; `distance`: sine of the angle to the direction, and `away` its gradient."""

    row: Any
    there: Any
    distance: Any
    away: Any


def sides(face: Face, origin: Any, omega: Any) -> list[Side]:
    """How far the edges of faces are from direction ω: continuous in ω, and FAR behind the viewpoint."""
    offsets = [mi.Vector3f(corner - origin) for corner in face.corners]
    turns = [dr.cross(v, omega) for v in offsets]
    ends = [_corner(v, turn, omega) for v, turn in zip(offsets, turns, strict=True)]
    found = []
    for k, row in enumerate(face.rows):
        i, j = (k + 1) % SIDES, (k + 2) % SIDES
        normal = dr.cross(offsets[i], face.corners[j] - face.corners[i])
        inverse = dr.rsqrt(dr.maximum(dr.squared_norm(normal), 1e-30))
        height = dr.dot(normal, omega)
        inside = (dr.dot(normal, turns[i]) > 0) & (dr.dot(normal, turns[j]) < 0)
        near = ends[i][0] < ends[j][0]
        end, end_away = (dr.select(near, first, second) for first, second in zip(ends[i], ends[j], strict=True))
        across = dr.mulsign(inverse, height) * (normal - height * omega)
        found.append(
            Side(
                row,
                row != NO_ROW,
                dr.select(inside, dr.abs(height) * inverse, end),
                dr.select(inside, across, end_away),
            )
        )
    return found


def _corner(offset: Any, turn: Any, omega: Any) -> tuple[Any, Any]:
    """Sine of the angle between ω and a corner, and its gradient; FAR behind the viewpoint."""
    inverse = dr.rsqrt(dr.maximum(dr.squared_norm(offset), 1e-30))
    along = dr.dot(offset, omega)
    sine = dr.norm(turn) * inverse
    away = (-along * dr.square(inverse) / dr.maximum(sine, 1e-12)) * (offset - along * omega)
    return dr.select(along > 0, sine, FAR), away


def exists(row: EdgeTable, origin: Any) -> Any:
    """Whether the silhouettes of shapes that are no meshes are seen from `origin`."""
    return row.exists(_view(origin))


def nearest(row: EdgeTable, origin: Any, omega: Any, curved: bool) -> Near:
    """The point of each row's edge next to direction ω; continuous in ω, and the edge itself where ω points at it."""
    view = _view(origin)
    start, along = mi.Vector3f(row.a - origin), mi.Vector3f(row.b)
    found = [one for kind in row.layout.kinds for one in kind.near(row, view, omega)] if curved else []
    for here, line in found:
        if isinstance(line, Line):
            start = dr.select(here, mi.Vector3f(line.start - origin), start)
    offset, q, slope = _on_segment(start, along, omega)
    exists = mi.Bool(True)
    for here, one in found:
        if isinstance(one, Round):
            offset, along, slope = (
                dr.select(here, new, old)
                for new, old in zip((one.offset, one.along, one.slope), (offset, along, slope), strict=True)
            )
            exists &= ~here | one.exists
    distance2 = dr.squared_norm(offset)
    distance = dr.sqrt(distance2)
    exists &= distance > 0
    inverse = dr.select(exists, dr.rcp(distance), 0)
    u = offset * inverse
    gap = u - omega
    chord = dr.select(exists, dr.norm(gap), FAR)
    turn = orthogonal(along, u) * inverse
    away = -(orthogonal(gap, omega) + dr.dot(omega, turn) * slope) / dr.maximum(chord, 1e-12)
    return Near(mi.Point3f(origin + offset), along, q, slope, chord, mi.Vector3f(away))


def _view(origin: Any) -> View:
    return View(mi.Point3f(origin), mi.Vector3f(0, 0, 1), mi.Bool(False))


def _on_segment(start: Any, along: Any, omega: Any) -> tuple[Any, Any, Any]:
    """On start + q · along, relative to the viewpoint: (offset, q in [0, 1], ∇q)."""
    normal = dr.cross(start, along)
    normal *= dr.rsqrt(dr.maximum(dr.squared_norm(normal), 1e-30))
    p, r = dr.cross(start, normal), dr.cross(along, normal)
    top, bottom = dr.dot(p, omega), dr.dot(r, omega)
    inverse = dr.select(bottom != 0, dr.rcp(bottom), 0)
    q = -top * inverse
    slope = (r * (top * inverse) - p) * inverse
    inside = (q > 0) & (q < 1)
    cosine = lambda at: dr.dot(omega, dr.normalize(start + at * along))  # noqa: E731
    inside &= cosine(q) > 0  # else it is the point furthest away
    ends = dr.select(cosine(mi.Float(0)) >= cosine(mi.Float(1)), mi.Float(0), 1)
    q = dr.select(inside, q, ends)
    return mi.Vector3f(start + q * along), q, dr.select(inside, mi.Vector3f(slope), 0)
