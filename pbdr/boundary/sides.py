"""What either side of an edge sees: the visible face, and the background, the other face, or what the edge is in contact with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.geometry import surfaces
from pbdr.transport import path

INWARD = 1e-4  # shift of the shading point from the edge into its face, as a fraction of the face's width
DEEPEST = 0.3  # the largest such fraction, where coordinates have too few digits for less


def first_behind(scene: Any) -> Callable[[Any, Any], Any]:
    """The first hit of a ray, as `background` asks for it, on segments that start at surfaces."""
    return lambda ray, active: scene.ray_intersect_preliminary(ray, coherent=False, active=active)


def in_contact(
    scene: Any, edge: segment.Edge, target: Any, distance: Any, trace: Callable[[Any, Any], Any], active: Any
) -> segment.Edge:
    """The edge, and what passes through x_B on silhouettes. Arguments as for `both_sides`.

    An edge that lies behind another shape, as that of a block does that has sunk into the floor, is no silhouette. Where borders of
    two shapes meet, as those of a floor and a wall, both have this edge: each counts for a half.
    """
    close, clear = segment.touching(edge, distance), segment.clearance(edge, distance)
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
    goes_on |= edge.row.own(scene, more, met) & (more.prim_index != seen) & edge.row.faceted()
    ends = met & ~(more.is_valid() & goes_on)
    contact, share = segment.Contact(hit, ray, near, met), dr.select(ends, mi.Float(0.5), 1)
    return replace(edge, silhouette=edge.silhouette & ~hidden, contact=contact, share=share)


def covered(
    scene: Any, edge: segment.Edge, away: Any, distance: Any, trace: Callable[[Any, Any], Any], active: Any
) -> Any:
    """Whether another shape whose edge is the same covers the face that is seen; `away`: direction of sight.

    Where two shapes meet at a fold, both have a silhouette there; only that of the nearer one counts.
    """
    close, clear = segment.touching(edge, distance), segment.clearance(edge, distance)
    beside = edge.point + edge.front_side * close * edge.normal
    # A line of sight meets a face that it grazes far from where it passes the edge.
    face = dr.cross(edge.tangent, dr.select(edge.front == 0, edge.into[0], edge.into[1]))
    grazing = dr.abs_dot(face, away) * dr.rcp(dr.maximum(dr.norm(face), 1e-30))
    before = clear + dr.minimum(2 * close / dr.maximum(grazing, 1e-6), 0.5 * distance)
    ray = mi.Ray3f(mi.Point3f(beside - before * away), away)
    ray.maxt = before + clear
    lanes = active & edge.silhouette & ~edge.round & ~edge.row.having("winding")
    hit = trace(ray, lanes)
    return lanes & hit.is_valid() & ~edge.row.own(scene, hit, lanes)


def touches(scene: Any, edge: segment.Edge, hit: Any, ray: Any, distance: Any, active: Any) -> Any:
    """Whether the first hit of a `ray` that leaves x_B backwards, to find x_S, is what the edge is in contact with.

    Then no surface sees past the edge there: the side that would is covered by the shape itself.
    """
    near = active & (hit.t < segment.clearance(edge, distance))
    away = hit.t * dr.abs_dot(hit.compute_surface_interaction(ray, mi.RayFlags.Minimal, near).n, ray.d)
    return _of_another(scene, edge, hit, away, distance, near & (away < segment.touching(edge, distance)))


def _of_another(scene: Any, edge: segment.Edge, hit: Any, away: Any, distance: Any, active: Any) -> Any:
    """Whether a hit this far `away` from x_B is on something that the edge does not belong to.

    On the mesh itself, faces about the edge are close to it anyway: what else passes through x_B has to be closer.
    """
    same = edge.row.own(scene, hit, active)
    about = (hit.prim_index == edge.row.face[0]) | (hit.prim_index == edge.row.face[1]) | (edge.row.corners[0] == 0)
    apart = same & ~about & (away < segment.touching(edge, distance))
    return active & edge.silhouette & hit.is_valid() & (~same | apart)


def background(
    edge: segment.Edge, target: Any, distance: Any, trace: Callable[[Any, Any], Any], active: Any
) -> tuple[Any, Any]:
    """What lies behind the edge: (hit, ray). Arguments as for `both_sides`.

    Where it is in contact with another shape, that shape is the background: a ray from x_B onwards would start behind it.
    """
    ray = mi.Ray3f(target + segment.blur(edge, distance) * edge.omega, edge.omega)
    hit = trace(ray, active)
    if edge.contact is None:
        return hit, ray
    near = edge.contact.active
    return dr.select(near, edge.contact.hit, hit), dr.select(near, edge.contact.ray, ray)


def inwards(edge: segment.Edge, which: Any) -> Any:
    """How far into a face the shading point lies, as a fraction of its width: far enough to be off whatever touches the edge."""
    width = dr.norm(dr.select(mi.UInt32(which) == 0, *edge.into))
    return dr.clip(segment.WIDER * segment.blur(edge, 0) / dr.select(width > 0, width, 1), INWARD, DEEPEST)


def face_hit(scene: Any, edge: segment.Edge, which: Any, active: Any) -> tuple[Any, Any]:
    """Hit of the face `which` just inside the edge: (hit, ray)."""
    hit, ray = surfaces.beside(scene, edge, which, inwards(edge, which), active)
    faces = edge.row.layout.probed
    if not faces:
        return hit, ray
    # Borders, seams: let the shape itself say what lies just inside.
    probed = active & edge.row.having("probed")
    into = edge.into[0] if faces == 1 else dr.select(which == 0, *edge.into)
    inward = inwards(edge, 0 if faces == 1 else which)
    probe = mi.Ray3f(edge.point + inward * into - 0.1 * dr.norm(into) * edge.omega, edge.omega)
    found = scene.ray_intersect_preliminary(probe, coherent=False, active=probed)
    found.valid = found.is_valid() & (found.shape == hit.shape)
    return dr.select(probed, found, hit), dr.select(probed, probe, ray)


def both_sides(
    scene: Any,
    edge: segment.Edge,
    target: Any,
    distance: Any,
    trace: Callable[[Any, Any], Any],
    active: Any,
) -> tuple[Any, Any]:
    """What either side sees, as (hit, ray): the visible face, and the background or the other face. `edge`: from `in_contact`.

    `target`: x_B moved off the surface by `outside`; `distance`: from there to x_S; `trace(ray, active)`: the first hit of a ray.
    """
    front = face_hit(scene, edge, edge.front, active)
    crease = active & edge.crease
    back_hit, back_ray = background(edge, target, distance, trace, active & ~crease)
    second = mi.UInt32(1)
    if edge.row.layout.probed > 1:
        other_hit, other_ray = face_hit(scene, edge, second, crease)
    else:
        other_hit, other_ray = surfaces.beside(scene, edge, second, inwards(edge, second), crease)
    return front, (dr.select(crease, other_hit, back_hit), dr.select(crease, other_ray, back_ray))


def radiance(
    scene: Any, starts: Sequence[tuple[Any, Any]], sampler: Any, options: path.PathOptions, active: Any, depth: Any,
    reflected_only: bool,
) -> list[Any]:  # fmt: skip
    """Radiance along each ray of `starts`, (hit, ray), by primal paths with common random numbers, after `depth` vertices."""
    primal = path.PathOptions(options.max_depth, options.rr_depth)
    numbers = [sampler, *(sampler.clone() for _ in starts[1:])]
    return [
        path.trace(scene, ray, hit, own, primal, active=active, depth=depth, reflected_only=reflected_only)[0]
        for (hit, ray), own in zip(starts, numbers, strict=True)
    ]
