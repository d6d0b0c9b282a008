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
from pbdr.transport.media import volume
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
    `shift`, the motion of the film position in pixels (None: it rests, or the filter is constant around it). `flown`: the first
    segment, where media are traced."""

    ray: Any
    jacobian: Any
    shift: Any
    weight: Any
    position: Any
    hit: Any
    store: path.PathStore
    count: Any
    flown: Any = None

    def reached(self) -> Any:
        """Whether the camera segment ends at a surface, or meets nothing."""
        return True if self.flown is None else ~self.flown.collided

    def shone(self) -> Any:
        """Attached light that the media of the first segment add to it."""
        return mi.Spectrum(0) if self.flown is None else volume.shone(self.flown, self.ray, True)

    def passed(self, features: Features) -> Any:
        """Attached transmittance of the first segment; None where no media are traced."""
        return None if self.flown is None else volume.transmitted(self.flown, self.ray, True, features)


def _record(
    scene: Any, sensor: Any, tracer: Tracer, options: path.PathOptions, sampler: Any, pixels: Pixels
) -> Recorded:
    """Trace and keep camera paths."""
    ray, weight, position = camera.sample_rays(sensor, sampler, pixels.index)
    detached = dr.detach(ray)
    hit, flown = path.first_segment(tracer, scene, sensor, detached, sampler, options)
    store = path.PathStore(options.max_depth, ray.wavelengths, options.warp, flown)
    jacobian, shift = mi.Float(1), None
    if options.warp is not None:
        near = options.warp.camera.find(scene, detached, position, sampler)
        with dr.resume_grad():
            ray, jacobian, shift = options.warp.camera.bend(near, ray)
        if sensor.film().rfilter().is_box_filter():
            shift = None
    _, count, _ = path.trace(scene, detached, hit, sampler, options, store, flown=flown)
    return Recorded(ray, jacobian, shift, dr.detach(weight), position, hit, store, count, flown)


def _alpha(hit: Any, passed: Any, flown: Any) -> Any:
    """Constant on surfaces and beside them: alpha changes by the motion of camera rays, and with the transmittance `passed`."""
    if flown is None:
        return dr.select(hit.is_valid(), mi.Float(1), 0)
    return dr.select(hit.is_valid() | flown.collided, 1, 1 - dr.mean(passed))


def _channels(tracer: Tracer, scene: Any, features: Features, kept: Recorded) -> list[Any]:
    """Extra channels of the film, attached: they show the surface that the camera ray meets first, interfaces included."""
    hit = kept.hit
    if kept.flown is not None and tracer.channels:
        hit = hits.first_hit(tracer, scene, dr.detach(kept.ray))
    return channels.values(tracer.channels, scene, hit, kept.ray, kept.ray, features=features)


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
        emitted = visible_emission(scene, features, hit, ray, options, kept.reached())
        passed = kept.passed(features)
        seen = [_alpha(hit, passed, kept.flown), *_channels(tracer, scene, features, kept)]
        arriving = emitted + radiance if passed is None else passed * (emitted + radiance) + kept.shone()
        objective = dr.sum(adjoint * arriving) * kept.jacobian
        for along, value in zip(others, seen, strict=False):
            objective += along / pixels.number * value * kept.jacobian
        for (slope, slopes), shift in (
            zip(field.slope(kept.position, ray.wavelengths), kept.shift, strict=True) if kept.shift is not None else ()
        ):
            objective += dr.sum(slope * scale * dr.detach(arriving)) * shift
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
        emitted = visible_emission(scene, features, hit, ray, options, kept.reached())
        passed = kept.passed(features)
        origin, direction = mi.Vector3f(ray.o), mi.Vector3f(ray.d)
        seen = [_alpha(hit, passed, kept.flown), *_channels(tracer, scene, features, kept)]
        start = kept.jacobian if passed is None else kept.jacobian * passed
        moving = [value * kept.jacobian for value in seen]
        shift = [] if kept.shift is None else [mi.Float(x) for x in kept.shift]
        d_emitted, d_origin, d_direction, d_start, *rest = sweep.tangents(
            emitted * start + kept.shone() * kept.jacobian, origin, direction, type(start)(start), *moving, *shift
        )
    d_reflected, _, _, reflected = sweep.sweep_forward(
        scene, features, options, kept.store, kept.count, d_origin, d_direction, d_start, dr.detach(start)
    )
    colour = lambda spectrum: spectra.to_rgb(spectrum * kept.weight / spp, ray.wavelengths)  # noqa: E731
    others = [value / spp for value in rest[: len(seen)]]
    parts = [(kept.position, colour(d_emitted + d_reflected), others, mi.Bool(True))]
    if shift:
        whole = colour(dr.detach(emitted) + reflected)  # nothing follows edges where media are traced
        sample = (kept.position, whole, [dr.detach(value) / spp for value in seen], mi.Bool(True))
        parts += film_map.spread(sample, rest[len(seen) :])
    return parts
