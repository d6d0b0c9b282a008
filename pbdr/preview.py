"""A small picture of a scene, without touching its film: what `Scene` shows in a notebook."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr import seeds

WIDTH, SPP = 120, 32


def preview(scene: Any, sensor: Any, integrator: Any, width: int = WIDTH, spp: int = SPP) -> NDArray[np.float32]:
    """Image (H, W, 3) of a `mitsuba.Scene` in linear radiance, with the proportions of the sensor's film.

    RuntimeError or TypeError from Mitsuba where a sensor has no rays of its own, as `batch` has none.
    """
    across, down = (int(n) for n in sensor.film().crop_size())
    height = max(1, round(width * down / across))
    count = width * height * spp
    sampler = seeds.sampler(count, 0, "preview")
    index = dr.arange(mi.UInt32, count) // spp
    corner = mi.Point2f(mi.Float(index % width), mi.Float(index // width))
    place = (corner + sampler.next_2d()) / mi.ScalarPoint2f(width, height)
    ray, weight = sensor.sample_ray_differential(0.0, sampler.next_1d(), place, sampler.next_2d())
    light, _, _ = integrator.sample(scene, sampler, ray)
    color = weight * light
    pixels = [dr.block_sum(channel, spp) / spp for channel in (color.x, color.y, color.z)]
    return np.stack([np.array(p, dtype=np.float32).reshape(height, width) for p in pixels], axis=-1)
