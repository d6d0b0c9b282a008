"""A case of the matrix: a scene, a parameter, a direction in which it moves, and the tests that look at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from validation import finite_differences as fd
from validation.scenes import sensors, small

Array = fd.Array
Tangent = Callable[[Any, str], Array]
FEATURES = (
    "flat-shaded mesh", "smooth-shaded mesh", "rectangle", "disk", "sphere", "cylinder", "instances", "meshes through each other",
    "meshes that are no surface", "receiver", "point light", "spot light", "directional light", "area light", "environment",
    "projector",
    "perspective camera", "orthographic camera", "thin-lens camera", "opencv camera", "fisheye camera", "other sensors",
    "film: crop", "film: filter and border", "channels", "opacity", "materials", "mirror", "glass", "indirect light",
    "grids", "media", "other shapes",
)  # fmt: skip
KINDS = ("material", "light", "shape", "camera")


@dataclass(frozen=True)
class Case:
    """One row.

    make      folder → loaded scene
    parameter its name; `tangent` (scene, name) → direction of the parameter's shape
    step      of the finite differences; half of it is the second step
    spp, fd_spp  samples per pixel of one replica
    options   further ones of `pathspace`; `aovs` chooses extra channels; `channels`: those that the adjoint weighs (none: all)
    tests     ids of the tests that verify the same thing
    peer      what ../shared/design/peers.md, section 2, says of Mitsuba 3.9.1, if this is one of its rows
    refusal   words of the message, for cases that are refused by name
    """

    feature: str
    kind: str
    make: Callable[[Path], Any]
    parameter: str
    tangent: Tangent
    tests: tuple[str, ...]
    step: float = 0.02
    spp: int = 256
    fd_spp: int = 1024
    depth: int = 2
    options: dict[str, Any] = field(default_factory=dict)
    channels: tuple[int, ...] = ()
    peer: str = ""
    refusal: str = ""


def along(*direction: float) -> Tangent:
    """Every vertex, or the origin of a pose, moves the same way."""

    def tangent(scene: Any, name: str) -> Array:
        shape = fd.parameters(scene, name)[name].shape
        if shape == (3, 4) or name.endswith("pose"):
            return small.shift(*direction)
        return np.tile(np.asarray(direction, dtype=np.float64), (shape[0], 1))

    return tangent


def turned(scene: Any, name: str) -> Array:
    """A turn and a shift, as test_sensors.py has them for cameras and blocks."""
    return np.asarray(sensors.tangent(scene, name))


def one(scene: Any, name: str) -> Array:
    """Every entry alike."""
    return np.ones(fd.parameters(scene, name)[name].shape)


def given(value: Any) -> Tangent:
    """This direction."""
    return lambda scene, name: np.asarray(value, dtype=np.float64)


class Cases(dict[str, Case]):
    """Cases by name, in the order in which they are told."""

    def add(self, name: str, *args: Any, **rest: Any) -> None:
        """Register the case that has these fields. AssertionError for a name, a feature or a kind that cannot be."""
        case = Case(*args, **rest)
        assert name not in self and case.feature in FEATURES and case.kind in KINDS, name
        self[name] = case
