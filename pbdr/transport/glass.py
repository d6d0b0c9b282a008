"""Smooth glass whose index of refraction is a parameter, as a Mitsuba BSDF: the plugin `smoothdielectric`.

It takes what Mitsuba's `dielectric` takes, and makes the same images. There, the index is a plain number that has no derivative.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.errors import OptionError, ParameterError

PLUGIN = "smoothdielectric"
OPTIONS = ("int_ior", "ext_ior", "specular_reflectance", "specular_transmittance", "id")


class GlassMethods:
    """A BSDF with a delta reflection and a delta refraction; the class is made of this one for each variant."""

    m_flags: Any
    m_components: Any

    def __init__(self, props: Any) -> None:
        unknown = [name for name in props.keys() if name not in OPTIONS]
        if unknown:
            raise OptionError(f"{PLUGIN}: unknown option '{unknown[0]}'. Options: {', '.join(OPTIONS[:-1])}.")
        mi.BSDF.__init__(self, props)
        inside, outside = (
            mi.lookup_ior(props, name, default) for name, default in (("int_ior", "bk7"), ("ext_ior", "air"))
        )
        if not (inside > 0 and outside > 0):
            raise OptionError(f"{PLUGIN}: int_ior = {inside:g}, ext_ior = {outside:g}; give positive numbers.")
        self.eta = dr.opaque(mi.Float, inside / outside)
        self.colours = {
            name: props.get_texture(name, 1.0) for name in ("specular_reflectance", "specular_transmittance")
        }
        both = mi.BSDFFlags.FrontSide | mi.BSDFFlags.BackSide
        self.m_components = [
            mi.BSDFFlags.DeltaReflection | both,
            mi.BSDFFlags.DeltaTransmission | both | mi.BSDFFlags.NonSymmetric,
        ]
        self.m_flags = self.m_components[0] | self.m_components[1]

    def traverse(self, callback: Any) -> None:
        """Expose the index of refraction, relative to the outside, and the colours of both lobes."""
        mi.BSDF.traverse(self, callback)
        callback.put("eta", self.eta, mi.ParamFlags.Differentiable | mi.ParamFlags.Discontinuous)
        for name, texture in self.colours.items():
            callback.put(name, texture, mi.ParamFlags.Differentiable)

    def parameters_changed(self, keys: Any = ()) -> None:
        """Refuse an index for which there is no refraction."""
        mi.BSDF.parameters_changed(self, keys)
        if not dr.all((dr.detach(self.eta) > 0) & dr.isfinite(dr.detach(self.eta)))[0]:
            raise ParameterError(f"{PLUGIN}: eta = {float(dr.detach(self.eta)[0]):g}; give a positive number.")

    def sample(self, ctx: Any, si: Any, sample1: Any, sample2: Any, active: Any = True) -> tuple[Any, Any]:
        """Reflect or refract, with the probability of Fresnel's equations."""
        reflects = ctx.is_enabled(mi.BSDFFlags.DeltaReflection, 0)
        refracts = ctx.is_enabled(mi.BSDFFlags.DeltaTransmission, 1)
        reflectance, cosine, eta_it, eta_ti = mi.fresnel(mi.Frame3f.cos_theta(si.wi), self.eta)
        transmittance = 1 - reflectance
        if reflects and refracts:
            reflected = active & (sample1 <= dr.detach(reflectance))
            pdf, share = dr.select(reflected, reflectance, transmittance), mi.Float(1)
        else:
            reflected = mi.Bool(reflects) & active
            pdf, share = mi.Float(1), mi.Float(reflectance if reflects else transmittance)
        bs = dr.zeros(mi.BSDFSample3f, dr.width(si.wi))
        bs.pdf = dr.select(active, pdf, 0)
        bs.sampled_component = dr.select(reflected, mi.UInt32(0), 1)
        bs.sampled_type = dr.select(
            reflected, mi.UInt32(+mi.BSDFFlags.DeltaReflection), +mi.BSDFFlags.DeltaTransmission
        )
        bs.wo = dr.select(reflected, mi.reflect(si.wi), mi.refract(si.wi, cosine, eta_ti))
        bs.eta = dr.select(reflected, 1, eta_it)
        through = active & ~reflected
        # Solid angles shrink with refraction: radiance grows, importance does not (Veach 1997, section 5.2).
        squeeze = dr.square(eta_ti) if ctx.mode == mi.TransportMode.Radiance else mi.Float(1)
        colour = dr.select(
            reflected,
            self.colours["specular_reflectance"].eval(si, reflected),
            self.colours["specular_transmittance"].eval(si, through) * squeeze,
        )
        return bs, dr.select(active, colour * share, 0)

    def eval(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
        """Delta lobes have no value."""
        return mi.Spectrum(0)

    def pdf(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
        """Delta lobes have no density."""
        return mi.Float(0)

    def eval_pdf(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> tuple[Any, Any]:
        """Both of the above."""
        return mi.Spectrum(0), mi.Float(0)

    def class_name(self) -> str:
        """Name of the class."""
        return "SmoothDielectricWithIndex"

    def to_string(self) -> str:
        """One line for logs."""
        return f"{PLUGIN}[eta = {float(dr.detach(self.eta)[0]):g}]"


def make() -> Any:
    """Function for Mitsuba's registry that makes the BSDF, for the active variant."""
    members = {k: v for k, v in vars(GlassMethods).items() if k not in ("__dict__", "__weakref__")}
    plugin = type("SmoothDielectricWithIndex", (mi.BSDF,), members)
    return lambda props: plugin(props)
