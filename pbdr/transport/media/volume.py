"""Vertices in media, and what ways between vertices do to light: detached where paths are traced, attached where they are swept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import rounding, surfaces
from pbdr.transport.features import Features
from pbdr.transport.media import emissive
from pbdr.transport.media import flight as flights
from pbdr.transport.media.flight import Flight
from pbdr.transport.media.piece import Piece, interaction
from pbdr.transport.scattering import Collision, Vertex

NEAR = 32.0  # times what rounding may be: the distance from which interfaces are looked at


def arrive(si: Any, bsdf: Any, ray: Any, flown: Flight | None, features: Features | None = None) -> Vertex:
    """The vertex at the end of a way: where `ray` meets the surface `si`, or collides before that. `flown` None: no media.

    With `features`, the vertex is attached. At an interface that moves, it scatters nothing, but with a derivative.
    """
    if flown is None:
        return Vertex(si, bsdf)
    here, point = flown.collided, dr.fma(ray.d, flown.t, ray.o)
    medium = dr.select(here, flown.medium, dr.zeros(mi.MediumPtr))
    mei = interaction(ray, flown.t, medium)
    scattered, _, _ = medium.get_scattering_coefficients(mei, here)
    si = type(si)(si)
    si.p = dr.select(here, point, si.p)
    si.n = dr.select(here, mi.Normal3f(0), si.n)
    si.t = dr.select(here, flown.t, si.t)
    si.shape = dr.select(here, dr.zeros(mi.ShapePtr), si.shape)
    scattered = mi.Spectrum(scattered)
    rim = None
    if flown.crossing is not None:
        scattered = dr.select(flown.crossing.stops, 0, scattered)
        rim = Rim.of(ray, flown.crossing, features)
    collision = Collision(here, mei, medium.phase_function(), scattered, rim)
    bsdf = dr.select(here, dr.zeros(mi.BSDFPtr), bsdf)
    return Vertex(si, bsdf, collision, flown.medium)


@dataclass
class Rim:
    """The end of a way at an interface that moves along it by `shift` (attached, value 0); `normal` of the interface.

    `before`, `behind`: medium, interaction, σ_s and σ_t there.
    """

    here: Any
    shift: Any
    normal: Any
    before: tuple[Any, Any, Any, Any]
    behind: tuple[Any, Any, Any, Any]

    @staticmethod
    def of(ray: Any, at: flights.Crossing, features: Features | None) -> Rim:
        """The interface that a way has crossed, or at which it ends."""
        there, still = at.share > 0, dr.detach(ray)
        # From close by: round shapes look for the first of two hits once more.
        near, hit = mi.Ray3f(still), mi.PreliminaryIntersection3f(at.hit)
        hit.t = NEAR * rounding.blur(dr.fma(still.d, at.hit.t, still.o), at.hit.t)
        near.o = dr.fma(still.d, at.hit.t - hit.t, still.o)
        if features is None:
            si = hit.compute_surface_interaction(near, mi.RayFlags.Minimal, there)
            shift = mi.Float(0)
        else:
            si = surfaces.sliding(features, hit, near, there)
            shift = dr.dot(si.p - dr.detach(si.p), still.d)
        sides = [_side(medium, still, at.hit.t, there) for medium in (at.before, at.behind)]
        return Rim(there & at.stops, dr.select(there, shift, 0), dr.detach(si.n), *sides)

    def eval(self, direction: Any, active: Any) -> Any:
        """What the interface adds to the light scattered from `direction` as it moves: value 0."""
        active = active & self.here
        values = []
        for medium, mei, scattered, _ in (self.before, self.behind):
            phase = medium.phase_function()
            value, _ = phase.eval_pdf(mi.PhaseFunctionContext(), mei, direction, active)
            values.append(dr.detach(scattered * mi.Spectrum(value)))
        return self.shift * (values[0] - values[1])  # Eq. (22)

    def beyond(self, ray_direction: Any, direction: Any) -> Any:
        """The medium into which a ray leaves that arrived along `ray_direction`."""
        forwards = dr.dot(self.normal, direction) * dr.dot(self.normal, ray_direction) > 0
        return dr.select(forwards, self.behind[0], self.before[0])


def _side(medium: Any, ray: Any, t: Any, active: Any) -> tuple[Any, Any, Any, Any]:
    there, first, last = medium.intersect_aabb(ray)
    active = active & (medium != None) & there & (t >= first) & (t <= last)  # noqa: E711
    mei = interaction(ray, t, medium)
    scattered, _, extinction = medium.get_scattering_coefficients(mei, active)
    return medium, mei, mi.Spectrum(scattered), mi.Spectrum(extinction)


def lit(
    scene: Any, vertex: Vertex, ds: Any, sampler: Any, defensive: float, active: Any, interfaces: tuple[Any, ...] | None = None,
) -> tuple[Any, Any, Flight]:  # fmt: skip
    """As `emission.visible_hit`, through media: (hit, whether the sampled point of the light is unoccluded, the way to it)."""
    si = vertex.si
    start = rounding.GRAZING * rounding.offset(si)
    ray = si.spawn_ray(ds.d)
    ray.o = dr.fma(ds.d, start, si.p)
    way = flights.fly(
        scene, ray, vertex.beyond(ds.d), sampler, defensive, reach=ds.dist - start, active=active, interfaces=interfaces,
    )  # fmt: skip
    reached = ~way.hit.is_valid() | (way.hit.t >= (ds.dist - start) * flights.END)
    surface = mi.has_flag(ds.emitter.flags(), mi.EmitterFlags.Surface)
    same = way.hit.is_valid() & (way.hit.shape.emitter() == ds.emitter)
    way.hit.t = way.hit.t + start
    return way.hit, active & reached & (~surface | same), way


def transmitted(way: Flight, ray: Any, active: Any, features: Features) -> Any:
    """Transmittance of a way along the attached `ray`, over its density, attached: one piece stands for the optical depth."""
    passed = _thinned(way.piece, way.share, way.place, ray, active)
    if way.crossing is not None:
        rim = Rim.of(ray, way.crossing, features)
        step = dr.detach(rim.before[3] - rim.behind[3]) * (rim.shift * way.crossing.share)  # Eq. (22)
        passed *= dr.select(active, dr.replace_grad(mi.Spectrum(1), -step), 1)
    return mi.Spectrum(way.weight * passed)


def longer(way: Flight, ray: Any, length: Any, active: Any) -> Any:
    """1, with the derivative of a way's transmittance over itself as its attached length changes, all in one medium (fog.py)."""
    active = active & dr.isfinite(length)
    mei = interaction(dr.detach(ray), mi.Float(0), way.medium)
    _, _, extinction = way.medium.get_scattering_coefficients(mei, active)
    depth = dr.detach(mi.Spectrum(extinction)) * length
    return dr.select(active, dr.replace_grad(mi.Spectrum(1), -depth), 1)  # Eq. (24)


