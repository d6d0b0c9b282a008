"""Geometric horizons of smooth-shaded faces: light that grazes the plane of the face it illuminates (docs/theory.md, section 7a).

Interpolated normals let light from below a face's plane count, cosθ > 0, but the face itself shadows it. That jump, along the
great circle n·ω = 0 of the geometric normal, is a boundary segment of length zero that no edge of the mesh accounts for; it
moves when the face turns or the light moves past it. Flat shading has no such jump, since cosθ vanishes there.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment, topology
from pbdr.boundary.terms import Contribution
from pbdr.transport import camera, emission, groups, hits, spectra
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


def sample(
    scene: Any, sensor: Any, integrator: Any, features: Features, sampler: Any, count: int, side: int
) -> list[Contribution]:
    """`count` camera samples, each with one direction on the horizon of the face it sees, light from one side of it.

    `side`: +1 above the face, −1 below. Empty without smooth meshes.
    """
    if not any(topology.interpolates_normals(shape) for shape in scene.shapes()):
        return []
    width, height = camera.film_size(sensor.film())
    ray, ray_weight, position = camera.spread_rays(sensor, sampler)
    camera_ray = mi.Ray3f(dr.detach(ray))
    hit = hits.first_hit(integrator, scene, camera_ray)
    si = hit.compute_surface_interaction(camera_ray, mi.RayFlags.All)
    si.wi = si.to_local(-camera_ray.d)
    # Directions on the great circle of n, in the half where the shading normal still sees them.
    bend = si.sh_frame.n - si.n * dr.dot(si.n, si.sh_frame.n)
    active = si.is_valid() & (dr.squared_norm(bend) > 1e-10)
    lean = dr.normalize(dr.select(active, bend, mi.Vector3f(1, 0, 0)))
    angle, density = sample_angle(scene, si, lean, sampler, active)
    active &= dr.abs(angle) < 0.5 * dr.pi
    sine, cosine = dr.sincos(angle)
    omega = dr.normalize(cosine * lean + sine * dr.cross(si.n, lean))
    scattered = si.bsdf().eval(mi.BSDFContext(), si, si.to_local(omega), active)
    active &= dr.max(scattered) > 0
    offset = segment.OUTWARD * (1 + dr.maximum(dr.max(dr.abs(si.p)), si.t))
    light_ray = spectra.carry(mi.Ray3f(mi.Point3f(si.p + side * offset * si.n), omega), camera_ray.wavelengths)
    light_hit = scene.ray_intersect_preliminary(light_ray, coherent=False, active=active)
    with dr.resume_grad():
        attached = groups.sliding(features, hit, ray, active)
        direction, _, radiance, _ = emission.hit_emission(scene, features, attached.p, light_hit, light_ray, active)
        speed = dr.dot(attached.n, direction)  # Eq. (11)
    weight = side * scattered * dr.detach(radiance) * dr.detach(ray_weight) * (width * height / (count * density))
    return [Contribution(position, dr.select(active, weight, 0), [], speed, active, camera_ray.wavelengths)]
