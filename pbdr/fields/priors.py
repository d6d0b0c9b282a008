"""What is known of a field before any image is seen: where views are few, it decides what they leave open."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

from pbdr.fields.field import Box, Field
from pbdr.fields.march import Marched
from pbdr.registry import Registry, option
from pbdr.sequence import over_lanes

SMALL = 1e-6  # opacities, whose logarithm is taken, are at least this far from 0 and 1


@dataclass(frozen=True)
class Seen:
    """What a step has seen: the field with its latents, the rays that were followed, and a seed for what else is drawn."""

    field: Field
    latents: Mapping[str, Any]
    box: Box
    marched: Marched
    detail: Any
    seed: Any


class FieldPrior(ABC):
    """A new one is a frozen dataclass below this class, whose fields are its options (`pbdr.registry`).

    name   what job files call it
    """

    name: ClassVar[str]

    @abstractmethod
    def __call__(self, seen: Seen) -> Any:
        """Return one number, an array of width 1 that is differentiable in the latents: it is added to the loss with its weight."""


@dataclass(frozen=True)
class FieldVariation(FieldPrior):
    """Total variation of opacity and of colours: the mean difference, at random points, of a cell from its neighbours.

    Of opacity, 1 − e^(−σ h) for a step h, and not of density, so that what is opaque may be as dense as it likes. Of colours
    everywhere alike, so that those of places that no ray has seen are those of their surroundings.
    """

    name: ClassVar[str] = "tv"
    points: int = option(2048, "random points a step")
    step: float = option(0.02, "distance of neighbours, as a fraction of the box")
    smooth: float = option(1e-3, "rounds the corner of |x| at 0")
    colour: float = option(0.0, "weight of colours beside opacity")

    def __call__(self, seen: Seen) -> Any:
        sequence = over_lanes(self.points, seen.seed)
        pair = sequence.next_2d()
        point = mi.Point3f(pair.x, pair.y, sequence.next_1d()) * (1 - self.step)

        def values(shift: Any) -> list[Any]:
            raw = seen.field.raw(seen.latents, point + shift, seen.detail)
            opacity = 1 - dr.exp(-seen.field.density(raw, seen.box) * (self.step * seen.box.side))
            if not self.colour:
                return [opacity]
            return [opacity, *(self.colour * seen.field.emission(raw, mi.Vector3f(0, 0, 1)))]

        here, total = values(mi.Vector3f(0)), mi.Float(0)
        for axis in range(3):
            beside = values(mi.Vector3f([self.step * (axis == k) for k in range(3)]))
            for one, other in zip(here, beside, strict=True):
                total += dr.sqrt(dr.square(other - one) + self.smooth**2) - self.smooth
        return dr.mean(total)


@dataclass(frozen=True)
class Distortion(FieldPrior):
    """What a ray meets lies close together (Barron et al. 2022, equation 15), mean over rays; places are fractions of its way."""

    name: ClassVar[str] = "distortion"

    def __call__(self, seen: Seen) -> Any:
        found = seen.marched
        weight, place = found.whole(found.weight), found.whole(found.place)
        before = dr.block_prefix_sum(weight, found.samples)
        moment = dr.block_prefix_sum(weight * place, found.samples)
        # Σ_ij w_i w_j |s_i − s_j| is twice the sum over j < i, since places grow along a ray.
        apart = 2 * dr.sum(weight * (place * before - moment))
        inside = dr.sum(dr.square(weight)) * (1 / (3 * found.samples))
        return (apart + inside) * (1 / dr.width(found.opacity))


@dataclass(frozen=True)
class OpacityEntropy(FieldPrior):
    """A ray ends at something, or at nothing: entropy of the opacity of rays in nats, which is 0 for 0 and 1."""

    name: ClassVar[str] = "entropy"

    def __call__(self, seen: Seen) -> Any:
        opacity = dr.clip(seen.marched.opacity, SMALL, 1 - SMALL)
        return -dr.mean(opacity * dr.log(opacity) + (1 - opacity) * dr.log(1 - opacity))


FIELD_PRIORS: Registry[FieldPrior] = Registry(
    "prior of fields", "Priors of fields", (FieldVariation, Distortion, OpacityEntropy)
)
