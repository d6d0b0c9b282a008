"""The film as a linear map: from radiance at film positions to pixels, and its transpose.

A pixel is I_j = ∫ h_j L / ∫ h_j over the sampled region of the film, equation (1), with the film's own reconstruction filter, crop
window and border. Interior and boundary both use this map, so that neither can be scaled apart from the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.errors import DataError
from pbdr.transport import camera, spectra

WEIGHT_GRID = 16  # sub-positions a pixel side for the filter's normalisation (midpoint rule, exact for box and tent)


STEP = 0.05  # pixels, of central differences of the filter: tabulated in Mitsuba, and with kinks
AXES = ((1, 0), (0, 1))
MAX_CACHED = 16
_WEIGHTS: dict[tuple[Any, ...], Any] = {}


class FilmMap:
    """The developed image of a film as a linear function of what is splatted on it.

    A sample has a radiance and *others*: a list of alpha, then the extra channels (transport/channels.py). All channels share the
    filter and its normalisation. Others that are left out of a shorter list are zero.
    """

    def __init__(self, sensor: Any, aov_names: Sequence[str] = (), weights: Any = None) -> None:
        """`weights`: those of another map for the same film, which else are looked up."""
        self.film, self.names = sensor.film(), list(aov_names)
        self.film.prepare(self.names)
        self.alpha = mi.has_flag(self.film.flags(), mi.FilmFlags.Alpha)
        self.weight_channel = 4 if self.alpha else 3  # r, g, b, (alpha,) weight, extra channels
        self.channels = self.weight_channel + 1 + len(self.names)
        self.weights = self._weights() if weights is None else weights

    def _block(self) -> Any:
        block = self.film.create_block()
        block.clear()
        return block

    @staticmethod
    def put(
        film: Any, block: Any, position: Any, rgb: Any, others: Sequence[Any], weight: Any, active: Any = True
    ) -> None:
        """Splat samples at film positions; with a box filter the fraction is dropped to keep samples in their pixel."""
        alpha, extra = list(others[:1]), list(others[1:])
        values = [rgb.x, rgb.y, rgb.z]
        if mi.has_flag(film.flags(), mi.FilmFlags.Alpha):
            values += alpha or [mi.Float(0)]
        values += [weight, *extra]
        values += [mi.Float(0)] * (block.channel_count() - len(values))
        block.put(FilmMap.place(film, position), values, active)

    @staticmethod
    def place(film: Any, position: Any) -> Any:
        """Film position to splat to or read from."""
        return dr.floor(position) if film.rfilter().is_box_filter() else position

    def _weights(self) -> Any:
        """∫ h_j over the sampled region for every pixel, as a flat array in the block's layout; cached by film settings."""
        film = self.film
        width, height = camera.film_size(film)
        x0, y0 = camera.film_origin(film)
        key = (
            mi.variant(),
            width,
            height,
            x0,
            y0,
            film.sample_border(),
            str(film.rfilter()),
            self.alpha,
            len(self.names),
        )
        if key not in _WEIGHTS:
            if len(_WEIGHTS) >= MAX_CACHED:
                _WEIGHTS.pop(next(iter(_WEIGHTS)))
            block = self._block()
            n = WEIGHT_GRID
            index = dr.arange(mi.UInt32, width * n * height * n)
            y = index // (width * n)
            x = index - y * (width * n)
            position = mi.Point2f((mi.Float(x) + 0.5) / n + x0, (mi.Float(y) + 0.5) / n + y0)
            self.put(film, block, position, mi.Color3f(0), [], mi.Float(1 / (n * n)))
            _WEIGHTS[key] = dr.detach(block.tensor().array)
            dr.eval(_WEIGHTS[key])
        return _WEIGHTS[key]

    def develop(self, block: Any) -> Any:
        """Image tensor of a block whose weight channel is replaced by the filter's exact normalisation."""
        tensor = block.tensor()
        shape = tensor.shape
        index = dr.arange(mi.UInt32, int(np.prod(shape)))
        weight_channel = (index % self.channels) == self.weight_channel
        array = dr.select(weight_channel, self.weights, tensor.array)
        ready = self._block()
        ready.tensor()[:] = mi.TensorXf(array, shape)
        self.film.clear()
        self.film.put_block(ready)
        return self.film.develop()

    def splat(self, parts: Sequence[tuple[Any, Any, Sequence[Any], Any]]) -> Any:
        """Image of samples: parts of (film position, colour, others, active)."""
        block = self._block()
        for position, rgb, others, active in parts:
            self.put(self.film, block, position, rgb, others, mi.Float(0), active & self.sampled(position))
        return self.develop(block)

    def sampled(self, position: Any) -> Any:
        """Whether camera samples are taken at a film position: edges may be seen beyond that."""
        (x0, y0), (width, height) = camera.film_origin(self.film), camera.film_size(self.film)
        return (position.x >= x0) & (position.x < x0 + width) & (position.y >= y0) & (position.y < y0 + height)

    def transpose(self, adjoint: Any) -> AdjointField:
        """Adjoint image (H, W, C) → the field δL(film position) that the paths are weighted with."""
        with dr.resume_grad():
            block = self._block()
            source = mi.TensorXf(dr.zeros(mi.Float, int(np.prod(block.tensor().shape))), block.tensor().shape)
            dr.enable_grad(source)
            block.tensor()[:] = source
            image = self.develop(block)
            if tuple(adjoint.shape) != tuple(image.shape):
                raise DataError(
                    f"the adjoint image has shape {tuple(adjoint.shape)}; the image has {tuple(image.shape)}."
                )
            dr.backward_from(dr.sum(mi.Float(image.array) * mi.Float(dr.detach(adjoint).array)))
            gradient = dr.grad(source)
        return AdjointField(self, gradient)

    def spread(self, part: tuple[Any, Any, list[Any], Any], d_position: Any) -> list[tuple[Any, Any, list[Any], Any]]:
        """Parts for `splat` that move the sample `part` by `d_position`: the transpose of `AdjointField.slope`."""
        position, colour, others, active = part
        return [
            (position + offset, colour * (scale * along), [x * (scale * along) for x in others], active)
            for axis, along in zip(AXES, d_position, strict=True)
            for offset, scale in ((STEP * mi.Point2f(*axis), 0.5 / STEP), (-STEP * mi.Point2f(*axis), -0.5 / STEP))
        ]


