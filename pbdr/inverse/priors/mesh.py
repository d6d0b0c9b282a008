"""Priors of triangle meshes. All are free of units: scaled and moved meshes have the same values.

Copies of a vertex along seams count as one, at the first one's position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

from pbdr.inverse.priors.prior import Prior
from pbdr.parameters.meshes import Surface
from pbdr.parameters.place import Place

#: Squared sine of the corner angle, as twice the area over the product of two sides, below which a face has no normal.
FLAT = 1e-12


class OfMesh(Prior):
    """What priors of meshes share."""

    def refusal(self, place: Place) -> str:
        return "" if place.of_mesh else "it is about the vertex positions of a mesh"


@dataclass(frozen=True)
class Laplacian(OfMesh):
    """Distance of a vertex to the mean of its neighbours, squared, in mean edge lengths of the start; mean over the vertices."""

    name: ClassVar[str] = "laplacian"

    def __call__(self, value: Any, place: Place) -> Any:
        surface = place.surface
        points = _points(value, surface)
        count = dr.width(points)
        total, number = dr.zeros(mi.Point3f, count), dr.zeros(mi.Float, count)
        a, b = surface.device("edges")
        for here, there in ((a, b), (b, a)):
            dr.scatter_reduce(dr.ReduceOp.Add, total, dr.gather(mi.Point3f, points, there), here)
            dr.scatter_reduce(dr.ReduceOp.Add, number, mi.Float(1), here)
        away = dr.select(number > 0, points - total / dr.maximum(number, 1), 0)
        return dr.mean(dr.squared_norm(away)) / dr.opaque(mi.Float, surface.edge_length**2)


@dataclass(frozen=True)
class NormalConsistency(OfMesh):
    """1 − cos of the angle between the normals of faces that share an edge; mean over these edges."""

    name: ClassVar[str] = "normal_consistency"

    def __call__(self, value: Any, place: Place) -> Any:
        surface = place.surface
        points = _points(value, surface)
        a, b, c = (dr.gather(mi.Point3f, points, index) for index in surface.device("faces"))
        normal = dr.cross(b - a, c - a)
        # Faces without area have no normal: they agree with all.
        solid = dr.squared_norm(normal) > FLAT * dr.squared_norm(b - a) * dr.squared_norm(c - a)
        unit = mi.Vector3f(dr.select(solid, normal * dr.rsqrt(dr.select(solid, dr.squared_norm(normal), 1)), 0))
        first, second = surface.device("pairs")
        both = dr.gather(mi.Bool, solid, first) & dr.gather(mi.Bool, solid, second)
        cosine = dr.dot(dr.gather(mi.Vector3f, unit, first), dr.gather(mi.Vector3f, unit, second))
        return dr.mean(dr.select(both, 1 - cosine, 0))

    def refusal(self, place: Place) -> str:
        wrong = super().refusal(place)
        return wrong or ("" if len(place.surface.pairs) else "no two faces share an edge")


@dataclass(frozen=True)
class EdgeLength(OfMesh):
    """Variance of the lengths of edges over their squared mean: edges become alike, whatever the size of the mesh."""

    name: ClassVar[str] = "edge_length"

    def __call__(self, value: Any, place: Place) -> Any:
        surface = place.surface
        points = _points(value, surface)
        a, b = (dr.gather(mi.Point3f, points, index) for index in surface.device("edges"))
        square = dr.squared_norm(a - b)
        length = dr.sqrt(dr.select(square > 0, square, 1))  # no derivative at 0
        return dr.mean(square) / dr.square(dr.mean(dr.select(square > 0, length, 0))) - 1


def _points(value: Any, surface: Surface) -> Any:
    """Positions of the welded vertices, as points."""
    return dr.gather(mi.Point3f, value.array, surface.device("first")[0])
