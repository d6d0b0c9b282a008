"""The gauge: images show albedo × light, so that one may be brighter and the other darker.

Nearly: highlights, which have the colour and the strength of the light alone, tell a tinted surface under white light from a
white one under tinted light. That is one number a channel for the whole scene, and every texel knows a little of it. As a step of
its own, `tint`, it is found in a few hundred steps; left to texels, each with its own noise, in many thousands. Where albedo and
light are both unknown, this step is taken without asking ("auto"), with a slight preference (`preference`) that settles what
images leave open.

Where there are no highlights, one may fix the mean luminance of the albedo by convention instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import OptionError
from pbdr.parameters import Variables
from pbdr.parameters.names import resolve

LUMINANCE = np.array([0.212671, 0.715160, 0.072169])

#: The gauge that needs no words: a tint if albedo and light are both unknown, else nothing.
AUTO = "auto"
#: Learning rate of its tint.
AUTO_LR = 0.02
#: How much a colour cast of the light and an albedo off ALBEDO by a factor of e count, as parts of the image loss.
PREFERENCE = 1e-3
ALBEDO = 0.5

#: Key of the tint among the latents: the logarithm of a factor per channel, folded into the others after every step.
TINT = "gauge:tint"

_FORM = re.compile(r"^\s*mean_luminance\((?P<match>[^)]*)\)\s*=\s*(?P<target>[-+.\deE]+)\s*$")


@dataclass(frozen=True)
class Gauge:
    """Keep the mean luminance of the latents `albedo` at `target` by trading scale with the latents `lights`; None: keep none."""

    target: float | None
    albedo: tuple[str, ...]
    lights: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """All of its latents."""
        return (*self.albedo, *self.lights)


def parse(text: str, variables: Variables) -> Gauge:
    """Parse `mean_luminance(<names>) = <number>`; the names are globs, separated by commas.

    Raises OptionError when the text has another form, a name is not being optimised, or no light is.
    """
    found = _FORM.match(text)
    try:
        target = float(found["target"]) if found else 0.0
    except ValueError:
        found = None
    if found is None:
        raise OptionError(f"gauge {text!r} is not understood: write mean_luminance(mat-*/base_color) = 0.5")
    if not 0 < target < np.inf:
        raise OptionError(f"gauge {text!r}: the mean luminance is a number above 0")
    patterns = [p.strip() for p in found["match"].split(",")]
    wanted = {p.raw for p in resolve(variables.scene, patterns)}
    albedo = tuple(k for k, latent in variables.latents.items() if latent.parameter.raw in wanted)
    missing = wanted - {variables.latents[k].parameter.raw for k in albedo}
    if missing:
        raise OptionError(f"gauge {text!r} names {sorted(missing)}, which no variable optimises")
    lights = tuple(k for k, latent in variables.latents.items() if latent.parameter.row.emitted)
    if not lights:
        raise OptionError(f"gauge {text!r} needs a light among the variables to trade its scale with")
    return Gauge(target, albedo, lights)


def automatic(variables: Variables) -> Gauge | None:
    """Return the gauge without a target of the colours and lights that are unknown; None unless there are both."""
    found = {
        key: x.parameter for key, x in variables.latents.items() if x.parameter.shape and x.parameter.shape[-1] == 3
    }
    albedo = tuple(key for key, parameter in found.items() if parameter.row.albedo)
    lights = tuple(key for key, parameter in found.items() if parameter.row.emitted)
    return Gauge(None, albedo, lights) if albedo and lights else None


def preference(gauge: Gauge, values: Mapping[str, Any]) -> Any:
    """Return how unlikely the mean colours are, an array of width 1: light is white, albedo is ALBEDO, in squared logarithms."""
    light = [dr.log(dr.maximum(_mean(gauge.lights, values, c), 1e-6)) for c in range(3)]
    albedo = sum((_mean(gauge.albedo, values, c) for c in range(3)), mi.Float(0)) / 3
    middle = sum(light, mi.Float(0)) / 3
    cast = sum((dr.square(one - middle) for one in light), mi.Float(0))
    return cast + dr.square(dr.log(dr.maximum(albedo, 1e-6) / ALBEDO))


def _mean(keys: tuple[str, ...], values: Mapping[str, Any], channel: int) -> Any:
    """Mean of one channel over the entries of all values, an array of width 1."""
    total, count = mi.Float(0), 0
    for key in keys:
        flat = values[key].array
        mine = dr.arange(mi.UInt32, dr.width(flat)) % 3 == channel
        total, count = total + dr.sum(dr.select(mine, flat, 0)), count + dr.width(flat) // 3
    return total / count


def no_tint() -> Any:
    """The latent of a factor of one in every channel."""
    return dr.zeros(mi.TensorXf, (3,))


def check_tint(gauge: Gauge, variables: Variables) -> None:
    """Raise OptionError if albedo or lights have no three channels that a tint could act on."""
    for key in (*gauge.albedo, *gauge.lights):
        parameter = variables.latents[key].parameter
        if not parameter.shape or parameter.shape[-1] != 3:
            raise OptionError(
                f"gauge lr needs three channels, and {parameter.name!r} has the shape {parameter.shape}: drop it"
            )


def tinted(gauge: Gauge, values: Mapping[str, Any], tint: Any) -> dict[str, Any]:
    """Return (attached) values whose albedo is multiplied by exp(tint), channel by channel, and whose lights are divided by it.

    What would change a mean luminance that is kept, to first order, is taken out of the tint: the gauge undoes it, and should not
    be fought.
    """
    if gauge.target is not None:
        share = _luminance_by_channel(gauge, {key: np.array(dr.detach(values[key])) for key in gauge.albedo})
        tint = mi.TensorXf(tint.array - dr.sum(tint.array * mi.Float(share / share.sum())), (3,))
    result = dict(values)
    for keys, sign in ((gauge.albedo, 1), (gauge.lights, -1)):
        for key in keys:
            shape = (1,) * (len(values[key].shape) - 1) + (3,)
            result[key] = values[key] * mi.TensorXf(dr.exp(sign * tint.array), shape)
    return result


def fix(gauge: Gauge, variables: Variables, latents: Mapping[str, Any]) -> dict[str, Any]:
    """Return latents whose albedo has the gauge's mean luminance and whose lights are scaled inversely.

    The product of the two, and so directly lit radiance, is kept. Where the scaled albedo would pass its bounds it is
    clipped, and the optimiser makes good for it. A tint among the latents goes into both, and is none afterwards.
    """
    found = variables.values(latents)
    if TINT in latents:
        found = tinted(gauge, found, latents[TINT])
        latents = {**latents, TINT: no_tint()}
    values = {key: np.array(value, dtype=np.float64) for key, value in found.items()}
    factor = 1.0 if gauge.target is None else gauge.target / mean_luminance(gauge, values)
    scaled = {key: values[key] * factor for key in gauge.albedo} | {key: values[key] / factor for key in gauge.lights}
    result = dict(latents)
    for key, value in scaled.items():
        lo, hi = variables.latents[key].bounds
        result[key] = mi.TensorXf(variables.to_latent(key, np.clip(value, lo, hi)))
    return result


def _luminance_by_channel(gauge: Gauge, values: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Contribution (3,) of each channel to the luminance of the gauge's albedo values, up to a factor."""
    total = np.zeros(3)
    for key in gauge.albedo:
        total += LUMINANCE * values[key].reshape(-1, 3).sum(0)
    return total


def mean_luminance(gauge: Gauge, values: Mapping[str, NDArray[Any]]) -> float:
    """Return the mean luminance over all texels of the gauge's albedo values."""
    total, count = 0.0, 0
    for key in gauge.albedo:
        value = np.asarray(values[key])
        luminance = value @ LUMINANCE if value.shape[-1] == 3 else value
        total, count = total + float(luminance.sum()), count + luminance.size
    return total / count
