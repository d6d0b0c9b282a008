"""Edges that the camera sees in mirrors and through glass: chains of delta lobes between the camera and x_S, equation (13).

For an edge point x_B, film positions whose chain leads there are found by Newton's method from random starts (specular manifold
sampling, Zeltner et al. 2020). The probability to end at the one found is estimated without bias by trying again until it is found
once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment, sides
from pbdr.boundary.connect import straight
from pbdr.boundary.connect.chains import Chain, End, Mirrors, random_chain, trace
from pbdr.boundary.context import Context
from pbdr.boundary.sample import Kept, Sample, Side
from pbdr.boundary.sampling.masses import edge_mass, systematic
from pbdr.boundary.term import Term
from pbdr.discrete import Discrete
from pbdr.geometry import rounding
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.view import View
from pbdr.transport import camera, convention, path, spectra
from pbdr.transport.features import Features

MAX_STEPS = 16  # of Newton's method
MAX_TRIALS = 1000  # an image found less often is left out, and counted (left_out.py)
DELTA = 2e-3  # of the film's width: distance of the rays of a difference quotient
FOUND = 2e-5  # of the film's width: a Newton step this short ends the search
OWN = 1e-3  # of the segment before: distance from the last delta vertex within which a point is taken for a part of the mirror
SAME = 2e-4  # of the film's width: two ends this close are the same image


@dataclass
class Target:
    """An edge point at parameter `u` of `row`; on round shapes it depends on the direction it is seen in."""

    row: EdgeTable
    u: Any

    def position(self, direction: Any) -> Any:
        """The point as it is seen in this direction."""
        return self.row.curve(View.along(direction), self.u).position

    def offset(self, end: End, about: Any) -> tuple[Any, Any]:
        """From the segment to the point, orthogonal to the segment, in a frame of the direction `about`; and the depth.

        Offsets that are compared need the same frame: that of a direction jumps where its z changes the sign.
        """
        away = self.position(end.direction) - end.origin
        depth = dr.dot(away, end.direction)
        s, t = mi.coordinate_system(about)
        away -= depth * end.direction
        return mi.Vector2f(dr.dot(away, s), dr.dot(away, t)), depth


@dataclass
class Fixed(Target):
    """A point of a surface: `row` is not used, `u` is the point."""

    def position(self, direction: Any) -> Any:
        """The point."""
        return self.u


class EdgesInMirrors(Term):
    """Edges that the camera sees in mirrors and through glass."""

    part = "primary"

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where something may be a mirror."""
        return features.delta_bsdfs and max_depth > 1

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """Images of edge points; none where the camera sees no mirror."""
        if context.mirrors is not None:
            yield draw(context, context.mirrors, count)


