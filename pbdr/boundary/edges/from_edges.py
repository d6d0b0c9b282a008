"""Reflected radiance that jumps at edges, from edge points outwards to both sides (reflected.py says which share of it)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment, sides
from pbdr.boundary.connect import walk
from pbdr.boundary.context import Context
from pbdr.boundary.edges import reflected, specular
from pbdr.boundary.sample import Kept, Sample
from pbdr.boundary.sampling import guiding
from pbdr.boundary.sampling.masses import Reservoir, edge_mass, favour, systematic
from pbdr.boundary.term import Term
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.view import View
from pbdr.transport import camera, spectra
from pbdr.transport.features import Features

LIGHTS = 0.3  # share of samples that borders of lights get, where mirrors and glass may show them
DIRECTIONS = 8  # directions that one is chosen from, with guiding
SILHOUETTES = 0.5  # share of directions drawn from those that make a mesh edge a silhouette


class FromEdges(Term):
    """Edges, and walks from where they are seen to the camera."""

    part, divisor = "indirect", 3

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where paths are long enough."""
        return max_depth > 2

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """By every way to the camera that paths have the vertices for."""
        for mirrors in context.ways:
            if mirrors is None or context.tracer.max_depth > 3:
                name = "indirect from edges" if mirrors is None else "mirrored edges"
                yield sample(context, context.stream(name, count), count, mirrors)


def sample(context: Context, sampler: Any, count: int, mirrors: Any = None) -> Sample:
    """`count` samples: an edge point by length, x_S in a direction from there, a walk to the camera.

    With `mirrors` (of `chains.cells`), the camera sees the end of the walk in mirrors or through glass; then only what x_S itself
    sees so is sampled.
    """
    t = context
    scene, table, options = t.scene, t.table, t.options
    mass = edge_mass(table)
    if t.features.delta_bsdfs:
        shapes = dr.gather(mi.ShapePtr, scene.shapes_dr(), table.shape)
        mass = favour(mass, shapes.is_emitter(), LIGHTS)
    source = guiding.source(mass, t.learned if mirrors is None else None)
    at = source.place(systematic(sampler, count))
    row = table.row(at.index)
    way = _towards(row, source, at, sampler, count)
    edge = segment.at(row, at.u, View.along(way.omega), away=True)
    active = edge.counts & (at.probability > 0) & (way.weight > 0)
    start = mi.Point3f(segment.outside(edge, 0) + segment.lift(edge))
    wavelengths, spectral_weight = spectra.sample(t.sensor, sampler)
    receiver_ray = spectra.carry(mi.Ray3f(start, -edge.omega), wavelengths)
    receiver_hit = scene.ray_intersect_preliminary(receiver_ray, coherent=False, active=active)
    active &= receiver_hit.is_valid()
    active &= ~sides.touches(scene, edge, receiver_hit, receiver_ray, edge.row.extent, active)
    distance = receiver_hit.t
    link = specular.link(t, mirrors, sampler, wavelengths)
    walked = walk.to_camera(
        scene, link, receiver_hit, receiver_ray, edge.omega, (0, options.max_depth - 3), sampler, options.max_depth,
        t.features.delta_bsdfs, active,
    )  # fmt: skip
    active = walked.active & (walked.chained if mirrors is not None else True)
    receiver = receiver_hit.compute_surface_interaction(receiver_ray, mi.RayFlags.Minimal, active)
    share = reflected.share(edge.row, dr.dot(receiver.n, edge.omega), distance, options.h)
    share = dr.select(walked.chained, 1, share)
    factor = walked.throughput * (share * edge.sine * edge.length * way.weight / (at.probability * count))
    factor *= spectral_weight
    target, chained = segment.outside(edge, distance), walked.chained
    carried = reflected.sides_of(
        t, edge, target, distance, factor, sampler, walked.count, active, chained, chained, wavelengths
    )
    seen = walked.connection
    attached_ray = camera.ray_through(t.sensor, seen.position, seen.aperture, wavelengths)
    kept = Kept(attached_ray, walked.store, walked.count, mi.Point3f(receiver.p), edge.omega)
    return Sample.on_path(kept, seen.position, carried, active, way.lesson)


