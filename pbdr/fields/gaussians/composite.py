"""Splats composited front to back, pixel by pixel, with derivatives: two kernels, whose number of splats is no part of them.

The derivative goes through a pixel's list front to back again, with the final sums of the pixel: memory does not grow with the
length of lists, and nothing is divided by a transmittance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.fields.gaussians.project import Splats

OPAQUE = 0.99  # largest alpha, as in 3DGS
CLEAR = 1e-4  # transmittance at which a pixel is done, as in 3DGS
FIXED = 6  # numbers of a splat besides its channels: x, y, conic, opacity


@dataclass
class Pixels:
    """Centres of the pixels of all lanes, and where their lists begin and end; `splats`: all lists; `cutoff`: least alpha."""

    x: Any
    y: Any
    begin: Any
    end: Any
    splats: Any
    cutoff: Any


@dataclass
class _Hit:
    """A splat at pixels: `channels`; offset from the centre; `falloff` = exp(−½ dᵀ Σ⁻¹ d); alpha; and whether it counts."""

    values: list[Any]
    dx: Any
    dy: Any
    falloff: Any
    alpha: Any
    free: Any
    counts: Any


class Composite(dr.CustomOp):
    """Sums of channels over the lanes of `Pixels`, and the transmittance that is left for the background."""

    def eval(self, pixels: Pixels, x: Any, y: Any, conic: Any, opacity: Any, channels: Any) -> Any:
        """Composite; arguments behind `pixels` are those of `Splats`."""
        self.pixels, self.packed = pixels, _packed([x, y, *conic, opacity, *channels])
        self.count, self.lanes = len(channels), dr.width(x)
        self.sums, self.left = _gather(pixels, self.packed, self.count)
        dr.eval(self.sums, self.left)
        return list(self.sums), +self.left

    def backward(self) -> None:
        """Derivatives of x, y, conic, opacity and channels."""
        sums, left = self.grad_out()
        stride = _stride(self.count)
        target = dr.zeros(mi.Float, self.lanes * stride)
        given = dr.sum([a * b for a, b in zip(sums, self.sums, strict=True)]) + left * self.left
        dr.eval(given, sums, left)
        _scatter(self.pixels, self.packed, target, list(sums), given, self.count)
        dr.eval(target)
        lane = dr.arange(mi.UInt32, self.lanes) * stride
        x, y, a, b, c, opacity, *channels = (dr.gather(mi.Float, target, lane + k) for k in range(FIXED + self.count))
        for name, value in (("x", x), ("y", y), ("conic", (a, b, c)), ("opacity", opacity), ("channels", channels)):
            self.set_grad_in(name, value)

    def name(self) -> str:
        """What Dr.Jit calls it."""
        return "composite Gaussians"


def composite(pixels: Pixels, splats: Splats) -> tuple[list[Any], Any]:
    """Return (sums of the channels, transmittance) on the lanes of `pixels`; differentiable in reverse mode."""
    values = splats.x, splats.y, splats.conic, splats.opacity, splats.channels
    sums, left = dr.custom(Composite, pixels, *values)
    return sums, left


def _stride(count: int) -> int:
    """Numbers of a splat in memory: packets of four."""
    return 4 * -(-(FIXED + count) // 4)


def _packed(columns: list[Any]) -> Any:
    """Numbers of splats, one after the other."""
    lanes, stride = max(dr.width(c) for c in columns), _stride(len(columns) - FIXED)
    columns = [dr.detach(c) for c in columns] + [mi.Float(0)] * (stride - len(columns))
    target = dr.empty(mi.Float, lanes * stride)
    lane = dr.arange(mi.UInt32, lanes) * (stride // 4)
    for k in range(0, stride, 4):
        dr.scatter(target, mi.Vector4f(*columns[k : k + 4]), lane + k // 4, mode=dr.ReduceMode.Permute)
    dr.eval(target)
    return target


def _look(pixels: Pixels, packed: Any, splat: Any, count: int, active: Any) -> _Hit:
    """A splat at every pixel."""
    stride = _stride(count)
    rows = [dr.gather(mi.Vector4f, packed, splat * (stride // 4) + k, active) for k in range(stride // 4)]
    x, y, a, b, c, opacity, *channels = [entry for row in rows for entry in row][: FIXED + count]
    dx, dy = x - pixels.x, y - pixels.y
    power = -0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
    falloff = dr.exp(power)
    wanted = opacity * falloff
    alpha = dr.minimum(wanted, OPAQUE)
    counts = active & (alpha >= pixels.cutoff) & (power <= 0)
    return _Hit([a, b, c, opacity, *channels], dx, dy, falloff, alpha, wanted < OPAQUE, counts)


@dr.syntax
def _gather(pixels: Pixels, packed: Any, count: int) -> tuple[list[Any], Any]:
    """Sum front to back; stop where less than `CLEAR` would be left."""
    at, left = mi.UInt32(pixels.begin), mi.Float(1)
    sums = _zeros(count)
    active = at < pixels.end
    while dr.hint(active, label="gaussians: composite", exclude=[pixels, packed]):
        hit = _look(pixels, packed, dr.gather(mi.UInt32, pixels.splats, at, active), count, active)
        weight, left, done = _pass(hit, left)
        sums = _added(weight, hit, sums)
        at += 1
        active = (at < pixels.end) & ~done
    return sums, left


def _zeros(count: int) -> list[Any]:
    return [mi.Float(0) for _ in range(count)]


def _added(weight: Any, hit: _Hit, sums: list[Any]) -> list[Any]:
    return [dr.fma(weight, value, total) for value, total in zip(hit.values[4:], sums, strict=True)]


def _pass(hit: _Hit, left: Any) -> tuple[Any, Any, Any]:
    """Weight of a splat, the transmittance behind it, and whether the pixel is done."""
    behind = left * (1 - hit.alpha)
    done = hit.counts & (behind < CLEAR)
    counts = hit.counts & ~done
    return dr.select(counts, hit.alpha * left, 0), dr.select(counts, behind, left), done  # Eq. (31)


@dr.syntax
def _scatter(pixels: Pixels, packed: Any, target: Any, sums: list[Any], given: Any, count: int) -> None:
    """Derivatives of all splats, added to `target`.

    `sums`: derivatives of the sums of a pixel; `given`: those times the sums, plus that of the transmittance times it: what is
    behind a splat is this, less what is in front of it.
    """
    at, left, passed = mi.UInt32(pixels.begin), mi.Float(1), mi.Float(0)
    active = at < pixels.end
    while dr.hint(active, label="gaussians: derivatives", exclude=[pixels, packed, target, sums, given]):
        splat = dr.gather(mi.UInt32, pixels.splats, at, active)
        hit = _look(pixels, packed, splat, count, active)
        weight, behind, done = _pass(hit, left)
        passed = _add(target, splat, hit, sums, (weight, left, given, passed), hit.counts & ~done)
        left = behind
        at += 1
        active = (at < pixels.end) & ~done


def _add(target: Any, splat: Any, hit: _Hit, sums: list[Any], light: tuple[Any, ...], counts: Any) -> Any:
    """Add the derivatives of one splat at every pixel; returns what has passed, with it."""
    weight, left, given, passed = light
    own = dr.sum([d * value for d, value in zip(sums, hit.values[4:], strict=True)])
    passed = dr.fma(weight, own, passed)
    slope = left * own - (given - passed) * dr.rcp(1 - hit.alpha)  # Eq. (32)
    slope = dr.select(hit.free, slope, 0)
    a, b, c, opacity = hit.values[:4]
    power, dx, dy = slope * opacity * hit.falloff, hit.dx, hit.dy
    parts = [-power * (a * dx + b * dy), -power * (b * dx + c * dy), -0.5 * power * dx * dx, -power * dx * dy]
    parts += [-0.5 * power * dy * dy, slope * hit.falloff, *(d * weight for d in sums)]
    for k, part in enumerate(parts):
        dr.scatter_add(target, part, splat * _stride(len(sums)) + k, counts)
    return passed
