"""Adam (Kingma & Ba 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi

from pbdr.inverse.optimisers.optimiser import Memory, Optimiser
from pbdr.registry import option


@dataclass(frozen=True)
class Adam(Optimiser):
    """Steps of about the learning rate in every entry, whatever the scale of its gradient. Slots: first and second moments."""

    name: ClassVar[str] = "adam"
    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    beta1: float = option(0.9, "share of the past in the mean of the gradient")
    beta2: float = option(0.999, "share of the past in the mean of its square")
    epsilon: float = option(1e-8, "added to the root of that mean")

    def step(
        self, memory: Memory, latents: Mapping[str, Any], gradients: Mapping[str, Any], lr: Mapping[str, float]
    ) -> tuple[dict[str, Any], Memory]:
        moved, t = dict(latents), dict(memory.t)
        m, v = (dict(memory.slots[slot]) for slot in self.slots)
        for key, gradient in gradients.items():
            t[key] += 1
            m[key] = self.beta1 * m[key] + (1 - self.beta1) * gradient
            v[key] = self.beta2 * v[key] + (1 - self.beta2) * dr.square(gradient)
            scale = dr.opaque(mi.Float, lr[key] / (1 - self.beta1 ** t[key]))
            correction = dr.opaque(mi.Float, 1 / (1 - self.beta2 ** t[key]))
            update = m[key] * mi.TensorXf(scale, shape=(1,) * len(gradient.shape))
            spread = dr.sqrt(self.spread(v[key]) * mi.TensorXf(correction, shape=(1,) * len(gradient.shape)))
            moved[key] = latents[key] - update / (spread + self.epsilon)
        dr.eval(moved, m, v)
        return moved, Memory({"m": m, "v": v}, t)

    def spread(self, second: Any) -> Any:
        """Return what entries are divided by, squared, of their second moments."""
        return second
