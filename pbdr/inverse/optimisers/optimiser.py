"""What an optimiser is: pure functions of dictionaries of tensors; all that it remembers is an argument and a result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi


@dataclass(frozen=True)
class Memory:
    """What an optimiser remembers from step to step, as checkpoints keep it.

    slots   tensors, by the name of the slot (`m` and `v` of Adam) and then by latent key, in the latents' shapes
    t       number of updates, by latent key
    """

    slots: dict[str, dict[str, Any]]
    t: dict[str, int]


class Optimiser(ABC):
    """A new one is a frozen dataclass below this class, whose fields are its options (`pbdr.registry`).

    name    what job files and `Options.optimiser` call it
    wants   "gradients", by latent key; or "least squares": then the argument `gradients` of `step` is an
            `inverse.least_squares.System`, which has normal equations, and losses at other latents
    slots   names of the tensors that it keeps for each latent; not "latent" and not "learned", which checkpoints hold besides
    """

    name: ClassVar[str]
    wants: ClassVar[str] = "gradients"
    slots: ClassVar[tuple[str, ...]] = ()

    def init(self, latents: Mapping[str, Any]) -> Memory:
        """Return what is remembered before the first update: zeros."""
        zeros = {key: dr.zeros(mi.TensorXf, value.shape) for key, value in latents.items()}
        return Memory({slot: dict(zeros) for slot in self.slots}, dict.fromkeys(latents, 0))

    @abstractmethod
    def step(
        self, memory: Memory, latents: Mapping[str, Any], gradients: Any, lr: Mapping[str, float]
    ) -> tuple[dict[str, Any], Memory]:
        """Return (latents, memory) after one update of the latents that have a gradient; the others stay as they are.

        `lr` is by latent key. Numbers that change from step to step are opaque, so that no kernel is compiled twice. What is given
        is not changed.
        """

    def settled(self, memory: Memory, keys: Iterable[str]) -> bool:
        """Return whether the latents `keys` have arrived, so that further steps would only shake them; a fit ends when all have."""
        return False
