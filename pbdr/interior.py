"""The first integral of equation (2): derivatives of the integrand along the attached chain of rays.

Paths are traced without derivatives and their vertices kept in local memory; a second recorded loop sweeps over them,
from the last vertex to the first in reverse mode (equation 4), from the first to the last in forward mode.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.transport import camera, channels, groups, hits, path, sweep
from pbdr.transport.features import Features
from pbdr.transport.film import AdjointField


def visible_emission(
    scene: Any, features: Features, hit: Any, ray: Any, options: path.PathOptions, active: Any
) -> Any:  # fmt: skip
    """Emission met by the camera segment itself, attached: it slides along the camera ray like everything else there."""
    si = groups.sliding(features, hit, ray, active)
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
    adjoint, others = field.read(position)
    adjoint *= weight / total_spp
    radiance, d_origin, d_direction = sweep.sweep_backward(scene, features, options, store, count, adjoint)
    with dr.resume_grad():
        emitted = visible_emission(scene, features, hit, ray, options, True)
        objective = dr.sum(adjoint * emitted)
        seen = channels.values(integrator.channels, scene, hit, ray, ray)
        for along, value in zip(others[1:], seen, strict=False):  # alpha has no interior part
            objective += along / total_spp * value
        objective += dr.dot(d_origin, ray.o) + dr.dot(d_direction, ray.d)  # Eq. (4)
        if dr.grad_enabled(objective):
            dr.backward_from(objective)
    return dr.count(~dr.isfinite(dr.sum(radiance) + dr.detach(objective)))


def forward(
    scene: Any, sensor: Any, integrator: Any, features: Features, options: path.PathOptions,
    sampler: Any, spp: int, total_spp: int,
) -> tuple[Any, Any, list[Any], Any]:  # fmt: skip
    """Interior derivatives of every sample: (film position, of the radiance / spp, of the other channels / spp, active)."""
    ray, weight, position, hit, store, count = _record(scene, sensor, integrator, options, sampler, spp)
    with dr.resume_grad():
        emitted = visible_emission(scene, features, hit, ray, options, True)
        origin, direction = mi.Vector3f(ray.o), mi.Vector3f(ray.d)
        seen = channels.values(integrator.channels, scene, hit, ray, ray)
        d_emitted, d_origin, d_direction, *d_seen = sweep.tangents(emitted, origin, direction, *seen)
    d_reflected, _, _ = sweep.sweep_forward(scene, features, options, store, count, d_origin, d_direction)
    others = [mi.Float(0), *[value / total_spp for value in d_seen]]  # alpha has no interior part
    return position, (d_emitted + d_reflected) * weight / total_spp, others, mi.Bool(True)
