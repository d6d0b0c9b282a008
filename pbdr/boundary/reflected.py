"""Reflected radiance that jumps at edges as seen from surfaces: from camera paths to edges, and from edges outwards.

Towards an edge close to x_S, `from_camera` has infinite variance, since x_S is not chosen for the edge: dA(x_S) dℓ/r² there.
`from_edges` chooses x_S by direction, and finds far edges by a walk to the camera, which is noisy. Their shares of a pair
(x_S, x_B) add up to one. What x_S sees in mirrors and through glass is found by `from_edges` alone, and x_S that the camera itself
sees so by `from_camera` alone (docs/theory.md, section 7c).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import guiding, indirect, segment, specular, vertex, walk
from pbdr.boundary.edges import EdgeTable, View
from pbdr.boundary.sampling import edge_mass, favour, systematic
from pbdr.discrete import Discrete
from pbdr.transport import camera, convention, emission, groups, path, rounding, spectra
from pbdr.transport.features import Features

LIGHTS = 0.3  # share of samples that borders of lights get, where mirrors and glass may show them
CANDIDATES = 16  # edge points that one is chosen from, for x_S
DIRECTIONS = 8  # directions that one is chosen from, with guiding
SILHOUETTES = 0.5  # share of directions drawn from those that make a mesh edge a silhouette


@dataclass
class Technique:
    """What both techniques need."""

    scene: Any
    sensor: Any
    integrator: Any
    features: Features
    table: Any  # an EdgeTable; None where no edge is seen to move
    motion: segment.Motion
    options: path.PathOptions
    learned: guiding.State | None = None  # None without guiding


def outward_share(cosine: Any, distance: Any, reach: Any) -> Any:
    """Share of `from_edges` in a pair: near 1 where `distance` is below `reach` and x_S faces the edge (`cosine`)."""
    q = reach * reach * dr.abs(cosine)
    return q / (q + dr.square(distance))


def _share(row: EdgeTable, cosine: Any, distance: Any, reach: Any) -> Any:
    """`outward_share` of these rows; outlines of curve shapes and grids belong to `from_camera` alone."""
    return dr.select((row.strand & ~row.fixed) | row.voxel, 0, outward_share(cosine, distance, reach))


@dataclass
class Choice:
    """An edge point chosen for x_S. `weight`: in place of 1 / density along the rows' parameter."""

    index: Any
    u: Any
    weight: Any


@dr.syntax
def choose(table: EdgeTable, distribution: Discrete, eye: Eye, sampler: Any, u: Any) -> Choice:
    """One of CANDIDATES edge points drawn by length, the first one at `u`, in proportion to `Eye.promise` (Talbot et al. 2005)."""
    total, best = mi.Float(0), mi.Float(0)
    index, place = mi.UInt32(0), mi.Float(0)
    u = mi.Float(u)
    k = mi.UInt32(0)
    while dr.hint(k < CANDIDATES, label="pathspace: edge points", exclude=[table, distribution, eye]):
        candidate, probability, at = distribution.sample(u)
        promise = eye.promise(segment.at(table.row(candidate), at, eye.view(), away=True))
        share = dr.select(probability > 0, promise / probability, 0)
        total += share
        taken = sampler.next_1d() * total < share
        index, place, best = (
            dr.select(taken, candidate, index),
            dr.select(taken, at, place),
            dr.select(taken, promise, best),
        )
        u = sampler.next_1d()
        k += 1
    return Choice(index, place, dr.select(best > 0, total / (CANDIDATES * best), 0))


