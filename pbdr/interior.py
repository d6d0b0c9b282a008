"""The first integral of equation (2): derivatives of the integrand along the attached chain of rays.

Paths are traced without derivatives and their vertices kept in local memory; a second recorded loop sweeps over them,
from the last vertex to the first in reverse mode (equation 4), from the first to the last in forward mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import surfaces
from pbdr.transport import camera, channels, hits, path, spectra, sweep
from pbdr.transport.features import Features
from pbdr.transport.film import AdjointField, FilmMap
from pbdr.transport.pixels import Pixels
from pbdr.transport.tracer import Tracer


def visible_emission(
    scene: Any, features: Features, hit: Any, ray: Any, options: path.PathOptions, active: Any
) -> Any:  # fmt: skip
    """Emission met by the camera segment itself, attached: it slides along the camera ray like everything else there."""
    si = surfaces.sliding(features, hit, ray, active)
    si.wi = dr.select(si.is_valid(), si.to_local(-ray.d), -ray.d)
    shown = active & (si.is_valid() | (not options.hide_emitters))
    return dr.select(shown, si.emitter(scene, shown).eval(si, shown), 0)


@dataclass
class Recorded:
    """Camera paths, kept. `ray` is attached; so are, where it leaves its film position to follow edges, `jacobian` (value 1) and
    `shift`, the motion of the film position in pixels (None: it rests, or the filter is constant around it)."""

    ray: Any
    jacobian: Any
    shift: Any
    weight: Any
    position: Any
    hit: Any
    store: path.PathStore
    count: Any


def _record(
    scene: Any, sensor: Any, tracer: Tracer, options: path.PathOptions, sampler: Any, pixels: Pixels
) -> Recorded:
    """Trace and keep camera paths."""
    ray, weight, position = camera.sample_rays(sensor, sampler, pixels.index)
    detached = dr.detach(ray)
    hit = hits.first_hit(tracer, scene, detached, bundled=True)
    store = path.PathStore(options.max_depth, ray.wavelengths, options.warp)
    jacobian, shift = mi.Float(1), None
    if options.warp is not None:
        near = options.warp.camera.find(scene, detached, position, sampler)
        with dr.resume_grad():
            ray, jacobian, shift = options.warp.camera.bend(near, ray)
        if sensor.film().rfilter().is_box_filter():
            shift = None
    _, count, _ = path.trace(scene, detached, hit, sampler, options, store)
    return Recorded(ray, jacobian, shift, dr.detach(weight), position, hit, store, count)


def _alpha(hit: Any) -> Any:
    """Constant on surfaces and beside them: alpha changes by the motion of camera rays alone."""
    return dr.select(hit.is_valid(), mi.Float(1), 0)


def backward(
    scene: Any, sensor: Any, tracer: Tracer, features: Features, options: path.PathOptions, field: AdjointField,
    sampler: Any, pixels: Pixels,
) -> Any:  # fmt: skip
    """Accumulate the interior gradient of the scene parameters for the adjoint image behind `field`.

    Returns the number of paths whose contribution was not finite. (Dr.Jit's scatter-add drops NaN: it must be counted here.)
    """
    kept = _record(scene, sensor, tracer, options, sampler, pixels)
    ray, hit, scale = kept.ray, kept.hit, kept.weight / pixels.number
    adjoint, others = field.read(kept.position, True, ray.wavelengths)
    adjoint *= scale
    radiance, d_origin, d_direction = sweep.sweep_backward(scene, features, options, kept.store, kept.count, adjoint)
    with dr.resume_grad():
        emitted = visible_emission(scene, features, hit, ray, options, True)
        seen = [_alpha(hit), *channels.values(tracer.channels, scene, hit, ray, ray, features=features)]
        objective = dr.sum(adjoint * (emitted + radiance)) * kept.jacobian
        for along, value in zip(others, seen, strict=False):
            objective += along / pixels.number * value * kept.jacobian
        for (slope, slopes), shift in (
            zip(field.slope(kept.position, ray.wavelengths), kept.shift, strict=True) if kept.shift is not None else ()
        ):
            objective += dr.sum(slope * scale * dr.detach(emitted + radiance)) * shift
            for along, value in zip(slopes, seen, strict=False):
                objective += along / pixels.number * dr.detach(value) * shift
        objective += dr.dot(d_origin, ray.o) + dr.dot(d_direction, ray.d)  # Eq. (4)
        wrong = ~dr.isfinite(dr.sum(radiance) + dr.detach(objective))
        dr.schedule(wrong)  # with what the backward pass evaluates first, else all of it would be computed once more
        if dr.grad_enabled(objective):
            dr.backward_from(objective)
    return dr.count(wrong)


def forward(
    scene: Any, sensor: Any, tracer: Tracer, features: Features, options: path.PathOptions, film_map: FilmMap,
    sampler: Any, pixels: Pixels,
) -> list[tuple[Any, Any, list[Any], Any]]:  # fmt: skip
    """Interior derivatives of every sample: (film position, of the colour / spp, of the other channels / spp, active)."""
    kept = _record(scene, sensor, tracer, options, sampler, pixels)
    ray, hit, spp = kept.ray, kept.hit, pixels.number
    with dr.resume_grad():
        emitted = visible_emission(scene, features, hit, ray, options, True)
        origin, direction = mi.Vector3f(ray.o), mi.Vector3f(ray.d)
        seen = [_alpha(hit), *channels.values(tracer.channels, scene, hit, ray, ray, features=features)]
        moving = [value * kept.jacobian for value in seen]
        shift = [] if kept.shift is None else [mi.Float(x) for x in kept.shift]
        d_emitted, d_origin, d_direction, d_start, *rest = sweep.tangents(
            emitted * kept.jacobian, origin, direction, mi.Float(kept.jacobian), *moving, *shift
        )
    d_reflected, _, _, reflected = sweep.sweep_forward(
        scene, features, options, kept.store, kept.count, d_origin, d_direction, d_start
    )
    colour = lambda spectrum: spectra.to_rgb(spectrum * kept.weight / spp, ray.wavelengths)  # noqa: E731
    others = [value / spp for value in rest[: len(seen)]]
    parts = [(kept.position, colour(d_emitted + d_reflected), others, mi.Bool(True))]
    if shift:
        whole = colour(dr.detach(emitted) + reflected)
        sample = (kept.position, whole, [dr.detach(value) / spp for value in seen], mi.Bool(True))
        parts += film_map.spread(sample, rest[len(seen) :])
    return parts
