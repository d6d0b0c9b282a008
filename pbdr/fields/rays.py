"""The rays of all views and what was seen along them: one ray for every pixel, on the device, from which steps draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.aligned import aligned

#: What an opaque pixel has: its plane "silhouette" is the image's alpha.
ALPHA = "silhouette"


@dataclass(frozen=True)
class Rays:
    """Rays with unit directions, the radiance that was seen along them, and how much of it counts.

    clear   what of a pixel the object does not cover, 1 − alpha; None where images have no alpha
    weight  of a pixel in the loss
    """

    origin: Any
    direction: Any
    target: Any
    clear: Any
    weight: Any

    @property
    def count(self) -> int:
        """Number of pixels."""
        return dr.width(self.weight)

    def drawn(self, index: Any) -> Rays:
        """The rays with these numbers."""
        of = lambda x: None if x is None else dr.gather(type(x), x, index)  # noqa: E731
        return Rays(of(self.origin), of(self.direction), of(self.target), of(self.clear), of(self.weight))


def through_pixels(sensor: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(3, H · W) origins and unit directions of the rays through the centres of the pixels of a sensor, row by row."""
    width, height = (int(n) for n in sensor.film().crop_size())
    index = dr.arange(mi.UInt32, width * height)
    at = mi.Point2f((mi.Float(index % width) + 0.5) / width, (mi.Float(index // width) + 0.5) / height)
    ray, _ = sensor.sample_ray(0.0, 0.5, at, mi.Point2f(0.5))
    found = [np.array(mi.Vector3f(x), dtype=np.float32).reshape(3, -1) for x in (ray.o, ray.d)]
    return np.broadcast_to(found[0], (3, width * height)), np.broadcast_to(found[1], (3, width * height))


def of_views(views: Sequence[Any], sensors: Sequence[Any]) -> Rays:
    """The rays of `inverse.View`s. Pixels that a mask takes out are left out; grey images have three equal channels."""
    parts: list[list[NDArray[Any]]] = []
    with_alpha = all(ALPHA in view.planes for view in views)
    for view, sensor in zip(views, sensors, strict=True):
        origin, direction = through_pixels(sensor)
        target = np.asarray(view.target, np.float32)
        target = np.broadcast_to(target, (*target.shape[:2], 3)).reshape(-1, 3).T
        mask = np.ones(target.shape[1]) if view.mask is None else np.asarray(view.mask).reshape(-1)
        clear = 1 - np.asarray(view.planes[ALPHA]).reshape(-1) if with_alpha else np.zeros(target.shape[1])
        rows = [*origin, *direction, *target, clear, mask * view.weight]
        parts.append([np.asarray(row, np.float32)[mask > 0] for row in rows])
    columns = [aligned(np.concatenate(column), np.float32) for column in zip(*parts, strict=True)]
    origin, direction, target = mi.Point3f(*columns[:3]), mi.Vector3f(*columns[3:6]), mi.Color3f(*columns[6:9])
    return Rays(origin, direction, target, mi.Float(columns[9]) if with_alpha else None, mi.Float(columns[10]))
