"""The primal image on the device: equation (1) for one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr import seeds
from pbdr.transport import camera, channels, hits, path, pixels, spectra
from pbdr.transport.film import FilmMap
from pbdr.transport.pixels import Pixels
from pbdr.transport.tracer import Tracer


@dataclass
class ImagePass:
    """What stays the same from call to call: `spp` samples a pixel, in so many `parts` one after the other."""

    tracer: Tracer
    options: path.PathOptions
    spp: int
    parts: int

    def image(self, scene: Any, sensor: Any, seed: Any) -> Any:
        """The image (H, W, C)."""
        film = sensor.film()
        film.prepare(self.tracer.aov_names())
        block = film.create_block()
        block.set_coalesce(block.coalesce() and self.spp // self.parts >= 4)
        for part in range(self.parts):
            own = seed if part == 0 else seeds.stream(seed, "part", part)
            self._trace(scene, sensor, block, own)
            if self.parts > 1:
                dr.eval(block.tensor())
        film.put_block(block)  # Eq. (1)
        return film.develop()

    def _trace(self, scene: Any, sensor: Any, block: Any, seed: Any) -> None:
        sampler, n = pixels.sampler(sensor, seed, self.spp // self.parts, "primal", own=True)
        film = sensor.film()
        ray, weight, position = camera.sample_rays(sensor, sampler, Pixels.alike(film, n).index)
        hit, flown = path.first_segment(self.tracer, scene, sensor, ray, sampler, self.options)
        radiance, _, valid = path.trace(scene, ray, hit, sampler, self.options, flown=flown)
        if flown is not None and self.tracer.channels:
            hit = hits.first_hit(self.tracer, scene, ray)
        beside = 0 if flown is None else 1 - dr.mean(flown.weight)
        others = [
            dr.select(valid, mi.Float(1), beside), *channels.values(self.tracer.channels, scene, hit, ray, ray)
        ]  # fmt: skip
        colour = spectra.to_rgb(radiance * weight, ray.wavelengths)
        FilmMap.put(film, block, position, colour, others, mi.Float(1))
