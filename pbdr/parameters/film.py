"""Changing a sensor's film size for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pbdr.parameters.names import traverse


@contextmanager
def resized_film(sensor: Any, size: tuple[int, int]) -> Iterator[None]:
    """Give the film of `sensor` the `size` (width, height) inside the block; its crop window is scaled with it."""
    film = sensor.film()
    before, window, offset = (list(x) for x in (film.size(), film.crop_size(), film.crop_offset()))
    if list(size) == before:
        yield
        return
    sx, sy = size[0] / before[0], size[1] / before[1]
    crop = [max(1, round(window[0] * sx)), max(1, round(window[1] * sy))]
    start = [min(round(offset[0] * sx), size[0] - crop[0]), min(round(offset[1] * sy), size[1] - crop[1])]
    _set(sensor, list(size), crop, start)
    try:
        yield
    finally:
        _set(sensor, before, window, offset)


def _set(sensor: Any, size: list[int], crop: list[int], offset: list[int]) -> None:
    params = traverse(sensor)
    params["film.size"] = size
    params["film.crop_size"] = crop
    params["film.crop_offset"] = offset
    params.update()
