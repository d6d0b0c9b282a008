"""Where light scatters: a hit of a surface, or a collision in a medium. Paths ask either in the same words.

The density of directions is that of the BSDF or of the phase function, in gradients mixed with a uniform one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.transport import emission

UNIFORM_HEMISPHERE = 1 / (2 * dr.pi)
#: Tangents lie across it, so that they turn slowly with the normal but for close to it (those of `mi.coordinate_system` flip where
#: n.z = 0). A direction that surfaces hardly ever have.
AXIS = (0.36, 0.48, 0.8)


@dataclass
class Vertex:
    """A vertex of a path.

    `si`: the surface interaction, in which collisions stand as points without a surface; `bsdf`: its material; `collision`: what
    the medium adds, None in scenes without media; `medium`: in which the ray arrives.
    """

    si: Any
    bsdf: Any
    collision: Collision | None = None
    medium: Any = None

    def has_smooth(self) -> Any:
        """Whether light comes in from more than single directions."""
        smooth = mi.has_flag(self.bsdf.flags(), mi.BSDFFlags.Smooth)
        return smooth if self.collision is None else smooth | self.collision.here

    def eval_pdf(self, direction: Any, active: Any) -> tuple[Any, Any]:
        """Value for light from `direction` (world), cosine included, and the material's own density there."""
        value, pdf = self.bsdf.eval_pdf(mi.BSDFContext(), self.si, self.si.to_local(direction), active)
        if self.collision is None:
            return value, pdf
        other, density = self.collision.eval_pdf(direction, active)
        return dr.select(self.collision.here, other, value), dr.select(self.collision.here, density, pdf)

    def reachable(self, direction: Any, value: Any, pdf: Any) -> Any:
        """As `reachable`, for `direction` (world)."""
        found = reachable(self.bsdf, self.si, self.si.to_local(direction), value, pdf)
        if self.collision is None:
            return found
        return dr.select(self.collision.here, (pdf > 0) | (dr.max(value) > 0), found)

    def mixed_pdf(self, direction: Any, pdf: Any, uniform: float) -> Any:
        """Density of `sample`, given the material's own one."""
        mixed = mixed_pdf(self.bsdf, self.si, self.si.to_local(direction), pdf, uniform)
        if self.collision is None:
            return mixed
        return dr.select(self.collision.here, _mixed(pdf, uniform), mixed)

    def eval(self, direction: Any, active: Any) -> Any:
        """Value for light from `direction` (world), cosine included."""
        value = self.bsdf.eval(mi.BSDFContext(), self.si, self.si.to_local(direction), active)
        if self.collision is None:
            return value
        other, rim = self.collision.eval_pdf(direction, active)[0], self.collision.rim
        if rim is not None:
            other = dr.select(rim.here, rim.eval(direction, active), other)
        return dr.select(self.collision.here, other, value)

    def sample(self, s0: Any, s1: Any, s2: Any, uniform: float, active: Any) -> tuple[Any, ...]:
        """As `sample_direction`, in the world."""
        wo, *rest = sample_direction(self.bsdf, self.si, s0, s1, s2, uniform, active)
        onward = self.si.to_world(wo)
        if self.collision is None:
            return onward, *rest
        other = self.collision.sample(s0, s1, s2, uniform, active)
        return tuple(dr.select(self.collision.here, a, b) for a, b in zip(other, (onward, *rest), strict=True))

    def beyond(self, direction: Any) -> Any:
        """The medium into which rays leave in `direction`; None in scenes without media."""
        if self.collision is None:
            return None
        crosses = ~self.collision.here & self.si.is_valid() & self.si.is_medium_transition()
        beyond = dr.select(crosses, self.si.target_medium(direction), self.medium)
        rim = self.collision.rim
        return beyond if rim is None else dr.select(rim.here, rim.beyond(-self.collision.mei.wi, direction), beyond)


@dataclass
class Collision:
    """A collision in a medium. `here`: on the lanes that have one; `mei`: Mitsuba's interaction; `scattered`: σ_s there.

    `rim`: a `media.volume.Rim`, an interface that moves, where the way may have stopped; None where none moves.
    """

    here: Any
    mei: Any
    phase: Any
    scattered: Any
    rim: Any = None

    def eval_pdf(self, direction: Any, active: Any) -> tuple[Any, Any]:
        """σ_s times the phase function for light from `direction`, and the phase function's own density there."""
        value, pdf = self.phase.eval_pdf(mi.PhaseFunctionContext(), self.mei, direction, active & self.here)
        return self.scattered * mi.Spectrum(value), pdf

    def sample(self, s0: Any, s1: Any, s2: Any, uniform: float, active: Any) -> tuple[Any, ...]:
        """A direction by the phase function, mixed with a uniform one; the weight contains σ_s. As `sample_direction`."""
        active = active & self.here
        direction, _, pdf = self.phase.sample(mi.PhaseFunctionContext(), self.mei, s1, s2, active)
        pick = s0 < uniform if uniform > 0 else mi.Bool(False)
        usable = active & (pick | (pdf > 0))
        direction = dr.select(pick, mi.warp.square_to_uniform_sphere(s2), direction)
        value, pdf = self.eval_pdf(direction, active)
        pdf = _mixed(pdf, uniform)
        inverse = dr.select(usable & (pdf > 0), dr.rcp(pdf), 0)
        no = mi.Bool(False)
        return direction, value * inverse, pdf, inverse, no, no, mi.Float(1)


