"""Camera segments: edges seen on the film, equation (7)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment, sides
from pbdr.boundary.context import Context
from pbdr.boundary.sample import Sample, Side
from pbdr.boundary.sampling.masses import systematic
from pbdr.boundary.term import Term
from pbdr.discrete import Discrete, mixed
from pbdr.geometry import rounding
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.view import View
from pbdr.transport import camera, channels, convention, hits, path, spectra
from pbdr.transport.eye import Eye
from pbdr.transport.features import Features
from pbdr.transport.film import Magnitude
from pbdr.transport.media import flight as flights
from pbdr.transport.media import fog as fogs
from pbdr.transport.tracer import Tracer

UNIFORM = 0.2  # share of the samples that does not care for |δL|
# Least sine between an edge and the line of sight in the mass: it may be larger at other points of the edge, and none may be
# lost. Half, twice and 20 times the value change the variance of a bumpy ball before a wide lens by less than 2 %.
ALONG_SIGHT = 1e-3
# Aperture sample of a second viewpoint, 0.6 of the radius off the centre of the lens and off both axes. Edges that count from
# neither are left out: 0.1 % of the length for a ball of 320 faces before a lens of radius 0.3 that is focused at 3, none for a
# radius of 0.05.
ELSEWHERE = (0.8, 0.6)
PIECES = 2**16  # of all edges together, into which they are cut where |δL| counts


def view_of(eye: Eye) -> View:
    """The view of edges that a sensor has."""
    return View(eye.point, -eye.forward, mi.Bool(eye.distant))


@dataclass
class OnFilm:
    """Distribution over edges as the camera sees them, each cut into `pieces` of equal steps of u."""

    entries: Discrete
    pieces: Any

    @staticmethod
    def of(table: EdgeTable, eye: Eye, film: Any, everything: bool, magnitude: Magnitude | None) -> OnFilm:
        """In proportion to the angular length of moving edges (of every edge if `everything`) and, if it is given, `magnitude`.

        `eye` looks from the centre of the lens.
        """
        if magnitude is None:
            return OnFilm(Discrete.of(film_mass(table, eye, film, everything, mi.Float(0.5))), mi.UInt32(1))
        number = max(1, min(PIECES // table.count, max(camera.film_size(film))))  # the smaller ones are about a pixel
        pieces = dr.opaque(mi.UInt32, number)
        entry = dr.arange(mi.UInt32, table.count * number)
        index = entry // pieces
        u = (mi.Float(entry - index * pieces) + 0.5) / mi.Float(pieces)
        mass = film_mass(table.row(index), eye, film, everything, u) / mi.Float(pieces)
        ends = entry + index  # of pieces: one more an edge
        seen = seen_magnitude(table, eye, magnitude, number)
        factor = 0.5 * (dr.gather(mi.Float, seen, ends) + dr.gather(mi.Float, seen, ends + 1))
        return OnFilm(Discrete.of(mixed(mass, factor, UNIFORM)), pieces)

    def sample(self, u: Any) -> tuple[Any, Any, Any]:
        """u in [0, 1) → (index of the edge, density of its parameter, the parameter)."""
        entry, probability, rest = self.entries.sample(u)
        index = entry // self.pieces
        number = mi.Float(self.pieces)
        return index, probability * number, (mi.Float(entry - index * self.pieces) + rest) / number


def seen_magnitude(table: EdgeTable, eye: Eye, magnitude: Magnitude, pieces: int) -> Any:
    """|δL| where both ends of all `pieces` of each edge appear on film."""
    step, ends = dr.opaque(mi.Float, 1 / pieces), dr.opaque(mi.UInt32, pieces + 1)
    entry = dr.arange(mi.UInt32, table.count * (pieces + 1))
    index = entry // ends
    point = table.row(index).curve(view_of(eye), mi.Float(entry - index * ends) * step).position
    sight = eye.sight(point)
    found = magnitude.at(sight.position, sight.inside)
    dr.eval(found)
    return found


def film_mass(table: EdgeTable, eye: Eye, film: Any, everything: bool, u: Any) -> Any:
    """Sampling mass of every moving edge (of every edge if `everything`): its angular length; zero where it is not on film.

    From its size at parameter `u`, as seen from the centre of the lens. Edges that count only from elsewhere on it keep a mass: a
    second point tells.
    """
    counts, mass = _counted(table, eye, u)
    if eye.has_aperture:
        elsewhere = dataclasses.replace(eye, aperture=mi.Point2f(*ELSEWHERE))
        also, mass_elsewhere = _counted(table, elsewhere, u)
        counts, mass = counts | also, 0.5 * (mass + mass_elsewhere)
    possible = eye.may_see(table.a, table.a + table.b, film)
    shown = dr.select(table.having("straight"), counts & possible, counts)
    moves = mi.Bool(True) if everything else table.moving
    return dr.select(moves & shown, mass, 0)


def _counted(table: EdgeTable, eye: Eye, u: Any) -> tuple[Any, Any]:
    """Which edges count as seen from one viewpoint (vague ones: exist), and their angular length."""
    view = view_of(eye)
    edge = segment.at(table, u, view, away=True)
    distance = mi.Float(1) if eye.distant else dr.norm(edge.point - view.point)
    # The line of sight degenerates at single points of a curve, and from single points of a lens: a floor keeps every entry
    # that can count reachable.
    floor = ALONG_SIGHT + (eye.radius / dr.maximum(distance, 1e-10) if eye.has_aperture else 0)
    mass = segment.rough_length(edge) * dr.maximum(edge.sine, dr.minimum(floor, 1)) / dr.maximum(distance, 1e-10)
    exists = table.exists(view)
    mass *= dr.select(_in_lens(table, eye), 1, edge.expected) if eye.has_aperture else edge.expected
    return exists & (edge.counts | table.having("partial")), dr.select(exists, mass, 0)


def _in_lens(table: EdgeTable, eye: Eye) -> Any:
    """Whether the plane of either face cuts the lens: edges that are silhouettes from a part of it alone are among these."""
    found = mi.Bool(False)
    for into in (table.c, table.d):
        normal = dr.cross(table.b, into)
        found |= dr.abs(dr.dot(normal, eye.point - table.a)) <= eye.radius * dr.norm(normal)
    return found


@dataclass
class Seen:
    """Points where the radiance seen by the camera jumps: geometry of the segment and where either side starts.

    `weight`: 1 / (sampling density per unit length · sample count); `side`: ±1, the side of m̂ on which `first` lies;
    `first`, `second`: (hit, ray) of either side; `position`: function that returns the attached x_B. `onwards`: lanes whose
    second side is what a ray meets that goes on behind x_B.
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
    onwards: Any = False