@dataclass
class Eye:
    """x_S and what tells edge points that matter to it from others; all detached.

    `light`: direction of a point of a light; `near`: whether edges near there are the ones that matter; `behind`: whether no walk
    from the edge can find x_S; `reach`: of `outward_share`; `scattered`: f_s cosθ towards a direction.
    """

    point: Any
    normal: Any
    light: Any
    near: Any
    behind: Any
    reach: Any
    scattered: Callable[[Any, Any], Any]

    @staticmethod
    def of(technique: Technique, from_here: vertex.Vertex, u: Any, behind: Any) -> Eye:
        """Of a vertex; `u` chooses the light."""
        t, si = technique, from_here.si
        near, towards = mi.Bool(False), mi.Vector3f(0, 0, 1)
        if t.features.delta_bsdfs:
            light, _ = t.scene.sample_emitter_direction(si, u, False, behind)
            # Where a sky is, a point of it says nothing about where else it shines.
            near = behind & ~mi.has_flag(light.emitter.flags(), mi.EmitterFlags.Infinite)
            towards = light.d
        return Eye(mi.Point3f(si.p), mi.Vector3f(si.n), towards, near, behind, t.options.h, from_here.scattered)

    def view(self) -> View:
        """For `EdgeTable.curve`."""
        return View(mi.Point3f(self.point), mi.Vector3f(0), mi.Bool(False))

    def share(self, edge: segment.Edge) -> Any:
        """Share of `from_camera` in the pair."""
        distance = dr.norm(edge.point - self.point)
        outward = _share(edge.row, dr.dot(self.normal, edge.omega), distance, self.reach)
        return dr.select(self.behind, 1, 1 - outward)

    def measure(self, edge: segment.Edge) -> Any:
        """Solid angle over the row's parameter."""
        squared = dr.squared_norm(edge.point - self.point)
        return edge.sine * edge.length * dr.select(squared > 0, dr.rcp(squared), 0)

    def promise(self, edge: segment.Edge) -> Any:
        """About what the edge point contributes; positive wherever it does."""
        away = 1.02 - dr.dot(edge.omega, self.light)
        lit = dr.select(self.near, 0.05 + 0.02 / away, 1)
        scattered = dr.mean(self.scattered(edge.omega, edge.counts))
        return dr.select(edge.counts, self.measure(edge) * self.share(edge) * lit * scattered, 0)


def from_camera(technique: Technique, sampler: Any, count: int) -> indirect.Sample:
    """`count` samples: a camera path, one of its vertices, an edge point, radiance on both sides."""
    t = technique
    scene, table = t.scene, t.table
    from_here = vertex.draw(scene, t.sensor, t.integrator, t.options, sampler)
    si, active = from_here.si, from_here.active
    behind = active & from_here.after_delta  # no walk from x_S could go through that vertex
    eye = Eye.of(t, from_here, sampler.next_2d(active), behind)

    # ---- x_B: systematic samples run along the edges as the lanes run; the camera paths do not, so that the two stay independent.
    chosen = choose(table, Discrete.of(edge_mass(table)), eye, sampler, systematic(sampler, count))
    edge = segment.at(table.row(chosen.index), chosen.u, eye.view(), away=True)
    distance = dr.norm(edge.point - si.p)
    active = active & edge.counts & (chosen.weight > 0) & (distance > 0)
    # Edges in the plane of the face that x_S lies on are a part of its geometric horizon: terminator.py.
    height = dr.abs(dr.dot(si.n, edge.point - si.p))
    active &= height > rounding.blur(edge.point, distance)
    scattered = from_here.scattered(edge.omega, active)
    active &= dr.max(scattered) > 0
    target = segment.outside(edge, distance)
    active &= from_here.sees(scene, target, segment.clearance(edge, distance), active)
    factor = from_here.factor * scattered * (eye.measure(edge) * eye.share(edge) * chosen.weight / count)
    sides = _sides(
        t, edge, target, distance, factor, sampler, from_here.count, active, behind, mi.Bool(False), from_here.wavelengths
    )  # fmt: skip
    return from_here.sample(edge.omega, sides, active)


def from_edges(technique: Technique, sampler: Any, count: int, mirrors: Any = None) -> indirect.Sample:
    """`count` samples: an edge point by length, x_S in a direction from there, a walk to the camera.

    With `mirrors` (of `chains.cells`), the camera sees the end of the walk in mirrors or through glass; then only what x_S itself
    sees so is sampled.
    """
    t = technique
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
    active &= ~segment.touches(scene, edge, receiver_hit, receiver_ray, edge.row.extent, active)
    distance = receiver_hit.t
    link = specular.link(scene, t.sensor, t.integrator, mirrors, sampler, options.max_depth, wavelengths)
    walked = walk.to_camera(
        scene, link, receiver_hit, receiver_ray, edge.omega, (0, options.max_depth - 3), sampler, options.max_depth,
        t.features.delta_bsdfs, active,
    )  # fmt: skip
    active = walked.active & (walked.chained if mirrors is not None else True)
    receiver = receiver_hit.compute_surface_interaction(receiver_ray, mi.RayFlags.Minimal, active)
    share = _share(edge.row, dr.dot(receiver.n, edge.omega), distance, options.h)
    share = dr.select(walked.chained, 1, share)
    factor = walked.throughput * (share * edge.sine * edge.length * way.weight / (at.probability * count))
    factor *= spectral_weight
    target, chained = segment.outside(edge, distance), walked.chained
    sides = _sides(t, edge, target, distance, factor, sampler, walked.count, active, chained, chained, wavelengths)
    seen = walked.connection
    attached_ray = camera.ray_through(t.sensor, seen.position, seen.aperture, wavelengths)
    return indirect.Sample(
        attached_ray, seen.position, walked.store, walked.count, mi.Point3f(receiver.p), edge.omega, sides, active,
        way.lesson,
    )  # fmt: skip


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
    total, best, weight = mi.Float(0), mi.Float(0), mi.Float(0)
    omega = mi.Vector3f(0, 0, 1)
    cell = mi.UInt32(0)
    k = mi.UInt32(0)
    while dr.hint(k < DIRECTIONS, label="pathspace: directions", exclude=[row, source, at, around]):
        candidate, density = around.draw(sampler)
        counts = segment.at(row, at.u, View.along(candidate), away=True).counts & (density > 0)
        own = source.cell(at.cluster, candidate)
        worth = dr.select(counts, source.worth(own), 0)
        total += worth
        taken = counts & (sampler.next_1d() * total < worth)
        omega, cell = dr.select(taken, candidate, omega), dr.select(taken, own, cell)
        best, weight = dr.select(taken, worth, best), dr.select(taken, dr.rcp(density), weight)
        k += 1
    often = dr.select(best > 0, total / (DIRECTIONS * best), 0)
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