@dataclass
class Way:
    """A direction chosen past an edge point. `weight`: in place of 1 / density in solid angle; `lesson`: of `guiding`."""

    omega: Any
    weight: Any
    lesson: guiding.Lesson | None


def _towards(row: EdgeTable, source: guiding.Source, at: guiding.Place, sampler: Any, samples: int) -> Way:
    """A direction past the edge point `at`."""
    around = Around.of(row, at.u)
    if isinstance(source, guiding.Guide):
        return _guided(row, source, at, around, sampler, samples)
    omega, density = around.draw(sampler)
    return Way(omega, dr.select(density > 0, dr.rcp(density), 0), None)


@dr.syntax
def _guided(
    row: EdgeTable, source: guiding.Guide, at: guiding.Place, around: Around, sampler: Any, samples: int
) -> Way:  # fmt: skip
    """Of several directions that are drawn, one in proportion to what `source` knows."""
    kept, weight = Reservoir.empty(), mi.Float(0)
    omega = mi.Vector3f(0, 0, 1)
    cell = mi.UInt32(0)
    k = mi.UInt32(0)
    while dr.hint(k < DIRECTIONS, label="pathspace: directions", exclude=[row, source, at, around]):
        candidate, density = around.draw(sampler)
        counts = segment.at(row, at.u, View.along(candidate), away=True).counts & (density > 0)
        own = source.cell(at.cluster, candidate)
        worth = dr.select(counts, source.worth(own), 0)
        kept, taken = kept.add(worth, worth, sampler.next_1d())
        omega, cell = dr.select(taken, candidate, omega), dr.select(taken, own, cell)
        weight = dr.select(taken, dr.rcp(density), weight)
        k += 1
    often = kept.weight(DIRECTIONS)
    return Way(omega, often * weight, source.lesson(cell, often * at.weight, at, samples))


@dataclass
class Around:
    """Frame of an edge point, in which directions past it are drawn.

    A mixture of all directions and, for mesh edges, of those that see both faces on the same side: `share` of it. These miss the
    `wedge` of both faces, an angle about the tangent, by less than `free`.
    """

    tangent: Any
    x: Any
    y: Any
    wedge: Any
    free: Any
    share: Any

    @staticmethod
    def of(row: EdgeTable, u: Any) -> Around:
        """Of points of rows."""
        curve = row.curve(View.along(mi.Vector3f(0, 0, -1)), u)
        tangent = dr.normalize(curve.derivative)
        x = dr.normalize(curve.into0)
        y = dr.cross(tangent, x)
        wedge = dr.atan2(dr.dot(curve.into1, y), dr.dot(curve.into1, x))
        free = dr.pi - dr.abs(wedge)
        possible = curve.two_sided & (free > 1e-4)
        return Around(tangent, x, y, wedge, dr.select(possible, free, 1), dr.select(possible, mi.Float(SILHOUETTES), 0))

    def draw(self, sampler: Any) -> tuple[Any, Any]:
        """A direction, and its density in solid angle."""
        wedge, free, share = self.wedge, self.free, self.share
        s, (a, b) = sampler.next_1d(), sampler.next_2d()
        silhouette = s < share
        # A line through the edge misses the wedge of both faces at angles from |wedge| to π, on the wedge's side; either way along
        # it.
        along = dr.mulsign(dr.abs(wedge) + free * a, wedge) + dr.select(s < 0.5 * share, dr.pi, 0)
        angle = dr.select(silhouette, along, dr.two_pi * a)
        turn = dr.mulsign(angle, wedge)
        turn = turn - dr.pi * dr.floor(turn / dr.pi)
        density = dr.select(turn >= dr.abs(wedge), share / (2 * free), 0) + (1 - share) / dr.two_pi
        z = 1 - 2 * b
        r = dr.safe_sqrt(1 - z * z)
        sine, cosine = dr.sincos(angle)
        return z * self.tangent + r * (cosine * self.x + sine * self.y), 0.5 * density
