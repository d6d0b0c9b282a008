"""Sections: where the near or the far plane of the camera cuts a surface open (docs/theory.md, section 7g).

Straight lines in the plane find them by the rays that all shapes know how to meet, so that it does not matter what is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.boundary.context import Context
from pbdr.boundary.edges import primary
from pbdr.boundary.sample import Sample
from pbdr.boundary.term import Term
from pbdr.geometry import surfaces
from pbdr.transport import camera, clipping, hits
from pbdr.transport.eye import Eye
from pbdr.transport.features import Features

MOST = 64  # crossings that are counted along a line; more are left out
ASIDE = 1e-5  # of position and depth: how far points of a section are moved into what is seen, and rays start behind a surface


@dataclass
class Crossing:
    """One of the points in which a line in the plane meets surfaces; `number` of them, from which it was chosen by chance."""

    hit: Any
    point: Any
    number: Any


@dr.syntax
def _cross(scene: Any, ray: Any, sampler: Any) -> tuple[Any, Any, Any]:
    """One of the crossings of each ray, uniformly: (hit, its distance along the ray, number of crossings)."""
    chosen = hits.no_hit()
    chosen = dr.select(ray.maxt > 0, chosen, chosen)
    distance, travelled = dr.zeros(mi.Float, dr.width(ray.o)), dr.zeros(mi.Float, dr.width(ray.o))
    number = dr.zeros(mi.UInt32, dr.width(ray.o))
    active = ray.maxt > 0
    while dr.hint(active, max_iterations=MOST, label="pathspace: sections"):
        rest = mi.Ray3f(ray)
        rest.o = dr.fma(ray.d, travelled, ray.o)
        rest.maxt = ray.maxt - travelled
        hit = scene.ray_intersect_preliminary(rest, coherent=False, active=active)
        active &= hit.is_valid()
        number += dr.select(active, mi.UInt32(1), 0)
        at = travelled + hit.t
        taken = active & (sampler.next_1d(active) * mi.Float(number) < 1)
        chosen = dr.select(taken, hit, chosen)
        distance = dr.select(taken, at, distance)
        travelled = dr.select(active, at + ASIDE * (at + dr.max(dr.abs(ray.o))), travelled)
        active &= (travelled < ray.maxt) & (number < MOST)
    return chosen, distance, number


def _lines(scene: Any, eye: Eye, film: Any, depth: float, sampler: Any, count: int) -> tuple[Crossing, Any]:
    """Crossings of `count` lines that are uniform over those through the window, and the length of a section that each stands for,
    in the sensor's frame: a curve of length l has 2 l / (π · 2 R) crossings on average, R the radius of the window."""
    window = clipping.Window.of(eye, film, depth)
    angle = dr.pi * (mi.Float(dr.arange(mi.UInt32, count)) + sampler.next_1d()) / count
    offset = window.radius * (2 * sampler.next_1d() - 1)
    sine, cosine = dr.sincos(angle)
    half = dr.safe_sqrt(window.radius * window.radius - offset * offset)
    start = mi.Point3f(window.x - sine * offset - cosine * half, window.y + cosine * offset - sine * half, depth)
    along = mi.Vector3f(eye.to_world @ mi.Vector3f(cosine, sine, 0))
    stretch = dr.norm(along)
    ray = mi.Ray3f(mi.Point3f(eye.to_world @ start), along / stretch)
    ray.maxt = 2 * half * stretch
    hit, distance, number = _cross(scene, ray, sampler)
    return Crossing(hit, ray(distance), number), dr.pi * window.radius / count  # Eq. (18)


class Sections(Term):
    """Curves in which the near and the far plane of the camera cut surfaces."""

    part, divisor = "primary", 2

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where a plane cuts what is seen to move."""
        return bool(features.clipped) and primary.on_film(features)

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """As many for each plane."""
        for plane in sorted(context.features.clipped):
            yield sample(context, context.stream(f"{plane} plane", count), count, plane)


def sample(context: Context, sampler: Any, count: int, plane: str) -> Sample:
    """`count` lines in a plane (clipping.NEAR or FAR), and what the camera sees on either side of the sections that they cross."""
    scene, sensor, tracer, features = context.scene, context.sensor, context.tracer, context.features
    film = sensor.film()
    centre = Eye.of(sensor)
    depth, near = clipping.depth_of(centre, plane), plane == clipping.NEAR
    crossing, length = _lines(scene, centre, film, depth, sampler, count)
    eye = Eye.of(sensor, camera.aperture_sample(sensor, sampler))
    active = crossing.number > 0
    point = mi.Point3f(crossing.point)
    axis = eye.forward
    omega = dr.normalize(eye.towards(point))

    # ---- the section: its tangent, and into what is seen of the surface
    hit = mi.PreliminaryIntersection3f(crossing.hit)
    hit.t = mi.Float(1)
    hit.valid = mi.Bool(active)
    front = mi.Ray3f(mi.Point3f(point - omega), omega)
    si = hit.compute_surface_interaction(front, mi.RayFlags.Minimal, active)
    surface = mi.Vector3f(si.n)
    tangent = dr.cross(axis, surface)
    active &= dr.squared_norm(tangent) > 1e-10
    tangent = dr.normalize(dr.select(active, tangent, mi.Vector3f(1, 0, 0)))
    normal, sine = segment.across(omega, tangent)
    active &= sine > 1e-6
    into = (axis - surface * dr.dot(surface, axis)) * (1 if near else -1)
    side = dr.sign(dr.dot(normal, into))

    # ---- either side
    reach = ASIDE * dr.maximum(depth, dr.max(dr.abs(point)))
    seen = mi.Point3f(point + (reach if near else -reach) * omega)
    sight = eye.sight(seen)
    active &= sight.inside
    if near:
        beyond = mi.Point3f(point + surface * dr.mulsign(reach, dr.dot(surface, omega)))
        back_ray = mi.Ray3f(beyond, omega)
        back = primary.first_behind(scene, tracer, sight.reach)(back_ray, active)
    else:
        active &= primary.visible(
            scene, tracer, sight.start, seen, sight.distance, primary.clear_of(seen, sight.distance), active
        )
        back_ray = mi.Ray3f(seen, omega)
        back = dr.select(active, hits.no_hit(), hits.no_hit())
    active &= ~(tracer.hide_emitters & (hit.shape.emitter() != None))  # noqa: E711 (Dr.Jit comparison)
    scale = dr.norm(mi.Vector3f(eye.to_local @ tangent))  # an orthographic frame may have other units than the world
    weight = mi.Float(crossing.number) * length / scale

    def position() -> Any:
        """The attached point in which the moving surface meets the moving plane."""
        ray = mi.Ray3f(front.o, front.d)
        material = surfaces.material(features, hit, ray, active).p
        local = dr.detach(eye.to_local @ point)
        held, _ = camera.at_once(mi.Point3f(sensor.world_transform() @ local), mi.Vector3f(0), point)
        moved = segment.meeting(point, tangent, surface, dr.normalize(axis), material, held)
        return dr.replace_grad(point, moved)

    found = primary.Seen(
        seen, omega, normal, sine, weight, side, (hit, front), (back, back_ray), position, active
    )  # fmt: skip
    return primary.contribution(context, eye, sampler, found)