def on_film(features: Features) -> bool:
    """Whether shapes move on the film: they do, or the camera does."""
    return features.moving_edges and (bool(features.moving_shapes) or features.sensor_moves)


class EdgesOnFilm(Term):
    """Edges of shapes, as the camera sees them."""

    part = "primary"
    knows_fog = True

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where shapes move on the film."""
        return on_film(features)

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """More of them where |δL| is large, if it is known."""
        yield sample(context, context.stream("primary", count), count)


def sample(context: Context, sampler: Any, count: int) -> Sample:
    """`count` points on edges of shapes, as seen from the camera."""
    scene, sensor, tracer, table = context.scene, context.sensor, context.tracer, context.table
    distribution = OnFilm.of(table, Eye.of(sensor), sensor.film(), context.features.sensor_moves, context.magnitude)
    index, probability, u = distribution.sample(systematic(sampler, count))
    eye = Eye.of(sensor, camera.aperture_sample(sensor, sampler))
    edge = segment.at(table.row(index), u, view_of(eye), away=True)
    sight = eye.sight(edge.point)
    distance = sight.distance
    active = edge.counts & (probability > 0) & sight.inside

    # ---- visibility of x_B from the camera
    target = segment.outside(edge, distance)
    active &= visible(scene, tracer, sight.start, target, distance, segment.clearance(edge, distance), active)

    # ---- either side: the visible face, and the background or the other face
    onwards = first_behind(scene, tracer, sight.reach - distance)
    edge = sides.in_contact(scene, edge, target, distance, onwards, active)
    active &= edge.counts
    first, second = sides.both_sides(scene, edge, target, distance, onwards, active)
    active &= ~(tracer.hide_emitters & (first[0].shape.emitter() != None))  # noqa: E711
    weight = edge.share * edge.length / (probability * count)
    seen = Seen(
        edge.point, edge.omega, edge.normal, edge.sine, weight, edge.front_side, first, second,
        lambda: context.motion.position(edge, active), active, edge.silhouette & (edge.contact is None or ~edge.contact.active),
    )  # fmt: skip
    return contribution(context, eye, sampler, seen)


def first_behind(scene: Any, tracer: Tracer, rest: Any) -> Callable[[Any, Any], Any]:
    """The first hit of a ray that goes on along a line of sight, of which `rest` is left up to the far plane."""

    def trace(ray: Any, active: Any) -> Any:
        limited = mi.Ray3f(ray)
        limited.maxt = dr.minimum(ray.maxt, rest)
        return hits.first_hit(tracer, scene, limited, active)

    return trace


def visible(scene: Any, tracer: Tracer, start: Any, target: Any, distance: Any, clearance: Any, active: Any) -> Any:
    """Whether nothing lies between the start of a line of sight and a point `distance` away, in the direction of `target`.

    What is nearer to the point than `clearance` does not count.
    """
    ray = mi.Ray3f(start, dr.normalize(target - start))
    ray.maxt = distance - clearance
    hit = hits.first_hit(tracer, scene, ray, active)
    return ~hit.is_valid() | (hit.t >= distance - clearance)


def clear_of(point: Any, distance: Any) -> Any:
    """The clearance of points of surfaces, this far away."""
    return dr.maximum(segment.CLEARANCE * distance, segment.AROUND * segment.WIDER * rounding.blur(point, distance))


def contribution(context: Context, eye: Eye, sampler: Any, seen: Seen) -> Sample:
    """Equation (7) for sampled points: every channel on both sides, with common random numbers, times the speed of the edge."""
    scene, sensor, fog, directed = context.scene, context.sensor, context.fog, context.features.directed
    options = context.tracer.path_options(defensive=None if fog is None else 0.0, directed=directed)
    sight = eye.sight(seen.point)
    position, active = sight.position, seen.active & sight.inside
    factor = seen.weight * seen.sine * sight.importance  # Eq. (7)
    wavelengths, spectral_weight = spectra.sample(sensor, sampler)
    for _, start in (seen.first, seen.second):
        spectra.carry(start, wavelengths)
    twin = sampler.clone()
    (first, _, first_valid), (second, _, second_valid) = (
        path.trace(
            scene,
            ray,
            hit,
            numbers,
            options,
            active=active,
            flown=_behind(context, hit, ray, numbers, active & onwards),
        )
        for (hit, ray), numbers, onwards in ((seen.first, sampler, False), (seen.second, twin, seen.onwards))
    )
    with dr.resume_grad():
        ray = camera.ray_through(sensor, position, eye.aperture)
    along = dr.detach(ray)
    passed = mi.Spectrum(1) if fog is None else fogs.transmittance(fog, along, dr.norm(seen.point - along.o), active)
    values = [  # radiance, alpha, extra channels
        [
            light * passed,
            dr.select(valid, mi.Float(1), 0) * dr.mean(passed),
            *channels.values(context.tracer.channels, scene, *start, along, active),
        ]
        for light, valid, start in (
            (first * spectral_weight, first_valid, seen.first),
            (second * spectral_weight, second_valid, seen.second),
        )
    ]
    jumps = [
        segment.weigh(seen.side, a, factor) + segment.weigh(-seen.side, b, factor) for a, b in zip(*values, strict=True)
    ]
    weight, *others = [dr.select(active, jump, 0) for jump in jumps]
    with dr.resume_grad():
        depth = dr.dot(seen.point - dr.detach(ray.o), seen.omega)
        speed = segment.rule(seen.normal, seen.position(), convention.ray_point_direction(ray.o, ray.d, depth))
    return Sample.on_film(position, Side(weight, speed, others), active, wavelengths)


def _behind(context: Context, hit: Any, ray: Any, sampler: Any, active: Any) -> Any:
    """The way from x_B to what a side sees: through the fog where it goes `onwards`, of no length elsewhere; None without fog."""
    if context.fog is None:
        return None
    medium = mi.MediumPtr(context.fog)
    here = flights.nowhere()
    here.hit, here.medium = hit, medium
    gone = flights.fly(context.scene, ray, medium, sampler, active=active)
    return dr.select(active, gone, here)
