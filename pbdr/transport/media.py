"""Participating media: there are none for `pathspace`, which traces surfaces as Mitsuba's `path` does; scenes with one say so.

Light is attenuated by as much of a medium as it crosses, so that every derivative of an image depends on it: not only those of what
bounds the medium, but also those of cameras and lights in it, and of all that is seen or lit through it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from pbdr.errors import SceneError
from pbdr.geometry import groups

HANDLING = ("refuse", "ignore")


class IncompleteImageWarning(UserWarning):
    """An image lacks something that the scene has."""


def places(scene: Any, sensor: Any) -> list[str]:
    """Where the media are that rays from `sensor` may cross: "inside 'slab'", "around 'lamp'"."""
    found = []
    for shape in groups.everything(scene):
        for medium, where in ((shape.interior_medium(), "inside"), (shape.exterior_medium(), "around")):
            if medium is not None:
                found.append(f"{where} '{shape.id()}'")
    if sensor.get_medium() is not None:
        found.append(f"around the sensor '{sensor.id()}'")
    return found


def _listed(found: list[str]) -> str:
    return ", ".join(found[:3]) + (f" and at {len(found) - 3} more places" if len(found) > 3 else "")


def check(scene: Any, sensor: Any, names: Iterable[str]) -> None:
    """Raise where a gradient with respect to the parameters `names` would lack a medium."""
    found = places(scene, sensor)
    if found:
        raise SceneError(
            f"there is a medium {_listed(found)}, and pathspace traces surfaces only: the gradient of "
            f"{', '.join(names)} would lack what the medium absorbs and scatters. Take the medium out, or give "
            "media = 'ignore': image and gradient are then those of the surfaces alone, as Mitsuba's 'path' renders them."
        )


def warn(scene: Any, sensor: Any) -> None:
    """Warn where an image lacks a medium."""
    found = places(scene, sensor)
    if found:
        warnings.warn(
            f"pathspace: there is a medium {_listed(found)}, which this image lacks: pathspace traces surfaces only. Use Mitsuba's "
            "'volpath' for the whole image, or media = 'ignore' if the surfaces alone are wanted.",
            IncompleteImageWarning,
            stacklevel=2,
        )