def draw(context: Context, starts: Mirrors, count: int) -> Sample:
    """`count` edge points and their images in mirrors and glass; `starts` from `chains.cells`."""
    scene, sensor, tracer, table, options = (
        context.scene, context.sensor, context.tracer, context.table, context.options,
    )  # fmt: skip
    sampler = context.stream("delta chains", count)
    distribution = Discrete.of(edge_mass(table))
    index, probability, u = distribution.sample(systematic(sampler, count))
    row = table.row(index)
    wavelengths, spectral_weight = spectra.sample(sensor, sampler)
    chain = random_chain(context, sampler, starts.lengths(options.max_depth - 1), wavelengths)
    length = chain.length
    target = Target(row, u)

    # ---- an image of x_B, and the reciprocal of the probability to find it
    found, position = search(chain, starts.start(sampler), target, probability > 0)
    trials = repeat(chain, sampler, starts, target, position, found)
    active = found & tracer.left_out.images(found, trials, MAX_TRIALS)
    store = path.PathStore(options.max_depth, wavelengths)
    end = trace(chain, position, active, store)
    active &= end.valid
    edge = segment.at(row, u, View.along(end.direction), away=True)
    distance = dr.norm(edge.point - end.origin)
    active &= edge.counts & apart(end, distance, edge.point)

    # ---- visibility of x_B from the last delta vertex
    aim = segment.outside(edge, distance)
    towards = dr.normalize(aim - end.origin)  # what is left of Newton's error must not hide the edge behind itself
    offset = rounding.blur(end.origin, dr.maximum(end.reach, distance), segment.clear_of_round())
    sight = mi.Ray3f(mi.Point3f(end.origin + offset * towards), towards)
    sight.maxt = distance - segment.clearance(edge, distance)
    active &= ~scene.ray_test(sight, active)

    # ---- both sides
    area = film_determinant(chain, position, target, end, active)
    active &= area > 0
    inverse = dr.select(active, dr.rcp(dr.select(active, area, 1)), 0)
    factor = end.weight * (
        inverse * edge.sine * edge.length * trials / (chain.probability * probability * count)
    )  # Eq. (13)
    factor *= spectral_weight
    edge = sides.in_contact(scene, edge, aim, distance, sides.first_behind(scene), active)
    active &= edge.counts
    factor *= edge.share
    front, back = sides.both_sides(scene, edge, aim, distance, sides.first_behind(scene), active)
    for _, beginning in (front, back):
        spectra.carry(beginning, wavelengths)
    seen = sides.radiance(scene, (front, back), sampler, options, active, length, False)
    weight = segment.weigh(edge.front_side, seen[0], factor) + segment.weigh(-edge.front_side, seen[1], factor)

    def carried(origin: Any, direction: Any) -> list[Side]:
        """Equations (5) and (6d): both sides are seen along the same attached ray."""
        ray_point = convention.ray_point_direction(origin, direction, distance)  # Eq. (6d)
        return [Side(weight, segment.rule(edge.normal, context.motion.position(edge, active), ray_point))]

    attached_ray = camera.ray_through(sensor, position, chain.aperture, wavelengths)
    kept = Kept(attached_ray, store, length, mi.Point3f(end.origin), end.direction)
    return Sample.on_path(kept, position, carried, active)


@dataclass
class Seen:
    """How walks reach the camera by way of `chain`; `starts` from `chains.cells`."""

    chain: Chain
    starts: Any
    sampler: Any

    @property
    def length(self) -> Any:
        """Number of vertices between the camera and the point."""
        return self.chain.length

    def connect(self, point: Any, known: Any, store: path.PathStore, active: Any) -> straight.Connection:
        """Find an image of a surface point, which `known` is a hit of; the vertices before it are kept in `store`."""
        chain, target = self.chain, Fixed(None, point)  # type: ignore[arg-type]
        found, position = search(chain, self.starts.start(self.sampler), target, active)
        trials = repeat(chain, self.sampler, self.starts, target, position, found)
        active = found & chain.tracer.left_out.images(found, trials, MAX_TRIALS)
        end = trace(chain, position, active, store)
        active &= end.valid
        away = point - end.origin
        distance = dr.norm(away)
        towards = away / distance
        ray = mi.Ray3f(mi.Point3f(end.origin), towards)
        skip = rounding.blur(end.origin, dr.maximum(end.reach, distance), segment.clear_of_round())
        hit = chain.scene.ray_intersect_preliminary(
            mi.Ray3f(mi.Point3f(end.origin + skip * towards), towards), coherent=False, active=active
        )
        hit.t = hit.t + skip
        active &= straight.is_met(hit, known, point, distance) & apart(end, distance, point)
        area = film_determinant(chain, position, target, end, active)
        active &= area > 0
        inverse = dr.select(active, dr.rcp(dr.select(active, area, 1)), 0)
        importance = end.weight * (inverse * trials / chain.probability)
        return straight.Connection(position, chain.aperture, ray, hit, importance, active)


def link(context: Context, mirrors: Any, sampler: Any, wavelengths: Any) -> straight.Straight | Seen:
    """How walks end at the camera: in a straight line or, with `mirrors` from `chains.cells`, by way of them."""
    if mirrors is None:
        return straight.Straight(context.scene, context.sensor, context.tracer)
    chain = random_chain(context, sampler, mirrors.lengths(context.tracer.max_depth - 2), wavelengths)
    return Seen(chain, mirrors, sampler)


