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
from pbdr.transport import camera, emission, hits
from pbdr.transport.features import Features


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
    sine, cosine = dr.sincos(dr.pi * (sampler.next_1d() - 0.5))
    omega = dr.normalize(cosine * lean + sine * dr.cross(si.n, lean))
    scattered = si.bsdf().eval(mi.BSDFContext(), si, si.to_local(omega), active)
    active &= dr.max(scattered) > 0
    offset = segment.OUTWARD * (1 + dr.maximum(dr.max(dr.abs(si.p)), si.t))
    light_ray = mi.Ray3f(mi.Point3f(si.p + side * offset * si.n), omega)
    light_hit = scene.ray_intersect_preliminary(light_ray, coherent=False, active=active)
    with dr.resume_grad():
        attached = hits.sliding(hit, camera_ray, active)
        direction, _, radiance, _ = emission.hit_emission(scene, features, attached.p, light_hit, light_ray, active)
        speed = dr.dot(attached.n, direction)  # Eq. (11)
    weight = side * scattered * dr.detach(radiance) * dr.detach(ray_weight) * (dr.pi * width * height / count)
    return [Contribution(position, dr.select(active, weight, 0), mi.Float(0), speed, active)]
