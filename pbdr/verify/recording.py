"""Streams of images: the pilot that chooses the step of the differences, and what is recorded of every replica."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pbdr.seeds import hashed
from pbdr.verify import statistics
from pbdr.verify.decision import Stream
from pbdr.verify.functionals import GLOBALS, Functionals
from pbdr.verify.result import Array, Step
from pbdr.verify.sources import Differences


class Pilot:
    """Differences at several steps, each half of the one before: which pair of them is on the plateau?

    Its `replicas` choose the step and the signs, and are then thrown away.
    """

    def __init__(
        self, differences: Differences, longest: float, spp: int, seed: int, replicas: int, steps: int
    ) -> None:
        self.steps = [longest / 2**k for k in range(steps)]
        numbers = [hashed(seed, "pilot", n) for n in range(replicas)]
        self.images = np.array([[differences.image(h, number, spp) for h in self.steps] for number in numbers])

    def choose(self, look: Functionals, tolerance: float) -> tuple[list[Step], int | None]:
        """The steps with their means, and the first (longest) of the pair to use; None where no pair settles.

        The longest pair is least noisy. It is taken if its two steps differ by what extrapolation removes (three quarters of the
        tolerance) or by their noise, and its extrapolation agrees with the next pair's.
        """
        values = np.array([[look.summary(image)[:GLOBALS] for image in row] for row in self.images])
        mean, error = statistics.mean_and_error(values)
        rows = [Step(h, float(m[0]), float(e[0])) for h, m, e in zip(self.steps, mean, error, strict=True)]
        scale = np.abs(mean[:, 0]).max() or 1.0
        extrapolated = (4 * values[:, 1:] - values[:, :-1]) / 3
        for k in range(len(self.steps) - 1):
            change, noise = statistics.mean_and_error(values[:, k] - values[:, k + 1])
            calm = np.abs(change) <= np.maximum(0.75 * tolerance * scale, 2 * noise)
            if k + 2 < len(self.steps):
                drift, noise = statistics.mean_and_error(extrapolated[:, k] - extrapolated[:, k + 1])
                calm &= np.abs(drift) <= np.maximum(0.5 * tolerance * scale, 3 * noise)
            if calm.all():
                return rows, k
        return rows, None


class Recorded:
    """A stream of summaries of images, and the sum of the images."""

    def __init__(self, name: str, images: Callable[[int], Mapping[str, Array]], look: Functionals, value: Any) -> None:
        self.total: dict[str, Array] = {}

        def draw(number: int) -> Array:
            found = images(number)
            for term, image in found.items():
                self.total[term] = self.total.get(term, 0) + image
            return np.array([look.summary(image) for image in found.values()])

        self.stream = Stream(name, draw, value)

    def means(self) -> dict[str, Array]:
        """Mean image of every part."""
        return {term: np.asarray(total / len(self.stream.samples)) for term, total in self.total.items()}

    def mean(self) -> Array:
        """Mean of their sum."""
        return np.asarray(np.sum(list(self.means().values()), axis=0))


def recorded(name: str, images: Any, look: Functionals, value: Any = lambda rows: rows.sum(0)) -> Recorded:
    return Recorded(name, images, look, value)


def extrapolated(reference: Recorded) -> Array:
    whole, half = reference.means().values()
    return np.asarray((4 * half - whole) / 3)
