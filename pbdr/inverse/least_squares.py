"""The images of a step as a least-squares problem in a few latents: residuals, their derivatives, and the noise of both.

The loss is the mean of w (I − T)² over the pixels of the step's views, blurred where the optimiser asks for it: blurred images
change over longer distances, so that what is far off still finds its way. w is what the loss says of a pixel (`Loss.weights`).

Gauss–Newton needs JᵀJ, whose noisy estimate is too large by the variance of J: a step from it is too short, along directions that
are seen badly much too short. Two independent halves A, B of the samples give ½ (AᵀB + BᵀA), which is unbiased.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pbdr import rendering
from pbdr.errors import DivergedError, PbdrError
from pbdr.inverse import exposure
from pbdr.inverse.losses import Loss
from pbdr.inverse.optimisers import Memory
from pbdr.inverse.problem import Problem
from pbdr.parameters import Variables, owner_of
from pbdr.parameters.film import resized_film
from pbdr.scene import mitsuba_scene
from pbdr.seeds import hashed

Array = NDArray[np.float64]

#: Pixels of the least blur. Below, differences of single pixels are mostly noise of the derivatives; above, signal is lost.
FINEST = 2.0

#: Samples of a step at least, all views together: of its images, and of each derivative image. A call costs about as much as this
#: many samples, whatever their number.
IMAGES, DERIVATIVES = 1 << 20, 1 << 18


@dataclass(frozen=True)
class Normal:
    """The normal equations at one point, for latent entries in the order of `System.entries`.

    loss      mean weighted squared residual, whose noise bias is left in: it is compared with that of the same random numbers
    gradient  (n,) of half the loss
    matrix    (n, n) JᵀJ without the noise of J
    noise     (n, n) what that noise would add to it
    scatter   (n, n) covariance of `gradient` due to noise
    """

    loss: float
    gradient: Array
    matrix: Array
    noise: Array
    scatter: Array


@dataclass
class System:
    """Residuals of the views `views` of a step as a function of the latents `keys`; the others stay as in `latents`.

    scale  of the films; `seed`: of everything random here
    """

    problem: Problem
    bound: Variables
    latents: Mapping[str, Any]
    keys: tuple[str, ...]
    views: Sequence[int]
    scale: float
    seed: int
    _cache: dict[tuple[int, str], Any] = field(default_factory=dict, repr=False)

    @property
    def entries(self) -> list[tuple[str, int]]:
        """(latent key, index in it) of every column."""
        return [(key, i) for key in self.keys for i in range(int(np.prod(self.latents[key].shape)))]

    @property
    def finest(self) -> float:
        """The least blur that is worth while, as a share of the width of the film."""
        return FINEST / max(self.problem.film(index, self.scale)[0] for index in self.views)

    @property
    def reach(self) -> Array:
        """How far each entry may go in one step (`Map.reach`)."""
        latents = self.bound.latents
        return np.array([latents[key].map.reach if key in latents else np.inf for key, _ in self.entries])

    @property
    def units(self) -> list[int]:
        """A number for each entry, the same for those of a latent whose map has a reach: they are measured in one unit."""
        bound, keys = self.reach, list(self.keys)
        return [keys.index(key) if np.isfinite(bound[n]) else len(keys) + n for n, (key, _) in enumerate(self.entries)]

    @property
    def start(self) -> Array:
        """The entries at the start of the step."""
        return self.vector(self.latents)

    def vector(self, latents: Mapping[str, Any]) -> Array:
        """Return the entries of latents as one vector."""
        return np.concatenate([np.array(latents[key], dtype=np.float64).ravel() for key in self.keys])

    def tensors(self, vector: Array) -> dict[str, Any]:
        """Return the latent tensors of a vector by key, moved back into their bounds: inverse of `vector`."""
        result, start = {}, 0
        for key in self.keys:
            shape = tuple(self.latents[key].shape)
            count = int(np.prod(shape))
            result[key] = mi.TensorXf(vector[start : start + count].reshape(shape).astype(np.float32))
            start += count
        projected = self.bound.project({**self.latents, **result})
        return {key: projected[key] for key in self.keys}

    def loss(self, vector: Array, blur: float, draw: int) -> float:
        """Return the loss at these entries, with the random numbers of `draw`; infinite where the scene refuses the values."""
        try:
            return self._loss(self._images(vector, draw), blur)
        except PbdrError:
            return float("inf")

    def normal(self, vector: Array, blur: float, draw: int) -> Normal:
        """Return the normal equations at these entries, whose images are made from the random numbers of `draw`.

        Derivatives are those at the start of the step, and are made once: they cost most. `blur` is a standard deviation, as a
        share of the width of the film. Raises DivergedError for derivatives that are not finite.
        """
        size = len(self.entries)
        images = self._images(vector, draw)
        found = Normal(self._loss(images, blur), np.zeros(size), *np.zeros((3, size, size)))
        for index in self.views:
            self._add(found, index, images[index], blur)
        if not all(np.isfinite(x).all() for x in (found.gradient, found.matrix, found.scatter)):
            names = ", ".join(self.keys)
            raise DivergedError(
                f"the derivative images of {names} are not finite: tighten the bounds, or leave one out"
            )
        n = self._count
        return Normal(found.loss, found.gradient / n, found.matrix / n, found.noise / n, found.scatter / n**2)

    # ---- internals ------------------------------------------------------------------------------------------------

    def _add(self, found: Normal, index: int, images: Sequence[Array], blur: float) -> None:
        """Add what one view contributes."""
        mine = [n for n, (key, _) in enumerate(self.entries) if self._sees(index, key)]
        if not mine:
            return
        first, second = (self._residual(index, image, blur) for image in images)
        mean, half = 0.5 * (first + second).ravel(), 0.5 * (first - second).ravel()
        columns, spread = self._columns(index, blur)
        place = np.ix_(mine, mine)
        found.gradient[mine] = found.gradient[mine] + columns @ mean
        found.noise[place] = found.noise[place] + spread @ spread.T
        found.matrix[place] = found.matrix[place] + columns @ columns.T - spread @ spread.T
        # Noise of blurred pixels is correlated over about 4 π σ² of them, whose errors add up.
        pixels = max(1.0, 4 * np.pi * (blur * images[0].shape[1]) ** 2)
        scatter = (columns * half**2) @ columns.T + (spread * mean**2) @ spread.T
        found.scatter[place] = found.scatter[place] + pixels * scatter

    def _columns(self, index: int, blur: float) -> tuple[Array, Array]:
        """Weighted, blurred derivative images of a view, a row for each entry that it sees: mean, half difference of two halves."""

        def halves() -> tuple[Array, Array]:
            given = (np.stack([self._weight(index) * x for x in self._derivatives(index, half)]) for half in (0, 1))
            a, b = given
            return 0.5 * (a + b), 0.5 * (a - b)

        def rows() -> tuple[Array, Array]:
            mean, spread = self._once(index, "columns", halves)
            return tuple(np.stack([self._blurred(x, blur).ravel() for x in images]) for images in (mean, spread))  # type: ignore[return-value]

        return self._once(index, f"columns {blur:g}", rows)  # type: ignore[no-any-return]

    def _derivatives(self, index: int, half: int) -> Iterator[Array]:
        """Derivative images (H, W, C) of view `index` at the start of the step, from one half of the samples."""
        problem = self.problem
        with self._films():
            for number, (key, entry) in enumerate(self.entries):
                if not self._sees(index, key):
                    continue
                leaf = mi.TensorXf(self.latents[key])
                dr.enable_grad(leaf)
                params = self.bound.apply({**self.latents, key: leaf}, time=problem.views[index].time)
                tangent = np.zeros(int(np.prod(leaf.shape)), np.float32)
                tangent[entry] = 1
                dr.set_grad(leaf, mi.TensorXf(tangent.reshape(tuple(leaf.shape))))
                dr.enqueue(dr.ADMode.Forward, leaf)
                dr.traverse(dr.ADMode.Forward, dr.ADFlag.ClearEdges)
                image = problem.integrator.render_forward(
                    mitsuba_scene(self.bound.scene), params, problem.sensor(index),
                    hashed(self.seed, "column", index, number, half), self._samples(gradient=True),
                )  # fmt: skip
                yield self._seen(index, image)

    def _images(self, vector: Array, draw: int) -> dict[int, list[Array]]:
        """Two independent images of every view."""
        problem = self.problem
        latents = {**self.latents, **self.tensors(vector)}
        result: dict[int, list[Array]] = {index: [] for index in self.views}
        with self._films(), dr.suspend_grad():
            for index in self.views:
                params = self.bound.apply(latents, time=problem.views[index].time)
                for half in (0, 1):
                    image = rendering.render(
                        self.bound.scene, params, sensor=problem.sensor(index), integrator=problem.integrator,
                        seed=hashed(self.seed, "image", index, draw, half), spp=self._samples(gradient=False),
                    )  # fmt: skip
                    result[index].append(self._seen(index, image))
        return result

    def _seen(self, index: int, image: Any) -> Array:
        """What is compared: radiance, without alpha, at the view's exposure; then the channels of losses that compare planes."""
        factor = exposure.factor(self.latents, self.problem.label(index))
        radiance = image if factor is None else image * factor
        whole = np.array(image, dtype=np.float64)
        own = np.array(radiance, dtype=np.float64)[:, :, : np.shape(self.problem.views[index].target)[2]]
        return np.concatenate([own, *(self.problem.channel(whole, loss) for _, loss in self._planes)], axis=2)

    @property
    def _planes(self) -> list[tuple[float, Loss]]:
        return [(factor, loss) for factor, loss in self.problem.losses if loss.plane]

    def _loss(self, images: Mapping[int, Sequence[Array]], blur: float) -> float:
        residuals = [self._residual(index, 0.5 * (a + b), blur) for index, (a, b) in images.items()]
        return sum(float((x**2).sum()) for x in residuals) / self._count

    def _residual(self, index: int, image: Array, blur: float) -> Array:
        def make() -> Array:
            planes = [np.array(self._plane(index, loss)[0]) for _, loss in self._planes]
            return np.concatenate([np.array(self._given(index)[0]), *planes], axis=2, dtype=np.float64)

        return self._blurred(self._weight(index) * (image - self._once(index, "target", make)), blur)

    @property
    def _count(self) -> int:
        return sum(int(np.prod(self._given(index)[0].shape)) for index in self.views)

    def _weight(self, index: int) -> Array:
        """Root of the weight of every pixel and channel, as of the start of the step: what losses, mask and view say."""

        def make() -> Array:
            target, mask = self._given(index)
            total = np.zeros(target.shape)
            for factor, loss in self.problem.losses:
                if not loss.plane:
                    total += factor * self._of_loss(index, loss, slice(0, target.shape[2]), target)
            parts = [total if mask is None else total * np.array(mask, dtype=np.float64)[..., None]]
            first = target.shape[2]
            for factor, loss in self._planes:
                plane, measured = self._plane(index, loss)
                weight = np.ones(plane.shape) if measured is None else np.repeat(np.array(measured)[..., None], plane.shape[2], 2)
                # Each loss is a mean over its own entries, and the whole is one over those of the target.
                share = factor * target.shape[2] / plane.shape[2] / weight.mean()
                parts.append(share * weight * self._of_loss(index, loss, slice(first, first + plane.shape[2]), plane))
                first = first + plane.shape[2]
            return np.sqrt(self.problem.views[index].weight * np.concatenate(parts, axis=2))

        return self._once(index, "weight", make)  # type: ignore[no-any-return]

    def _of_loss(self, index: int, loss: Loss, where: slice, target: Any) -> Any:
        """Weights of the squared differences that stand for a loss, whose channels of `_seen` are at `where`."""
        if type(loss).weights is Loss.weights:
            return 1.0
        image = np.mean(self._images(self.start, 0)[index], axis=0)
        return np.array(loss.weights(mi.TensorXf(np.ascontiguousarray(image[:, :, where], np.float32)), target), dtype=np.float64)

    def _plane(self, index: int, loss: Loss) -> tuple[Any, Any]:
        """Plane of a view that a loss compares, and where it was measured, at the size of the step's films."""
        width, height = self.problem.film(index, self.scale)
        return self.problem.targets.plane(index, loss.plane, (height, width), loss.measured)

    def _given(self, index: int) -> tuple[Any, Any]:
        """Target and mask of a view, at the size of the step's films."""
        width, height = self.problem.film(index, self.scale)
        return self.problem.targets.radiance(index, (height, width))

    def _once(self, index: int, what: str, make: Callable[[], Any]) -> Any:
        if (index, what) not in self._cache:
            self._cache[index, what] = make()
        return self._cache[index, what]

    @staticmethod
    def _blurred(image: Array, blur: float) -> Array:
        sigma = blur * image.shape[1]
        return np.asarray(gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=3))

    def _sees(self, index: int, key: str) -> bool:
        return sees(self.problem, self.bound, index, key)

    def _samples(self, gradient: bool) -> int:
        """Samples per pixel of one half: as many as in an ordinary step, and at least what small films need."""
        options = self.problem.options
        given = options.spp if not gradient or options.spp_grad is None else options.spp_grad
        least = DERIVATIVES if gradient else IMAGES
        return max(1, given // 2, least // (2 * self._pixels))

    @property
    def _pixels(self) -> int:
        return sum(math.prod(self.problem.film(index, self.scale)) for index in self.views)

    def _films(self) -> ExitStack:
        """Films of the step's size, for the time of a block."""
        films = ExitStack()
        for index in self.views:
            films.enter_context(resized_film(self.problem.sensor(index), self.problem.film(index, self.scale)))
        return films


def sees(problem: Problem, bound: Variables, index: int, key: str) -> bool:
    """Return whether view `index` can depend on the latent `key`: not if it belongs to the sensor of another view alone."""
    latent = bound.latents.get(key)
    owner = None if latent is None or bound.followers.get(key) else owner_of(bound.scene, latent.parameter)
    return not isinstance(owner, mi.Sensor) or owner.id() == problem.sensor(index).id()


def seen(problem: Problem, bound: Variables, keys: Iterable[str], views: Sequence[int]) -> list[str]:
    """Return those of the latents `keys` that one of the views can depend on."""
    return [key for key in keys if any(sees(problem, bound, index, key) for index in views)]


def moved(
    problem: Problem, bound: Variables, memory: Memory, latents: Mapping[str, Any], moving: Sequence[str], views: Sequence[int],
    scale: float, step: int,
) -> tuple[dict[str, Any], Memory]:  # fmt: skip
    """Return (latents, memory) after the step of the optimisers that want least-squares problems; the others' latents stay."""
    seed = hashed(problem.options.seed, "least squares", step)
    return problem.optimiser.solve(
        memory, latents, seen(problem, bound, problem.optimiser.wanting("least squares", moving), views),
        lambda now, keys: System(problem, bound, now, tuple(keys), views, scale, seed),
    )  # fmt: skip
