"""Vertices in media, and what ways between vertices do to light: detached where paths are traced, attached where they are swept."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import rounding
from pbdr.transport.media import flight as flights
from pbdr.transport.media.flight import Flight
from pbdr.transport.scattering import Collision, Vertex


def arrive(si: Any, bsdf: Any, ray: Any, flown: Flight | None) -> Vertex:
    """The vertex at the end of a way: where `ray` meets the surface `si`, or collides before that. `flown` None: no
    media.

    `ray` may be attached.
    """
    if flown is None:
        return Vertex(si, bsdf)
    here, point = flown.collided, dr.fma(ray.d, flown.t, ray.o)
    medium = dr.select(here, flown.medium, dr.zeros(mi.MediumPtr))
    mei = flights.interaction(ray, flown.t, medium)
    scattered, _, _ = medium.get_scattering_coefficients(mei, here)
    si = type(si)(si)
    si.p = dr.select(here, point, si.p)
    si.n = dr.select(here, mi.Normal3f(0), si.n)
    si.t = dr.select(here, flown.t, si.t)
    si.shape = dr.select(here, dr.zeros(mi.ShapePtr), si.shape)
    collision = Collision(here, mei, medium.phase_function(), mi.unpolarized_spectrum(scattered))
    bsdf = dr.select(here, dr.zeros(mi.BSDFPtr), bsdf)
    return Vertex(si, bsdf, collision, flown.medium)


def lit(
    scene: Any, vertex: Vertex, ds: Any, sampler: Any, defensive: float, active: Any
) -> tuple[Any, Any, Flight]:  # fmt: skip
    """As `emission.visible_hit`, through media: (hit, whether the sampled point of the light is unoccluded, the way to it)."""
    si = vertex.si
    start = rounding.GRAZING * rounding.offset(si)
    ray = si.spawn_ray(ds.d)
    ray.o = dr.fma(ds.d, start, si.p)
    way = flights.fly(
        scene, ray, vertex.beyond(ds.d), sampler, defensive, reach=ds.dist - start, active=active
    )  # fmt: skip
    reached = ~way.hit.is_valid() | (way.hit.t >= (ds.dist - start) * flights.END)
    surface = mi.has_flag(ds.emitter.flags(), mi.EmitterFlags.Surface)
    same = way.hit.is_valid() & (way.hit.shape.emitter() == ds.emitter)
    way.hit.t = way.hit.t + start
    return way.hit, active & reached & (~surface | same), way


def transmitted(way: Flight, ray: Any, active: Any) -> Any:
    """Transmittance of a way along the attached `ray`, over its density, attached: one piece stands for the optical depth."""
    piece = way.piece
    length = piece.end - piece.begin
    active = active & (way.share > 0)
    medium = dr.select(active, piece.medium, dr.zeros(mi.MediumPtr))
    mei = flights.interaction(ray, dr.fma(length, way.place, piece.begin), medium)
    _, _, extinction = medium.get_scattering_coefficients(mei, active)
    depth = mi.unpolarized_spectrum(extinction) * (length * way.share)  # Eq. (20)
    return way.weight * dr.select(active, dr.replace_grad(mi.Spectrum(1), -depth), 1)
