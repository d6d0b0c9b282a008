"""The boundary segment: equations (5) and (6), written once.

A boundary segment leaves x_S, touches x_B on an edge with unit tangent ê, and continues in direction ω. With
m̂ = normalize(ω × ê), the sides of the edge are −m̂ and +m̂. A caller says where the segment comes from and what radiance it
carries; this file knows the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.backend import on_gpu
from pbdr.boundary import voxels
from pbdr.boundary.edges import CREASE, NO_MEMBER, NO_PAIR, EdgeTable, View
from pbdr.boundary.topology import NO_FACE
from pbdr.parameters import traverse
from pbdr.transport import curves, grids, groups, hits, rounding

INWARD = 1e-4  # shift of the shading point from the edge into its face, as a fraction of the face's width
OUTWARD = rounding.DISTANCE  # shift of rays that pass an edge, away from the surface: relative to distance and size
OUTWARD_TUBE = 3e-5  # the same for B-spline curves: rays that pass them at 2e-6 of their distance were seen to hit them
TILT = 1e-3  # cosine given to the line of sight on silhouettes of round shapes, where it is zero up to rounding
DEEPEST = 0.3  # the largest such fraction, where coordinates have too few digits for less
NOT_MOVING = 0xFFFFFFFF
CLEARANCE = 2e-4  # fraction of a distance within which an occluder counts as the edge's own surface
TOUCHING = 1e-5  # fraction of it within which a shape passes through the edge itself
WIDER = 3.0  # at least this many times what rounding may be
AROUND = 8.0  # and that many times this is the clearance, at least
FLAT = 0.01  # sine of the angle between two faces in contact below which they do not meet in a line


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
    place: tuple[Any, Any] | None = None  # parameter v of curve shapes, on either face
    contact: Contact | None = None  # from `in_contact`
    share: Any = 1.0  # of this edge, where another shape has the same one

    @property
    def counts(self) -> Any:
        """Whether radiance can jump here."""
        return self.silhouette | self.crease


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
    valid = (length > 0) & (sine > 1e-6) & row.exists(view) & row.faces_wedge(curve, omega) & curve.exposed
    if curve.facing is not None:
        for facing in curve.facing:
            valid &= dr.dot(facing, omega) <= 0
    return Edge(
        row=row, u=u, point=curve.position, tangent=tangent, omega=omega, normal=normal, sine=sine, length=length,
        front=dr.select(second, mi.UInt32(1), 0), front_side=dr.select(second, side1, side0),
        silhouette=valid & ~opposite, crease=valid & opposite & row.jump, round=curve.round,
        into=(curve.into0, curve.into1), place=curve.place,
    )  # fmt: skip


def rough_length(edge: Edge) -> Any:
    """Length of whole rows, from the speed at one point, for sampling masses: where rows are `winding` it may vanish there."""
    size = edge.row.size
    speed = dr.select(edge.counts, dr.clip(edge.length, 0.3 * size, 3 * size), size)
    return dr.select(edge.row.winding, speed, edge.length)


def clear_of_round() -> float:
    """OUTWARD for spheres and cylinders.

    On GPUs, Mitsuba intersects them in single precision: at OUTWARD, some rays that pass an outline hit it (1.3 % of a cylinder's).
    """
    return OUTWARD_TUBE if on_gpu() else OUTWARD


def blur(edge: Edge, distance: Any) -> Any:
    """How far from x_B rays may pass that are meant to meet it, `distance` long."""
    rough = edge.row.tubular | edge.row.voxel
    relative = dr.select(rough, OUTWARD_TUBE, dr.select(edge.round, clear_of_round(), mi.Float(OUTWARD)))
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


def first_behind(scene: Any) -> Callable[[Any, Any], Any]:
    """The first hit of a ray, as `background` asks for it, on segments that start at surfaces."""
    return lambda ray, active: scene.ray_intersect_preliminary(ray, coherent=False, active=active)


def in_contact(
    scene: Any, edge: Edge, target: Any, distance: Any, trace: Callable[[Any, Any], Any], active: Any
) -> Edge:
    """The edge, and what passes through x_B on silhouettes. Arguments as for `both_sides`.

    An edge that lies behind another shape, as that of a block does that has sunk into the floor, is no silhouette. Where borders of
    two shapes meet, as those of a floor and a wall, both have this edge: each counts for a half.
    """
    close, clear = touching(edge, distance), clearance(edge, distance)
    ray = mi.Ray3f(target - clear * edge.omega, edge.omega)
    ray.maxt = 2 * clear
    hit = trace(ray, active & edge.silhouette)
    away = dr.abs(hit.t - clear)
    near = _of_another(scene, edge, hit, away, distance, active)
    hidden = near & (hit.t < clear - close)
    hidden |= covered(scene, edge, edge.omega, distance, trace, active)
    near &= ~hidden
    normal = hit.compute_surface_interaction(ray, mi.RayFlags.Minimal, near).n
    met = near & (away * dr.abs_dot(normal, edge.omega) < close)
    # Does the other shape go on behind the face that is seen?
    behind = dr.cross(normal, edge.tangent)
    behind *= dr.mulsign(dr.rcp(dr.maximum(dr.norm(behind), 1e-20)), dr.dot(behind, edge.normal) * edge.front_side)
    step = 0.5 * clear
    probe = mi.Ray3f(mi.Point3f(edge.point + step * (behind + normal)), -normal)
    probe.maxt = 2 * step
    more = trace(probe, met)
    goes_on = (more.shape == hit.shape) & (more.instance == hit.instance)
    # The face that is not seen may lie in the other shape, as the bottom of a block does in the floor, and be found in its place.
    seen = dr.select(edge.front == 0, edge.row.face[0], edge.row.face[1])
    goes_on |= edge.row.own(scene, more, met) & (more.prim_index != seen) & (edge.row.corners[0] != 0)
    ends = met & ~(more.is_valid() & goes_on)
    contact, share = Contact(hit, ray, near, met), dr.select(ends, mi.Float(0.5), 1)
    return replace(edge, silhouette=edge.silhouette & ~hidden, contact=contact, share=share)


def covered(scene: Any, edge: Edge, away: Any, distance: Any, trace: Callable[[Any, Any], Any], active: Any) -> Any:
    """Whether another shape whose edge is the same covers the face that is seen; `away`: direction of sight.

    Where two shapes meet at a fold, both have a silhouette there; only that of the nearer one counts.
    """
    close, clear = touching(edge, distance), clearance(edge, distance)
    beside = edge.point + edge.front_side * close * edge.normal
    # A line of sight meets a face that it grazes far from where it passes the edge.
    face = dr.cross(edge.tangent, dr.select(edge.front == 0, edge.into[0], edge.into[1]))
    grazing = dr.abs_dot(face, away) * dr.rcp(dr.maximum(dr.norm(face), 1e-30))
    before = clear + dr.minimum(2 * close / dr.maximum(grazing, 1e-6), 0.5 * distance)
    ray = mi.Ray3f(mi.Point3f(beside - before * away), away)
    ray.maxt = before + clear
    lanes = active & edge.silhouette & ~edge.round & ~edge.row.winding
    hit = trace(ray, lanes)
    return lanes & hit.is_valid() & ~edge.row.own(scene, hit, lanes)


def touches(scene: Any, edge: Edge, hit: Any, ray: Any, distance: Any, active: Any) -> Any:
    """Whether the first hit of a `ray` that leaves x_B backwards, to find x_S, is what the edge is in contact with.

    Then no surface sees past the edge there: the side that would is covered by the shape itself.
    """
    near = active & (hit.t < clearance(edge, distance))
    away = hit.t * dr.abs_dot(hit.compute_surface_interaction(ray, mi.RayFlags.Minimal, near).n, ray.d)
    return _of_another(scene, edge, hit, away, distance, near & (away < touching(edge, distance)))


def _of_another(scene: Any, edge: Edge, hit: Any, away: Any, distance: Any, active: Any) -> Any:
    """Whether a hit this far `away` from x_B is on something that the edge does not belong to.

    On the mesh itself, faces about the edge are close to it anyway: what else passes through x_B has to be closer.
    """
    same = edge.row.own(scene, hit, active)
    about = (hit.prim_index == edge.row.face[0]) | (hit.prim_index == edge.row.face[1]) | (edge.row.corners[0] == 0)
    apart = same & ~about & (away < touching(edge, distance))
    return active & edge.silhouette & hit.is_valid() & (~same | apart)


def background(
    edge: Edge, target: Any, distance: Any, trace: Callable[[Any, Any], Any], active: Any
) -> tuple[Any, Any]:
    """What lies behind the edge: (hit, ray). Arguments as for `both_sides`.

    Where it is in contact with another shape, that shape is the background: a ray from x_B onwards would start behind it.
    """
    ray = mi.Ray3f(target + blur(edge, distance) * edge.omega, edge.omega)
    hit = trace(ray, active)
    if edge.contact is None:
        return hit, ray
    near = edge.contact.active
    return dr.select(near, edge.contact.hit, hit), dr.select(near, edge.contact.ray, ray)


def mesh_hit(scene: Any, edge: Edge, which: Any, inward: Any, active: Any) -> tuple[Any, Any]:
    """Hit of face `which` (0 or 1) of a mesh edge at x_B moved inwards by a fraction of the face: (hit, ray)."""
    packed = dr.select(which == 0, edge.row.corners[0], edge.row.corners[1])
    start, end, opposite = packed & 3, (packed >> 2) & 3, packed >> 4
    weights = [
        dr.select(start == k, (1 - edge.u) * (1 - inward), 0)
        + dr.select(end == k, edge.u * (1 - inward), 0)
        + dr.select(opposite == k, mi.Float(inward), 0)
        for k in range(3)
    ]
    hit = dr.zeros(mi.PreliminaryIntersection3f, dr.width(edge.u))
    hit.t = mi.Float(edge.row.extent)
    hit.prim_uv = mi.Point2f(weights[1], weights[2])
    hit.prim_index = dr.select(which == 0, edge.row.face[0], edge.row.face[1])
    if edge.place is not None:
        # Mitsuba reads beyond the last segment of a B-spline at v = 1, also where that is what rounding makes of it.
        last = 1 - max(INWARD, dr.width(edge.row.points) * 2.0**-24)
        v = dr.minimum(dr.select(which == 0, edge.place[0], edge.place[1]), dr.select(edge.row.tubular, last, 1))
        hit.prim_uv = dr.select(edge.row.strand, mi.Point2f(v, 0), hit.prim_uv)
    shape, member = edge.row.shape, edge.row.member
    if edge.row.pairs is not None:
        paired = active & (edge.row.pair != NO_PAIR)
        other, other_member, uv = edge.row.pairs.of(which, edge.row.pair, edge.u, inward, paired)
        shape = dr.select(paired, other, shape)
        member = None if member is None else dr.select(paired, other_member, member)
        hit.prim_uv = dr.select(paired, uv, hit.prim_uv)
    hit.shape = dr.gather(mi.ShapePtr, scene.shapes_dr(), shape, active)
    if member is not None:
        groups.name_member(hit, hit.shape, member, member != NO_MEMBER)
    hit.valid = mi.Bool(active)
    tilt = dr.select(edge.round, TILT, 0) * dr.normalize(edge.into[0])
    direction = dr.normalize(edge.omega + tilt)
    # A grid asks the voxel in which the point lies.
    into = dr.select(edge.row.voxel & ~edge.round, dr.select(which == 0, *edge.into), mi.Vector3f(0))
    ray = mi.Ray3f(mi.Point3f(edge.point + inward * into - hit.t * direction), direction)
    ray.maxt = dr.largest(mi.Float)
    return hit, ray


def inwards(edge: Edge, which: Any) -> Any:
    """How far into a face the shading point lies, as a fraction of its width: far enough to be off whatever touches the edge."""
    width = dr.norm(dr.select(mi.UInt32(which) == 0, *edge.into))
    return dr.clip(WIDER * blur(edge, 0) / dr.select(width > 0, width, 1), INWARD, DEEPEST)


def face_hit(scene: Any, table: EdgeTable, edge: Edge, which: Any, active: Any) -> tuple[Any, Any]:
    """Hit of the face `which` just inside the edge, for meshes and analytic shapes: (hit, ray)."""
    hit, ray = mesh_hit(scene, edge, which, inwards(edge, which), active)
    if not table.has_borders:
        return hit, ray
    # Borders of disks and cylinders, seams: let the shape itself say what lies just inside.
    border = active & edge.row.border
    into = dr.select(which == 0, *edge.into) if table.has_seams else edge.into[0]
    inward = inwards(edge, which if table.has_seams else 0)
    probe = mi.Ray3f(edge.point + inward * into - 0.1 * dr.norm(into) * edge.omega, edge.omega)
    found = scene.ray_intersect_preliminary(probe, coherent=False, active=border)
    found.valid = found.is_valid() & (found.shape == hit.shape)
    return dr.select(border, found, hit), dr.select(border, probe, ray)


def across(omega: Any, tangent: Any) -> tuple[Any, Any]:
    """Unit vector at right angles to a line of sight and a curve's unit tangent, and the sine of the angle between these."""
    cross = dr.cross(omega, tangent)
    sine = dr.norm(cross)
    return cross * dr.select(sine > 0, dr.rcp(sine), 0), sine


def grazing_ray(point: Any, omega: Any, towards: Any, distance: Any) -> Any:
    """Ray that meets the surface at `point`, this far from where it starts, on the side where −d·n has the sign of `towards`."""
    direction = dr.normalize(omega - TILT * towards)
    return mi.Ray3f(point - distance * direction, direction)


def both_sides(
    scene: Any, table: EdgeTable, edge: Edge, target: Any, distance: Any, trace: Callable[[Any, Any], Any], active: Any
) -> tuple[Any, Any]:
    """What either side sees, as (hit, ray): the visible face, and the background or the other face. `edge`: from `in_contact`.

    `target`: x_B moved off the surface by `outside`; `distance`: from there to x_S; `trace(ray, active)`: the first hit of a ray.
    """
    front = face_hit(scene, table, edge, edge.front, active)
    crease = active & edge.crease
    back_hit, back_ray = background(edge, target, distance, trace, active & ~crease)
    second = mi.UInt32(1)
    if table.has_seams:
        other_hit, other_ray = face_hit(scene, table, edge, second, crease)
    else:
        other_hit, other_ray = mesh_hit(scene, edge, second, inwards(edge, second), crease)
    return front, (dr.select(crease, other_hit, back_hit), dr.select(crease, other_ray, back_ray))


class Motion:
    """x_B(θ): the attached position of edge points, for mesh edges and analytic shapes alike."""

    def __init__(self, scene: Any, features: Any, slot: Any) -> None:
        """`slot` from `slots`."""
        self.scene, self.slot = scene, slot
        analytic = self._analytic(scene, features.moving_shapes)
        self.matrices = [traverse(scene.shapes()[i])["to_world"].matrix for i in analytic]
        self.strands, self.grids = features.strands, features.grids

    @staticmethod
    def _analytic(scene: Any, moving: frozenset[int]) -> list[int]:
        shapes = scene.shapes()
        own = (groups.is_instance, curves.is_curve, grids.is_grid)  # shapes whose points move in their own way
        return [i for i in sorted(moving) if not (shapes[i].is_mesh() or any(test(shapes[i]) for test in own))]

    @staticmethod
    def slots(scene: Any, moving: frozenset[int]) -> Any:
        """Number of every shape among the moving ones that have no vertices; None if there is none of these."""
        analytic = Motion._analytic(scene, moving)
        if not analytic:
            return None
        slot = np.full(len(scene.shapes()), NOT_MOVING, np.uint32)
        slot[analytic] = np.arange(len(analytic))
        return mi.UInt32(aligned(slot, np.uint32))

    def position(self, edge: Edge, active: Any) -> Any:
        """Attached x_B: the visible face's material point (its normal motion is the silhouette's for round shapes)."""
        is_mesh = edge.row.corners[0] != 0
        hit, ray = mesh_hit(self.scene, edge, edge.front, 0.0, active & is_mesh)
        with curves.at_rest(self.strands):
            result = dr.select(is_mesh, hits.material_point(hit, ray, active & is_mesh), edge.point)
        if self.strands is not None:
            result = dr.select(edge.row.strand, self._on_strand(self.strands, edge, active & edge.row.strand), result)
        if self.grids is not None:
            result = dr.select(edge.row.voxel, voxels.moved(self.grids, edge.row, edge.point, active), result)
        if edge.row.pairs is not None:
            paired = active & (edge.row.pair != NO_PAIR) & (edge.row.face[1] != NO_FACE)
            hit, ray = mesh_hit(self.scene, edge, mi.UInt32(1), 0.0, paired)
            with curves.at_rest(self.strands):
                other = hits.material_point(hit, ray, paired)
            # At a T-junction both faces have the edge; its faces may be nearly coplanar.
            both = dr.select(edge.crease, 0.5 * (result + other), result)
            through = paired & (edge.row.sign == 1)
            result = dr.select(
                paired,
                dr.select(through, meeting(edge.point, edge.tangent, *_normals(edge), result, other), both),
                result,
            )
        if self.matrices:
            # Joined anew each time: a backward pass clears the edges behind what it has visited, so that a second term that
            # shares these nodes would lose its derivative.
            with dr.resume_grad():
                entries = [[dr.concat([m[i, j] for m in self.matrices]) for j in range(4)] for i in range(3)]
            slot = dr.gather(mi.UInt32, self.slot, edge.row.shape, active)
            chosen = active & (slot != NOT_MOVING)
            rows = [[dr.gather(mi.Float, entry, slot, chosen) for entry in row] for row in entries]
            column = [mi.Vector3f(rows[0][j], rows[1][j], rows[2][j]) for j in range(4)]
            local = groups.solve(
                dr.detach(column[0]), dr.detach(column[1]), dr.detach(column[2]), edge.point - dr.detach(column[3])
            )
            result = dr.select(
                chosen, column[0] * local.x + column[1] * local.y + column[2] * local.z + column[3], result
            )
        if edge.contact is not None:
            result = self._in_contact(edge, edge.contact, result)
        return dr.replace_grad(edge.point, result)

    def _in_contact(self, edge: Edge, contact: Contact, result: Any) -> Any:
        """Where the visible face and the shape that it touches meet: lifted off, their images would not meet at all."""
        hit, ray = contact.hit, contact.ray
        with curves.at_rest(self.strands):
            si = hit.compute_surface_interaction(ray, mi.RayFlags.Minimal | mi.RayFlags.FollowShape, contact.touching)
        faces = _normals(edge)
        face = dr.select(edge.front == 0, faces[0], faces[1])
        ground = dr.detach(si.n)
        crosses = contact.touching & (dr.abs(dr.dot(edge.tangent, dr.cross(face, ground))) > FLAT)
        met = dr.replace_grad(edge.point, si.p)
        return dr.select(crosses, meeting(edge.point, edge.tangent, face, ground, result, met), result)

    def _on_strand(self, strands: curves.Strands, edge: Edge, active: Any) -> Any:
        """Material points of curve shapes; on creases, of the curve in which the two cones meet."""
        points = []
        for which in (0, 1):
            lanes = active & ((edge.row.kind == CREASE) | (which == 0))
            hit, ray = mesh_hit(self.scene, edge, mi.UInt32(which), 0.0, lanes)
            points.append(strands.moved(hits.material, hit, ray, lanes, True).p)
        return dr.select(
            edge.row.kind == CREASE, meeting(edge.point, edge.tangent, *_normals(edge), *points), points[0]
        )


def _normals(edge: Edge) -> tuple[Any, Any]:
    """Unit normals of both faces, orthogonal to the edge."""
    first, second = (dr.normalize(dr.cross(edge.tangent, into)) for into in edge.into)
    return first, second


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
