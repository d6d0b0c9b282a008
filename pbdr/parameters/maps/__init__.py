"""Maps by name. A new one is a file here and a place in the list below."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mitsuba as mi
import numpy as np

from pbdr.errors import OptionError, ParameterError
from pbdr.parameters.maps.bounded import Clamp, Exp, Sigmoid, Softplus
from pbdr.parameters.maps.displacement import NormalDisplacement
from pbdr.parameters.maps.largesteps import LargeSteps
from pbdr.parameters.maps.map import INSIDE, Array, Map
from pbdr.parameters.maps.motions import SE3, Affine, Rigid, Shift
from pbdr.parameters.maps.pyramid import Pyramid
from pbdr.parameters.maps.srgb import SRGB
from pbdr.parameters.maps.unit import Unit
from pbdr.parameters.place import Bounds, Place
from pbdr.registry import Choice, Registry

__all__ = ["INSIDE", "MAPS", "Map", "bind", "get_map", "project", "to_latent", "to_value"]

MAPS: Registry[Map] = Registry(
    "map",
    "Maps",
    (Clamp, Sigmoid, Exp, Softplus, Unit, SRGB, Pyramid, LargeSteps, NormalDisplacement, SE3, Affine, Rigid, Shift),
)


def get_map(choice: Choice, place: Place | Bounds) -> Map:
    """Return the map that a name, or a table of `type` and options, means, after checking that it can serve at `place`.

    Raises OptionError if there is no such map, and where it cannot keep the bounds.
    """
    return bind(choice, place)[0]


def bind(choice: Choice, place: Place | Bounds) -> tuple[Map, Place]:
    """Return the map as `get_map` does, and the place with what the map prepares there."""
    place = place if isinstance(place, Place) else Place(place)
    chosen, (lo, hi) = MAPS.make(choice), place.bounds
    if not lo < hi:
        raise OptionError(f"bounds [{lo:g}, {hi:g}] are empty: the lower one must be smaller")
    wrong = chosen.refusal(place)
    if wrong:
        got = f", got [{lo:g}, {hi:g}]" if "bound" in wrong else ""
        raise OptionError(f"map {chosen.name!r} {wrong}{got}")
    return chosen, replace(place, prepared=chosen.prepare(place))


def to_latent(choice: Choice | Map, value: Array, place: Place | Bounds, what: str = "init") -> Array:
    """Return the latent (float64) that a map takes to `value`; a `Map` comes with the place that it is bound to.

    Open maps reach a bound only at infinity: a value on the bound starts 0.1 % of the range inside. Raises ParameterError when a
    value is not finite, lies outside the bounds, or (`unit`) is a zero vector.
    """
    chosen, place = _bound(choice, place)
    value = np.asarray(value, dtype=np.float64)
    if not np.isfinite(value).all():
        raise ParameterError(f"{what} has {int((~np.isfinite(value)).sum())} non-finite value(s)")
    return np.asarray(chosen.to_latent(chosen.check(value, place, what), place), dtype=np.float64)


def to_value(choice: Choice | Map, latent: Any, place: Place | Bounds) -> Any:
    """Return the parameter value (tensor) of a latent, differentiable."""
    chosen, place = _bound(choice, place)
    return chosen.to_value(mi.TensorXf(latent), place)


def project(choice: Choice | Map, latent: Any, place: Place | Bounds) -> Any:
    """Return the latent moved back to where its map reaches the bounds."""
    chosen, place = _bound(choice, place)
    return chosen.project(mi.TensorXf(latent), place)


def _bound(choice: Choice | Map, place: Place | Bounds) -> tuple[Map, Place]:
    if isinstance(choice, Map):
        return choice, place if isinstance(place, Place) else Place(place)
    return bind(choice, place)
