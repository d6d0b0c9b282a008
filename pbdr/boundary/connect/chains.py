"""Chains of delta lobes: what rays of the camera, or of another surface, become in mirrors and glass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr import seeds
from pbdr.boundary import segment
from pbdr.boundary.context import Context
from pbdr.discrete import Discrete
from pbdr.geometry import rounding
from pbdr.transport import camera, hits, lobes, spectra
from pbdr.transport.support import incomplete
from pbdr.transport.tracer import Tracer

MAX_LENGTH = 12  # delta vertices of a chain
LEFT_OUT = 0.002  # chains are as long as it takes to leave out no more than this share of what delta lobes show
ANY_LENGTH = 0.3  # share of chains that are of any length; the others are as often so long as random camera rays are
CELLS = 128  # the film is looked at in cells, this many a side


@dataclass
class Lengths:
    """Numbers of delta lobes to choose from: `first` to `last`. `mass` of each of them; None: all alike."""

    first: int
    last: int
    mass: Any = None

    def draw(self, sampler: Any) -> tuple[Any, Any]:
        """One of them, and its probability."""
        span = self.last - self.first + 1
        mass = dr.ones(mi.Float, span) if self.mass is None else self.mass
        index, probability, _ = Discrete.of(mass).sample(sampler.next_1d())
        return index + self.first, probability


@dataclass
class Bundle:
    """Directions in which a surface looks, about `omega`: where from, its normal, and number of vertices before them.

    `reach`: length of the segment before.
    """

    point: Any
    normal: Any
    count: Any
    omega: Any
    reach: Any

    def direction(self, position: Any) -> Any:
        """The unit vector off `omega` by a position in a plane at right angles to it."""
        s, t = mi.coordinate_system(self.omega)
        return dr.normalize(self.omega + s * position.x + t * position.y)

    def at(self, index: Any) -> Bundle:
        """Those of some lanes."""
        get = lambda x: dr.gather(type(x), x, index)  # noqa: E731
        return Bundle(get(self.point), get(self.normal), get(self.count), get(self.omega), get(self.reach))

    def ray(self, position: Any) -> Any:
        """From the surface in that direction."""
        direction = self.direction(position)
        skip = rounding.blur(self.point, self.reach, segment.clear_of_round())
        side = dr.mulsign(skip, dr.dot(self.normal, direction))
        return mi.Ray3f(mi.Point3f(self.point + side * self.normal), direction)


@dataclass
class Chain:
    """Rays of the camera, or of a `bundle`, after `length` delta lobes: reflections where the bit of a vertex in `bits` is 0."""

    scene: Any
    sensor: Any
    tracer: Tracer
    length: Any
    probability: Any  # of the length
    bits: Any
    aperture: Any
    max_length: int
    wavelengths: Any
    bundle: Bundle | None = None

    @property
    def width(self) -> int:
        """Film width in pixels."""
        return camera.film_size(self.sensor.film())[0]

    def begin(self, position: Any, active: Any) -> tuple[Any, Any]:
        """The ray through a film position (or in a direction of the bundle), and its first hit."""
        if self.bundle is None:
            ray = dr.detach(camera.ray_through(self.sensor, position, self.aperture, self.wavelengths))
            return ray, hits.first_hit(self.tracer, self.scene, ray, active)
        ray = spectra.carry(self.bundle.ray(position), self.wavelengths)
        return ray, self.scene.ray_intersect_preliminary(ray, coherent=False, active=active)

    def at(self, index: Any) -> Chain:
        """The chains of some lanes."""
        get = lambda x: None if x is None else dr.gather(type(x), x, index)  # noqa: E731
        bundle = None if self.bundle is None else self.bundle.at(index)
        return Chain(
            self.scene, self.sensor, self.tracer, get(self.length), get(self.probability), get(self.bits), get(self.aperture),
            self.max_length, get(self.wavelengths), bundle,
        )  # fmt: skip


@dataclass
class End:
    """The segment that leaves the last delta vertex; `weight` is the product of lobe values over the bits' probability.

    `reach`: length of the segment before it.
    """

    origin: Any
    direction: Any
    weight: Any
    valid: Any
    reach: Any


@dataclass
class Mirrors:
    """Where on the film the camera sees delta lobes: corners of cells, their size, and how many lobes follow each other.

    `mass` of chains of 1, 2, …, `longest` lobes.
    """

    corners: Any
    size: Any
    longest: int
    mass: Any

    def lengths(self, limit: int, straight: bool = False) -> Lengths:
        """Of chains, up to a limit; `straight`: those without a lobe, too, which are taken to be half of all."""
        last = min(self.longest, limit)
        if straight:
            before = dr.arange(mi.UInt32, last + 1)
            rest = dr.gather(mi.Float, self.mass, before - 1, before > 0)
            return Lengths(0, last, dr.select(before == 0, 1, rest))
        return Lengths(1, last, dr.gather(mi.Float, self.mass, dr.arange(mi.UInt32, last)))

    def start(self, sampler: Any) -> Any:
        """A random film position in one of the cells."""
        number = dr.opaque(mi.UInt32, dr.width(self.corners))  # varies with what is seen
        index = dr.minimum(mi.UInt32(sampler.next_1d() * number), number - 1)
        return dr.gather(mi.Point2f, self.corners, index) + sampler.next_2d() * self.size


def cells(scene: Any, sensor: Any, tracer: Tracer, stream: Callable[[str, int], Any]) -> Mirrors | None:
    """Cells of the film in which a random camera ray meets a delta lobe; None without any."""
    numbers = stream("delta lobes", CELLS * CELLS)
    film = sensor.film()
    (width, height), (x0, y0) = camera.film_size(film), camera.film_origin(film)
    k = dr.arange(mi.UInt32, CELLS * CELLS)
    size = mi.ScalarVector2f(width / CELLS, height / CELLS)
    corner = mi.Point2f(mi.Float(k % CELLS), mi.Float(k // CELLS)) * size + mi.Point2f(x0, y0)
    wavelengths, _ = spectra.sample(sensor, numbers)
    aperture = camera.aperture_sample(sensor, numbers)
    ray = dr.detach(camera.ray_through(sensor, corner + numbers.next_2d() * size, aperture, wavelengths))
    hit = hits.first_hit(tracer, scene, ray)
    # The same numbers in every call: how long chains are is a part of kernels.
    met, weight = _lobes_met(scene, ray, hit, seeds.lanes(CELLS * CELLS, mi.UInt32(0), "length of chains"))
    si = hit.compute_surface_interaction(ray, mi.RayFlags.Minimal, hit.is_valid())
    index = dr.compress(hit.is_valid() & mi.has_flag(si.bsdf().flags(), mi.BSDFFlags.Delta))
    if dr.width(index) == 0:
        return None
    light = np.bincount(np.array(met), np.array(weight), MAX_LENGTH + 2)[1:]
    share = light / max(light.sum(), 1e-30)
    beyond = 1 - np.cumsum(share)[:MAX_LENGTH]  # share of more than 1, 2, … lobes
    enough = np.nonzero(beyond <= LEFT_OUT)[0]
    longest = int(enough[0]) + 1 if len(enough) else MAX_LENGTH
    if not len(enough) and tracer.max_depth - 1 > MAX_LENGTH:
        incomplete(
            f"{beyond[-1]:.1%} of what is seen in mirrors and through glass is seen by way of more than {MAX_LENGTH} of them: "
            "edges have no boundary term there."
        )
    mass = (1 - ANY_LENGTH) * share[:longest] + ANY_LENGTH / longest
    return Mirrors(dr.gather(mi.Point2f, corner, index), size, longest, mi.Float(mass.astype(np.float32).tolist()))


@dr.syntax
def _lobes_met(scene: Any, ray: Any, hit: Any, sampler: Any) -> tuple[Any, Any]:
    """Number of delta lobes by which a camera ray goes on, and the product of their weights."""
    context = mi.BSDFContext()
    ray = mi.Ray3f(ray)
    met, weight = mi.UInt32(0), mi.Float(1)
    active = mi.Bool(True)
    while dr.hint(active, max_iterations=MAX_LENGTH + 1, label="pathspace: length of chains"):
        si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
        bsdf = si.bsdf()
        active &= si.is_valid() & mi.has_flag(bsdf.flags(), mi.BSDFFlags.Delta)
        bs, value = bsdf.sample(context, si, sampler.next_1d(active), sampler.next_2d(active), active)
        active &= mi.has_flag(bs.sampled_type, mi.BSDFFlags.Delta)
        weight *= dr.select(active, dr.max(mi.unpolarized_spectrum(value)), 1)
        met += dr.select(active, mi.UInt32(1), 0)
        ray = rounding.leave(si, si.to_world(bs.wo))
        active &= met <= MAX_LENGTH
        hit = scene.ray_intersect_preliminary(ray, coherent=False, active=active)
    return met, weight


def random_chain(context: Context, sampler: Any, lengths: Lengths, wavelengths: Any, bundle: Any = None) -> Chain:
    """A chain of one of these lengths, chosen at random, at these wavelengths."""
    length, probability = lengths.draw(sampler)
    bits = mi.UInt32(sampler.next_1d() * (1 << lengths.last))
    aperture = None if bundle is not None else camera.aperture_sample(context.sensor, sampler)
    return Chain(
        context.scene, context.sensor, context.tracer, length, probability, bits, aperture, lengths.last, wavelengths, bundle
    )  # fmt: skip


@dr.syntax
def trace(chain: Chain, position: Any, active: Any, store: Any = None) -> End:
    """Follow the chain of a film position; with a `store`, keep its vertices for the sweeps."""
    scene = chain.scene
    active = mi.Bool(active)
    ray, hit = chain.begin(position, active)
    before = mi.UInt32(0) if chain.bundle is None else mi.UInt32(chain.bundle.count)
    weight = mi.Spectrum(1)
    k = mi.UInt32(0)
    length, bits = mi.UInt32(chain.length), mi.UInt32(chain.bits)
    point, direction, reach = mi.Point3f(ray.o), mi.Vector3f(ray.d), mi.Float(0)
    while dr.hint(active & (k < length), max_iterations=chain.max_length, label="pathspace: delta chain"):
        si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
        active &= si.is_valid()
        bsdf = si.bsdf()
        back, through, _ = lobes.lobes_of(bsdf)
        reflect = back & (((bits >> k) & 1 == 0) | ~through)
        lobe = lobes.delta_lobe(bsdf, si, reflect, active)
        active &= lobe.valid
        chance = dr.select(through & back, 0.5, mi.Float(1))
        weight *= lobe.value / chance
        point, direction, reach = mi.Point3f(si.p), si.to_world(lobe.direction), mi.Float(si.t)
        if dr.hint(store is not None, mode="scalar"):
            store.keep(before + k, hit, ray, direction, mi.Float(1), mi.UInt32(1), lobe.sample, active)
        ray = rounding.leave(si, direction)
        k += 1
        hit = scene.ray_intersect_preliminary(ray, coherent=False, active=active & (k < length))
    return End(point, direction, weight, active, reach)
