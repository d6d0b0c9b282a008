"""Camera segments: edges seen on the film, equation (7)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.boundary.edges import EdgeTable, View
from pbdr.boundary.sampling import Discrete, systematic
from pbdr.boundary.terms import Contribution
from pbdr.transport import camera, channels, convention, hits, path, spectra
from pbdr.transport.eye import Eye
from pbdr.transport.features import Features


def view_of(eye: Eye) -> View:
    """The view of edges that a sensor has."""
    return View(eye.point, -eye.forward, mi.Bool(eye.distant))


def film_mass(table: EdgeTable, eye: Eye, film: Any, everything: bool) -> Any:
    """Sampling mass of every moving edge (of every edge if `everything`): its angular length; zero where it is not on film.

    `eye` looks from the centre of the lens. Edges that count only from elsewhere on it keep a mass: a second point tells.
    """
    counts, mass = _counted(table, eye)
    if eye.has_aperture:
        elsewhere = dataclasses.replace(eye, aperture=mi.Point2f(0.8, 0.6))
        also, mass_elsewhere = _counted(table, elsewhere)
        counts, mass = counts | also, 0.5 * (mass + mass_elsewhere)
    possible = eye.may_see(table.a, table.a + table.b, film)
    shown = dr.select(table.segment, counts & possible, counts)
    moves = mi.Bool(True) if everything else table.moving
    return dr.select(moves & shown, mass, 0)


def _counted(table: EdgeTable, eye: Eye) -> tuple[Any, Any]:
    """Which edges count as seen from one viewpoint (vague ones: exist), and their angular length."""
    view = view_of(eye)
    edge = segment.at(table, mi.Float(0.5), view, away=True)
    distance = mi.Float(1) if eye.distant else dr.norm(edge.point - view.point)
    # The line of sight degenerates at single points of a curve, and from single points of a lens: a floor keeps every entry
    # that can count reachable.
    floor = 1e-3 + (eye.radius / dr.maximum(distance, 1e-10) if eye.has_aperture else 0)
    mass = segment.rough_length(edge) * dr.maximum(edge.sine, dr.minimum(floor, 1)) / dr.maximum(distance, 1e-10)
    exists = table.exists(view)
    return exists & (edge.counts | table.vague), dr.select(exists, mass, 0)


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
    distribution = Discrete.of(film_mass(table, Eye.of(sensor), sensor.film(), features.sensor_moves))
    index, probability, u = distribution.sample(systematic(sampler, count))
    eye = Eye.of(sensor, camera.aperture_sample(sensor, sampler))
    edge = segment.at(table.row(index), u, view_of(eye), away=True)
    sight = eye.sight(edge.point)
    distance = sight.distance
    active = edge.counts & (probability > 0) & sight.inside

    # ---- visibility of x_B from the camera
    target = segment.outside(edge, distance)
    active &= visible(scene, integrator, sight.start, target, distance, active)

    # ---- either side: the visible face, and the background or the other face
    onwards = lambda ray, lanes: hits.first_hit(integrator, scene, ray, lanes)  # noqa: E731
    edge = segment.in_contact(scene, edge, target, distance, onwards, active)
    active &= edge.counts
    first, second = segment.both_sides(scene, table, edge, target, distance, onwards, active)
    active &= ~(integrator.hide_emitters & (first[0].shape.emitter() != None))  # noqa: E711
    weight = edge.share * edge.length / (probability * count)
    seen = Seen(
        edge.point, edge.omega, edge.normal, edge.sine, weight, edge.front_side, first, second,
        lambda: motion.position(edge, active), active,
    )  # fmt: skip
    return [contribution(scene, sensor, integrator, eye, options, sampler, seen)]


def visible(scene: Any, integrator: Any, start: Any, target: Any, distance: Any, active: Any) -> Any:
    """Whether nothing lies between the start of a line of sight and a point `distance` away, in the direction of `target`."""
    ray = mi.Ray3f(start, dr.normalize(target - start))
    ray.maxt = distance * (1 - segment.CLEARANCE)
    hit = hits.first_hit(integrator, scene, ray, active)
    return ~hit.is_valid() | (hit.t >= distance * (1 - segment.CLEARANCE))


def contribution(
    scene: Any, sensor: Any, integrator: Any, eye: Eye, options: path.PathOptions, sampler: Any, seen: Seen
) -> Contribution:
    """Equation (7) for sampled points: every channel on both sides, with common random numbers, times the speed of the edge."""
    sight = eye.sight(seen.point)
    position, active = sight.position, seen.active & sight.inside
    factor = seen.weight * seen.sine * sight.importance  # Eq. (7)
    wavelengths, spectral_weight = spectra.sample(sensor, sampler)
    for _, start in (seen.first, seen.second):
        spectra.carry(start, wavelengths)
    twin = sampler.clone()
    first, _, first_valid = path.trace(scene, seen.first[1], seen.first[0], sampler, options, active=active)
    second, _, second_valid = path.trace(scene, seen.second[1], seen.second[0], twin, options, active=active)
    with dr.resume_grad():
        ray = camera.ray_through(sensor, position, eye.aperture)
    along = dr.detach(ray)
    sides = [  # radiance, alpha, extra channels
        [light, dr.select(valid, mi.Float(1), 0), *channels.values(integrator.channels, scene, *start, along, active)]
        for light, valid, start in (
            (first * spectral_weight, first_valid, seen.first),
            (second * spectral_weight, second_valid, seen.second),
        )
    ]
    jumps = [
        segment.weigh(seen.side, a, factor) + segment.weigh(-seen.side, b, factor) for a, b in zip(*sides, strict=True)
    ]
    weight, *others = [dr.select(active, jump, 0) for jump in jumps]
    with dr.resume_grad():
        depth = dr.dot(seen.point - dr.detach(ray.o), seen.omega)
        speed = segment.rule(seen.normal, seen.position(), convention.ray_point_direction(ray.o, ray.d, depth))
    return Contribution(position, weight, others, speed, active, wavelengths)
