"""Delta lobes of BSDFs, chosen by name: reflection or transmission, in either direction of transport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

LAST = 1 - 2**-24  # largest sample below 1: the lobe that is not a reflection
CENTRE = 0.5  # both coordinates of the sample that delta lobes do not use


@dataclass
class Lobe:
    """A delta lobe of surface interactions.

    `direction`: of the lobe, local; `value`: factor of radiance (or importance); `sample`: first sample that leads to the lobe,
    with (CENTRE, CENTRE) as the second one; `valid`: whether there is such a lobe.
    """

    direction: Any
    value: Any
    sample: Any
    valid: Any


def lobes_of(bsdf: Any) -> tuple[Any, Any, Any]:
    """Which kinds of lobes a BSDF has: (delta reflection, delta transmission, smooth ones)."""
    flags = bsdf.flags()
    through = mi.has_flag(flags, mi.BSDFFlags.DeltaTransmission) | mi.has_flag(flags, mi.BSDFFlags.Null)
    return mi.has_flag(flags, mi.BSDFFlags.DeltaReflection), through, mi.has_flag(flags, mi.BSDFFlags.Smooth)


def delta_lobe(bsdf: Any, si: Any, reflect: Any, active: Any, importance: bool = False) -> Lobe:
    """The delta lobe of `si.wi` that reflects, or the one that does not.

    `importance`: without the factor η² that refraction gives to radiance (Veach 1997, section 5.2).
    """
    context = mi.BSDFContext(mi.TransportMode.Importance if importance else mi.TransportMode.Radiance)
    unused = mi.Point2f(CENTRE)

    def wanted(bs: Any) -> Any:
        reflected = mi.has_flag(bs.sampled_type, mi.BSDFFlags.DeltaReflection)
        return mi.has_flag(bs.sampled_type, mi.BSDFFlags.Delta) & (reflected == reflect)

    # One end of the range of samples leads to the lobe that is wanted.
    first, _ = bsdf.sample(context, si, mi.Float(0), unused, active)
    sample = dr.select(wanted(first), mi.Float(0), LAST)
    bs, value = bsdf.sample(context, si, sample, unused, active)
    return Lobe(bs.wo, value * bs.pdf, sample, active & wanted(bs))