def _sides(
    t: Technique, edge: segment.Edge, target: Any, distance: Any, factor: Any, sampler: Any, depth: Any, active: Any,
    shining: Any, chained: Any, wavelengths: Any,
) -> Any:  # fmt: skip
    """The visible face, and the background or the other face: the radiance they reflect, and how their rays move.

    What the sides emit counts, too, where that is not left to `shadows.py`: on lanes that are `shining`. `chained`: the segment
    leaves a delta lobe, so that both sides are seen along the same attached ray.
    """
    behind = segment.first_behind(t.scene)
    edge = segment.in_contact(t.scene, edge, target, distance, behind, active)
    active = active & edge.counts
    factor = dr.select(active, factor * edge.share, 0)
    front, back = segment.both_sides(t.scene, t.table, edge, target, distance, behind, active)
    for _, start in (front, back):
        spectra.carry(start, wavelengths)
    reflected = indirect.radiance(t.scene, (front, back), sampler, t.options, active, depth, True)

    def sides(origin: Any, direction: Any) -> list[tuple[Any, Any]]:
        """Equations (5) and (6) for the radiance reflected on either side."""
        where = t.motion.position(edge, active)
        sliding = convention.ray_point_direction(origin, direction, distance)  # (6d)
        result = []
        for sign, (hit, start), radiance in ((1, front, reflected[0]), (-1, back, reflected[1])):
            far = groups.material(t.features, hit, start, active & hit.is_valid())
            onward, _ = convention.scattered_direction(origin, edge.omega, far, t.options.h, active & far.is_valid())
            ray_point = dr.select(chained, sliding, convention.ray_point_scattered(origin, onward, distance))
            speed = segment.rule(edge.normal, where, ray_point)
            result.append((segment.weigh(sign * edge.front_side, radiance, factor), speed))
            if t.features.delta_bsdfs:
                light, ray_point = _emitted(t, edge, hit, start, origin, distance, active & shining)
                if sign < 0:  # past a silhouette, shadows.py finds it too
                    light *= dr.select(
                        chained & edge.silhouette, 1 - _share_of_lights(t, edge, hit, start, active & chained), 1
                    )
                speed = segment.rule(edge.normal, where, dr.select(chained, sliding, ray_point))
                result.append((segment.weigh(sign * edge.front_side, light, factor), speed))
        return result

    return sides


def _emitted(
    t: Technique, edge: segment.Edge, hit: Any, ray: Any, origin: Any, distance: Any, active: Any
) -> tuple[Any, Any]:
    """Emission met on one side, detached, and the attached point at x_B of the ray to it, (6b) or (6c)."""
    direction, _, value, light = emission.hit_emission(t.scene, t.features, origin, hit, ray, active)
    near = active & light.is_valid()
    beyond = dr.norm(dr.detach(light.p) - edge.point)
    tau = dr.select(near, distance / (distance + dr.select(near, beyond, 0)), 0)
    ray_point = dr.select(
        near,
        convention.ray_point_emission(origin, light.p, tau),
        convention.ray_point_direction(origin, dr.replace_grad(edge.omega, direction), distance),
    )
    return dr.select(active, dr.detach(value), 0), ray_point


def _share_of_lights(t: Technique, edge: segment.Edge, hit: Any, ray: Any, active: Any) -> Any:
    """What shadows.py finds of the light that shines past an edge into a delta lobe."""
    si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
    return emission.share_of_lights(t.scene, edge.point, si, active)
