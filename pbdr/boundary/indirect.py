"""Every other segment: visibility of edges from surfaces, for light that arrives after more than one scattering.

Reflected radiance: a camera path is traced and kept; one of its vertices is x_S, an edge point x_B is drawn, and the radiance on
both sides of the edge is traced. Light: a shadow is cast as in direct.py, and a walk goes from x_S back to the camera. Either way
x_S moves as its attached chain says: its adjoint goes back to the camera through the same sweep as the interior's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import direct, segment
from pbdr.boundary.edges import EdgeTable, View
from pbdr.boundary.sampling import Discrete, systematic
from pbdr.transport import camera, convention, hits, path, sweep
from pbdr.transport.features import Features
from pbdr.transport.film import AdjointField


@dataclass
class Sample:
    """Detached samples of the indirect boundary, and the attached speeds of their sides.

    `store`, `count`: the camera path up to and including x_S; `sides(x_S)`: list of (detached weight spectrum, attached speed).
    """

    ray: Any
    position: Any
    store: path.PathStore
    count: Any
    receiver: Any
    sides: Callable[[Any], list[tuple[Any, Any]]]
    active: Any


def draw(
    scene: Any, sensor: Any, integrator: Any, features: Features, table: EdgeTable, motion: segment.Motion,
    options: path.PathOptions, sampler: Any, count: int,
) -> Sample:  # fmt: skip
    """`count` samples: a camera path, one of its vertices, an edge point, radiance on both sides."""
    width, height = camera.film_size(sensor.film())
    ray, ray_weight, position = camera.spread_rays(sensor, sampler)
    camera_ray = dr.detach(ray)
    first = hits.first_hit(integrator, scene, camera_ray)
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
    view = View(mi.Point3f(si.p), mi.Vector3f(0), mi.Bool(False))
    edge = segment.at(table.row(index), u, view, away=True)
    offset = edge.point - si.p
    distance = dr.norm(offset)
    active &= edge.counts & (probability > 0) & (distance > 0)
    scattered = si.bsdf().eval(mi.BSDFContext(), si, si.to_local(edge.omega), active)
    active &= dr.max(scattered) > 0
    target = segment.outside(edge, distance)
    sight = si.spawn_ray(dr.normalize(target - si.p))
    sight.maxt = distance * (1 - segment.CLEARANCE)
    active &= ~scene.ray_test(sight, active)
    share = ray_weight * (length * (width * height) / (probability * count))
    factor = bounce[5] * scattered * share * edge.sine * edge.length / dr.square(distance)

    # ---- both sides: the visible face, and the background or the other face
    front = segment.face_hit(scene, table, edge, edge.front, active)
    crease = active & edge.crease
    back_ray = mi.Ray3f(target + segment.OUTWARD * distance * edge.omega, edge.omega)
    back_hit = scene.ray_intersect_preliminary(back_ray, coherent=False, active=active & ~crease)
    other_hit, other_ray = segment.mesh_hit(scene, edge, mi.UInt32(1), segment.INWARD, crease)
    back = dr.select(crease, other_hit, back_hit), dr.select(crease, other_ray, back_ray)
    twin = sampler.clone()
    primal = path.PathOptions(options.max_depth, options.rr_depth)
    reflected = [
        path.trace(scene, start, hit, numbers, primal, active=active, depth=choice + 1, reflected_only=True)[0]
        for (hit, start), numbers in ((front, sampler), (back, twin))
    ]

    def sides(origin: Any) -> list[tuple[Any, Any]]:
        """Equations (5) and (6) for the radiance reflected on either side."""
        where = motion.position(edge, active)
        result = []
        for sign, (hit, start), radiance in ((1, front, reflected[0]), (-1, back, reflected[1])):
            far = hits.material(hit, start, active & hit.is_valid())
            onward, _ = convention.scattered_direction(origin, edge.omega, far, options.h, active & far.is_valid())
            speed = segment.rule(edge.normal, where, convention.ray_point_scattered(origin, onward, distance))
            result.append((segment.weigh(sign * edge.front_side, radiance, factor), speed))
        return result

    return Sample(ray, position, store, choice + 1, mi.Point3f(si.p), sides, active)


@dr.syntax
def walk(scene: Any, shadow: direct.Shadow, steps: Any, sampler: Any, store: path.PathStore) -> tuple[Any, ...]:
    """Importance walk of `steps` segments from x_S towards the camera, kept in `store` in the camera's order.

    Returns (hit and ray of the last vertex, direction from it to its successor, throughput, active).
    """
    vertices, scatters = store.vertices, store.scatters
    nothing = hits.pack(hits.no_hit())
    k = mi.UInt32(steps)
    hit, ray = mi.PreliminaryIntersection3f(shadow.receiver_hit), mi.Ray3f(shadow.receiver_ray)
    onward = mi.Vector3f(shadow.edge.omega)
    throughput = mi.Spectrum(1)
    active = mi.Bool(shadow.active)
    while dr.hint(active & (k > 0), label="pathspace: walk"):
        si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
        through = path.scatters_through(si.bsdf().flags())
        back = mi.warp.square_to_cosine_hemisphere(sampler.next_2d(active))
        pdf = mi.warp.square_to_cosine_hemisphere_pdf(back) * dr.select(through, 0.5, 1)
        flip = dr.select(through & (sampler.next_1d(active) < 0.5), -1, 1)
        back.z = dr.mulsign(back.z, si.to_local(onward).z) * flip
        si.wi = back
        backward_ray = si.spawn_ray(si.to_world(back))
        found = scene.ray_intersect_preliminary(backward_ray, coherent=False, active=active)
        value = direct.scattered_without_cosine(si, onward, active)
        throughput *= value * dr.abs_dot(si.n, backward_ray.d) * dr.select(pdf > 0, dr.rcp(pdf), 0)
        active &= found.is_valid() & (dr.max(throughput) > 0)
        # The same segment as the camera's path would have it: from the new vertex to this one.
        arriving = mi.PreliminaryIntersection3f(hit)
        start = backward_ray(found.t)
        arriving.t = dr.norm(si.p - start)
        vertices.write((hits.pack(arriving), mi.Vector3f(start), -backward_ray.d, mi.Float(0)), k, active)
        bounce = (
            onward,
            dr.select(k < steps, mi.Float(1), 0),
            mi.UInt32(0),
            mi.Float(0),
            mi.Point2f(0),
            mi.Spectrum(1),
        )
        scatters.write(((nothing, mi.Vector3f(0), mi.Float(0), mi.UInt32(0)), bounce), k, active)
        onward = -backward_ray.d
        hit, ray = found, backward_ray
        k -= 1
    return hit, ray, onward, throughput, active


def draw_shadows(
    scene: Any, sensor: Any, integrator: Any, features: Features, table: EdgeTable, motion: segment.Motion,
    options: path.PathOptions, stream: Callable[[str, int], Any], count: int,
) -> Sample | None:  # fmt: skip
    """`count` shadows that the camera sees after one or more scatterings beyond x_S; None if no edge casts any."""
    shadow = direct.cast(scene, table, stream, "indirect shadow", count)
    if shadow is None:
        return None
    edge = shadow.edge
    sampler = stream("walk", count)
    lengths = options.max_depth - 2
    steps = dr.minimum(mi.UInt32(sampler.next_1d() * lengths), lengths - 1) + 1
    store = path.PathStore(options.max_depth)
    hit, ray, onward, throughput, active = walk(scene, shadow, steps, sampler, store)
    si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
    seen = direct.connect(scene, sensor, integrator, si.p, hit.shape, active)
    active = seen.active
    si.wi = si.to_local(-seen.ray.d)
    throughput *= direct.scattered_without_cosine(si, onward, active)
    nothing = hits.pack(hits.no_hit())
    store.vertices.write((hits.pack(seen.hit), mi.Vector3f(seen.ray.o), seen.ray.d, mi.Float(0)), mi.UInt32(0), active)
    bounce = (onward, mi.Float(1), mi.UInt32(0), mi.Float(0), mi.Point2f(0), mi.Spectrum(1))
    store.scatters.write(((nothing, mi.Vector3f(0), mi.Float(0), mi.UInt32(0)), bounce), mi.UInt32(0), active)
    importance = seen.importance * dr.abs_dot(si.n, seen.ray.d) * lengths
    factor = throughput * importance * direct.shadow_measure(shadow)

    def sides(origin: Any) -> list[tuple[Any, Any]]:
        """Equations (5) and (6b): only the side that sees the light carries it."""
        ray_point, radiance = direct.light_seen(scene, features, shadow, origin, active)
        speed = segment.rule(edge.normal, motion.position(edge, active), ray_point)
        return [(segment.weigh(-edge.front_side, radiance, factor), speed)]

    receiver = mi.Point3f(shadow.receiver_ray(shadow.receiver_hit.t))
    attached_ray = camera.ray_through(sensor, seen.position)
    return Sample(attached_ray, seen.position, store, steps + 1, receiver, sides, active)


def edge_mass(table: EdgeTable) -> Any:
    """Sampling mass of every edge: its length (of round shapes, of their silhouette from far away)."""
    view = View(mi.Point3f(0), mi.Vector3f(0, 0, 1), mi.Bool(True))
    straight = dr.norm(table.b)
    return dr.select(table.kind == 0, straight, dr.norm(table.curve(view, mi.Float(0.5)).derivative))


def backward(scene: Any, features: Features, options: path.PathOptions, field: AdjointField, sample: Sample) -> Any:
    """Accumulate the gradients of scene parameters; returns the number of samples that were not finite."""
    adjoint, _ = field.read(sample.position, sample.active)
    with dr.resume_grad():
        origin = mi.Point3f(sample.receiver)
        dr.enable_grad(origin)
        objective = _objective(sample, origin, adjoint)
        dr.backward_from(objective)
        adjoint_origin = mi.Vector3f(dr.grad(origin))
    count = dr.select(sample.active, sample.count, 0)
    nothing = mi.Spectrum(0)
    _, d_origin, d_direction = sweep.sweep_backward(
        scene, features, options, sample.store, count, nothing, adjoint_origin
    )
    with dr.resume_grad():
        last = dr.select(sample.active, dr.dot(d_origin, sample.ray.o) + dr.dot(d_direction, sample.ray.d), 0)
        if dr.grad_enabled(last):
            dr.backward_from(last)
    return dr.count(sample.active & ~dr.isfinite(dr.detach(objective)))


def _objective(sample: Sample, origin: Any, adjoint: Any) -> Any:
    total = mi.Float(0)
    for weight, speed in sample.sides(origin):
        scale = dr.detach(dr.sum(adjoint * weight))
        total += dr.select(sample.active & (scale != 0), scale * speed, 0)
    return total


def forward(
    scene: Any, features: Features, options: path.PathOptions, sample: Sample
) -> list[tuple[Any, Any, Any, Any]]:
    """Derivative of the radiance at film positions: (film position, derivative, of alpha, active)."""
    with dr.resume_grad():
        ray_origin, ray_direction = mi.Vector3f(sample.ray.o), mi.Vector3f(sample.ray.d)
        d_origin, d_direction = sweep.tangents(ray_origin, ray_direction)
    count = dr.select(sample.active, sample.count, 0)
    _, d_receiver = sweep.sweep_forward(scene, features, options, sample.store, count, d_origin, d_direction)
    with dr.resume_grad():
        origin = mi.Point3f(sample.receiver)
        dr.enable_grad(origin)
        dr.set_grad(origin, mi.Point3f(d_receiver))
        weights, speeds = zip(*sample.sides(origin), strict=True)
        rates = sweep.tangents(*speeds)
    derivative = mi.Spectrum(0)
    for weight, rate in zip(weights, rates, strict=True):
        derivative += dr.select(sample.active & (dr.max(dr.abs(weight)) > 0), weight * rate, 0)
    return [(sample.position, derivative, mi.Float(0), sample.active)]
