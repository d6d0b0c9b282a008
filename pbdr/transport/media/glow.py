"""Light that media add to a way: its sum, and one point of the way that stands for all when derivatives are taken.

At tentative collisions, of rate c, a way gains ε T̂/c, whether they are real or not: it is light where σ_t is zero, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.transport.media import emissive
from pbdr.transport.media.piece import Piece, interaction, number, pointer

LOOKS = 1.0  # points that are expected on a piece of a way, at least, where media shine


@dataclass  # not frozen: Dr.Jit traverses it as loop state
class Glow:
    """Light that the media of a way add to it, `light`; and one of the points where they do, drawn to stand for all.

    t, medium            of the point
    weight               transmittance over its density
    piece, share, place  as of a `Flight`, for the way as far as the point
    mass                 of all points so far, among which one is drawn
    """

    light: Any
    t: Any
    medium: Any
    weight: Any
    piece: Piece
    share: Any
    place: Any
    mass: Any

    @staticmethod
    def none() -> Glow:
        """No light, of width 1."""
        no = Piece.none()
        return Glow(mi.Spectrum(0), mi.Float(0), no.medium, mi.Spectrum(0), no, mi.Float(0), mi.Float(0), mi.Float(0))

    def pack(self) -> tuple[Any, ...]:
        """Plain numbers for local memory."""
        return self.light, self.t, number(self.medium), self.weight, *self.piece.pack(), self.share, self.place

    @staticmethod
    def unpack(record: tuple[Any, ...]) -> Glow:
        """Inverse of `pack`, as far as it goes."""
        light, t, medium, weight, begin, end, inside, share, place = record
        piece = Piece.unpack(begin, end, inside)
        return Glow(light, t, pointer(medium), weight, piece, share, place, mi.Float(0))

    def sum_up(self, ray: Any, t: Any, weight: Any, piece: Piece, active: Any) -> None:
        """Add a tentative collision at distance t, which a way of this weight (before it) meets."""
        light = emissive.emitted(piece.medium, interaction(ray, t, piece.medium), active)
        self.light = self.light + dr.select(active, weight * light * dr.rcp(piece.rate), 0)  # Eq. (23)

    def draw(
        self, t: Any, weight: Any, piece: Piece, kept: Piece, masses: tuple[Any, Any], numbers: Any, active: Any
    ) -> None:
        """Reservoir: keep this point in proportion to what a medium that shines everywhere alike would add there.

        `kept`: the piece drawn among those before this one, `masses`: of it and of all of them (`flight._draw`).
        """
        weight = dr.select(active, weight * dr.rcp(piece.rate), 0)
        mass = dr.mean(weight)
        self.mass = self.mass + mass
        here = (mass > 0) & (numbers.next_float32() * self.mass < mass)
        self.t, self.medium = dr.select(here, t, self.t), dr.select(here, piece.medium, self.medium)
        self.weight = dr.select(here, weight * dr.rcp(mass), self.weight)
        # ---- the piece of the way as far as the point
        part = (t - piece.begin) * piece.rate
        total = masses[1] + part
        this = numbers.next_float32() * total < part
        share = total * dr.rcp(dr.select(this, part, masses[0]))
        self.share = dr.select(here, dr.select(total > 0, share, 0), self.share)
        chosen = dr.select(this, Piece(piece.begin, t, piece.rate, piece.medium), kept)
        self.piece = dr.select(here, chosen, self.piece)
        self.place = dr.select(here, numbers.next_float32(), self.place)

    def finish(self) -> None:
        """Once the way has ended, the weight of the point is that of all."""
        self.weight = self.weight * self.mass
