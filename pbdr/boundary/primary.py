"""Camera segments: edges seen on the film, equation (7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.boundary.edges import ELLIPSE, SEGMENT, EdgeTable, View
from pbdr.boundary.sampling import Discrete, systematic
from pbdr.boundary.terms import Contribution
from pbdr.transport import camera, convention, hits, path
from pbdr.transport.features import Features


def film_mass(table: EdgeTable, view: View, pinhole: camera.PinholeView, film: Any, everything: bool) -> Any:
    """Sampling mass of every moving edge (of every edge if `everything`): its angular length; zero where it is not on film."""
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
    moves = mi.Bool(True) if everything else table.moving
    return dr.select(moves & table.exists(view) & (straight | curved), mass, 0)


@dataclass
class Seen:
    """Points where the radiance seen by the camera jumps: geometry of the segment and where either side starts.

    `weight`: 1 / (sampling density per unit length · sample count); `side`: ±1, the side of m̂ on which `first` lies;
    `first`, `second`: (hit, ray) of either side; `position`: function that returns the attached x_B.
    """

    point: Any
    omega: Any
    normal: Any
    sine: Any
    weight: Any
    side: Any
    first: tuple[Any, Any]
    second: tuple[Any, Any]
    position: Callable[[], Any]
    active: Any


def sample(
    scene: Any, sensor: Any, integrator: Any, features: Features, table: EdgeTable, motion: segment.Motion,
    options: path.PathOptions, sampler: Any, count: int,
) -> list[Contribution]:  # fmt: skip
    """`count` samples of the primary boundary on edges of shapes."""
    pinhole = camera.PinholeView.of(sensor)
    view = View(pinhole.origin, mi.Vector3f(0), mi.Bool(False))
    distribution = Discrete(film_mass(table, view, pinhole, sensor.film(), features.sensor_moves))
    if not distribution.total > 0:
        return []
    index, probability, u = distribution.sample(systematic(sampler, count))
    edge = segment.at(table.row(index), u, view, away=True)
    distance = dr.norm(edge.point - view.point)
    active = edge.counts & (probability > 0)

    # ---- visibility of x_B from the camera
    target = segment.outside(edge, distance)
    active &= visible(scene, integrator, view.point, target, distance, active)

    # ---- either side: the visible face, and the background or the other face
    first = segment.face_hit(scene, table, edge, edge.front, active)
    crease = active & edge.crease
    onwards = lambda ray, lanes: hits.first_hit(integrator, scene, ray, lanes)  # noqa: E731
    back_hit, back_ray = segment.background(scene, edge, target, distance, onwards, active & ~crease)
    other_hit, other_ray = segment.mesh_hit(scene, edge, mi.UInt32(1), segment.INWARD, crease)
    second = dr.select(crease, other_hit, back_hit), dr.select(crease, other_ray, back_ray)
    active &= ~(integrator.hide_emitters & (first[0].shape.emitter() != None))  # noqa: E711
    seen = Seen(
        edge.point, edge.omega, edge.normal, edge.sine, edge.length / (probability * count), edge.front_side, first, second,
        lambda: motion.position(edge, active), active,
    )  # fmt: skip
    return [contribution(scene, sensor, pinhole, options, sampler, seen)]


def visible(scene: Any, integrator: Any, eye: Any, target: Any, distance: Any, active: Any) -> Any:
    """Whether nothing lies between the camera and a point `distance` away, seen in the direction of `target`."""
    hit = hits.first_hit(integrator, scene, mi.Ray3f(eye, dr.normalize(target - eye)), active)
    return ~hit.is_valid() | (hit.t >= distance * (1 - segment.CLEARANCE))


def contribution(
    scene: Any, sensor: Any, pinhole: camera.PinholeView, options: path.PathOptions, sampler: Any, seen: Seen
) -> Contribution:
    """Equation (7) for sampled points: radiance on both sides, with common random numbers, times the speed of the edge."""
    position, cosine, in_front = pinhole.project(seen.point)
    active = seen.active & in_front
    distance2 = dr.squared_norm(seen.point - pinhole.origin)
    factor = seen.weight * seen.sine * pinhole.film_jacobian(cosine) / distance2  # Eq. (7)
    twin = sampler.clone()
    first, _, first_valid = path.trace(scene, seen.first[1], seen.first[0], sampler, options, active=active)
    second, _, second_valid = path.trace(scene, seen.second[1], seen.second[0], twin, options, active=active)
    weight = segment.weigh(seen.side, first, factor) + segment.weigh(-seen.side, second, factor)
    covered = [dr.select(valid, mi.Float(1), 0) for valid in (first_valid, second_valid)]
    alpha = segment.weigh(seen.side, covered[0], factor) + segment.weigh(-seen.side, covered[1], factor)
    with dr.resume_grad():
        ray = camera.ray_through(sensor, position)
        depth = dr.dot(seen.point - dr.detach(ray.o), seen.omega)
        speed = segment.rule(seen.normal, seen.position(), convention.ray_point_direction(ray.o, ray.d, depth))
    return Contribution(position, dr.select(active, weight, 0), dr.select(active, alpha, 0), speed, active)
