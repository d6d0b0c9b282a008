"""Maps from a latent variable, which the optimiser moves freely, to a parameter value within its bounds.

Every map is smooth (or, for `clamp`, smooth after projection) and differentiable by Dr.Jit. `to_latent` works on the
host, `to_value` on the device. NaN passes through unchanged: it is the fit loop that counts and refuses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import OptionError, ParameterError, closest
from pbdr.srgb import linear_to_srgb

Array = NDArray[Any]
Bounds = tuple[float, float]

#: A value on a bound of an open map starts this fraction of the range inside it, where the map still has a slope.
INSIDE = 1e-3


@dataclass(frozen=True)
class Map:
    """One map. `to_latent(value, lo, hi)` on NumPy arrays; `to_value(latent, lo, hi)` and `project` on tensors."""

    name: str
    to_latent: Callable[[Array, float, float], Array]
    to_value: Callable[[Any, float, float], Any]
    project: Callable[[Any, float, float], Any]
    bounds: Callable[[float, float], str | None]


def _keep(latent: Any, lo: float, hi: float) -> Any:
    return latent


def _clip(x: Any, lo: float, hi: float) -> Any:
    """Clip without touching NaN."""
    x = dr.select(x < lo, lo, x) if lo > -math.inf else x
    return dr.select(x > hi, hi, x) if hi < math.inf else x


def _clamp_value(latent: Any, lo: float, hi: float) -> Any:
    # Straight through: the clipped value, with the derivative of the identity. Otherwise a latent on the bound, where
    # projection puts it, could never leave.
    return dr.replace_grad(_clip(dr.detach(latent), lo, hi), latent)


def _sigmoid_latent(value: Array, lo: float, hi: float) -> Array:
    t = np.clip((value - lo) / (hi - lo), INSIDE, 1 - INSIDE)
    return np.log(t) - np.log1p(-t)


def _sigmoid_value(latent: Any, lo: float, hi: float) -> Any:
    return lo + (hi - lo) / (1 + dr.exp(-latent))


def _exp_latent(value: Array, lo: float, hi: float) -> Array:
    return np.log(np.maximum(value - lo, INSIDE * _unit(lo, hi)))


def _exp_value(latent: Any, lo: float, hi: float) -> Any:
    return lo + dr.exp(latent)


def _exp_project(latent: Any, lo: float, hi: float) -> Any:
    return _clip(latent, -math.inf, math.log(hi - lo)) if hi < math.inf else latent


def _softplus_latent(value: Array, lo: float, hi: float) -> Array:
    t = np.maximum(value - lo, INSIDE * _unit(lo, hi))
    return t + np.log(-np.expm1(-t))


def _softplus_value(latent: Any, lo: float, hi: float) -> Any:
    # log(1 + e^x) without overflow.
    return lo + dr.select(latent > 0, latent, 0) + dr.log(1 + dr.exp(-dr.abs(latent)))


def _softplus_project(latent: Any, lo: float, hi: float) -> Any:
    return _clip(latent, -math.inf, float(_softplus_latent(np.array(hi), lo, hi))) if hi < math.inf else latent


def _unit(lo: float, hi: float) -> float:
    """Length scale of the bounds: their distance, or 1 when there is no upper one."""
    return hi - lo if hi < math.inf else 1.0


def _unit_latent(value: Array, lo: float, hi: float) -> Array:
    length = np.linalg.norm(value, axis=-1, keepdims=True)
    return np.asarray(value / length)


def _unit_value(latent: Any, lo: float, hi: float) -> Any:
    length = dr.sqrt(dr.sum(latent * latent, axis=-1))
    return latent / dr.reshape(length, (*latent.shape[:-1], 1))


def _srgb_latent(value: Array, lo: float, hi: float) -> Array:
    return linear_to_srgb(value)


def _srgb_value(latent: Any, lo: float, hi: float) -> Any:
    low, high = (float(linear_to_srgb(np.array(bound))) for bound in (lo, hi))
    code = _clamp_value(latent, low, high)
    power = ((dr.maximum(code, 0.04045) + 0.055) / 1.055) ** 2.4
    return dr.select(code > 0.04045, power, code / 12.92)


def _srgb_project(latent: Any, lo: float, hi: float) -> Any:
    low, high = (float(linear_to_srgb(np.array(bound))) for bound in (lo, hi))
    return _clip(latent, low, high)


def _any_bounds(lo: float, hi: float) -> str | None:
    return None


def _finite_bounds(lo: float, hi: float) -> str | None:
    return None if math.isfinite(lo) and math.isfinite(hi) else "needs two finite bounds"


def _lower_bound(lo: float, hi: float) -> str | None:
    return None if math.isfinite(lo) else "needs a finite lower bound"


def _within_one(lo: float, hi: float) -> str | None:
    return None if lo >= 0 and hi <= 1 else "needs bounds within [0, 1]"


MAPS: dict[str, Map] = {
    m.name: m
    for m in (
        Map("clamp", lambda value, lo, hi: value, _clamp_value, _clip, _any_bounds),
        Map("sigmoid", _sigmoid_latent, _sigmoid_value, _keep, _finite_bounds),
        Map("exp", _exp_latent, _exp_value, _exp_project, _lower_bound),
        Map("softplus", _softplus_latent, _softplus_value, _softplus_project, _lower_bound),
        Map("unit", _unit_latent, _unit_value, _keep, _any_bounds),
        Map("srgb", _srgb_latent, _srgb_value, _srgb_project, _within_one),
    )
}


def get_map(name: str, bounds: Bounds) -> Map:
    """Return the map `name` after checking that it can keep `bounds`; OptionError if not."""
    if name not in MAPS:
        near = closest(name, MAPS)
        raise OptionError(f"map {name!r} is unknown. Closest: {', '.join(near) or 'none'}. Maps: {', '.join(MAPS)}")
    lo, hi = bounds
    if not lo < hi:
        raise OptionError(f"bounds [{lo:g}, {hi:g}] are empty: the lower one must be smaller")
    wrong = MAPS[name].bounds(lo, hi)
    if wrong:
        raise OptionError(f"map {name!r} {wrong}, got [{lo:g}, {hi:g}]")
    return MAPS[name]


def to_latent(name: str, value: Array, bounds: Bounds, what: str = "init") -> Array:
    """Return the latent (float64, shape of `value`) that `name` maps to `value`.

    Open maps reach a bound only at infinity: a value on the bound starts 0.1 % of the range inside. Raises
    ParameterError when a value is not finite, lies outside `bounds`, or (`unit`) is a zero vector.
    """
    chosen = get_map(name, bounds)
    value = np.asarray(value, dtype=np.float64)
    if not np.isfinite(value).all():
        raise ParameterError(f"{what} has {int((~np.isfinite(value)).sum())} non-finite value(s)")
    lo, hi = bounds
    if name == "unit":
        if value.ndim == 0 or (np.linalg.norm(value, axis=-1) == 0).any():
            raise ParameterError(f"{what} has a vector of length zero, which map 'unit' cannot normalise")
    else:
        slack = 1e-6 * max(1.0, abs(lo) if lo > -math.inf else 0.0, abs(hi) if hi < math.inf else 0.0)
        if (value < lo - slack).any() or (value > hi + slack).any():
            low, high = float(value.min()), float(value.max())
            raise ParameterError(f"{what} spans [{low:g}, {high:g}], outside its bounds [{lo:g}, {hi:g}]: change one")
        value = np.clip(value, lo, hi)
    return np.asarray(chosen.to_latent(value, lo, hi), dtype=np.float64)


def to_value(name: str, latent: Any, bounds: Bounds) -> Any:
    """Return the parameter value of a latent tensor, differentiable, same shape."""
    return get_map(name, bounds).to_value(mi.TensorXf(latent), *bounds)


def project(name: str, latent: Any, bounds: Bounds) -> Any:
    """Return the latent moved back to where its map reaches `bounds`; called after every optimiser step."""
    return get_map(name, bounds).project(mi.TensorXf(latent), *bounds)
