"""Geometric horizons of smooth-shaded faces: light that grazes the plane of the face it illuminates (docs/theory.md, section 7a).

Interpolated normals let light from below a face's plane count, cosθ > 0, but the face itself shadows it. That jump, along the
great circle n·ω = 0 of the geometric normal, is a boundary segment of length zero that no edge of the mesh accounts for; it
moves when the face turns or the light moves past it. Flat shading has no such jump, since cosθ vanishes there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import sides
from pbdr.boundary.connect import vertex
from pbdr.boundary.context import Context
from pbdr.boundary.sample import Sample, Side
from pbdr.boundary.term import Term
from pbdr.geometry import rounding, surfaces
from pbdr.transport import camera, convention, emission, hits, spectra
from pbdr.transport.features import Features


def sample_angle(scene: Any, si: Any, lean: Any, sampler: Any, active: Any) -> tuple[Any, Any]:
    """Angle on the horizon, counted from `lean`, and its density: half uniform, half around a sampled point of a light.

    The density is conditional on that point: positive everywhere for each of them, so that its choice needs no integration. A
    point that stands high above the horizon says little about where its light meets it: the kernel widens with its elevation.
    """
    ds, _ = scene.sample_emitter_direction(si, sampler.next_2d(active), False, active)
    middle = dr.atan2(dr.dot(ds.d, dr.cross(si.n, lean)), dr.dot(ds.d, lean))
    width = dr.abs(dr.dot(ds.d, si.n)) + 0.01
    near = middle + width * dr.tan(dr.pi * (sampler.next_1d(active) - 0.5))
    uniform = dr.pi * (sampler.next_1d(active) - 0.5)
    angle = dr.select(sampler.next_1d(active) < 0.5, uniform, near)
    kernel = width / (dr.pi * (dr.square(width) + dr.square(angle - middle)))
    return angle, 0.5 * kernel + dr.select(dr.abs(angle) < 0.5 * dr.pi, 0.5 / dr.pi, 0)


@dataclass
class Grazing:
    """A direction on the horizon of the face at a shading point; `density` of its angle; f_s cosθ_s; all detached."""

    omega: Any
    density: Any
    scattered: Any
    active: Any

    @staticmethod
    def of(scene: Any, si: Any, sampler: Any, active: Any) -> Grazing:
        """Draw one in the half of the great circle of n that the shading normal still sees."""
        bend = si.sh_frame.n - si.n * dr.dot(si.n, si.sh_frame.n)
        active = active & (dr.squared_norm(bend) > 1e-10)
        lean = dr.normalize(dr.select(active, bend, mi.Vector3f(1, 0, 0)))
        angle, density = sample_angle(scene, si, lean, sampler, active)
        active &= dr.abs(angle) < 0.5 * dr.pi
        sine, cosine = dr.sincos(angle)
        omega = dr.normalize(cosine * lean + sine * dr.cross(si.n, lean))
        scattered = si.bsdf().eval(mi.BSDFContext(), si, si.to_local(omega), active)
        return Grazing(omega, density, scattered, active & (dr.max(scattered) > 0))

    def towards(self, scene: Any, si: Any, side: int, wavelengths: Any) -> tuple[Any, Any]:
        """What light comes from there, +1 above the face or −1 below: (hit, ray)."""
        offset = rounding.offset(si)
        ray = spectra.carry(mi.Ray3f(mi.Point3f(si.p + side * offset * si.n), self.omega), wavelengths)
        return scene.ray_intersect_preliminary(ray, coherent=False, active=self.active), ray


class Terminators(Term):
    """Light of emitters that grazes the faces that the camera sees."""

    part, divisor = "direct", 2

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where meshes interpolate normals, and edges move."""
        return features.smooth and features.moving_edges and max_depth > 1

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """From above the face and from below, with the same random numbers."""
        for side in (1, -1):
            yield sample(context, context.stream("terminator", count), count, side)


def sample(context: Context, sampler: Any, count: int, side: int) -> Sample:
    """`count` camera samples, each with one direction on the horizon of the face it sees, emission from one side of it.

    `side`: +1 above the face, −1 below.
    """
    scene, sensor, features = context.scene, context.sensor, context.features
    width, height = camera.film_size(sensor.film())
    ray, ray_weight, position = camera.spread_rays(sensor, sampler)
    camera_ray = mi.Ray3f(dr.detach(ray))
    hit = hits.first_hit(context.tracer, scene, camera_ray, bundled=True)
    si = hit.compute_surface_interaction(camera_ray, mi.RayFlags.All)
    si.wi = si.to_local(-camera_ray.d)
    grazing = Grazing.of(scene, si, sampler, si.is_valid())
    active = grazing.active
    light_hit, light_ray = grazing.towards(scene, si, side, camera_ray.wavelengths)
    with dr.resume_grad():
        attached = surfaces.sliding(features, hit, ray, active)
        direction, _, radiance, _ = emission.hit_emission(scene, features, attached.p, light_hit, light_ray, active)
        speed = dr.dot(attached.n, direction)  # Eq. (11)
    measure = dr.detach(ray_weight) * (width * height / (count * grazing.density))
    weight = side * grazing.scattered * dr.detach(radiance) * measure
    return Sample.on_film(position, Side(dr.select(active, weight, 0), speed), active, camera_ray.wavelengths)


class TerminatorsOnPaths(Term):
    """The same for vertices of camera paths: reflected light, and beyond the first vertex emission, too."""

    part, divisor = "indirect", 6

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where meshes interpolate normals."""
        return features.smooth and max_depth > 2

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """One direction for each vertex."""
        yield on_paths(context, context.stream("terminators on paths", count), count)


def on_paths(context: Context, sampler: Any, count: int) -> Sample:
    """`count` vertices of camera paths, each with one direction on the horizon of its face."""
    t = context
    scene = t.scene
    from_here = vertex.draw(t, sampler)
    si = from_here.si
    grazing = Grazing.of(scene, si, sampler, from_here.active)
    active = grazing.active
    factor = from_here.factor * grazing.scattered / (count * grazing.density)
    starts = [grazing.towards(scene, si, side, from_here.wavelengths) for side in (1, -1)]
    reflected = sides.radiance(scene, starts, sampler, t.options, active, from_here.count, True)
    shining = active & (from_here.count > 1)

    def carried(origin: Any, direction: Any) -> list[Side]:
        """Equation (11): the face turns, and the direction moves as the convention says for this light."""
        normal = surfaces.material(t.features, from_here.hit, from_here.arriving, active).n
        result = []
        for side, (hit, ray), radiance in zip((1, -1), starts, reflected, strict=True):
            far = surfaces.material(t.features, hit, ray, active & hit.is_valid())
            onward, _ = convention.scattered_direction(origin, grazing.omega, far, t.options.h, active & far.is_valid())
            result.append(Side(side * factor * radiance, dr.dot(normal, onward)))  # Eq. (11)
            towards, _, light, _ = emission.hit_emission(scene, t.features, origin, hit, ray, shining)
            light = dr.select(shining, dr.detach(light), 0)
            result.append(Side(side * factor * light, dr.dot(normal, towards)))  # Eq. (11)
        return result

    return from_here.sample(grazing.omega, carried, active)
