"""The boundary segment: equations (5), (6) and (12), written once.

A boundary segment leaves x_S, touches x_B on an edge with unit tangent ê, and continues in direction ω. With
m̂ = normalize(ω × ê), the sides of the edge are −m̂ and +m̂. A caller says where the segment comes from and what radiance it
carries; this file knows the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.backend import on_gpu
from pbdr.geometry import rounding
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.view import View

OUTWARD = rounding.DISTANCE  # shift of rays that pass an edge, away from the surface: relative to distance and size
OUTWARD_ROUGH = (
    3e-5  # beside rough intersections: rays that pass B-splines at 2e-6 of their distance were seen to hit them
)
CLEARANCE = 2e-4  # fraction of a distance within which an occluder counts as the edge's own surface
TOUCHING = 1e-5  # fraction of it within which a shape passes through the edge itself
WIDER = 3.0  # at least this many times what rounding may be
AROUND = 8.0  # and that many times this is the clearance, at least


@dataclass
class Contact:
    """Another shape close behind x_B: a hit of `ray`, on `active` lanes.

    `touching`: it passes through x_B, as the floor does where an object stands on it.
    """

    hit: Any
    ray: Any
    active: Any
    touching: Any


@dataclass
class Edge:
    """A sampled point on an edge and the geometry of the line of sight through it. Everything is detached."""

    row: EdgeTable
    u: Any
    point: Any  # x_B
    tangent: Any  # ê
    omega: Any
    normal: Any  # m̂
    sine: Any  # |ê × ω|
    length: Any  # dℓ/du
    front: Any  # which of the two faces is seen (0 or 1)
    front_side: Any  # ±1: the side of m̂ on which that face lies
    silhouette: Any  # background on the other side (else both faces are seen)
    crease: Any  # both faces are seen and the shading may jump
    round: Any
    into: tuple[Any, Any]
    place: tuple[Any, Any] | None = None  # the kind's own parameter on either face
    contact: Contact | None = None  # from `in_contact`
    share: Any = 1.0  # of this edge, where another shape has the same one

    @property
    def counts(self) -> Any:
        """Whether radiance can jump here."""
        return self.silhouette | self.crease

    @property
    def expected(self) -> Any:
        """About how large a part of the radiance jumps here: samples go where it is large."""
        return dr.select(self.silhouette, 1, self.row.faint)


def at(row: EdgeTable, u: Any, view: View, away: bool) -> Edge:
    """Edge point at parameter u. `away`: ω points away from the viewpoint (camera), else towards it (lights)."""
    curve = row.curve(view, u)
    length = dr.norm(curve.derivative)
    tangent = curve.derivative * dr.select(length > 0, dr.rcp(length), 0)
    line_of_sight = view.direction_to(curve.position)
    omega = line_of_sight if away else -line_of_sight
    normal, sine = across(omega, tangent)
    lean0, lean1 = dr.dot(normal, curve.into0), dr.dot(normal, curve.into1)
    side0, side1 = dr.sign(lean0), dr.sign(lean1)
    opposite = curve.two_sided & (side0 != side1)
    # On the same side the nearer face hides the other: it leans more towards the eye of the segment, −ω.
    slope0 = dr.dot(omega, curve.into0) / dr.maximum(dr.abs(lean0), 1e-20)
    slope1 = dr.dot(omega, curve.into1) / dr.maximum(dr.abs(lean1), 1e-20)
    second = curve.two_sided & ~opposite & (slope1 < slope0)
    valid = (length > 0) & (sine > 1e-6) & row.exists(view) & curve.faces(omega) & curve.exposed
    return Edge(
        row=row, u=u, point=curve.position, tangent=tangent, omega=omega, normal=normal, sine=sine, length=length,
        front=dr.select(second, mi.UInt32(1), 0), front_side=dr.select(second, side1, side0),
        silhouette=valid & ~opposite, crease=valid & opposite & row.jump, round=row.having("round"),
        into=(curve.into0, curve.into1), place=curve.place,
    )  # fmt: skip


def rough_length(edge: Edge) -> Any:
    """Length of whole rows, from the speed at one point, for sampling masses: where rows are `winding` it may vanish there."""
    size = edge.row.size
    speed = dr.select(edge.counts, dr.clip(edge.length, 0.3 * size, 3 * size), size)
    return dr.select(edge.row.having("winding"), speed, edge.length)


def clear_of_round() -> float:
    """OUTWARD for spheres and cylinders.

    On GPUs, Mitsuba intersects them in single precision: at OUTWARD, some rays that pass an outline hit it (1.3 % of a cylinder's).
    """
    return OUTWARD_ROUGH if on_gpu() else OUTWARD


def blur(edge: Edge, distance: Any) -> Any:
    """How far from x_B rays may pass that are meant to meet it, `distance` long."""
    relative = dr.select(
        edge.row.having("rough"), OUTWARD_ROUGH, dr.select(edge.round, clear_of_round(), mi.Float(OUTWARD))
    )
    result = rounding.blur(edge.point, dr.maximum(distance, edge.row.extent), relative)
    return result if edge.row.gap is None else result + edge.row.gap


def touching(edge: Edge, distance: Any) -> Any:
    """Distance within which something passes through the edge itself."""
    return dr.maximum(TOUCHING * distance, WIDER * blur(edge, distance))


def clearance(edge: Edge, distance: Any) -> Any:
    """Distance within which an occluder counts as the edge's own surface."""
    return dr.maximum(CLEARANCE * distance, AROUND * touching(edge, distance))


def outside(edge: Edge, distance: Any) -> Any:
    """x_B moved off the surface, towards the background (unmoved on creases): where passing rays start or aim at."""
    shift = dr.select(edge.silhouette, -edge.front_side * blur(edge, distance), 0)
    return mi.Point3f(edge.point + shift * edge.normal)


def lift(edge: Edge) -> Any:
    """Offset from x_B on a crease, where both faces are seen, off both faces: where rays back towards the eye start."""
    normals = [dr.normalize(dr.cross(edge.tangent, into)) for into in edge.into]
    n0, n1 = (dr.mulsign(n, -dr.dot(n, edge.omega)) for n in normals)
    shift = dr.select(edge.crease, blur(edge, 0), 0)
    return mi.Vector3f(dr.select(edge.crease, shift * dr.normalize(n0 + n1), 0))


def across(omega: Any, tangent: Any) -> tuple[Any, Any]:
    """Unit vector at right angles to a line of sight and a curve's unit tangent, and the sine of the angle between these."""
    cross = dr.cross(omega, tangent)
    sine = dr.norm(cross)
    return cross * dr.select(sine > 0, dr.rcp(sine), 0), sine


def grazing_ray(point: Any, omega: Any, towards: Any, distance: Any) -> Any:
    """Ray that meets the surface at `point`, this far from where it starts, on the side where −d·n has the sign of `towards`."""
    direction = dr.normalize(omega - rounding.TILT * towards)
    return mi.Ray3f(point - distance * direction, direction)


def meeting(point: Any, tangent: Any, a: Any, b: Any, first: Any, second: Any) -> Any:
    """Point of the line in which two moving planes meet, in the plane normal to it; given normals and a material point of each."""
    away = [dr.dot(n, p - point) for n, p in ((a, first), (b, second))]
    sine = dr.dot(tangent, dr.cross(a, b))
    dual = dr.cross(b, tangent), dr.cross(tangent, a)
    shift = (away[0] * dual[0] + away[1] * dual[1]) / dr.select(dr.abs(sine) > 0, sine, 1)
    return mi.Point3f(point + shift)  # Eq. (12)


def rule(normal: Any, motion: Any, ray_point: Any) -> Any:
    """m̂·v of one side: how fast the edge overtakes the attached segment there, as an attached scalar."""
    return dr.dot(normal, motion - ray_point)  # Eq. (6)


def weigh(side: Any, radiance: Any, factor: Any) -> Any:
    """Detached weight of a side's motion: +L₋ on the −m̂ side, −L₊ on the +m̂ side, times the measure `factor`."""
    return -side * radiance * factor  # Eq. (5)
