"""What a map is: from a latent variable, which the optimiser moves freely, to a parameter value within its bounds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import drjit as dr
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import ParameterError
from pbdr.parameters.place import Place

Array = NDArray[Any]

#: A value on a bound of an open map starts this fraction of the range inside it, where the map still has a slope.
INSIDE = 1e-3


class Map(ABC):
    """A new one is a frozen dataclass below this class, whose fields are its options (`pbdr.registry`).

    name    what job files and `VariableSpec.map` call it
    poses   whether it serves the twelve numbers of a pose, which are not free
    optimiser  which of `inverse.optimisers.OPTIMISERS` moves its latents where neither variable nor job says; "": the job's
    reach   how far a latent may go in one step of least squares, whose derivatives say nothing of what is farther

    Maps are smooth (or, like `clamp`, smooth after projection) and differentiable by Dr.Jit; the latent may have another shape than
    the value. `to_latent` works on the host, `to_value` and `project` on tensors. NaN passes through unchanged: it is the fit loop
    that counts and refuses it. `Variables` calls `refusal` and `prepare` once, `check` and `to_latent` for initial values and where
    a gauge moves them, `to_value` and `project` in every step.
    """

    name: ClassVar[str]
    poses: ClassVar[bool] = False
    optimiser: ClassVar[str] = ""
    reach: ClassVar[float] = math.inf

    def refusal(self, place: Place) -> str:
        """Return why the map cannot keep the bounds of `place`, to follow "map 'name'"; "" if it can."""
        return ""

    def prepare(self, place: Place) -> Any:
        """Return what the other methods find as `place.prepared`: the factors of a matrix, a pose to start from."""
        return None

    def check(self, value: Array, place: Place, what: str) -> Array:
        """Return finite values (float64) moved into the bounds where rounding took them out; else raise ParameterError."""
        lo, hi = place.bounds
        slack = 1e-6 * max(1.0, abs(lo) if lo > -math.inf else 0.0, abs(hi) if hi < math.inf else 0.0)
        if (value < lo - slack).any() or (value > hi + slack).any():
            low, high = float(value.min()), float(value.max())
            raise ParameterError(f"{what} spans [{low:g}, {high:g}], outside its bounds [{lo:g}, {hi:g}]: change one")
        return np.asarray(np.clip(value, lo, hi))

    @abstractmethod
    def to_latent(self, value: Array, place: Place) -> Array:
        """Return the latent (float64) of a value that `check` has passed."""

    @abstractmethod
    def to_value(self, latent: Any, place: Place) -> Any:
        """Return the value tensor of a latent tensor, differentiable."""

    def project(self, latent: Any, place: Place) -> Any:
        """Return the latent moved back to where the map reaches the bounds; called after every step of the optimiser."""
        return latent


def clip(x: Any, lo: float, hi: float) -> Any:
    """Clip without touching NaN."""
    x = dr.select(x < lo, lo, x) if lo > -math.inf else x
    return dr.select(x > hi, hi, x) if hi < math.inf else x


def clipped_straight(latent: Any, lo: float, hi: float) -> Any:
    """Return the clipped latent with the derivative of the identity ("straight through").

    Otherwise a latent on the bound, where projection puts it, could never leave.
    """
    return dr.replace_grad(clip(dr.detach(latent), lo, hi), latent)
