"""Reflected radiance that jumps at edges as seen from surfaces: from camera paths to edges, and from edges outwards.

Towards an edge close to x_S, `from_camera` has infinite variance, since x_S is not chosen for the edge: dA(x_S) dℓ/r² there.
`from_edges` chooses x_S by direction, and finds far edges by a walk to the camera, which is noisy. Their shares of a pair
(x_S, x_B) add up to one. What x_S sees in mirrors and through glass is found by `from_edges` alone, and x_S that the camera itself
sees so by `from_camera` alone (docs/theory.md, section 7c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import indirect, segment, specular, vertex, walk
from pbdr.boundary.edges import EdgeTable, View
from pbdr.boundary.sampling import edge_mass, favour, systematic
from pbdr.discrete import Discrete
from pbdr.transport import camera, convention, emission, groups, path, spectra
from pbdr.transport.features import Features

LIGHTS = 0.3  # share of samples that borders of lights get, where mirrors and glass may show them
CANDIDATES = 16  # edge points that one is chosen from, where lights are seen past them by way of mirrors and glass
COPLANAR = 1e-6  # of distance and position: height over the plane of a face, up to rounding
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
def choose(table: EdgeTable, distribution: Discrete, eye: Eye, sampler: Any, u: Any, count: Any) -> Choice:
    """One of `count` edge points drawn by length, the first one at `u`, in proportion to `Eye.promise` (Talbot et al. 2005)."""
    total, best = mi.Float(0), mi.Float(0)
    index, place = mi.UInt32(0), mi.Float(0)
    u = mi.Float(u)
    k = mi.UInt32(0)
    while dr.hint(k < count, label="pathspace: edge points", exclude=[table, distribution, eye]):
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
    return Choice(index, place, dr.select(best > 0, total / (count * best), 0))


@dataclass
class Eye:
    """x_S and what tells edge points that matter to it from others; all detached.

    `light`: direction of a point of a light; `near`: whether edges near there are the ones that matter; `behind`: whether no walk
    from the edge can find x_S; `reach`: of `outward_share`.
    """

    point: Any
    normal: Any
    light: Any
    near: Any
    behind: Any
    reach: Any

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
        return Eye(mi.Point3f(si.p), mi.Vector3f(si.n), towards, near, behind, t.options.h)

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
        facing = 0.02 + dr.abs(dr.dot(self.normal, edge.omega))
        return dr.select(edge.counts, self.measure(edge) * self.share(edge) * lit * facing, 0)


def from_camera(technique: Technique, sampler: Any, count: int) -> indirect.Sample:
    """`count` samples: a camera path, one of its vertices, an edge point, radiance on both sides."""
    t = technique
    scene, table = t.scene, t.table
    from_here = vertex.draw(scene, t.sensor, t.integrator, t.options, sampler)
    si, active = from_here.si, from_here.active
    behind = active & from_here.after_delta  # no walk from x_S could go through that vertex
    eye = Eye.of(t, from_here, sampler.next_2d(active), behind)

    # ---- x_B: systematic samples run along the edges as the lanes run; the camera paths do not, so that the two stay independent.
    # A lamp shines past few edges; a sky and what reflects past all, for which nothing beats the strata.
    candidates = dr.select(eye.near, mi.UInt32(CANDIDATES), 1)
    chosen = choose(table, Discrete.of(edge_mass(table)), eye, sampler, systematic(sampler, count), candidates)
    edge = segment.at(table.row(chosen.index), chosen.u, eye.view(), away=True)
    distance = dr.norm(edge.point - si.p)
    active &= edge.counts & (chosen.weight > 0) & (distance > 0)
    # Edges in the plane of the face that x_S lies on are a part of its geometric horizon: terminator.py.
    height = dr.abs(dr.dot(si.n, edge.point - si.p))
    active &= height > COPLANAR * (distance + dr.max(dr.abs(edge.point)))
    scattered = from_here.scattered(edge.omega, active)
    active &= dr.max(scattered) > 0
    target = segment.outside(edge, distance)
    active &= from_here.sees(scene, target, active)
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
    distribution = Discrete.of(mass)
    index, probability, u = distribution.sample(systematic(sampler, count))
    row = table.row(index)
    omega, density = direction(row, u, sampler)
    edge = segment.at(row, u, View.along(omega), away=True)
    active = edge.counts & (probability > 0) & (density > 0)
    start = mi.Point3f(segment.outside(edge, 0) + segment.lift(edge))
    wavelengths, spectral_weight = spectra.sample(t.sensor, sampler)
    receiver_ray = spectra.carry(mi.Ray3f(start, -edge.omega), wavelengths)
    receiver_hit = scene.ray_intersect_preliminary(receiver_ray, coherent=False, active=active)
    active &= receiver_hit.is_valid()
    scale = 1 + dr.max(dr.abs(edge.point))
    active &= ~segment.touches(scene, edge, receiver_hit, receiver_ray, scale, active)
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
    factor = walked.throughput * (share * edge.sine * edge.length / (probability * density * count))
    factor *= spectral_weight
    target, chained = segment.outside(edge, distance), walked.chained
    sides = _sides(t, edge, target, distance, factor, sampler, walked.count, active, chained, chained, wavelengths)
    seen = walked.connection
    attached_ray = camera.ray_through(t.sensor, seen.position, seen.aperture, wavelengths)
    return indirect.Sample(
        attached_ray, seen.position, walked.store, walked.count, mi.Point3f(receiver.p), edge.omega, sides, active
    )


def direction(row: EdgeTable, u: Any, sampler: Any) -> tuple[Any, Any]:
    """Direction of the segment past an edge point, and its density in solid angle.

    A mixture of all directions and, for mesh edges, of those that see both faces on the same side.
    """
    curve = row.curve(View.along(mi.Vector3f(0, 0, -1)), u)
    tangent = dr.normalize(curve.derivative)
    x = dr.normalize(curve.into0)
    y = dr.cross(tangent, x)
    wedge = dr.atan2(dr.dot(curve.into1, y), dr.dot(curve.into1, x))
    free = dr.pi - dr.abs(wedge)
    possible = curve.two_sided & (free > 1e-4)
    share = dr.select(possible, mi.Float(SILHOUETTES), 0)
    s, (a, b) = sampler.next_1d(), sampler.next_2d()
    silhouette = s < share
    # A line through the edge misses the wedge of both faces at angles from |wedge| to π, on the wedge's side; either way along it.
    along = dr.mulsign(dr.abs(wedge) + free * a, wedge) + dr.select(s < 0.5 * share, dr.pi, 0)
    angle = dr.select(silhouette, along, dr.two_pi * a)
    turn = dr.mulsign(angle, wedge)
    turn = turn - dr.pi * dr.floor(turn / dr.pi)
    free = dr.select(possible, free, 1)
    density = dr.select(turn >= dr.abs(wedge), share / (2 * free), 0) + (1 - share) / dr.two_pi
    z = 1 - 2 * b
    r = dr.safe_sqrt(1 - z * z)
    sine, cosine = dr.sincos(angle)
    return z * tangent + r * (cosine * x + sine * y), 0.5 * density


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
    active &= edge.counts
    factor = factor * edge.share
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
