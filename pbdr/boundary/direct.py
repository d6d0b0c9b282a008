"""Segments from a surface seen by the camera to a light: shadow edges, emitter-driven, equations (5) and (8).

Views are points on lights (or directions to distant lights). For each, the silhouettes of all edges are known exactly; a sample
draws a view and an edge, and finds the receiver x_S behind the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.boundary.edges import EdgeTable, View
from pbdr.boundary.sampling import Discrete, systematic
from pbdr.boundary.terms import Contribution
from pbdr.transport import camera, convention, emission, hits
from pbdr.transport.features import Features

MAX_ENTRIES = 1 << 22  # views × edges held at once
IN_PLANE = 1e-5  # height above a light's tangent plane that counts as rounding, relative to the position
MIN_VIEWS = 256  # unless there are too many edges


@dataclass
class LightViews:
    """K points on lights or directions to them, drawn once a call; `weight` = 1 / (K · density)."""

    count: int
    emitter: Any
    view: View
    normal: Any  # of surface lights
    weight: Any
    surface: Any
    delta: Any

    def at(self, index: Any) -> LightViews:
        """The views at `index`."""
        get = lambda x: dr.gather(type(x), x, index)  # noqa: E731
        view = View(get(self.view.point), get(self.view.towards), get(self.view.distant))
        return LightViews(
            self.count, get(self.emitter), view, get(self.normal), get(self.weight), get(self.surface), get(self.delta)
        )


def draw_views(scene: Any, sampler: Any, count: int) -> LightViews:
    """`count` stratified views over all emitters of the scene."""
    emitters = scene.emitters_dr()
    number = dr.width(emitters)
    k = mi.Float(dr.arange(mi.UInt32, count))
    choice = (k + sampler.next_1d()) / count * number
    index = dr.minimum(mi.UInt32(choice), number - 1)
    emitter = dr.gather(mi.EmitterPtr, emitters, index)
    flags = emitter.flags()
    surface = mi.has_flag(flags, mi.EmitterFlags.Surface)
    delta = emission.is_delta(emitter)
    # Within an emitter, a shifted lattice stratifies the points.
    shift = sampler.next_2d()
    shift = mi.Point2f(dr.gather(mi.Float, shift.x, mi.UInt32(0)), dr.gather(mi.Float, shift.y, mi.UInt32(0)))
    lattice = mi.Point2f(k * 0.7548776662466927, k * 0.5698402909980532) + shift
    lattice -= dr.floor(lattice)
    box = scene.bbox()
    reference = dr.zeros(mi.Interaction3f, count)
    reference.p = mi.Point3f(0.5 * (box.min + box.max))
    on_surface = emitter.get_shape().sample_position(0.0, lattice, surface)
    direction, _ = emitter.sample_direction(reference, lattice, ~surface)
    distant = ~surface & mi.has_flag(flags, mi.EmitterFlags.Infinite)
    distant |= mi.has_flag(flags, mi.EmitterFlags.DeltaDirection) & ~mi.has_flag(flags, mi.EmitterFlags.DeltaPosition)
    density = dr.select(surface, on_surface.pdf, dr.select(delta, 1, direction.pdf))
    views = LightViews(
        count=count, emitter=emitter,
        view=View(dr.select(surface, on_surface.p, direction.p), mi.Vector3f(direction.d), distant),
        normal=mi.Normal3f(on_surface.n), weight=dr.select(density > 0, number / (density * count), 0),
        surface=surface, delta=delta,
    )  # fmt: skip
    dr.eval(views)
    return views


def view_count(edges: int, samples: int, emitters: int) -> int:
    """Number of views: their list of pairs with all edges may take about the time of the samples, and bounded memory.

    With few views a camera that sees little of the receivers gets samples from a handful of them only.
    """
    views = min(max(MIN_VIEWS, 4 * samples // edges), MAX_ENTRIES // edges)
    return max(1, min(emitters, MIN_VIEWS), views)


def light_factor(lights: LightViews, edge: segment.Edge) -> Any:
    """Measure of a light point at an edge point: cosθ_y/|y−x_B|² for surfaces, 1 for distant and delta lights.

    Zero for edges in the tangent plane of the light point (a flat light's own border): there cosθ_y is rounding.
    """
    offset = lights.view.point - edge.point
    distance2 = dr.squared_norm(offset)
    height = dr.abs_dot(lights.normal, offset)
    cosine = height * dr.rsqrt(dr.maximum(distance2, 1e-20))
    cosine = dr.select(height > IN_PLANE * (1 + dr.max(dr.abs(edge.point))), cosine, 0)
    return dr.select(lights.surface, cosine / dr.maximum(distance2, 1e-20), 1)


def shadow_mass(scene: Any, table: EdgeTable, lights: LightViews) -> Any:
    """Sampling mass of all (view, edge) pairs, view-major: zero exactly where the edge is no silhouette.

    The floor keeps edges that only their middle hides; a flat light's own border never counts.
    """
    entry = dr.arange(mi.UInt32, lights.count * table.count)
    k = entry // table.count
    row = table.row(entry - k * table.count)
    chosen = lights.at(k)
    edge = segment.at(row, mi.Float(0.5), chosen.view, away=False)
    distance2 = dr.squared_norm(chosen.view.point - edge.point)
    near = dr.select(chosen.delta & ~chosen.view.distant, dr.rcp(dr.maximum(distance2, 1e-20)), 1)
    mass = edge.length * (edge.sine + 0.05) * light_factor(chosen, edge) * near * chosen.weight
    floor = 0.01 * edge.length * dr.select(chosen.view.distant, 1, dr.rcp(dr.maximum(distance2, 1e-20))) * chosen.weight
    own = chosen.surface & (dr.gather(mi.ShapePtr, scene.shapes_dr(), row.shape) == chosen.emitter.get_shape())
    return dr.select(edge.silhouette & ((mass > 0) | ~own), dr.maximum(mass, floor), 0)


def sample(
    scene: Any, sensor: Any, integrator: Any, features: Features, table: EdgeTable, motion: segment.Motion,
    stream: Callable[[str, int], Any], count: int,
) -> list[Contribution]:  # fmt: skip
    """`count` samples of the direct boundary; `stream` makes samplers by name and number of lanes."""
    views = view_count(table.count, count, len(scene.emitters()))
    lights = draw_views(scene, stream("views", views), views)
    distribution = Discrete(shadow_mass(scene, table, lights))
    if not distribution.total > 0:
        return []
    entry, probability, u = distribution.sample(systematic(stream("direct", count), count))
    k = entry // table.count
    chosen = lights.at(k)
    edge = segment.at(table.row(entry - k * table.count), u, chosen.view, away=False)
    return [shadow(scene, sensor, integrator, features, motion, chosen, edge, probability * count)]


def shadow(
    scene: Any, sensor: Any, integrator: Any, features: Features, motion: segment.Motion, lights: LightViews,
    edge: segment.Edge, density: Any,
) -> Contribution:  # fmt: skip
    """Contribution of edge points and light points, drawn with `density` samples a pair."""
    view, emitter = lights.view, lights.emitter
    active = edge.silhouette & (density > 0)
    to_light = dr.select(view.distant, dr.inf, dr.norm(view.point - edge.point))
    start = segment.outside(edge, dr.select(view.distant, 0, to_light))

    # ---- the light beyond the edge
    light_ray = mi.Ray3f(start, edge.omega)
    light_hit = scene.ray_intersect_preliminary(light_ray, coherent=False, active=active)
    reached = ~light_hit.is_valid() | (light_hit.t >= to_light * (1 - mi.math.ShadowEpsilon))
    same = light_hit.is_valid() & (light_hit.shape.emitter() == emitter)
    active &= reached & (~lights.surface | same)

    # ---- the receiver x_S on this side of the edge
    receiver = scene.ray_intersect(mi.Ray3f(start, -edge.omega), active)
    active &= receiver.is_valid()
    depth = dr.norm(edge.point - receiver.p)

    # ---- seen by the camera
    pinhole = camera.PinholeView.of(sensor)
    position, cosine, in_front = pinhole.project(receiver.p)
    active &= in_front
    sight = receiver.p - pinhole.origin
    distance2 = dr.squared_norm(sight)
    distance = dr.sqrt(distance2)
    camera_ray = mi.Ray3f(pinhole.origin, sight / distance)
    seen = hits.first_hit(integrator, scene, camera_ray, active)
    tolerance = mi.math.ShadowEpsilon * distance
    active &= seen.is_valid() & (dr.abs(seen.t - distance) < tolerance) & (seen.shape == receiver.shape)

    with dr.resume_grad():
        # ---- x_S as the interior moves it, and the light as it moves
        attached = hits.sliding(seen, camera.ray_through(sensor, position), active)
        _, _, surface_value, light_si = emission.hit_emission(
            scene, features, attached.p, light_hit, light_ray, active & ~lights.delta
        )
        delta_si = dr.zeros(mi.SurfaceInteraction3f, dr.width(edge.u))
        delta_si.p = edge.point
        delta_direction, delta_value, delta_point = emission.delta_emission(emitter, delta_si, active & lights.delta)
        light_point = dr.select(lights.delta, delta_point, light_si.p)
        tau = dr.select(view.distant, 0, depth / (depth + to_light))
        fixed = emission.distant_direction(scene, features, edge.omega)
        towards = dr.select(lights.delta, delta_direction, fixed)
        distant_point = convention.ray_point_direction(attached.p, dr.replace_grad(edge.omega, towards), depth)
        near_point = convention.ray_point_emission(attached.p, light_point, tau)
        ray_point = dr.select(view.distant, distant_point, near_point)
        speed = segment.rule(edge.normal, motion.position(edge, active), ray_point)

    # ---- f_s without the cosine of the geometric normal, film importance, measure of the light
    local = dr.detach(attached)
    local.wi = local.to_local(-camera_ray.d)
    scattered = local.bsdf().eval(mi.BSDFContext(), local, local.to_local(edge.omega), active)
    receiving = dr.abs_dot(local.n, edge.omega)
    importance = pinhole.film_jacobian(cosine) * dr.abs_dot(local.n, camera_ray.d) / distance2
    radiance = dr.select(lights.delta, dr.detach(delta_value), dr.detach(surface_value))
    factor = dr.select(receiving > 0, importance * scattered * edge.sine * edge.length / (receiving * density), 0)
    factor *= light_factor(lights, edge) * lights.weight  # Eq. (8)
    weight = segment.weigh(-edge.front_side, radiance, factor)
    return Contribution(position, dr.select(active, weight, 0), mi.Float(0), speed, active)
