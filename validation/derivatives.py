"""Replicas of derivatives along given tangents, term by term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pbdr.rendering import gradient
from validation.agreement import Array, replicas

REPLICAS = 16
TERMS = ("interior", "primary", "direct")


@dataclass
class Terms:
    """Replicas of the terms of a derivative: each (N, ...)."""

    parts: dict[str, Array]

    @property
    def total(self) -> Array:
        return self.without()

    def only(self, *names: str) -> Array:
        return np.sum([self.parts[name] for name in names], axis=0)

    def without(self, *names: str) -> Array:
        """Sum of all other terms: what a renderer without these terms would give."""
        return np.sum([x for name, x in self.parts.items() if name not in names], axis=0)


def derivatives(
    scene: Any, tangents: Mapping[str, Any], adjoint: Array, *, spp: int = 16, replica_count: int = REPLICAS,
    terms: tuple[str, ...] = TERMS, sensor: int = 0, **options: Any,
) -> Terms:  # fmt: skip
    """Directional derivatives of Σ adjoint · image: `tangents` maps parameter names to (K, *shape); the parts are (N, K).

    With a tangent of None the whole gradient of that (only) parameter is kept: (N, *shape).
    """
    integrator = {"type": "pathspace", **options}

    def estimate(seed: int) -> list[Any]:
        found = gradient(
            scene, list(tangents), adjoint, spp=spp, seed=seed, integrator=integrator, terms=terms, sensor=sensor
        )
        rows = []
        for term in terms:
            total: Any = 0
            for name, tangent in tangents.items():
                value = getattr(found, term)[name].astype(np.float64)
                total = total + (
                    value if tangent is None else np.asarray(tangent).reshape(len(tangent), -1) @ value.ravel()
                )
            rows.append(total)
        return rows

    samples = replicas(estimate, replica_count, *tangents)
    return Terms({term: samples[:, i] for i, term in enumerate(terms)})
