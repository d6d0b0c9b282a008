"""Rays through a field: what it emits, through what it absorbs on the way (docs/theory.md, section 12).

The way through the box is cut into intervals of one length, with one sample in each. Sums over samples are differentiated by
Dr.Jit and hold every sample that counts in memory (`march`); images hold none (`look`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.fields.field import Box, Field
from pbdr.fields.occupancy import Occupancy


@dataclass(frozen=True)
class Marched:
    """What rays have met. Per ray: `radiance` before any background, and `opacity`.

    Per sample that counts: `ray`, its number; `place`, in [0, 1] along the ray's way through the box; `weight`, with which its
    emission counts; `slot`, its number among all samples, of which each ray has `samples`.
    """

    radiance: Any
    opacity: Any
    ray: Any
    place: Any
    weight: Any
    slot: Any
    samples: int

    def over(self, background: Any) -> Any:
        """Radiance in front of a background."""
        return self.radiance + background * (1 - self.opacity)

    def whole(self, value: Any) -> Any:
        """Numbers of samples that count, with zeros for all others: those of a ray lie next to each other."""
        return _spread(value, self.slot, dr.width(self.opacity) * self.samples)


def march(
    field: Field, latents: Mapping[str, Any], box: Box, origin: Any, direction: Any, samples: int, jitter: Any,
    occupancy: Occupancy | None = None, detail: Any = None,
) -> Marched:  # fmt: skip
    """Follow rays (unit directions) through the field, differentiable in the latents; their number is that of `origin`.

    `jitter`: a number in [0, 1) for every sample, `samples` a ray, that says where in its interval it is.
    """
    count = dr.width(origin)
    near, far = box.chord(origin, direction)
    step = dr.maximum(far - near, 0) * (1 / samples)
    slot = dr.arange(mi.UInt32, count * samples)
    place = (mi.Float(slot % samples) + jitter) * (1 / samples)
    ray = slot // samples
    point = box.local(_at(origin, direction, near, step, samples, place, ray))
    counts = dr.gather(mi.Float, step, ray) > 0
    if occupancy is not None:
        counts &= occupancy(point)
    dr.eval(counts, place, near, step)
    slot = dr.compress(counts)
    place, ray = dr.gather(mi.Float, place, slot), slot // samples
    point = box.local(_at(origin, direction, near, step, samples, place, ray))
    raw = field.raw(latents, point, detail)
    density, colour = field.density(raw, box), field.emission(raw, dr.gather(mi.Vector3f, direction, ray))
    depth = density * dr.gather(mi.Float, step, ray)
    dr.eval(depth, colour)  # what follows needs all samples of a ray: the field is not asked again for it
    before = dr.block_prefix_sum(_spread(depth, slot, count * samples), samples)
    weight = dr.exp(-dr.gather(mi.Float, before, slot)) * (1 - dr.exp(-depth))  # Eq. (29)
    sums = [dr.block_sum(_spread(x, slot, count * samples), samples) for x in (*(weight * colour), weight)]
    return Marched(mi.Color3f(*sums[:3]), sums[3], ray, place, weight, slot, samples)


@dr.syntax
def look(
    field: Field, latents: Mapping[str, Any], box: Box, origin: Any, direction: Any, samples: int, jitter: Any,
    occupancy: Occupancy, active: Any = True,
) -> tuple[Any, Any]:  # fmt: skip
    """As `march`, without derivatives, one sample after the other: (radiance, opacity), in memory for the rays alone.

    What lies behind a transmittance of CLOSED is left out.
    `jitter`: one number a ray.
    """
    near, far = box.chord(origin, direction)
    step = dr.maximum(far - near, 0) * (1 / samples)
    first = origin + direction * (near + jitter * step)
    radiance, passed = mi.Color3f(0), mi.Float(1)
    number = _next(box, first, direction, step, samples, mi.UInt32(0), occupancy, mi.Bool(active) & (step > 0))
    while dr.hint(number < samples, label="pbdr: field", exclude=[field, latents, box, first, direction, step]):
        raw = field.raw(latents, box.local(first + direction * (mi.Float(number) * step)))
        depth = field.density(raw, box) * step
        radiance += passed * (1 - dr.exp(-depth)) * field.emission(raw, direction)  # Eq. (29)
        passed *= dr.exp(-depth)
        number = _next(box, first, direction, step, samples, number + 1, occupancy, passed > CLOSED)
    return radiance, 1 - passed


@dr.syntax
def _next(
    box: Box, first: Any, direction: Any, step: Any, samples: int, number: Any, occupancy: Occupancy, active: Any
) -> Any:
    """Number of the first sample from `number` on that lies where the field is worth looking; `samples`, if there is none."""
    number = dr.select(active, number, samples)
    empty = mi.Bool(active)
    while dr.hint(empty & (number < samples), label="pbdr: empty cells", exclude=[box, first, direction, step]):
        empty = ~occupancy(box.local(first + direction * (mi.Float(number) * step)))
        number = dr.select(empty, number + 1, number)
    return number


#: Transmittance behind which images are not followed any further.
CLOSED = 1e-4


def _at(origin: Any, direction: Any, near: Any, step: Any, samples: int, place: Any, ray: Any) -> Any:
    distance = dr.gather(mi.Float, near, ray) + place * samples * dr.gather(mi.Float, step, ray)
    return dr.gather(mi.Point3f, origin, ray) + dr.gather(mi.Vector3f, direction, ray) * distance


def _spread(value: Any, slot: Any, size: int) -> Any:
    """`value` at `slot`, zeros elsewhere; differentiable."""
    whole = dr.zeros(mi.Float, size)
    dr.scatter(whole, value, slot)
    return whole
