"""Straight ways through media: free flights to the next collision or surface, and the light that reaches a point through them.

A way leads through index-matched interfaces (surfaces whose material is `null` and that do not shine): they bend nothing and are
no vertices, so that `max_depth` counts as Mitsuba's `volpath` does. Between two of them lies a *piece* of the way, in one medium or
in none.

Collisions are found by delta tracking, and the transmittance of light by ratio tracking (Novák et al. 2018, "Monte Carlo Methods
for Volumetric Light Transport Simulation"). Where σ_t depends on the wavelength, densities are those of a wavelength drawn anew
with the probabilities that the path so far leaves to it: spectral MIS (Wilkie et al. 2014; Miller et al. 2019).

In gradients every piece is sampled as if it had a little more to collide with: what has no collisions now, because σ_t or the
albedo is zero, has derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr import seeds
from pbdr.geometry import rounding
from pbdr.transport import hits
from pbdr.transport.media.glow import LOOKS, Glow
from pbdr.transport.media.piece import Piece, interaction, number, pointer

DEFENSIVE = 0.5  # expected number of collisions with nothing a piece, in gradients
STOPS = 0.4  # probability that a way ends at an interface that moves, in gradients
END = 1 - 1e-4  # fraction of the way to a light that has to be free: Mitsuba's ShadowEpsilon is as large


@dataclass  # not frozen: Dr.Jit traverses it as loop state
class Crossing:
    """An interface that moves: hit, the media before and behind it.

    `share`: one over the probability that it was drawn, 0 for none; `stops`: the way ends here.
    """

    hit: Any
    before: Any
    behind: Any
    share: Any
    stops: Any


@dataclass
class Flight:
    """Where a way ends. Everything is detached.

    hit        of the surface that ends the last piece; its t counts from the origin of the ray
    collided   whether the way ends before it, in a collision
    t          distance of the collision
    medium     at the end of the way
    weight     transmittance over the density of the collision; of ways to light, the transmittance alone
    posterior  probabilities of the wavelengths after it, with mean 1
    piece      one of the pieces, drawn to stand for the optical depth of all; `share`: one over its probability
    place      a uniform random number
    crossing   one of the interfaces that move; None where none does
    glow       light that the media of the way add to it; None where none shines
    """

    hit: Any
    collided: Any
    t: Any
    medium: Any
    weight: Any
    posterior: Any
    piece: Piece
    share: Any
    place: Any
    crossing: Crossing | None = None
    glow: Glow | None = None

    def pack(self) -> tuple[Any, ...]:
        """What `scatter` needs, as plain numbers for local memory: of the way, of its crossing, of its glow."""
        where = dr.select(self.collided, mi.UInt32(1), mi.UInt32(0)), self.t, number(self.medium), self.weight
        way = *where, *self.piece.pack(), self.share, self.place
        at = self.crossing
        crossing: tuple[Any, ...] = ()
        if at is not None:
            stops = dr.select(at.stops, mi.UInt32(1), mi.UInt32(0))
            crossing = hits.pack(at.hit), number(at.before), number(at.behind), at.share, stops
        return way, crossing, () if self.glow is None else self.glow.pack()


def unpack(record: tuple[Any, ...]) -> Flight:
    """Inverse of `Flight.pack`, as far as it goes."""
    (collided, t, medium, weight, begin, end, inside, share, place), crosses, glows = record
    crossing = None
    if crosses:
        hit, before, behind, probability, stops = crosses
        crossing = Crossing(hits.unpack(hit), pointer(before), pointer(behind), probability, stops != 0)
    piece, glow = Piece.unpack(begin, end, inside), Glow.unpack(glows) if glows else None
    return Flight(None, collided != 0, t, pointer(medium), weight, None, piece, share, place, crossing, glow)


def nowhere(moving: bool = False, glowing: bool = False) -> Flight:
    """A way of length zero, of width 1, through nothing. `moving`: whether interfaces move; `glowing`: whether media shine."""
    piece, zero = Piece.none(), mi.Float(0)
    crossing = None
    if moving:
        crossing = Crossing(hits.no_hit(), piece.medium, piece.medium, mi.Float(0), mi.Bool(False))
    one, no = (mi.Spectrum(1), mi.Spectrum(1)), mi.Bool(False)
    glow = Glow.none() if glowing else None
    return Flight(hits.no_hit(), no, zero, piece.medium, *one, piece, mi.Float(0), mi.Float(0), crossing, glow)


def is_interface(si: Any) -> Any:
    """Whether a surface lets everything pass, and does not shine."""
    flags = si.bsdf().flags()
    scatters = int(mi.BSDFFlags.All) & ~int(mi.BSDFFlags.Null)
    return mi.has_flag(flags, mi.BSDFFlags.Null) & ((flags & scatters) == 0) & (si.shape.emitter() == None)  # noqa: E711


def _ahead(scene: Any, ray: Any, begin: Any, active: Any) -> Any:
    """The first hit at this distance or behind it, with the whole distance."""
    onward = mi.Ray3f(ray)
    onward.o = dr.fma(ray.d, begin, ray.o)
    hit = scene.ray_intersect_preliminary(onward, coherent=False, active=active)
    hit.t = hit.t + begin
    return hit


@dr.syntax
def fly(
    scene: Any, ray: Any, medium: Any, sampler: Any, defensive: float = 0.0, posterior: Any = None, reach: Any = None,
    active: Any = True, hides: bool = False, interfaces: tuple[Any, ...] | None = None, glows: bool = False,
    last: Any = None,
) -> Flight:  # fmt: skip
    """Follow `ray`, which starts in `medium`, until it collides or meets a surface that is no interface.

    `defensive`: collisions a piece with nothing, for gradients; `posterior`: of the flight before. With `reach`, a distance,
    nothing collides before it, and the weight is the transmittance. `hides`: lights are looked through. `interfaces`: those that
    move, and other shapes at which the way may stop. `glows`: media may shine. `last`: lanes whose path ends with this way, where a
    collision would be of no use: as with `reach`; None for none.
    """
    ray = mi.Ray3f(dr.detach(ray))
    numbers = seeds.branch(sampler, active)
    collides, passes = reach is None, reach is not None or last is not None
    through = mi.Bool(not collides if last is None else last)  # lanes without collisions
    limit = mi.Float(dr.inf) if reach is None else mi.Float(reach) * END
    state, piece, total = nowhere(interfaces is not None, glows), Piece.none(), mi.Float(0)
    expected = max(1.0 if defensive > 0 else 0.0, LOOKS if glows else 0.0)
    state.medium = mi.MediumPtr(medium)
    state.posterior = mi.Spectrum(1 if posterior is None else posterior)
    begin, t, flying, fresh = mi.Float(0), mi.Float(0), mi.Bool(active), mi.Bool(active)
    while dr.hint(flying, label="pathspace: flight", exclude=[scene, ray, limit, interfaces, through]):
        # ---- a new piece: how far it goes
        state.hit = dr.select(fresh, _ahead(scene, ray, begin, fresh), state.hit)
        end = dr.minimum(state.hit.t, limit)
        piece = dr.select(fresh, Piece.along(ray, state.medium, begin, end, expected, fresh), piece)
        t = dr.select(fresh, piece.begin, t)

        # ---- a tentative collision, or the end of the piece
        t = t - dr.log(1 - numbers.next_float32()) * dr.rcp(piece.rate)
        inside = flying & (piece.rate > 0) & (t < piece.end)
        if dr.hint(glows, mode="scalar"):
            _shine(state, piece, ray, t, defensive, total, numbers, inside)
        real = mi.Bool(False)
        if dr.hint(collides, mode="scalar"):
            real = _decide(state, piece, ray, t, defensive, numbers.next_float32(), inside & ~through)
        if dr.hint(passes, mode="scalar"):
            inside = _pass(state, piece, ray, t, inside, flying, through)
        leaves = flying & ~inside
        if dr.hint(defensive > 0, mode="scalar"):
            end = dr.select(real, t, piece.end)
            total = _draw(state, piece, end, total, numbers.next_float32(), real | leaves)
        state.collided = state.collided | real
        state.t = dr.select(real, t, state.t)

        # ---- the surface behind it
        si = state.hit.compute_surface_interaction(ray, mi.RayFlags.Minimal, leaves)
        before = leaves & si.is_valid() & (state.hit.t < limit)
        crosses = before & is_interface(si)
        changes = crosses & si.is_medium_transition()
        behind = dr.select(changes, si.target_medium(ray.d), state.medium)
        if dr.hint(bool(interfaces), mode="scalar"):
            crosses &= ~_cross(state, interfaces or (), si, behind, changes, before & ~crosses, through, numbers)
        state.medium = dr.select(crosses, behind, state.medium)
        fresh = crosses | (before & (si.shape.emitter() != None)) if hides else mi.Bool(crosses)  # noqa: E711
        begin = dr.select(fresh, state.hit.t + rounding.GRAZING * rounding.offset(si), begin)
        flying = (inside & ~real) | fresh
    return _ended(state, total, numbers)


def _ended(state: Flight, total: Any, numbers: Any) -> Flight:
    """The way, once `total`, the mass of all its pieces, is known."""
    state.share = dr.select(state.share > 0, total * dr.rcp(state.share), 0)
    state.place = numbers.next_float32()
    if state.glow is not None:
        state.glow.finish()
    return state


def _shine(
    state: Flight, piece: Piece, ray: Any, t: Any, defensive: float, total: Any, numbers: Any, active: Any
) -> None:
    """Add the light of a tentative collision; in gradients, it may stand for all. `total`: mass of the pieces before this one."""
    assert state.glow is not None
    state.glow.sum_up(ray, t, state.weight, piece, active)
    if defensive > 0:
        state.glow.draw(t, state.weight, piece, state.piece, (state.share, total), numbers, active)


def _cross(
    state: Flight,
    interfaces: tuple[Any, ...],
    si: Any,
    behind: Any,
    changes: Any,
    solid: Any,
    through: Any,
    numbers: Any,
) -> Any:
    """Reservoir: keep this interface like all others that the way crosses; whether the way stops here, unless it goes `through`."""
    number, which = numbers.next_float32(), numbers.next_float32()
    active, behind = changes | solid, dr.select(solid, dr.zeros(mi.MediumPtr), behind)
    moves = mi.Bool(False)
    for shape in interfaces:
        moves = moves | (si.shape == mi.ShapePtr(shape))
    moves = moves & active & (state.medium != behind)
    stops = moves & ~through & (number < STOPS)
    state.weight = state.weight * dr.select(stops, 1 / STOPS, dr.select(moves & ~through, 1 / (1 - STOPS), 1))
    at = state.crossing
    assert at is not None
    count = at.share + dr.select(moves, mi.Float(1), 0)
    kept = stops | (moves & (which * count < 1))
    media = dr.select(kept, state.medium, at.before), dr.select(kept, behind, at.behind)
    state.crossing = Crossing(dr.select(kept, state.hit, at.hit), *media, count, at.stops | stops)
    state.collided = state.collided | stops
    state.t = dr.select(stops, state.hit.t, state.t)
    state.medium = dr.select(stops, _one(state.medium, behind, numbers.next_float32()), state.medium)
    return stops


def _one(first: Any, second: Any, number: Any) -> Any:
    """One of two media, the other one where there is none."""
    pick = (second == None) | ((first != None) & (number < 0.5))  # noqa: E711
    return dr.select(pick, first, second)


def _decide(state: Flight, piece: Piece, ray: Any, t: Any, defensive: float, number: Any, active: Any) -> Any:
    """Whether a tentative collision is real; changes weight and posterior."""
    mei = interaction(ray, t, piece.medium)
    _, _, extinction = piece.medium.get_scattering_coefficients(mei, active)
    passing = dr.maximum(1 - mi.Spectrum(extinction) * dr.rcp(piece.rate), 0)
    passes = passing  # probabilities, one a wavelength
    if defensive > 0:
        passes = passing * (1 - defensive * dr.rcp(piece.rate * (piece.end - piece.begin)))  # Eq. (21)
    chance = dr.mean(state.posterior * passes)
    null = active & (number < chance)
    weight = dr.select(null, passing * dr.rcp(chance), dr.rcp(piece.rate * (1 - chance)))
    likely = dr.select(null, passes * dr.rcp(chance), (1 - passes) * dr.rcp(1 - chance))
    state.weight = state.weight * dr.select(active, weight, 1)
    state.posterior = state.posterior * dr.select(active, likely, 1)  # Eq. (21a)
    return active & ~null


def _pass(state: Flight, piece: Piece, ray: Any, t: Any, active: Any, flying: Any, through: Any) -> Any:
    """Transmittance on lanes that go `through`: by ratio tracking, of a tentative collision (`active`); where σ_t is the same
    everywhere, of the whole piece at once. Returns which tentative collisions are left."""
    same = through & piece.medium.is_homogeneous()
    active = active & ~same
    inside, alike = active & through, flying & same & (piece.end > piece.begin)
    mei = interaction(ray, t, piece.medium)
    _, _, extinction = piece.medium.get_scattering_coefficients(mei, inside | alike)
    extinction = mi.Spectrum(extinction)
    whole = dr.exp(-extinction * dr.select(alike, piece.end - piece.begin, 0))
    state.weight = state.weight * dr.select(inside, 1 - extinction * dr.rcp(piece.rate), whole)
    return active


def _draw(state: Flight, piece: Piece, end: Any, total: Any, number: Any, active: Any) -> Any:
    """Reservoir: keep this piece, up to `end`, in proportion to its length times the rate. Returns the mass of all.

    Until the way ends, `state.share` is the mass of the piece that is kept. Nothing comes through pieces without an end.
    """
    length = end - piece.begin
    bounded = active & (length > 0) & (length < dr.largest(mi.Float))
    mass = dr.select(bounded, length * piece.rate, 0)
    total = total + mass
    kept = (mass > 0) & (number * total < mass)
    state.share = dr.select(kept, mass, state.share)
    state.piece = dr.select(kept, Piece(piece.begin, end, piece.rate, piece.medium), state.piece)
    return total
