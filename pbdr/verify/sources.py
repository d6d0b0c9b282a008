"""The two sides of a comparison: finite differences of a primal renderer, and derivative images of an integrator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import DivergedError, OptionError, PbdrError, SceneError
from pbdr.parameters import Parameter, read, traverse, write
from pbdr.parameters.attach import attached, restored
from pbdr.pathspace.plugin import TERMS
from pbdr.rendering import derivative, gradient
from pbdr.scene import mitsuba_scene
from pbdr.transport import media
from pbdr.verify.functionals import colours

Array = NDArray[np.float64]


def stencil(side: int) -> dict[int, float]:
    """Steps from the value → weight, to be divided by the step, of a difference whose error is of second order.

    Central for `side` 0; else of three values on one side.
    """
    return {1: 0.5, -1: -0.5} if side == 0 else {0: -1.5 * side, side: 2.0 * side, 2 * side: -0.5 * side}


@dataclass(frozen=True)
class Move:
    """A parameter that a difference moves from `start` along `tangent`."""

    parameter: Parameter
    start: Array
    tangent: Array

    @staticmethod
    def of(params: Any, parameter: Parameter, tangent: Array) -> Move:
        """From the value that it has now in Mitsuba's `params`."""
        return Move(parameter, np.asarray(read(None, parameter, params)), tangent)


def difference(image: Callable[[], Any], params: Any, moves: Sequence[Move], step: float, side: int = 0) -> Array:
    """Derivative of `image()`, float64, by the `stencil` over ± `step` (of one `side`: over 0, `step` and 2 · `step`).

    `image` renders the scene that `params` are of; all `moves` are made together. The scene is as before afterwards.
    """
    total: Array | float = 0.0
    with restored(params, [move.parameter.raw for move in moves]):
        for place, weight in stencil(side).items():
            for move in moves:
                value = move.start + place * step * move.tangent
                write(params, move.parameter, mi.TensorXf(value.astype(np.float32)))
            params.update()
            with dr.suspend_grad():
                total = total + weight * np.asarray(image(), dtype=np.float64)
    return np.asarray(total / step)


class Differences:
    """Differences of `integrator`'s image along `tangent`, with common random numbers; their error is of second order in the step.

    `side`: 0 for central differences; 1 or -1 for one-sided ones, of three images, where a value lies at an end of its range.
    The scene is as before after every call.
    """

    def __init__(
        self, scene: Any, parameter: Parameter, tangent: Array, *, sensor: Any, integrator: Any, side: int = 0
    ) -> None:
        self.scene, self.side = mitsuba_scene(scene), side
        self.sensor, self.integrator = sensor, integrator
        self.params = traverse(self.scene)
        self.move = Move.of(self.params, parameter, tangent)

    def image(self, step: float, seed: int, spp: int) -> Array:
        """Derivative image (H, W, C) of a difference over ± `step`; over 0, `step` and 2 · `step` where it is one-sided."""
        render = lambda: mi.render(self.scene, sensor=self.sensor, integrator=self.integrator, spp=spp, seed=seed)  # noqa: E731
        return difference(lambda: colours(np.array(render())), self.params, [self.move], step, self.side)


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


#: Mitsuba's `blendbsdf` samples one of its BSDFs and returns that one's density, not the mixture's. `path`, which weighs it by that
#: against lights, is biased there (the derivative by a colour by 5 to 30 %); light from emitter samples alone is not. It is one
#: sample, since `direct` multiplies lights without size by the number of samples (Mitsuba 3.9.1).
UNWEIGHED = {"type": "direct", "emitter_samples": 1, "bsdf_samples": 0}


def primal_of(options: Mapping[str, Any], kind: str = "path", scene: Any = None) -> dict[str, Any]:
    """The integrator whose image is differenced: Mitsuba's `kind`, with the path options of the integrator under test.

    For a `scene` on which `path` is biased, `UNWEIGHED` takes its place where it sees all there is: at depth 2, and without delta
    BSDFs, by which no emitter sample arrives. Elsewhere Mitsuba has nothing unbiased. Raises OptionError for options that are not
    about radiance. Where there are media, `volpathmis` takes the place of `path`.
    """
    if options.get("aovs"):
        raise OptionError("verify compares radiance; leave out the integrator's option aovs")
    if kind == "path" and options.get("max_depth") == 2 and scene is not None and blends(scene) and not _delta(scene):
        return {**UNWEIGHED, **{k: v for k, v in options.items() if k == "hide_emitters"}}
    if kind == "path" and scene is not None:
        kind = media.reference(mitsuba_scene(scene), options)
    return {"type": kind, **{k: v for k, v in options.items() if k in ("max_depth", "rr_depth", "hide_emitters")}}


def blends(scene: Any) -> bool:
    """Whether the scene has a `blendbsdf`, so that Mitsuba's `path` is biased under lights that have a size."""
    return any(plugin.class_name() == "BlendBSDF" for plugin in traverse(scene).hierarchy)


def _delta(scene: Any) -> bool:
    """Whether the scene has a BSDF with delta lobes, masks included."""
    bsdfs = (plugin for plugin in traverse(scene).hierarchy if isinstance(plugin, mi.BSDF))
    return any(mi.has_flag(bsdf.flags(), mi.BSDFFlags.Delta) for bsdf in bsdfs)
