"""Which pixels camera paths start from: all alike, or in proportion to the adjoint, |δL|.

In reverse mode the loss weights paths by δL. Where that is small, a path tells little, but costs as much as any other. Lanes are
laid along the Morton curve of the pixels so that each stands for the same share of |δL|: systematic sampling. Neighbours on the
curve are neighbours in the sequence of random numbers, which thus stays even over film and paths together, whatever the density;
with a constant one, pixels get the same numbers as if all were alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr import seeds, sequence
from pbdr.aligned import aligned
from pbdr.discrete import Discrete, mixed
from pbdr.errors import OptionError
from pbdr.transport import camera

UNIFORM = 0.2  # share of the paths that is spread over all pixels alike
MAX_CACHED = 16
_CURVES: dict[tuple[Any, ...], Any] = {}


@dataclass
class Pixels:
    """Where camera paths start.

    `index`: of the pixel of a lane in the sampled region, row by row; `number`: of paths in this pixel, by which each of them is
    divided.
    """

    index: Any
    number: Any

    @staticmethod
    def alike(film: Any, spp: int) -> Pixels:
        """`spp` lanes a pixel, row by row."""
        width, height = camera.film_size(film)
        return Pixels(dr.arange(mi.UInt32, width * height * spp) // dr.opaque(mi.UInt32, spp), spp)

    @staticmethod
    def favoured(curve: Any, spp: int, magnitude: Any, offset: Any) -> Pixels:
        """As many lanes, along the Morton `curve`, in proportion to `magnitude` of the pixels (row by row) and a uniform part.

        `offset`: a random number in (0, 1), one for all lanes.
        """
        alike = dr.full(mi.Float, 1, dr.width(curve))
        density = Discrete.of(mixed(alike, dr.gather(mi.Float, magnitude, curve), UNIFORM))
        place, number = density.systematic(dr.width(curve) * spp, offset)
        return Pixels(dr.gather(mi.UInt32, curve, place), number)


def sampler(sensor: Any, seed: Any, spp: int, *stream: str, own: bool = False, curve: Any = None) -> tuple[Any, int]:
    """Sampler of the film's pixels from a hashed, named stream, and the samples per pixel, which samplers may round.

    `own`: the sensor's own sampler in place of Sobol' points; `curve`: the order of the pixels, if not row by row. Raises
    OptionError for more samples than one call can have.
    """
    if own:
        numbers = sensor.sampler().clone()
        if spp:
            numbers.set_sample_count(spp)
        spp = numbers.sample_count()
        numbers.set_samples_per_wavefront(spp)
    width, height = camera.film_size(sensor.film())
    lanes = width * height * spp
    if lanes >= 2**32:
        raise OptionError(
            f"pathspace: {width}×{height} pixels × {spp} spp = {lanes} samples exceed 2^32 in one call. "
            "Lower spp and average several calls with different seeds."
        )
    if not own:
        return sequence.over_film(width, height, spp, seeds.stream(seed, *stream), curve), spp
    numbers.seed(seeds.stream(seed, *stream), lanes)
    return numbers, spp


def morton_curve(film: Any) -> Any:
    """Pixels of the sampled region (indices row by row) in the order of the Morton curve; cached by size."""
    width, height = camera.film_size(film)
    key = (mi.variant(), width, height)
    if key not in _CURVES:
        if len(_CURVES) >= MAX_CACHED:
            _CURVES.pop(next(iter(_CURVES)))
        y, x = np.divmod(np.arange(width * height), width)
        order = np.argsort(sequence.morton(x, y), kind="stable")
        _CURVES[key] = mi.UInt32(aligned(order, np.uint32))
    return _CURVES[key]
