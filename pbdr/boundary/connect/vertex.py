"""x_S as a vertex of a camera path: for boundary segments that are found from the camera's side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary.context import Context
from pbdr.boundary.sample import Kept, Sample, Side
from pbdr.geometry import rounding
from pbdr.transport import camera, hits, path, spectra


@dataclass
class Vertex:
    """One vertex of a camera path, all detached.

    `store`, `count`: the path up to and including x_S; `hit`, `arriving`: what re-creates it; `si`: x_S itself; `factor`:
    importance over probability, for integrals over directions from any of the vertices, in film area; `after_delta`: whether the
    camera sees all this by way of a delta lobe.
    """

    ray: Any
    position: Any
    store: path.PathStore
    count: Any
    hit: Any
    arriving: Any
    si: Any
    factor: Any
    after_delta: Any
    active: Any

    @property
    def wavelengths(self) -> Any:
        """Those of the path."""
        return self.arriving.wavelengths

    def sees(self, scene: Any, target: Any, clearance: Any, active: Any) -> Any:
        """Whether nothing lies between x_S and a point; what is nearer to it than `clearance` does not count."""
        # From the offset origin: a parallel ray would miss the edge or hit the face behind it.
        return ~scene.ray_test(rounding.leave_to(self.si, target, clearance), active)

    def scattered(self, omega: Any, active: Any) -> Any:
        """f_s cosθ towards a world direction."""
        return self.si.bsdf().eval(mi.BSDFContext(), self.si, self.si.to_local(omega), active)

    def sample(self, omega: Any, sides: Callable[[Any, Any], list[Side]], active: Any) -> Sample:
        """The segment that leaves x_S in direction ω."""
        kept = Kept(self.ray, self.store, self.count, mi.Point3f(self.si.p), omega)
        return Sample.on_path(kept, self.position, sides, active)


def draw(context: Context, sampler: Any) -> Vertex:
    """A camera path on every lane, and one of its vertices, all with the same probability; the last one only sees lights."""
    scene, options = context.scene, context.options
    width, height = camera.film_size(context.sensor.film())
    ray, ray_weight, position = camera.spread_rays(context.sensor, sampler)
    camera_ray = dr.detach(ray)
    first = hits.first_hit(context.tracer, scene, camera_ray, bundled=True)
    store = path.PathStore(options.max_depth, camera_ray.wavelengths)
    _, length, _ = path.trace(scene, camera_ray, first, sampler, options, store)
    choice = mi.UInt32(sampler.next_1d() * length)
    choice = dr.minimum(choice, dr.maximum(length, 1) - 1)
    active = length > 0
    vertex, (_, bounce) = store.vertices.read(choice, active), store.scatters.read(choice, active)
    hit = hits.unpack(vertex[0])
    arriving = spectra.carry(mi.Ray3f(mi.Point3f(vertex[1]), vertex[2]), camera_ray.wavelengths)
    si = hit.compute_surface_interaction(arriving, mi.RayFlags.All, active)
    si.wi = si.to_local(-arriving.d)
    active &= si.is_valid()
    _, first_bounce = store.scatters.read(mi.UInt32(0), active)
    after_delta = active & (choice > 0) & (first_bounce[2] == 1)
    factor = bounce[5] * ray_weight * (length * (width * height))
    return Vertex(ray, position, store, choice + 1, hit, arriving, si, factor, after_delta, active)