def untwisted(si: Any, bsdf: Any, ray: Any, directed: tuple[Any, ...] | None) -> Any:
    """`si` with tangents that follow from the normal alone, but for `directed` materials (None: for all).

    Tangents turn from face to face of a mesh, with its texture coordinates. Paths that start on both sides of an edge with the same
    random numbers would leave in other directions, and the difference between them would be noise.
    """
    if directed is None:
        return si
    turned = si.is_valid()
    for material in directed:
        turned = turned & (bsdf != mi.BSDFPtr(material))
    n = si.sh_frame.n
    across = dr.cross(mi.Vector3f(*AXIS), n)
    turned = turned & (dr.squared_norm(across) > 1e-6)
    si.sh_frame.s = dr.select(turned, dr.normalize(across), si.sh_frame.s)
    si.sh_frame.t = dr.select(turned, dr.cross(n, si.sh_frame.s), si.sh_frame.t)
    si.wi = dr.select(turned, si.to_local(-ray.d), si.wi)
    return si


def _mixed(pdf: Any, uniform: float) -> Any:
    """Density of directions of a phase function mixed with a uniform one."""
    return (1 - uniform) * pdf + uniform * emission.UNIFORM_SPHERE


def sample_direction(bsdf: Any, si: Any, s0: Any, s1: Any, s2: Any, uniform: float, active: Any) -> tuple[Any, ...]:
    """Sample an outgoing direction from the BSDF mixed with a uniform density.

    Returns (local direction, weight = f cosθ / pdf, pdf in solid angle, 1 / pdf (1 / probability of the lobe choice for
    delta lobes), delta?, straight through?, relative IOR).
    """
    context = mi.BSDFContext()
    bs, weight = bsdf.sample(context, si, s1, s2, active)
    delta = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Delta)
    pdf, wo, eta = bs.pdf, bs.wo, bs.eta
    inverse = dr.select(delta, 1, dr.select(pdf > 0, dr.rcp(pdf), 0))
    if uniform > 0:
        flags = bsdf.flags()
        share = dr.select(mi.has_flag(flags, mi.BSDFFlags.Smooth), mi.Float(uniform), 0)
        both = scatters_through(flags)
        pick = s0 < share
        hemisphere = mi.warp.square_to_uniform_hemisphere(s2)
        hemisphere.z = dr.mulsign(hemisphere.z, si.wi.z)
        wo = dr.select(pick, dr.select(both, mi.warp.square_to_uniform_sphere(s2), hemisphere), bs.wo)
        delta &= ~pick
        value, lobe_pdf = bsdf.eval_pdf(context, si, wo, active & ~delta)
        same_side = wo.z * si.wi.z > 0
        uniform_pdf = dr.select(both, emission.UNIFORM_SPHERE, dr.select(same_side, UNIFORM_HEMISPHERE, 0))
        pdf = dr.select(delta, bs.pdf, (1 - share) * lobe_pdf + share * uniform_pdf)
        usable = (pick | (bs.pdf > 0)) & (pdf > 0) & reachable(bsdf, si, wo, value, lobe_pdf)
        inverse = dr.select(delta, 1 / (1 - share), dr.select(usable, dr.rcp(pdf), 0))
        weight = dr.select(delta, weight / (1 - share), value * inverse)
        eta = dr.select(pick, 1, bs.eta)
    null = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Null) & delta
    return wo, weight, pdf, inverse, delta, null, eta


def scatters_through(flags: Any) -> Any:
    """True for BSDFs with a smooth transmission lobe (Mitsuba's `Transmission` also covers glass and cut-outs)."""
    return mi.has_flag(flags, mi.BSDFFlags.DiffuseTransmission) | mi.has_flag(flags, mi.BSDFFlags.GlossyTransmission)


def reachable(bsdf: Any, si: Any, wo: Any, value: Any, lobe_pdf: Any) -> Any:
    """Directions the BSDF can scatter to. Elsewhere (below the horizon) its value is 0 but its derivative may be 0 · ∞.

    Where both the value and the density are 0 it may still have a derivative: a lobe whose weight is 0 now (diffuse reflectance 0
    beside a specular lobe, one side of a blend).
    """
    flags = bsdf.flags()
    faces = (si.wi.z > 0) | mi.has_flag(flags, mi.BSDFFlags.BackSide)
    return (lobe_pdf > 0) | (dr.max(value) > 0) | (faces & (wo.z * si.wi.z > 0)) | scatters_through(flags)


def mixed_pdf(bsdf: Any, si: Any, wo: Any, lobe_pdf: Any, uniform: float) -> Any:
    """Density of `sample_direction`'s smooth part at `wo`, given the BSDF's own density there."""
    flags = bsdf.flags()
    share = dr.select(mi.has_flag(flags, mi.BSDFFlags.Smooth), mi.Float(uniform), 0)
    both = scatters_through(flags)
    uniform_pdf = dr.select(both, emission.UNIFORM_SPHERE, dr.select(wo.z * si.wi.z > 0, UNIFORM_HEMISPHERE, 0))
    return (1 - share) * lobe_pdf + share * uniform_pdf