def _thinned(piece: Piece, share: Any, place: Any, ray: Any, active: Any) -> Any:
    """1, with the derivative of the transmittance over itself of a way for which a piece stands."""
    length = piece.end - piece.begin
    active = active & (share > 0)
    medium = dr.select(active, piece.medium, dr.zeros(mi.MediumPtr))
    mei = interaction(ray, dr.fma(length, place, piece.begin), medium)
    _, _, extinction = medium.get_scattering_coefficients(mei, active)
    depth = mi.Spectrum(extinction) * (length * share)  # Eq. (20)
    return dr.select(active, dr.replace_grad(mi.Spectrum(1), -depth), 1)


def shone(way: Flight, ray: Any, active: Any) -> Any:
    """Light that the media of a way along the attached `ray` add to it, attached; 0 where none of them can shine."""
    glow = way.glow
    if glow is None:
        return mi.Spectrum(0)
    active = active & (dr.max(glow.weight) > 0)
    medium = dr.select(active, glow.medium, dr.zeros(mi.MediumPtr))
    light = emissive.emitted(medium, interaction(ray, glow.t, medium), active)
    one = light * glow.weight * _thinned(glow.piece, glow.share, glow.place, ray, active)  # Eq. (23)
    return dr.replace_grad(glow.light, dr.select(active, one, 0))
