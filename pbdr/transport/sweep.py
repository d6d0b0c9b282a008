"""Sweeps over the stored vertices of paths: derivatives along the attached chain of rays, in both modes.

What does not change in a loop is kept out of its state: else Dr.Jit traces the body a second time, to find that out.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.transport import path, spectra
from pbdr.transport.features import Features
from pbdr.transport.vertices import scatter


@dr.syntax
def sweep_backward(
    scene: Any,
    features: Features,
    options: path.PathOptions,
    store: Any,
    count: Any,
    adjoint: Any,
    adjoint_origin: Any = 0,
    adjoint_direction: Any = 0,
) -> tuple[Any, Any, Any]:
    """From the last stored vertex to the first: accumulate gradients of scene parameters.

    `adjoint_origin`, `adjoint_direction`: adjoints of the last vertex and of the segment that leaves it.
    Returns (radiance leaving the first hit, adjoints of the camera ray's origin and direction).
    """
    vertices, scatters, wavelengths = store.vertices, store.scatters, store.wavelengths
    k = mi.UInt32(count)
    suffix = mi.Spectrum(0)
    adjoint_origin, adjoint_direction = mi.Vector3f(adjoint_origin), mi.Vector3f(adjoint_direction)
    if dr.hint(options.max_depth <= 1, mode="scalar"):  # nothing scatters
        return suffix, adjoint_origin, adjoint_direction
    # What does not change is no loop state: else Dr.Jit traces the body once more to find that out.
    while dr.hint(
        k > 0,
        label="pathspace: backward sweep",
        exclude=[scene, features, options, vertices, scatters, wavelengths, adjoint],
    ):
        k -= 1
        vertex, following, record = vertices.read(k), vertices.read(k + 1), scatters.read(k)
        with dr.resume_grad():
            origin, direction = mi.Vector3f(vertex[1]), mi.Vector3f(vertex[2])
            if dr.hint(features.moving, mode="scalar"):
                dr.enable_grad(origin, direction)
            ray = spectra.carry(mi.Ray3f(mi.Point3f(origin), direction), wavelengths)
            local, weight, next_origin, next_direction, throughput = scatter(
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
    scene: Any, features: Features, options: path.PathOptions, store: Any, count: Any, d_origin: Any, d_direction: Any,
    d_start: Any = 0, start: Any = 1,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """From the first stored vertex to the last: derivatives of the radiance leaving the first hit, the last vertex, and
    the direction of the segment that leaves it; and that radiance. `start`, `d_start`: the throughput before it, its derivative."""
    vertices, scatters, wavelengths = store.vertices, store.scatters, store.wavelengths
    k = mi.UInt32(0)
    radiance, d_radiance, d_throughput = mi.Spectrum(0), mi.Spectrum(0), mi.Spectrum(d_start)
    d_origin, d_direction = mi.Vector3f(d_origin), mi.Vector3f(d_direction)
    if dr.hint(options.max_depth <= 1, mode="scalar"):
        return d_radiance, d_origin, d_direction, radiance
    while dr.hint(
        k < count,
        label="pathspace: forward sweep",
        exclude=[scene, features, options, vertices, scatters, wavelengths, count],
    ):
        vertex, following, record = vertices.read(k), vertices.read(k + 1), scatters.read(k)
        with dr.resume_grad():
            origin, direction = mi.Vector3f(vertex[1]), mi.Vector3f(vertex[2])
            if dr.hint(features.moving, mode="scalar"):
                dr.enable_grad(origin, direction)
                dr.set_grad(origin, d_origin)
                dr.set_grad(direction, d_direction)
            ray = spectra.carry(mi.Ray3f(mi.Point3f(origin), direction), wavelengths)
            local, weight, next_origin, next_direction, throughput = scatter(
                scene, features, options, ray, vertex, following, record, mi.Bool(True)
            )
            next_origin, next_direction = mi.Vector3f(next_origin), mi.Vector3f(next_direction)
            d_local, d_weight, d_origin, d_direction = tangents(local, weight, next_origin, next_direction)
        local, weight = dr.detach(local), dr.detach(weight)
        radiance += throughput * local
        d_radiance += d_throughput * local + throughput * d_local
        d_throughput = d_throughput * weight + throughput * d_weight
        k += 1
    return d_radiance, d_origin, d_direction, radiance


def tangents(*outputs: Any) -> list[Any]:
    """Forward-mode derivatives of `outputs`; zero for those that depend on nothing attached."""
    attached = [x for x in outputs if dr.grad_enabled(x)]
    if attached:
        # Keep the tangents of the scene parameters: other terms read them too.
        dr.forward_to(*attached, flags=dr.ADFlag.ClearEdges)
    return [dr.grad(x) if dr.grad_enabled(x) else dr.zeros(type(x), 1) for x in outputs]
