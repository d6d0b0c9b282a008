"""Edges near a direction, as they are seen from a point: where on the edge, how far away, and how both change with the direction.

All is detached. Directions ω are unit vectors; gradients with respect to ω are tangent vectors of the unit sphere at ω.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.incidence import NO_ROW, SIDES, Face
from pbdr.geometry.edges import CYLINDER_LINE, ELLIPSE, SPHERE, EdgeTable
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


def orthogonal(vector: Any, direction: Any) -> Any:
    """The part of `vector` orthogonal to a unit vector."""
    return mi.Vector3f(vector - direction * dr.dot(direction, vector))


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
    start, along = mi.Vector3f(row.a - origin), mi.Vector3f(row.b)
    if curved:
        foot, _ = row.cylinder_line(_view(origin))
        start = dr.select(row.kind == CYLINDER_LINE, foot - mi.Vector3f(origin), start)
    offset, q, slope = _on_segment(start, along, omega)
    exists = mi.Bool(True)
    if curved:
        for kind, found in ((ELLIPSE, _on_ellipse(row, origin, omega)), (SPHERE, _on_sphere(row, origin, omega))):
            chosen = row.kind == kind
            offset, along, slope = (
                dr.select(chosen, new, old) for new, old in zip(found, (offset, along, slope), strict=False)
            )
            exists &= ~chosen | found[3]
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


def _on_ellipse(row: EdgeTable, origin: Any, omega: Any) -> tuple[Any, Any, Any, Any]:
    """On the border of a disk, at the polar angle where ω meets its plane: (offset, derivative by the angle, ∇angle, exists)."""
    centre, b, c = mi.Vector3f(row.a - origin), row.b, row.c
    n = dr.cross(b, c)
    dual_b, dual_c = dr.cross(c, n), dr.cross(n, b)
    scale_b, scale_c = dr.dot(dual_b, b), dr.dot(dual_c, c)
    dual_b, dual_c = (d * dr.select(s != 0, dr.rcp(s), 0) for d, s in ((dual_b, scale_b), (dual_c, scale_c)))
    height, fall = dr.dot(centre, n), dr.dot(omega, n)
    exists = height * fall > 0
    inverse = dr.select(exists, dr.rcp(fall), 0)
    place = height * inverse * omega - centre
    x, y = dr.dot(dual_b, place), dr.dot(dual_c, place)
    r2 = x * x + y * y
    exists &= r2 > 0
    dx, dy = (height * inverse * mi.Vector3f(dual - n * (dr.dot(dual, omega) * inverse)) for dual in (dual_b, dual_c))
    scale = dr.select(exists, dr.rsqrt(r2), 0)
    cosine, sine = x * scale, y * scale
    slope = (cosine * dy - sine * dx) * scale
    return mi.Vector3f(centre + cosine * b + sine * c), mi.Vector3f(cosine * c - sine * b), slope, exists


def _on_sphere(row: EdgeTable, origin: Any, omega: Any) -> tuple[Any, Any, Any, Any]:
    """On the silhouette of a sphere, at the angle of ω about the line to its centre: as `_on_ellipse`."""
    centre = mi.Vector3f(row.a - origin)
    distance2, radius2 = dr.squared_norm(centre), dr.squared_norm(row.b)
    axis = centre * dr.rsqrt(dr.maximum(distance2, 1e-30))
    side = orthogonal(omega, axis)
    length = dr.norm(side)
    exists = (distance2 > radius2) & (length > 0)
    inverse = dr.select(exists, dr.rcp(length), 0)
    side *= inverse
    around = dr.cross(axis, side)
    sine2 = dr.select(exists, radius2 / distance2, 0)
    reach = dr.sqrt(dr.maximum(distance2 - radius2, 0))
    offset = reach * (dr.sqrt(1 - sine2) * axis + dr.sqrt(sine2) * side)
    return mi.Vector3f(offset), mi.Vector3f(reach * dr.sqrt(sine2) * around), mi.Vector3f(around * inverse), exists
