"""The two sides of a comparison: finite differences of a primal renderer, and derivative images of an integrator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import DivergedError, OptionError, PbdrError, SceneError
from pbdr.integrator import TERMS
from pbdr.parameters import Parameter, read, traverse, write
from pbdr.parameters.attach import attached, restored
from pbdr.rendering import derivative, gradient
from pbdr.scene import mitsuba_scene
from pbdr.verify.functionals import colours

Array = NDArray[np.float64]


def stencil(side: int) -> dict[int, float]:
    """Steps from the value → weight, to be divided by the step, of a difference whose error is of second order.

    Central for `side` 0; else of three values on one side.
    """
    return {1: 0.5, -1: -0.5} if side == 0 else {0: -1.5 * side, side: 2.0 * side, 2 * side: -0.5 * side}


class Differences:
    """Differences of `integrator`'s image along `tangent`, with common random numbers; their error is of second order in the step.

    `side`: 0 for central differences; 1 or -1 for one-sided ones, of three images, where a value lies at an end of its range.
    The scene is as before after every call.
    """

    def __init__(
        self, scene: Any, parameter: Parameter, tangent: Array, *, sensor: Any, integrator: Any, side: int = 0
    ) -> None:
        self.scene, self.parameter, self.tangent, self.side = mitsuba_scene(scene), parameter, tangent, side
        self.sensor, self.integrator = sensor, integrator
        self.params = traverse(self.scene)
        self.start = np.asarray(read(None, parameter, self.params))

    def image(self, step: float, seed: int, spp: int) -> Array:
        """Derivative image (H, W, C) of a difference over ± `step`; over 0, `step` and 2 · `step` where it is one-sided."""
        total: Array | float = 0.0
        with restored(self.params, [self.parameter.raw]):
            for place, weight in stencil(self.side).items():
                value = self.start + place * step * self.tangent
                write(self.params, self.parameter, mi.TensorXf(value.astype(np.float32)))
                self.params.update()
                with dr.suspend_grad():
                    rendered = mi.render(self.scene, sensor=self.sensor, integrator=self.integrator, spp=spp, seed=seed)
                total = total + weight * colours(np.array(rendered))
        return np.asarray(total / step)


class Derivative:
    """Derivative images of an integrator along `tangent` by forward mode: one a term of equation (2) for `pathspace`.

    For any other integrator of Mitsuba there is one term, `total`.
    """

    def __init__(self, scene: Any, parameter: Parameter, tangent: Array, *, sensor: Any, integrator: Any) -> None:
        self.scene, self.parameter, self.tangent = scene, parameter, tangent
        self.sensor, self.integrator = sensor, integrator
        self.terms: tuple[str, ...] = TERMS if getattr(integrator, "is_pathspace", False) else ("total",)

    def images(self, seed: int, spp: int) -> dict[str, Array]:
        """Term → (H, W, C). Raises PbdrError for what is refused, SceneError for what the integrator raises."""
        if self.terms == TERMS:
            found = derivative(
                self.scene, {self.parameter.name: self.tangent}, sensor=self.sensor, spp=spp, seed=seed,
                integrator=self.integrator,
            )  # fmt: skip
        else:
            with self._attached() as leaves, told(self.integrator):
                leaves.set_tangents({self.parameter.name: self.tangent})
                image = self.integrator.render_forward(
                    mitsuba_scene(self.scene), leaves.params, self.sensor, seed=seed, spp=spp
                )
                found = {"total": np.array(image)}
        images = {term: colours(image) for term, image in found.items()}
        for term, image in images.items():
            if not np.isfinite(image).all():
                raise DivergedError(
                    f"the {term} derivative image has {int((~np.isfinite(image)).sum())} non-finite values"
                )
        return images

    def reverse(self, adjoint: Array, seed: int, spp: int) -> float:
        """⟨Jᵀ adjoint, tangent⟩ by reverse mode, on the samples that `images` takes for the same seed."""
        size = self.sensor.film().crop_size()
        channels = int(self.sensor.film().base_channels_count())
        weights = np.zeros((int(size[1]), int(size[0]), channels), dtype=np.float32)
        weights[..., : adjoint.shape[-1]] = adjoint
        name = self.parameter.name
        if self.terms == TERMS:
            found = gradient(
                self.scene, name, weights, sensor=self.sensor, spp=spp, seed=seed, integrator=self.integrator
            ).total[name]
        else:
            with self._attached() as leaves, told(self.integrator):
                self.integrator.render_backward(
                    mitsuba_scene(self.scene), leaves.params, mi.TensorXf(weights), self.sensor, seed=seed, spp=spp
                )
                found = leaves.gradients()[name]
        return float(np.sum(found.astype(np.float64) * self.tangent))

    def _attached(self) -> Any:
        return attached(mitsuba_scene(self.scene), {self.parameter.name: self.parameter})


class told:
    """What an integrator of Mitsuba raises inside the block, as a SceneError of one line."""

    def __init__(self, integrator: Any) -> None:
        self.name = type(integrator).__name__

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, PbdrError) or not isinstance(error, Exception):
            return
        cause = error.__cause__ or error
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        raise SceneError(f"{self.name} raised {type(cause).__name__}: {(lines or ['no message'])[-1][:300]}") from None


def primal_of(options: Mapping[str, Any], kind: str = "path") -> dict[str, Any]:
    """The integrator whose image is differenced: Mitsuba's `kind`, with the path options of the integrator under test."""
    if options.get("aovs"):
        raise OptionError("verify compares radiance; leave out the integrator's option aovs")
    return {"type": kind, **{k: v for k, v in options.items() if k in ("max_depth", "rr_depth", "hide_emitters")}}
