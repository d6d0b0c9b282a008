"""Adam (Kingma & Ba 2015) as two pure functions on dictionaries of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Adam:
    """First and second moments and the number of updates, by latent key."""

    m: dict[str, Any]
    v: dict[str, Any]
    t: dict[str, int]


def init(latents: Mapping[str, Any]) -> Adam:
    """Return the state before the first update."""
    zeros = {key: dr.zeros(mi.TensorXf, value.shape) for key, value in latents.items()}
    return Adam(zeros, dict(zeros), dict.fromkeys(latents, 0))


def step(
    state: Adam, latents: Mapping[str, Any], gradients: Mapping[str, Any], lr: Mapping[str, float]
) -> tuple[dict[str, Any], Adam]:
    """Return (latents, state) after one update of the latents that have a gradient; the others stay as they are.

    `lr` is by latent key. Numbers that change from step to step are opaque, so that no kernel is compiled twice.
    """
    moved, m, v, t = dict(latents), dict(state.m), dict(state.v), dict(state.t)
    for key, gradient in gradients.items():
        t[key] += 1
        m[key] = BETA1 * m[key] + (1 - BETA1) * gradient
        v[key] = BETA2 * v[key] + (1 - BETA2) * dr.square(gradient)
        scale = dr.opaque(mi.Float, lr[key] / (1 - BETA1 ** t[key]))
        correction = dr.opaque(mi.Float, 1 / (1 - BETA2 ** t[key]))
        update = m[key] * mi.TensorXf(scale, shape=(1,) * len(gradient.shape))
        spread = dr.sqrt(v[key] * mi.TensorXf(correction, shape=(1,) * len(gradient.shape)))
        moved[key] = latents[key] - update / (spread + EPSILON)
    dr.eval(moved, m, v)
    return moved, Adam(m, v, t)
