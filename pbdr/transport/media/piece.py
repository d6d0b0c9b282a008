"""Pieces of ways through media: each between two interfaces, in one medium or in none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi


@dataclass  # not frozen: Dr.Jit traverses it as loop state
class Piece:
    """A piece of a way: distances at which it begins and ends, its medium, and the rate of tentative collisions in it."""

    begin: Any
    end: Any
    rate: Any
    medium: Any

    @staticmethod
    def none() -> Piece:
        """A piece of length zero in nothing, of width 1."""
        return Piece(mi.Float(0), mi.Float(0), mi.Float(0), mi.MediumPtr(dr.zeros(mi.MediumPtr)))

    @staticmethod
    def along(ray: Any, medium: Any, begin: Any, end: Any, expected: float, active: Any) -> Piece:
        """The part between two distances that lies in the medium; at least `expected` tentative collisions are expected there."""
        there, first, last = medium.intersect_aabb(ray)
        begin = dr.maximum(begin, first)
        end = dr.minimum(end, last)
        there = there & active & (medium != None) & (end > begin)  # noqa: E711
        rate = dr.max(mi.Spectrum(medium.get_majorant(interaction(ray, begin, medium), there)))
        if expected > 0:
            rate = dr.maximum(rate, expected * dr.rcp(end - begin))
        return Piece(begin, dr.select(there, end, begin), dr.select(there, rate, 0), medium)

    def pack(self) -> tuple[Any, ...]:
        """Plain numbers for local memory: begin, end, medium."""
        return self.begin, self.end, number(self.medium)

    @staticmethod
    def unpack(begin: Any, end: Any, medium: Any) -> Piece:
        """Inverse of `pack`; the rate is lost."""
        return Piece(begin, end, mi.Float(0), pointer(medium))


def number(medium: Any) -> Any:
    """A pointer as a number for local memory."""
    return dr.reinterpret_array(mi.UInt32, medium)


def pointer(medium: Any) -> Any:
    """Inverse of `number`."""
    return dr.reinterpret_array(mi.MediumPtr, medium)


def interaction(ray: Any, t: Any, medium: Any) -> Any:
    """The point of a ray at distance t in a medium, as Mitsuba's media and phase functions ask for it."""
    mei = dr.zeros(mi.MediumInteraction3f)
    mei.t, mei.p, mei.wi = t, dr.fma(ray.d, t, ray.o), -ray.d
    mei.time, mei.wavelengths, mei.medium = ray.time, ray.wavelengths, medium
    mei.sh_frame = mi.Frame3f(mei.wi)
    return mei
