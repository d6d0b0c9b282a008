"""Reflected radiance that jumps at edges as seen from surfaces: from camera paths to edges, and from edges outwards.

Towards an edge close to x_S, `from_camera` has infinite variance, since x_S is not chosen for the edge: dA(x_S) dℓ/r² there.
`from_edges` chooses x_S by direction, and finds far edges by a walk to the camera, which is noisy. Their shares of a pair
(x_S, x_B) add up to one (docs/theory.md, section 11).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import indirect, segment, walk
from pbdr.boundary.edges import SEGMENT, EdgeTable, View
from pbdr.boundary.sampling import Discrete, favour_moving, systematic
from pbdr.transport import camera, convention, emission, groups, hits, path
from pbdr.transport.features import Features

SILHOUETTES = 0.5  # share of directions drawn from those that make a mesh edge a silhouette


@dataclass
class Technique:
    """What both techniques need."""

    scene: Any
    sensor: Any
    integrator: Any
    features: Features
    table: EdgeTable
    motion: segment.Motion
    options: path.PathOptions


def outward_share(row: EdgeTable, cosine: Any, distance: Any, reach: Any) -> Any:
    """Share of `from_edges` in a pair: near 1 where `distance` is below `reach` and x_S faces the edge (`cosine`).

    Silhouettes of round shapes depend on x_S: they belong to `from_camera` alone.
    """
    q = reach * reach * dr.abs(cosine)
    return dr.select(row.fixed, q / (q + dr.square(distance)), 0)


def from_camera(technique: Technique, sampler: Any, count: int) -> indirect.Sample:
    """`count` samples: a camera path, one of its vertices, an edge point by length, radiance on both sides."""
    t = technique
    scene, table, options = t.scene, t.table, t.options
    width, height = camera.film_size(t.sensor.film())
    ray, ray_weight, position = camera.spread_rays(t.sensor, sampler)
    camera_ray = dr.detach(ray)
    first = hits.first_hit(t.integrator, scene, camera_ray)
    store = path.PathStore(options.max_depth)
    _, length, _ = path.trace(scene, camera_ray, first, sampler, options, store)

    # ---- x_S: a vertex of the path, all with the same probability; the last one only sees lights
    choice = mi.UInt32(sampler.next_1d() * length)
    choice = dr.minimum(choice, dr.maximum(length, 1) - 1)
    active = length > 0
    vertex, (_, bounce) = store.vertices.read(choice, active), store.scatters.read(choice, active)
    arriving = mi.Ray3f(mi.Point3f(vertex[1]), vertex[2])
    si = hits.unpack(vertex[0]).compute_surface_interaction(arriving, mi.RayFlags.All, active)
    si.wi = si.to_local(-arriving.d)
    active &= si.is_valid()

    # ---- x_B: any edge, by length
    distribution = Discrete(edge_mass(table))
    index, probability, u = distribution.sample(systematic(sampler, count))
    # Systematic samples run along the edges as the lanes run: the camera paths do not, so that the two stay independent.
    edge = segment.at(table.row(index), u, View(mi.Point3f(si.p), mi.Vector3f(0), mi.Bool(False)), away=True)
    distance = dr.norm(edge.point - si.p)
    active &= edge.counts & (probability > 0) & (distance > 0)
    scattered = si.bsdf().eval(mi.BSDFContext(), si, si.to_local(edge.omega), active)
    active &= dr.max(scattered) > 0
    target = segment.outside(edge, distance)
    sight = si.spawn_ray_to(
        target
    )  # from the offset origin: a parallel ray would miss the edge or hit the face behind it
    sight.maxt = dr.norm(target - sight.o) * (1 - segment.CLEARANCE)
    active &= ~scene.ray_test(sight, active)
    share = 1 - outward_share(edge.row, dr.dot(si.n, edge.omega), distance, options.h)
    behind = mirrored(store, choice, active)
    share = dr.select(behind, 1, share)
    factor = bounce[5] * scattered * (edge.sine * edge.length / dr.square(distance))
    factor *= ray_weight * (share * length * (width * height) / (probability * count))
    sides = _sides(t, edge, target, distance, factor, sampler, choice + 1, active, behind)
    return indirect.Sample(ray, position, store, choice + 1, mi.Point3f(si.p), edge.omega, sides, active)


@dr.syntax
def mirrored(store: path.PathStore, vertex: Any, active: Any) -> Any:
    """Whether a delta lobe lies between the camera and this vertex of a stored path: no walk from x_S could go through it."""
    scatters = store.scatters
    k = mi.UInt32(0)
    found = mi.Bool(False) & active
    while dr.hint(active & (k < vertex), label="pathspace: delta prefix"):
        _, bounce = scatters.read(k)
        found |= bounce[2] == 1
        k += 1
    return found


def from_edges(technique: Technique, sampler: Any, count: int) -> indirect.Sample:
    """`count` samples: an edge point by length, x_S in a direction from there, a walk to the camera."""
    t = technique
    scene, table, options = t.scene, t.table, t.options
    distribution = Discrete(dr.select(table.fixed, edge_mass(table), 0))
    index, probability, u = distribution.sample(systematic(sampler, count))
    row = table.row(index)
    omega, density = direction(row, u, sampler)
    edge = segment.at(row, u, View(mi.Point3f(0), -omega, mi.Bool(True)), away=True)
    active = edge.counts & (probability > 0) & (density > 0)
    start = mi.Point3f(segment.outside(edge, 0) + segment.lift(edge))
    receiver_ray = mi.Ray3f(start, -edge.omega)
    receiver_hit = scene.ray_intersect_preliminary(receiver_ray, coherent=False, active=active)
    active &= receiver_hit.is_valid()
    distance = receiver_hit.t
    lengths = options.max_depth - 2
    steps = dr.minimum(mi.UInt32(sampler.next_1d() * lengths), lengths - 1)
    walked = walk.to_camera(
        scene, t.sensor, t.integrator, receiver_hit, receiver_ray, edge.omega, steps, sampler, options.max_depth, active
    )
    active = mi.Bool(walked.active)
    receiver = receiver_hit.compute_surface_interaction(receiver_ray, mi.RayFlags.Minimal, active)
    share = outward_share(edge.row, dr.dot(receiver.n, edge.omega), distance, options.h)
    factor = walked.throughput * (share * lengths * edge.sine * edge.length / (probability * density * count))
    sides = _sides(
        t, edge, segment.outside(edge, distance), distance, factor, sampler, walked.count, active, mi.Bool(False)
    )
    seen = walked.connection
    attached_ray = camera.ray_through(t.sensor, seen.position, seen.aperture)
    return indirect.Sample(
        attached_ray, seen.position, walked.store, walked.count, mi.Point3f(receiver.p), edge.omega, sides, active
    )


def direction(row: EdgeTable, u: Any, sampler: Any) -> tuple[Any, Any]:
    """Direction of the segment past an edge point, and its density in solid angle.

    A mixture of all directions and, for mesh edges, of those that see both faces on the same side.
    """
    curve = row.curve(View(mi.Point3f(0), mi.Vector3f(0, 0, 1), mi.Bool(True)), u)
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
    t: Technique, edge: segment.Edge, target: Any, distance: Any, factor: Any, sampler: Any, depth: Any, active: Any, behind: Any,
) -> Any:  # fmt: skip
    """The visible face, and the background or the other face: the radiance they reflect, and how their rays move.

    Where x_S is seen `behind` delta lobes, no walk from lights can find it: what the sides emit counts too.
    """
    onwards = lambda ray, lanes: t.scene.ray_intersect_preliminary(ray, coherent=False, active=lanes)  # noqa: E731
    front, back = segment.both_sides(t.scene, t.table, edge, target, distance, onwards, active)
    twin = sampler.clone()
    primal = path.PathOptions(t.options.max_depth, t.options.rr_depth)
    reflected = [
        path.trace(t.scene, start, hit, numbers, primal, active=active, depth=depth, reflected_only=True)[0]
        for (hit, start), numbers in ((front, sampler), (back, twin))
    ]

    def sides(origin: Any, _: Any) -> list[tuple[Any, Any]]:
        """Equations (5) and (6) for the radiance reflected on either side."""
        where = t.motion.position(edge, active)
        result = []
        for sign, (hit, start), radiance in ((1, front, reflected[0]), (-1, back, reflected[1])):
            far = groups.material(t.features, hit, start, active & hit.is_valid())
            onward, _ = convention.scattered_direction(origin, edge.omega, far, t.options.h, active & far.is_valid())
            speed = segment.rule(edge.normal, where, convention.ray_point_scattered(origin, onward, distance))
            result.append((segment.weigh(sign * edge.front_side, radiance, factor), speed))
            if t.features.delta_bsdfs:
                result.append(_emitted(t, edge, sign, hit, start, where, origin, distance, factor, active & behind))
        return result

    return sides


def _emitted(
    t: Technique, edge: segment.Edge, sign: int, hit: Any, ray: Any, where: Any, origin: Any, distance: Any, factor: Any,
    active: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Equations (5), (6b) and (6c) for the emission met on one side."""
    direction, _, value, light = emission.hit_emission(t.scene, t.features, origin, hit, ray, active)
    near = active & light.is_valid()
    beyond = dr.norm(dr.detach(light.p) - edge.point)
    tau = dr.select(near, distance / (distance + dr.select(near, beyond, 0)), 0)
    ray_point = dr.select(
        near,
        convention.ray_point_emission(origin, light.p, tau),
        convention.ray_point_direction(origin, dr.replace_grad(edge.omega, direction), distance),
    )
    radiance = dr.select(active, dr.detach(value), 0)
    return segment.weigh(sign * edge.front_side, radiance, factor), segment.rule(edge.normal, where, ray_point)


def edge_mass(table: EdgeTable) -> Any:
    """Sampling mass of every edge: its length (of round shapes, of their silhouette from far away), more if it moves."""
    view = View(mi.Point3f(0), mi.Vector3f(0, 0, 1), mi.Bool(True))
    known = (table.kind == SEGMENT) | table.strand
    length = dr.select(known, table.size, dr.norm(table.curve(view, mi.Float(0.5)).derivative))
    return favour_moving(length, table.moving)
