"""Importance walks: from a surface point x_S back to the camera, kept in the camera's order for the sweeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import direct
from pbdr.transport import hits, path


@dataclass
class Walk:
    """A camera path that ends at x_S, all detached.

    `throughput`: importance of x_S without the cosine at x_S towards the segment beyond it, per unit area there; the path
    is kept in `store`, `count` scatterings long.
    """

    connection: direct.Connection
    store: path.PathStore
    count: Any
    throughput: Any
    active: Any


def to_camera(
    scene: Any, sensor: Any, integrator: Any, hit: Any, ray: Any, omega: Any, steps: Any, sampler: Any, max_depth: int,
    active: Any,
) -> Walk:  # fmt: skip
    """Walk from x_S (`hit` of `ray`), which a segment leaves in direction `omega`, by `steps` scatterings and a connection.

    At the wavelengths that `ray` carries.
    """
    store = path.PathStore(max_depth, ray.wavelengths)
    hit, ray, onward, throughput, active = _walk(scene, hit, ray, omega, steps, sampler, store, active)
    si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
    seen = direct.connect(scene, sensor, integrator, si.p, hit.shape, active)
    active = seen.active
    si.wi = si.to_local(-seen.ray.d)
    throughput *= direct.scattered_without_cosine(si, onward, active)
    _keep(store, mi.UInt32(0), seen.hit, seen.ray.o, seen.ray.d, onward, mi.Float(1), active)
    importance = seen.importance * dr.abs_dot(si.n, seen.ray.d)
    return Walk(seen, store, steps + 1, throughput * importance, active)


@dr.syntax
def _walk(
    scene: Any, hit: Any, ray: Any, omega: Any, steps: Any, sampler: Any, store: path.PathStore, active: Any
) -> tuple[Any, ...]:
    """Returns (hit and ray of the vertex next to the camera, direction from it to its successor, throughput, active)."""
    k = mi.UInt32(steps)
    hit, ray = mi.PreliminaryIntersection3f(hit), mi.Ray3f(ray)
    onward = mi.Vector3f(omega)
    throughput = mi.Spectrum(1)
    active = mi.Bool(active)
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
        _keep(store, k, arriving, start, -backward_ray.d, onward, dr.select(k < steps, mi.Float(1), 0), active)
        onward = -backward_ray.d
        hit, ray = found, backward_ray
        k -= 1
    return hit, ray, onward, throughput, active


def _keep(
    store: path.PathStore, k: Any, hit: Any, origin: Any, direction: Any, onward: Any, inverse: Any, active: Any
) -> None:
    """Vertex `k`, reached from `origin` along `direction`, scattering `onward`, as the sweeps read it: motion alone counts."""
    nothing = hits.pack(hits.no_hit())
    store.vertices.write((hits.pack(hit), mi.Vector3f(origin), direction, mi.Float(0)), k, active)
    bounce = (onward, inverse, mi.UInt32(0), mi.Float(0), mi.Point2f(0), mi.Spectrum(1))
    store.scatters.write(((nothing, mi.Vector3f(0), mi.Float(0), mi.UInt32(0)), bounce), k, active)
