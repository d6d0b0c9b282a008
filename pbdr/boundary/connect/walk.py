"""Importance walks: from an edge by way of the surfaces before it back to the camera, kept in the camera's order for the sweeps.

Where a walk meets a delta lobe it follows it: then the segment past the edge leaves a mirror or glass, and x_S lies before that
(docs/theory.md, section 7c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.connect import straight
from pbdr.geometry import rounding
from pbdr.transport import lobes, path, scattering


@dataclass
class Walk:
    """A camera path that ends at the vertex before the edge, all detached.

    `throughput`: importance of that vertex without the cosine towards the segment beyond it, per unit area there, over the
    probability of what was chosen at random; the path is kept in `store`, `count` scatterings long, the last of them by a delta
    lobe where `chained`.
    """

    connection: straight.Connection
    store: path.PathStore
    count: Any
    throughput: Any
    chained: Any
    active: Any


def to_camera(
    scene: Any, link: Any, hit: Any, ray: Any, omega: Any, bounds: tuple[int, int], sampler: Any, max_depth: int, chains: bool,
    active: Any,
) -> Walk:  # fmt: skip
    """Walk from `hit` of `ray`, which a segment leaves in direction `omega`, by some scatterings and a connection.

    `link`: `straight.Straight` or `specular.Seen`. `bounds`: least and largest number of scatterings before the connection.
    `chains`: whether there are delta lobes in the scene; after one of them, what lies beyond the edge may be the end of the path,
    so that the largest number is `max_depth` − 2. At the wavelengths that `ray` carries.
    """
    store = path.PathStore(max_depth, ray.wavelengths)
    before = mi.UInt32(link.length)
    steps, choices = _length(hit, ray, bounds, max_depth, before, chains, sampler, active)
    throughput = mi.Spectrum(choices)
    active = active & (choices > 0)
    hit, ray, onward, throughput, chained, active = _walk(
        scene, hit, ray, omega, steps, before, throughput, sampler, store, chains, active
    )
    si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
    seen = link.connect(si.p, hit, store, active)
    active = seen.active
    si.wi = si.to_local(-seen.ray.d)
    throughput *= straight.scattered_without_cosine(si, onward, active)
    store.keep(before, seen.hit, seen.ray, onward, mi.Float(1), mi.UInt32(0), mi.Float(0), active)
    importance = seen.importance * dr.abs_dot(si.n, seen.ray.d)
    return Walk(seen, store, before + steps + 1, throughput * importance, chained, active)


def _length(
    hit: Any, ray: Any, bounds: tuple[int, int], max_depth: int, before: Any, chains: bool, sampler: Any, active: Any
) -> tuple[Any, Any]:
    """Number of steps of a walk, uniform between bounds, and how many choices there are; a mirror cannot see the camera."""
    first, last = mi.Int32(bounds[0]), mi.Int32(bounds[1])
    if chains:
        si = hit.compute_surface_interaction(ray, mi.RayFlags.Minimal, active)
        reflects, transmits, smooth = lobes.lobes_of(si.bsdf())
        first = dr.maximum(first, dr.select(smooth, mi.Int32(0), 1))
        last = dr.select(reflects | transmits, mi.Int32(max_depth - 2), last)
    choices = dr.maximum(last + 1 - first - mi.Int32(before), 0)
    steps = first + dr.minimum(mi.Int32(sampler.next_1d() * mi.Float(choices)), dr.maximum(choices - 1, 0))
    return mi.UInt32(steps), mi.Float(choices)


@dr.syntax
def _walk(
    scene: Any, hit: Any, ray: Any, omega: Any, steps: Any, before: Any, throughput: Any, sampler: Any, store: path.PathStore,
    chains: bool, active: Any,
) -> tuple[Any, ...]:  # fmt: skip
    """Returns (hit and ray of the vertex next to the camera, direction from it to its successor, throughput, whether the last
    scattering is by a delta lobe, active)."""
    k = mi.UInt32(steps)
    hit, ray = mi.PreliminaryIntersection3f(hit), mi.Ray3f(ray)
    onward = mi.Vector3f(omega)
    throughput = mi.Spectrum(throughput)
    chained = mi.Bool(False) & active
    active = mi.Bool(active)
    while dr.hint(active & (k > 0), label="pathspace: walk"):
        si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
        bsdf = si.bsdf()
        scatters_through = scattering.scatters_through(bsdf.flags())
        back = mi.warp.square_to_cosine_hemisphere(sampler.next_2d(active))
        pdf = mi.warp.square_to_cosine_hemisphere_pdf(back) * dr.select(scatters_through, 0.5, 1)
        flip = dr.select(scatters_through & (sampler.next_1d(active) < 0.5), -1, 1)
        back.z = dr.mulsign(back.z, si.to_local(onward).z) * flip
        delta = mi.Bool(False) & active
        chance, reflect = mi.Float(1), mi.Bool(False) & active
        if dr.hint(chains, mode="scalar"):
            # ---- a delta lobe instead, if there is one: at random where there is a choice
            reflects, transmits, smooth = lobes.lobes_of(bsdf)
            either = reflects | transmits
            delta = active & either & (~smooth | (sampler.next_1d(active) < 0.5))
            reflect = reflects & (~transmits | (sampler.next_1d(active) < 0.5))
            si.wi = si.to_local(onward)
            lobe = lobes.delta_lobe(bsdf, si, reflect, delta, importance=True)
            chance = dr.select(either & smooth, mi.Float(0.5), 1) * dr.select(delta & reflects & transmits, 0.5, 1)
            back = dr.select(delta, lobe.direction, back)
            active &= ~delta | lobe.valid
            throughput *= dr.select(delta, lobe.value, 1)
        si.wi = back
        backward_ray = rounding.leave(si, si.to_world(back))
        sample = mi.Float(0)
        if dr.hint(chains, mode="scalar"):
            sample = lobes.delta_lobe(bsdf, si, reflect, delta).sample
        found = scene.ray_intersect_preliminary(backward_ray, coherent=False, active=active)
        value = straight.scattered_without_cosine(si, onward, active & ~delta)
        scattered = value * dr.abs_dot(si.n, backward_ray.d) * dr.select(pdf > 0, dr.rcp(pdf), 0)
        throughput *= dr.select(delta, 1, scattered) / chance
        active &= found.is_valid() & (dr.max(throughput) > 0)
        # The same segment as the camera's path would have it: from the new vertex to this one.
        arriving = mi.PreliminaryIntersection3f(hit)
        start = backward_ray(found.t)
        arriving.t = dr.norm(si.p - start)
        kind = dr.select(delta, mi.UInt32(1), 0)
        inverse = dr.select(delta | (k < steps), mi.Float(1), 0)
        store.keep(before + k, arriving, mi.Ray3f(start, -backward_ray.d), onward, inverse, kind, sample, active)
        chained = dr.select(k == steps, delta, chained)
        onward = -backward_ray.d
        hit, ray = found, backward_ray
        k -= 1
    return hit, ray, onward, throughput, chained, active