def apart(end: End, distance: Any, point: Any) -> Any:
    """Whether a point is away from the last delta vertex: a mirror does not show its own border where the border itself is seen."""
    return distance > segment.AROUND * rounding.blur(point, end.reach, OWN / segment.AROUND)


def jacobian(chain: Chain, position: Any, target: Target, end: End, active: Any) -> tuple[Any, Any, Any]:
    """Derivatives of the target's offset with respect to the film position in pixels: (along x, along y, usable)."""
    here, _ = target.offset(end, end.direction)
    columns, usable = [], mi.Bool(active)
    delta = DELTA * chain.width
    for step in (mi.Vector2f(delta, 0), mi.Vector2f(0, delta)):
        plus, minus = (trace(chain, mi.Point2f(position + sign * step), active) for sign in (1, -1))
        # At the rim of a mirror one of the two misses it.
        forth, back = (dr.select(x.valid, target.offset(x, end.direction)[0], here) for x in (plus, minus))
        span = delta * (dr.select(plus.valid, mi.Float(1), 0) + dr.select(minus.valid, mi.Float(1), 0))
        usable &= span > 0
        columns.append((forth - back) / dr.select(span > 0, span, 1))
    return columns[0], columns[1], usable


def film_determinant(chain: Chain, position: Any, target: Target, end: End, active: Any) -> Any:
    """Area at x_B, orthogonal to ω, that a film area of one pixel is mapped to; 0 where it cannot be found."""
    x, y, usable = jacobian(chain, position, target, end, active)
    return dr.select(usable, dr.abs(x.x * y.y - x.y * y.x), 0)


@dr.syntax
def search(chain: Chain, begin: Any, target: Target, active: Any) -> tuple[Any, Any]:
    """Newton's method for the film position whose chain leads to `target`: (found, position)."""
    position = mi.Point2f(begin)
    step = mi.Vector2f(0)
    found = mi.Bool(False) & active
    active = mi.Bool(active)
    first = mi.Bool(True) & active
    limit = 0.25 * chain.width
    k = mi.UInt32(0)
    while dr.hint(active & (k < MAX_STEPS), label="pathspace: Newton"):
        end = trace(chain, position, active)
        rest, depth = target.offset(end, end.direction)
        ahead = end.valid & (depth > 0)
        active &= ahead | ~first
        x, y, usable = jacobian(chain, position, target, end, active & ahead)
        determinant = x.x * y.y - x.y * y.x
        usable &= dr.abs(determinant) > 0
        inverse = dr.rcp(dr.select(usable, determinant, 1))
        newton = mi.Vector2f(rest.y * y.x - rest.x * y.y, x.y * rest.x - x.x * rest.y) * inverse
        size = dr.norm(newton)
        newton *= dr.minimum(1, limit / dr.maximum(size, 1e-9))
        done = active & ahead & usable & (size < FOUND * chain.width)
        found |= done
        active &= ~done & (usable | ~ahead)
        # A step off the mirror is halved until it is back.
        back = -0.5 * step
        step = mi.Vector2f(dr.select(ahead, newton, back))
        position = mi.Point2f(dr.select(active, position + step, position))
        step = mi.Vector2f(dr.select(ahead, step, -step))
        first = mi.Bool(False) & active
        k += 1
    return found, position


@dr.syntax
def repeat(chain: Chain, sampler: Any, starts: Any, target: Target, position: Any, active: Any) -> Any:
    """Searches until the image at `position` is found once more: their number has the mean 1 / probability to find it."""
    trials = mi.UInt32(0)
    active = mi.Bool(active)
    while dr.hint(active & (trials < MAX_TRIALS), label="pathspace: reciprocal probability"):
        again, other = search(chain, starts.start(sampler), target, active)
        trials += 1
        active &= ~(again & (dr.norm(other - position) < SAME * chain.width))
    return mi.Float(trials)
