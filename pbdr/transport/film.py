"""The film as a linear map: from radiance at film positions to pixels, and its transpose.

A pixel is I_j = ∫ h_j L / ∫ h_j over the sampled region of the film, equation (1), with the film's own reconstruction filter, crop
window and border. Interior and boundary both use this map, so that neither can be scaled apart from the other.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.transport import camera

WEIGHT_GRID = 16  # sub-positions a pixel side for the filter's normalisation (midpoint rule, exact for box and tent)


MAX_CACHED = 16
_WEIGHTS: dict[tuple[Any, ...], Any] = {}


class FilmMap:
    """The developed image of a film as a linear function of radiance splatted on it."""

    def __init__(self, sensor: Any) -> None:
        self.film = sensor.film()
        self.film.prepare([])
        self.alpha = mi.has_flag(self.film.flags(), mi.FilmFlags.Alpha)
        self.channels = 5 if self.alpha else 4  # r, g, b, (alpha,) weight
        self.weights = self._weights()

    def _block(self) -> Any:
        block = self.film.create_block()
        block.clear()
        return block

    @staticmethod
    def put(film: Any, block: Any, position: Any, radiance: Any, alpha: Any, weight: Any, active: Any = True) -> None:
        """Splat radiance at film positions; with a box filter the fraction is dropped to keep samples in their pixel."""
        rgb = mi.Color3f(radiance.x) if mi.is_monochromatic else radiance
        values = [rgb.x, rgb.y, rgb.z]
        if mi.has_flag(film.flags(), mi.FilmFlags.Alpha):
            values.append(alpha)
        block.put(FilmMap.place(film, position), [*values, weight], active)

    @staticmethod
    def place(film: Any, position: Any) -> Any:
        """Film position to splat to or read from."""
        return dr.floor(position) if film.rfilter().is_box_filter() else position

    def _weights(self) -> Any:
        """∫ h_j over the sampled region for every pixel, as a flat array in the block's layout; cached by film settings."""
        film = self.film
        width, height = camera.film_size(film)
        x0, y0 = camera.film_origin(film)
        key = (mi.variant(), width, height, x0, y0, film.sample_border(), str(film.rfilter()), self.alpha)
        if key not in _WEIGHTS:
            if len(_WEIGHTS) >= MAX_CACHED:
                _WEIGHTS.pop(next(iter(_WEIGHTS)))
            block = self._block()
            n = WEIGHT_GRID
            index = dr.arange(mi.UInt32, width * n * height * n)
            y = index // (width * n)
            x = index - y * (width * n)
            position = mi.Point2f((mi.Float(x) + 0.5) / n + x0, (mi.Float(y) + 0.5) / n + y0)
            self.put(film, block, position, mi.Color3f(0), mi.Float(0), mi.Float(1 / (n * n)))
            _WEIGHTS[key] = dr.detach(block.tensor().array)
            dr.eval(_WEIGHTS[key])
        return _WEIGHTS[key]

    def develop(self, block: Any) -> Any:
        """Image tensor of a block whose weight channel is replaced by the filter's exact normalisation."""
        tensor = block.tensor()
        shape = tensor.shape
        index = dr.arange(mi.UInt32, int(np.prod(shape)))
        weight_channel = (index % self.channels) == self.channels - 1
        array = dr.select(weight_channel, self.weights, tensor.array)
        ready = self._block()
        ready.tensor()[:] = mi.TensorXf(array, shape)
        self.film.clear()
        self.film.put_block(ready)
        return self.film.develop()

    def splat(self, parts: list[tuple[Any, Any, Any, Any]]) -> Any:
        """Image of radiance values: parts of (film position, radiance, alpha, active)."""
        block = self._block()
        for position, radiance, alpha, active in parts:
            self.put(self.film, block, position, radiance, alpha, mi.Float(0), active)
        return self.develop(block)

    def transpose(self, adjoint: Any) -> AdjointField:
        """Adjoint image (H, W, C) → the field δL(film position) that the paths are weighted with."""
        with dr.resume_grad():
            block = self._block()
            source = mi.TensorXf(dr.zeros(mi.Float, int(np.prod(block.tensor().shape))), block.tensor().shape)
            dr.enable_grad(source)
            block.tensor()[:] = source
            image = self.develop(block)
            dr.backward_from(dr.sum(mi.Float(image.array) * mi.Float(dr.detach(adjoint).array)))
            gradient = dr.grad(source)
        return AdjointField(self, gradient)


class AdjointField:
    """δL at continuous film positions: Σ_j h_j(position) ∂loss/∂I_j / ∫h_j."""

    def __init__(self, film_map: FilmMap, gradient: Any) -> None:
        self.block = film_map._block()
        self.block.tensor()[:] = gradient
        self.film = film_map.film
        self.alpha = film_map.alpha

    def read(self, position: Any, active: Any = True) -> tuple[Any, Any]:
        """(δL as a spectrum, δalpha) at film positions in pixels."""
        values = self.block.read(FilmMap.place(self.film, position), active)
        rgb = mi.Color3f(values[0], values[1], values[2])
        spectrum = mi.Spectrum(rgb.x + rgb.y + rgb.z) if mi.is_monochromatic else mi.Spectrum(rgb)
        alpha = values[3] if self.alpha else mi.Float(0)
        return dr.select(active, spectrum, 0), dr.select(active, alpha, 0)
