"""Derivatives by finite differences of Mitsuba's own `path`, and their comparison with `pbdr.gradient`.

Both sides are directional derivatives of Σ weights · image, in replicas with hashed seeds. The differences use common random
numbers at ± a step and at ± half of it. The two must agree (else the step is too long, or the noise too high to tell), and are
extrapolated (Richardson), so that what is left of the truncation error is of fourth order.
"""

from __future__ import annotations

from typing import Any

import mitsuba as mi
import numpy as np

from pbdr.parameters import list_parameters, traverse
from pbdr.pathspace.plugin import TERMS
from pbdr.rendering import derivative, gradient
from pbdr.seeds import hashed
from pbdr.verify.sources import Move, difference
from validation.agreement import Array, assert_agrees, assert_differs, replicas

REPLICAS = 6
SIZE = 16  # pixels a side of the films of validation/scenes


def adjoint(size: int = SIZE) -> Array:
    """Smooth weights that differ between pixels and channels."""
    y, x = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    waves = np.sin(6 * x + 2 * y), np.cos(5 * y - 3 * x), np.sin(9 * x * y)
    return (1 + 0.5 * np.stack(waves, -1)) / size**2


def parameters(scene: Any, name: str = "*") -> dict[str, Any]:
    """Name → parameter."""
    return {p.name: p for p in list_parameters(scene) if name in ("*", p.name)}


class Differences:
    """Finite differences along a tangent of one parameter; the scene is as before after every call."""

    def __init__(
        self, scene: Any, name: str, tangent: Array, step: float, *, spp: int, integrator: dict[str, Any]
    ) -> None:
        self.scene, self.step, self.spp, self.name = scene, step, spp, name
        self.params = traverse(scene)
        self.move = Move.of(self.params, parameters(scene, name)[name], tangent)
        self.integrator = mi.load_dict(integrator)

    def image(self, step: float, seed: int) -> Array:
        """Derivative image (H, W, C), extra channels included, from one pair of renderings."""
        render = lambda: mi.render(self.scene.mi, integrator=self.integrator, spp=self.spp, seed=seed)  # noqa: E731
        return difference(render, self.params, [self.move], step)

    def signs(self) -> Array:
        """An adjoint image that lets nothing cancel: the signs of a derivative image of its own seed."""
        image = self.image(self.step, hashed(0, "signs", self.name))
        return np.sign(image) / image[..., 0].size

    def replicas(self, weights: Array, *, gap: float, count: int = REPLICAS) -> Array:
        """Replicas (N,); asserts that the step and half of it agree within `gap` (or their noise), and extrapolates."""

        def estimate(seed: int) -> list[float]:
            return [float((self.image(h, seed) * weights).sum()) for h in (self.step, 0.5 * self.step)]

        samples = replicas(estimate, count, "differences", self.name)
        result = (4 * samples[:, 1] - samples[:, 0]) / 3
        spread = samples[:, 1] - samples[:, 0]
        noise = spread.std(ddof=1) / np.sqrt(count)
        assert abs(spread.mean()) < gap * abs(result.mean()) + 5 * noise, (
            f"steps disagree: {samples.mean(0)} at {self.step} and half of it (noise of the difference {noise:.2g})"
        )
        return result


def gradients(
    scene: Any, tangents: dict[str, Array], weights: Array, *, spp: int, count: int = REPLICAS,
    terms: tuple[str, ...] = TERMS, **options: Any,
) -> dict[str, Array]:  # fmt: skip
    """Replicas (N,) of the derivative along each parameter's own tangent, from gradients of all of them at once."""
    integrator = {"type": "pathspace", **options}

    def estimate(seed: int) -> list[float]:
        total = gradient(scene, list(tangents), weights, spp=spp, seed=seed, integrator=integrator, terms=terms).total
        return [float(np.sum(total[name].astype(np.float64) * tangent)) for name, tangent in tangents.items()]

    samples = replicas(estimate, count, "gradients", *tangents)
    return {name: samples[:, i] for i, name in enumerate(tangents)}


def check(ours: Array, differences: Array, *, max_relative_se: float) -> None:
    """Agreement within the noise of both; then the same with 10 % added to ours must fail (negative control)."""
    scale = abs(differences.mean())
    both = ours - differences
    assert_agrees(both, 0.0, scale=scale, max_relative_se=max_relative_se, rounding=2e-3)
    assert_differs(both + 0.1 * scale, 0.0, scale=scale, by=0.05)


def assert_transposed(scene: Any, name: str, tangent: Array, weights: Array, *, max_depth: int) -> None:
    """Forward and reverse mode agree on the same samples, term by term, up to rounding; no term is zero."""
    integrator = {"type": "pathspace", "max_depth": max_depth, "adjoint_sampling": False}
    options: dict[str, Any] = {"spp": 16, "seed": 5, "integrator": integrator}
    found = gradient(scene, name, weights, **options)
    for term, image in derivative(scene, {name: tangent}, **options).items():
        reverse = getattr(found, term)[name].astype(np.float64)
        along, size = np.sum(reverse * tangent), np.abs(reverse * tangent).sum()
        assert abs(np.sum(image * weights) - along) <= 5e-4 * size, term
        assert np.any(reverse != 0), term
