"""Camera segments: edges seen on the film, equation (7)."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.boundary.edges import ELLIPSE, SEGMENT, EdgeTable, View
from pbdr.boundary.sampling import Discrete, systematic
from pbdr.boundary.terms import Contribution
from pbdr.transport import camera, hits, path


def film_mass(table: EdgeTable, view: View, pinhole: camera.PinholeView, film: Any) -> Any:
    """Sampling mass of every moving edge: its angular length as seen by the camera; zero where it cannot be on film."""
    edge = segment.at(table, mi.Float(0.5), view, away=True)
    offset = edge.point - view.point
    mass = edge.length * edge.sine * dr.rsqrt(dr.maximum(dr.squared_norm(offset), 1e-20))
    straight = table.kind == SEGMENT
    _, _, front0 = pinhole.project(table.a)
    _, _, front1 = pinhole.project(table.a + table.b)
    margin = film.rfilter().radius() + 1.0
    (x0, y0), (width, height) = camera.film_origin(film), camera.film_size(film)
    uv0, uv1 = pinhole.project(table.a)[0], pinhole.project(table.a + table.b)[0]
    low, high = dr.minimum(uv0, uv1), dr.maximum(uv0, uv1)
    on_film = (high.x > x0 - margin) & (low.x < x0 + width + margin)
    on_film &= (high.y > y0 - margin) & (low.y < y0 + height + margin)
    possible = (front0 & front1 & on_film) | (front0 != front1)
    mass = dr.select(straight, dr.select(edge.counts & possible, mass, 0), mass)
    curved = (table.kind == ELLIPSE) | edge.counts
    # The line of sight degenerates at single points of a curve: a floor keeps every entry that can count reachable.
    floor = 1e-3 * edge.length * dr.rsqrt(dr.maximum(dr.squared_norm(offset), 1e-20))
    mass = dr.select(mass > 0, dr.maximum(mass, floor), 0)
    return dr.select(table.moving & table.exists(view) & (straight | curved), mass, 0)


def sample(
    scene: Any, sensor: Any, integrator: Any, table: EdgeTable, motion: segment.Motion, options: path.PathOptions,
    sampler: Any, count: int,
) -> list[Contribution]:  # fmt: skip
    """`count` samples of the primary boundary."""
    pinhole = camera.PinholeView.of(sensor)
    view = View(pinhole.origin, mi.Vector3f(0), mi.Bool(False))
    distribution = Discrete(film_mass(table, view, pinhole, sensor.film()))
    if not distribution.total > 0:
        return []
    index, probability, u = distribution.sample(systematic(sampler, count))
    row = table.row(index)
    edge = segment.at(row, u, view, away=True)
    offset = edge.point - view.point
    distance2 = dr.squared_norm(offset)
    distance = dr.sqrt(distance2)
    position, cosine, in_front = pinhole.project(edge.point)
    active = edge.counts & in_front & (probability > 0)

    # ---- visibility of x_B from the camera
    target = segment.outside(edge, distance)
    towards = dr.normalize(target - view.point)
    first = hits.first_hit(integrator, scene, mi.Ray3f(view.point, towards), active)
    active &= ~first.is_valid() | (first.t >= distance * (1 - segment.CLEARANCE))
    jacobian = pinhole.film_jacobian(cosine)
    factor = edge.length * edge.sine * jacobian / (distance2 * probability * count)  # Eq. (7)

    # ---- radiance on both sides: the visible face, and the background or the other face
    front_hit, front_ray = segment.face_hit(scene, table, edge, edge.front, active)
    back_ray = mi.Ray3f(target + segment.OUTWARD * distance * edge.omega, edge.omega)
    crease = active & edge.crease
    back_hit = hits.first_hit(integrator, scene, back_ray, active & ~crease)
    other_hit, other_ray = segment.mesh_hit(scene, edge, mi.UInt32(1), segment.INWARD, crease)
    back_hit = dr.select(crease, other_hit, back_hit)
    back_ray = dr.select(crease, other_ray, back_ray)
    hidden = integrator.hide_emitters & (front_hit.shape.emitter() != None)  # noqa: E711
    twin = sampler.clone()
    front, _, front_valid = path.trace(scene, front_ray, front_hit, sampler, options, active=active & ~hidden)
    back, _, back_valid = path.trace(scene, back_ray, back_hit, twin, options, active=active & ~hidden)

    with dr.resume_grad():
        speed = segment.rule(edge, motion.position(edge, active), dr.detach(view.point))
    weight = segment.weigh(edge.front_side, front, factor) + segment.weigh(-edge.front_side, back, factor)
    seen = dr.select(front_valid, mi.Float(1), 0), dr.select(back_valid, mi.Float(1), 0)
    alpha = segment.weigh(edge.front_side, seen[0], factor) + segment.weigh(-edge.front_side, seen[1], factor)
    shown = active & ~hidden
    return [Contribution(position, dr.select(shown, weight, 0), dr.select(shown, alpha, 0), speed, shown)]