class AdjointField:
    """δL at continuous film positions: Σ_j h_j(position) ∂loss/∂I_j / ∫h_j."""

    def __init__(self, film_map: FilmMap, gradient: Any) -> None:
        self.film = film_map.film
        self.block = self._padded(gradient, film_map.channels)
        self.alpha, self.weight_channel = film_map.alpha, film_map.weight_channel

    def _padded(self, gradient: Any, channels: int) -> Any:
        """Block with the gradient (H, W, channels) and, where the film samples its border, zeros around it.

        Blocks read zero beyond their own size, although pixels inside do depend on what is sampled there.
        """
        (width, height), (full_width, full_height) = self.film.crop_size(), camera.film_size(self.film)
        border = (full_width - width) // 2
        origin = camera.film_origin(self.film)
        block = mi.ImageBlock((full_width, full_height), origin, channels, self.film.rfilter())
        index = dr.arange(mi.UInt32, full_width * full_height * channels)
        pixel = index // channels
        y = pixel // full_width
        x, y = mi.Int32(pixel - y * full_width) - border, mi.Int32(y) - border
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        source = mi.UInt32(y * width + x) * channels + index % channels
        block.tensor()[:] = mi.TensorXf(
            dr.gather(mi.Float, gradient.array, source, inside), (full_height, full_width, channels)
        )
        return block

    def read(self, position: Any, active: Any = True, wavelengths: Any = None) -> tuple[Any, list[Any]]:
        """(δL as a spectrum at `wavelengths`, adjoints of the other channels: alpha first) at film positions in pixels."""
        values = self.block.read(FilmMap.place(self.film, position), active)
        spectrum = spectra.from_rgb(mi.Color3f(values[0], values[1], values[2]), wavelengths)
        alpha = values[3] if self.alpha else mi.Float(0)
        others = [dr.select(active, x, 0) for x in (alpha, *values[self.weight_channel + 1 :])]
        return dr.select(active, spectrum, 0), others

    def magnitude(self) -> Magnitude:
        """|δL| of every pixel of the sampled region: all channels together, averaged over a few points of the pixel."""
        width, height = camera.film_size(self.film)
        corner = camera.corner(self.film, dr.arange(mi.UInt32, width * height))
        places = (0.5,) if self.film.rfilter().is_box_filter() else (0.25, 0.75)
        points = list(itertools.product(places, repeat=2))
        size = mi.Float(0)
        for offset in points:
            values = self.block.read(FilmMap.place(self.film, corner + mi.Point2f(*offset)))
            for channel, value in enumerate(values):
                if channel != self.weight_channel:
                    size += dr.abs(value)
        size /= len(points)
        dr.eval(size)
        return Magnitude(self.film, size)

    def slope(self, position: Any, wavelengths: Any = None) -> list[tuple[Any, list[Any]]]:
        """Derivatives of `read` by x and y; zero with a box filter, as long as positions stay inside their pixels."""
        found = []
        for axis in AXES:
            ahead, behind = (
                self.read(position + step * mi.Point2f(*axis), True, wavelengths) for step in (STEP, -STEP)
            )
            rate = lambda a, b: (a - b) * (0.5 / STEP)  # noqa: E731
            found.append((rate(ahead[0], behind[0]), [rate(a, b) for a, b in zip(ahead[1], behind[1], strict=True)]))
        return found


@dataclass
class Magnitude:
    """|δL| of the pixels of the sampled region of a film, row by row: what samples are worth there, for their density alone."""

    film: Any
    values: Any

    def at(self, position: Any, active: Any = True) -> Any:
        """|δL| of the pixels that film positions lie in; 0 beyond the sampled region."""
        (x0, y0), (width, height) = camera.film_origin(self.film), camera.film_size(self.film)
        x, y = position.x - x0, position.y - y0
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & active  # false for positions that are not finite
        index = dr.select(inside, mi.UInt32(dr.select(inside, y, 0)) * width + mi.UInt32(dr.select(inside, x, 0)), 0)
        return dr.gather(mi.Float, self.values, index, inside)
