"""The first integral of equation (2): derivatives of the integrand along the attached chain of rays.

Paths are traced without derivatives and their vertices kept in local memory; a second recorded loop sweeps over them,
from the last vertex to the first in reverse mode (equation 4), from the first to the last in forward mode.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.transport import camera, hits, path
from pbdr.transport.features import Features
from pbdr.transport.film import AdjointField


@dr.syntax
def sweep_backward(
    scene: Any, features: Features, options: path.PathOptions, store: Any, count: Any, adjoint: Any
) -> tuple[Any, Any, Any]:
    """From the last stored vertex to the first: accumulate gradients of scene parameters.

    Returns (radiance leaving the first hit, adjoints of the camera ray's origin and direction).
    """
    vertices, scatters = store.vertices, store.scatters
    k = mi.UInt32(count)
    suffix = mi.Spectrum(0)
    adjoint_origin, adjoint_direction = mi.Vector3f(0), mi.Vector3f(0)
    while dr.hint(k > 0, label="pathspace: backward sweep"):
        k -= 1
        vertex, following, record = vertices.read(k), vertices.read(k + 1), scatters.read(k)
        with dr.resume_grad():
            origin, direction = mi.Vector3f(vertex[1]), mi.Vector3f(vertex[2])
            if dr.hint(features.moving, mode="scalar"):
                dr.enable_grad(origin, direction)
            ray = mi.Ray3f(mi.Point3f(origin), direction)
            local, weight, next_origin, next_direction, throughput = path.scatter(
                scene, features, options, ray, vertex, following, record, mi.Bool(True)
            )
            reflected = local + weight * suffix
            objective = dr.sum(adjoint * throughput * reflected)
            if dr.hint(features.moving, mode="scalar"):
                objective += dr.dot(adjoint_origin, next_origin) + dr.dot(adjoint_direction, next_direction)  # Eq. (4)
            if dr.hint(dr.grad_enabled(objective), mode="scalar"):
                dr.backward_from(objective)
            if dr.hint(features.moving, mode="scalar"):
                adjoint_origin = mi.Vector3f(dr.grad(origin))
                adjoint_direction = mi.Vector3f(dr.grad(direction))
        suffix = dr.detach(reflected)
    return suffix, adjoint_origin, adjoint_direction


@dr.syntax
def sweep_forward(
    scene: Any, features: Features, options: path.PathOptions, store: Any, count: Any, d_origin: Any, d_direction: Any
) -> Any:
    """From the first stored vertex to the last: the derivative of the radiance leaving the first hit."""
    vertices, scatters = store.vertices, store.scatters
    k = mi.UInt32(0)
    d_radiance, d_throughput = mi.Spectrum(0), mi.Spectrum(0)
    d_origin, d_direction = mi.Vector3f(d_origin), mi.Vector3f(d_direction)
    while dr.hint(k < count, label="pathspace: forward sweep"):
        vertex, following, record = vertices.read(k), vertices.read(k + 1), scatters.read(k)
        with dr.resume_grad():
            origin, direction = mi.Vector3f(vertex[1]), mi.Vector3f(vertex[2])
            if dr.hint(features.moving, mode="scalar"):
                dr.enable_grad(origin, direction)
                dr.set_grad(origin, d_origin)
                dr.set_grad(direction, d_direction)
            ray = mi.Ray3f(mi.Point3f(origin), direction)
            local, weight, next_origin, next_direction, throughput = path.scatter(
                scene, features, options, ray, vertex, following, record, mi.Bool(True)
            )
            next_origin, next_direction = mi.Vector3f(next_origin), mi.Vector3f(next_direction)
            d_local, d_weight, d_origin, d_direction = tangents(local, weight, next_origin, next_direction)
        local, weight = dr.detach(local), dr.detach(weight)
        d_radiance += d_throughput * local + throughput * d_local
        d_throughput = d_throughput * weight + throughput * d_weight
        k += 1
    return d_radiance


def tangents(*outputs: Any) -> list[Any]:
    """Forward-mode derivatives of `outputs`; zero for those that depend on nothing attached."""
    attached = [x for x in outputs if dr.grad_enabled(x)]
    if attached:
        # Keep the tangents of the scene parameters: other terms read them too.
        dr.forward_to(*attached, flags=dr.ADFlag.ClearEdges)
    return [dr.grad(x) if dr.grad_enabled(x) else dr.zeros(type(x), 1) for x in outputs]


def visible_emission(scene: Any, hit: Any, ray: Any, options: path.PathOptions, active: Any) -> Any:
    """Emission met by the camera segment itself, attached: it slides along the camera ray like everything else there."""
    si = hits.sliding(hit, ray, active)
    si.wi = dr.select(si.is_valid(), si.to_local(-ray.d), -ray.d)
    shown = active & (si.is_valid() | (not options.hide_emitters))
    return dr.select(shown, si.emitter(scene, shown).eval(si, shown), 0)


def _record(
    scene: Any, sensor: Any, integrator: Any, options: path.PathOptions, sampler: Any, spp: int
) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Trace and keep camera paths: (attached ray, its weight, film position, first hit, store, number of scatterings)."""
    ray, weight, position = camera.sample_rays(sensor, sampler, spp)
    detached = dr.detach(ray)
    hit = hits.first_hit(integrator, scene, detached)
    store = path.PathStore(options.max_depth)
    _, count, _ = path.trace(scene, detached, hit, sampler, options, store)
    return ray, dr.detach(weight), position, hit, store, count


def backward(
    scene: Any, sensor: Any, integrator: Any, features: Features, options: path.PathOptions, field: AdjointField,
    sampler: Any, spp: int, total_spp: int,
) -> Any:  # fmt: skip
    """Accumulate the interior gradient of the scene parameters for the adjoint image behind `field`.

    Returns the number of paths whose contribution was not finite. (Dr.Jit's scatter-add drops NaN: it must be counted here.)
    """
    ray, weight, position, hit, store, count = _record(scene, sensor, integrator, options, sampler, spp)
    adjoint = field.read(position)[0] * weight / total_spp
    radiance, d_origin, d_direction = sweep_backward(scene, features, options, store, count, adjoint)
    with dr.resume_grad():
        emitted = visible_emission(scene, hit, ray, options, True)
        objective = dr.sum(adjoint * emitted)
        objective += dr.dot(d_origin, ray.o) + dr.dot(d_direction, ray.d)  # Eq. (4)
        if dr.grad_enabled(objective):
            dr.backward_from(objective)
    return dr.count(~dr.isfinite(dr.sum(radiance) + dr.detach(objective)))


def forward(
    scene: Any, sensor: Any, integrator: Any, features: Features, options: path.PathOptions,
    sampler: Any, spp: int, total_spp: int,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """Interior derivative of the radiance of every sample: (film position, derivative / spp, of alpha, active)."""
    ray, weight, position, hit, store, count = _record(scene, sensor, integrator, options, sampler, spp)
    with dr.resume_grad():
        emitted = visible_emission(scene, hit, ray, options, True)
        origin, direction = mi.Vector3f(ray.o), mi.Vector3f(ray.d)
        d_emitted, d_origin, d_direction = tangents(emitted, origin, direction)
    d_radiance = d_emitted + sweep_forward(scene, features, options, store, count, d_origin, d_direction)
    return position, d_radiance * weight / total_spp, mi.Float(0), mi.Bool(True)
