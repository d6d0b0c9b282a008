"""What a field is: density and emission at a point, as a function of latents that an optimiser moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.errors import OptionError
from pbdr.registry import option

#: Logarithms of densities and emissions are cut here, so that no step makes them infinite.
LARGEST = 9.0
#: How emission is made positive: of numbers of any size.
SHINES = ("sigmoid", "exp")
DEGREES = (0, 3)  # of spherical harmonics, the least and the highest

Latents = Mapping[str, Any]


@dataclass(frozen=True)
class Box:
    """A box along the axes of the world, the only place where a field is. `low`, `high`: its corners."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def __post_init__(self) -> None:
        corners = np.array([self.low, self.high], np.float64)
        if corners.shape != (2, 3) or not np.isfinite(corners).all() or not (corners[0] < corners[1]).all():
            raise OptionError(
                f"box = {[self.low, self.high]}: give two corners, the lower one first, three numbers each"
            )

    @classmethod
    def of(cls, corners: Sequence[Sequence[float]]) -> Box:
        """The box of two corners. Raises OptionError."""
        if len(corners) != 2 or any(len(corner) != 3 for corner in corners):
            raise OptionError(f"box = {corners!r}: give two corners, the lower one first, three numbers each")
        low, high = ((float(c[0]), float(c[1]), float(c[2])) for c in corners)
        return cls(low, high)

    @property
    def side(self) -> float:
        """Length of the longest side."""
        return float(np.max(np.subtract(self.high, self.low)))

    def local(self, point: Any) -> Any:
        """Coordinates in [0, 1]³ of points of the world."""
        size = np.subtract(self.high, self.low)
        return (point - mi.Point3f(*self.low)) * mi.Vector3f(*(1.0 / size).tolist())

    def chord(self, origin: Any, direction: Any) -> tuple[Any, Any]:
        """Distances at which rays enter and leave; the second is not above the first where they miss."""
        inverse = dr.rcp(direction)  # infinite along an axis: the slab is entered at once, or never
        first, second = (mi.Point3f(*self.low) - origin) * inverse, (mi.Point3f(*self.high) - origin) * inverse
        near = dr.max(dr.minimum(first, second))
        return dr.maximum(near, 0), dr.min(dr.maximum(first, second))


@dataclass(frozen=True)
class Field(ABC):
    """A new kind is a frozen dataclass below this class, whose fields are its options (`pbdr.registry`), in a file of its own.

    A field holds no numbers: all that is unknown stands in latents, tensors by name, which are handed to it. It answers with
    `width` raw numbers a point; what these mean is the same for all kinds, and written here. Points are in [0, 1]³.

    name   what job files call it
    rates  learning rate of every latent
    """

    name: ClassVar[str]
    rates: ClassVar[Mapping[str, float]]
    degree: int = option(0, "degree of the spherical harmonics of emission: 0, the same in all directions, to 3")
    shine: str = option("sigmoid", "how emission is made positive: sigmoid, below 1; or exp, without a bound")

    def __post_init__(self) -> None:
        if not DEGREES[0] <= self.degree <= DEGREES[1]:
            raise OptionError(f"field {self.name!r}: degree = {self.degree}: it is a whole number from 0 to 3")
        if self.shine not in SHINES:
            raise OptionError(f"field {self.name!r}: shine = {self.shine!r}: it is {' or '.join(map(repr, SHINES))}")

    @property
    def width(self) -> int:
        """Raw numbers a point: one of density, then three for each spherical harmonic."""
        return 1 + 3 * (self.degree + 1) ** 2

    @property
    def levels(self) -> int:
        """Levels of detail, coarse ones first, that may be faded in one after the other."""
        return 1

    @abstractmethod
    def init(self, seed: int) -> dict[str, Any]:
        """Return latents to start from, tensors by name; the raw numbers that they stand for are about 0."""

    @abstractmethod
    def raw(self, latents: Latents, point: Any, detail: Any = None) -> list[Any]:
        """Return the `width` raw numbers at points of [0, 1]³, differentiable in the latents.

        `detail`: a number on the device from 1 to `levels`, of which levels above it are left out (`faded`); None: all count.
        """

    def density(self, raw: Sequence[Any], box: Box) -> Any:
        """Extinction coefficient, a length to the power of −1: of raw number 0, one over the longest side of the box."""
        return dr.exp(dr.minimum(raw[0], LARGEST)) * (1 / box.side)

    def emission(self, raw: Sequence[Any], direction: Any) -> Any:
        """Radiance (three channels) that would leave a thick layer of it along −`direction`, which points away from the camera."""
        basis = [mi.Float(1), *dr.sh_eval(direction, self.degree)[1:]] if self.degree else [mi.Float(1)]
        colour = [sum(raw[1 + 3 * i + c] * y for i, y in enumerate(basis)) for c in range(3)]
        if self.shine == "exp":
            return mi.Color3f(*[dr.exp(dr.minimum(x, LARGEST)) for x in colour])
        return mi.Color3f(*[dr.rcp(1 + dr.exp(-x)) for x in colour])


def faded(level: int, detail: Any) -> Any:
    """Share with which a level counts: 1 below `detail`, 0 above, and in between while it comes in."""
    return mi.Float(1) if detail is None else dr.clip(detail - level, 0, 1)
