"""Cameras that recordings see in place of those of a scene: one for all that are of a kind, with arrays and a film of its own.

A recording takes as inputs the arrays of every object of Mitsuba that there is, and tells apart where those of its camera are among
these. So that one recording does for all cameras, one camera stands for them, and is given the values of the camera that it stands
for before each call. Films of other cameras are not written to: recordings would see that, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.attached import storage
from pbdr.parameters import traverse
from pbdr.scene import load_object
from pbdr.transport.camera import PERSPECTIVE

FILM = "film."  # entries that belong to the film
BOX = "filter = BoxFilter[]"


@dataclass
class Twin:
    """`camera` stands for cameras with this `key`: what tells kernels apart. It has the values of arrays with these `indices`; the
    arrays are kept, so that no others get these."""

    camera: Any
    params: Any
    key: tuple[Any, ...]
    indices: Any = None
    values: Any = None

    def follow(self, arrays: dict[str, Any]) -> None:
        """Give the camera copies of these values."""
        # Copies: Mitsuba hands out references to what it stores, and the index of what it stored before would be given to another.
        values = {name: type(kept := storage(value))(kept) for name, value in arrays.items()}
        indices = dr.detail.collect_indices(list(values.values()))
        if self.indices == indices:
            return
        zero = dr.opaque(mi.Float, 0)  # adding a plain one would give the same array
        copies = {
            name: mi.Float(value) + zero if dr.depth_v(values[name]) == 1 else _copied(value, zero)
            for name, value in arrays.items()
        }
        dr.eval([storage(copy) for copy in copies.values()])
        for name, copy in copies.items():
            self.params[name] = copy
        self.params.update()
        self.indices, self.values = indices, values


class Twins:
    """Twins by what tells kernels apart, made when they are first asked for."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, ...], Twin] = {}

    def of(self, sensor: Any) -> Twin | None:
        """The twin of a perspective camera with a box filter, with the values that the camera has now; None for others, and where
        the camera itself carries derivatives."""
        if sensor.class_name() != PERSPECTIVE:
            return None
        params, film = traverse(sensor), str(sensor.film())
        entries = {name: params[name] for name in params.keys() if not name.startswith(FILM)}
        arrays = {name: value for name, value in entries.items() if dr.is_jit_v(storage(value))}
        if BOX not in film or any(dr.grad_enabled(storage(value)) for value in arrays.values()):
            return None
        sampler = sensor.sampler()
        key = (
            film,
            sampler.class_name(),
            sampler.sample_count(),
            *(f"{name} {value}" for name, value in entries.items() if name not in arrays),
        )
        if key not in self.known:
            camera = _made(sensor, film, entries)
            self.known[key] = Twin(camera, traverse(camera), key)
        twin = self.known[key]
        twin.follow(arrays)
        twin.camera.film().prepare([])  # always in the same state: recordings see that, too
        return twin


def _made(sensor: Any, text: str, entries: dict[str, Any]) -> Any:
    film = sensor.film()
    size, crop, offset = (list(map(int, x)) for x in (film.size(), film.crop_size(), film.crop_offset()))
    found = re.search(r"pixel_format = (\w+)", text)
    own = {
        "type": "hdrfilm", "width": size[0], "height": size[1], "crop_width": crop[0], "crop_height": crop[1],
        "crop_offset_x": offset[0], "crop_offset_y": offset[1], "sample_border": film.sample_border(),
        "component_format": "float32", "rfilter": {"type": "box"}, "pixel_format": found.group(1) if found else "rgb",
    }  # fmt: skip
    start, shutter = float(entries["shutter_open"]), float(entries["shutter_open_time"])
    return load_object({
        "type": "perspective", "fov": 45.0, "film": own, "sampler": sensor.sampler(),
        "near_clip": float(entries["near_clip"]), "far_clip": float(entries["far_clip"]),
        "shutter_open": start, "shutter_close": start + shutter,
    })  # fmt: skip


def _copied(value: Any, zero: Any) -> Any:
    return type(value)(mi.Matrix4f([[mi.Float(value.matrix[i, j]) + zero for j in range(4)] for i in range(4)]))
