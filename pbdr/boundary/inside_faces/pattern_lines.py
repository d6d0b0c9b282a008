"""Lines of textures that jump inside faces, found from lines of sight: a step that crosses one, and the point where it does.

The lines are known in texture coordinates (transport/texels.py). Short steps of the film position, or of the direction in which
another surface looks, find them (steps.py); how fast a line moves there follows from how the texture
coordinates of the attached ray's hit change (docs/theory.md, section 7f). patterns.py says who looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import sides
from pbdr.boundary.connect import chains
from pbdr.boundary.inside_faces import steps
from pbdr.boundary.inside_faces.steps import Step
from pbdr.geometry import surfaces
from pbdr.transport import path, spectra
from pbdr.transport.features import Features
from pbdr.transport.texels import FARTHEST

NEAR = 0.02  # of a step: between the points of a difference
BESIDE = 1e-3  # of a step: from the line to either side; edges of meshes that are closer count as edges along the line
ROUNDING = 32 * 2.0**-24  # and of the coordinates of the place
CLOSE = 0.25  # of a cell, if that is less
TURNED = (1e-4, 1e-3, 1e-3)  # relative, as in seams.py


@dataclass
class Sights(steps.Sights):
    """Lines of sight; `pick` in [0, 1) chooses one of a shape's lattices."""

    pick: Any

    @staticmethod
    def of(chain: chains.Chain, features: Features, sampler: Any) -> Sights:
        """Those of `chain`."""
        return Sights(chain, features, sampler.next_1d())

    def at(self, index: Any) -> Sights:
        """Those of some lanes."""
        return Sights(self.chain.at(index), self.features, dr.gather(mi.Float, self.pick, index))

    def drawn(self) -> tuple[Any, ...]:
        """Those of the chain, and `pick`."""
        return (*super().drawn(), self.pick)

    def look(self, position: Any, active: Any, store: Any = None) -> Look:
        """Through a film position, or in a direction."""
        return Look.along(self, position, active, store)

    def crossing(self, step: Step, reach: float, sampler: Any, store: Any, active: Any) -> Crossing:
        """Where a step crosses one of the lines between its ends."""
        return Crossing.of(self, step, reach, sampler.next_1d(), store, active)

    def place(self, si: Any, active: Any) -> tuple[Any, Any, Any]:
        """Coordinates in the chosen lattice of the surface; of how many; whether there is one."""
        patterns = self.features.patterns
        assert patterns is not None
        number = patterns.count(si.shape, active)
        known = active & (number > 0)
        which = dr.minimum(mi.UInt32(self.pick * number), dr.maximum(number, 1) - 1)
        return patterns.at(si.shape, si.uv, which, known), number, known


@dataclass
class Look:
    """What a line of sight meets, without derivatives: hit of `ray`, which leaves the last delta vertex; its `shape` (on
    instances: the one shown), texture coordinates and `place` in the lattice, one of `number`; `frame`: normal and ∂p/∂(u, v)."""

    end: chains.End
    hit: Any
    ray: Any
    shape: Any
    uv: Any
    place: Any
    number: Any
    frame: tuple[Any, Any, Any]
    known: Any

    @staticmethod
    def along(sights: Sights, position: Any, active: Any, store: Any = None) -> Look:
        """Through a film position, or in a direction; with a `store`, the chain's vertices are kept there."""
        chain = sights.chain
        if chain.max_length == 0:
            ray, hit = chain.begin(position, active)
            end = chains.End(mi.Point3f(ray.o), mi.Vector3f(ray.d), mi.Spectrum(1), active, mi.Float(0))
        else:
            end = chains.trace(chain, position, active, store)
            ray = steps.leave(chain, end)
            hit = chain.scene.ray_intersect_preliminary(ray, coherent=False, active=end.valid)
        known = end.valid & hit.is_valid()
        si = surfaces.slide(hit, ray, known)
        place, number, known = sights.place(si, known)
        features = sights.features
        if chain.bundle is None and not features.sensor_moves and features.patterns is not None:
            known &= (chain.length > 0) | ~features.patterns.resting(si.shape, known)
        known &= (dr.abs(place.x) < FARTHEST) & (dr.abs(place.y) < FARTHEST)
        frame = mi.Vector3f(si.n), mi.Vector3f(si.dp_du), mi.Vector3f(si.dp_dv)
        return Look(end, hit, ray, si.shape, mi.Point2f(si.uv), place, number, frame, known)

    def on(self, other: Look) -> Any:
        """Whether it is on the surface that the other one sees."""
        return self.known & other.known & (self.shape == other.shape) & (self.hit.instance == other.hit.instance)

    def differs(self, other: Look) -> Any:
        """Whether lines of the lattice lie between the two."""
        x, y = _lines_between(other.place, self.place)
        return (x != 0) | (y != 0)

    def bends(self, other: Look) -> Any:
        """Whether it is on another face, between which and that of `other` the edge table has an edge."""
        turned = mi.Bool(False)
        for a, b, tolerance in zip(self.frame, other.frame, TURNED, strict=True):
            turned |= dr.squared_norm(a - b) > tolerance * tolerance * dr.squared_norm(a)
        return turned & (self.hit.prim_index != other.hit.prim_index)


def _lines_between(here: Any, there: Any) -> tuple[Any, Any]:
    """Numbers of lines of either direction between two places, negative for those that are passed downwards."""
    x, y = (mi.Int32(dr.floor(b)) - mi.Int32(dr.floor(a)) for a, b in ((here.x, there.x), (here.y, there.y)))
    return x, y


@dataclass
class Line:
    """One line of a lattice: coordinate x (or y, if `second`) has this value. `number`: of those it was chosen from."""

    second: Any
    value: Any
    number: Any

    @staticmethod
    def draw(here: Any, there: Any, u: Any) -> Line:
        """One of those between two places, all alike."""
        x, y = _lines_between(here, there)
        number = mi.UInt32(dr.abs(x) + dr.abs(y))
        index = mi.Int32(dr.minimum(mi.UInt32(u * number), dr.maximum(number, 1) - 1))
        second = index >= dr.abs(x)
        index = dr.select(second, index - dr.abs(x), index)
        step, start = dr.select(second, y, x), dr.floor(dr.select(second, here.y, here.x))
        value = dr.select(step > 0, start + 1 + mi.Float(index), start - mi.Float(index))
        return Line(second, value, number)

    def beyond(self, place: Any) -> Any:
        """g: how far a place is beyond the line, in cells."""
        return dr.select(self.second, place.y, place.x) - self.value


@dataclass
class Crossing:
    """A point on a line, detached. `ahead`, `behind`: looks at either side, where g > 0 and g < 0; `weight`: 1 / density of such
    points along the line, for a unit density of steps; `steep`: slope of g over positions."""

    position: Any
    look: Look
    ahead: Look
    behind: Look
    line: Line
    weight: Any
    steep: Any
    active: Any

    @staticmethod
    def of(sights: Sights, step: Step, reach: float, u: Any, store: Any, active: Any) -> Crossing:
        """One of those that `step`, `reach` long, crosses."""
        here = Look.along(sights, step.start, active)
        beside = active & ~step.same
        rim = dr.select(beside, steps.last(sights, step, 1, lambda seen: seen.on(here), beside), 1)
        end = Look.along(sights, mi.Point2f(step.start + step.across * rim), active)
        line = Line.draw(here.place, end.place, u)
        active = active & end.on(here) & (line.number > 0)
        ahead_of = lambda seen: line.beyond(seen.place) >= 0  # noqa: E731
        before = lambda seen: seen.on(here) & (ahead_of(seen) == ahead_of(here))  # noqa: E731
        position = mi.Point2f(step.start + step.across * steps.last(sights, step, rim, before, active))
        found = Look.along(sights, position, active, store)
        active &= found.on(here)

        # ---- the line over positions, from differences
        look = lambda at: Look.along(sights, mi.Point2f(at), active)  # noqa: E731
        near = NEAR * reach
        slopes = []
        for axis in (mi.Vector2f(near, 0), mi.Vector2f(0, near)):
            ends = [look(position + axis), look(position - axis)]
            there = [end.on(found) for end in ends]
            ahead, behind = (
                line.beyond(dr.select(ok, end.place, found.place)) for ok, end in zip(there, ends, strict=True)
            )
            span = near * (dr.select(there[0], mi.Float(1), 0) + dr.select(there[1], mi.Float(1), 0))
            active &= span > 0
            slopes.append((ahead - behind) / dr.select(span > 0, span, 1))
        slope = mi.Vector2f(*slopes)
        steep = dr.norm(slope)
        active &= steep > 0
        steep = dr.select(active, steep, 1)
        # Else g jumps: a seam, or another part of the surface in front of it.
        after = look(position + step.across * (0.1 * NEAR))
        gap = 0.3 * near * steep
        active &= (dr.abs(line.beyond(found.place)) < gap) & after.on(found) & (dr.abs(line.beyond(after.place)) < gap)
        rounding = ROUNDING * dr.maximum(dr.abs(found.place.x), dr.abs(found.place.y))
        away = slope / steep * dr.minimum(BESIDE * reach + rounding / steep, CLOSE / steep)
        ahead, behind = look(position + away), look(position - away)
        # Along an edge of a mesh, the edge table has the jump.
        active &= ahead.on(found) & behind.on(found) & ~ahead.bends(behind)
        active &= (line.beyond(ahead.place) > 0) & (line.beyond(behind.place) < 0)

        weight = step.weight(slope, steep, reach) * line.number * found.number  # Eq. (17)
        weight /= _coinciding(sights, ahead, behind, active)
        return Crossing(position, found, ahead, behind, line, weight, steep, active)

    def speed(self, sights: Sights, origin: Any, direction: Any) -> Any:
        """Attached speed of the line over positions, towards the side where g < 0."""
        ray = spectra.carry(mi.Ray3f(mi.Point3f(origin), mi.Vector3f(direction)), self.look.ray.wavelengths)
        si = surfaces.sliding(sights.features, self.look.hit, ray, self.active)
        si.shape = self.look.shape
        return self.line.beyond(sights.place(si, self.active)[0]) / self.steep  # Eq. (17)

    def jump(self, sights: Sights, sampler: Any, options: path.PathOptions, depth: Any, silent: Any) -> Any:
        """Radiance ahead minus behind; without what the surface itself emits on lanes that are `silent`."""
        starts = [(look.hit, look.ray) for look in (self.ahead, self.behind)]
        ahead, behind = sides.radiance(sights.chain.scene, starts, sampler, options, self.active, depth, silent)
        return ahead - behind


def _coinciding(sights: Sights, ahead: Look, behind: Look, active: Any) -> Any:
    """How many of the surface's lattices have a line between both looks: each of them finds it."""
    patterns = sights.features.patterns
    assert patterns is not None
    number = mi.UInt32(0)
    for k in range(patterns.most if patterns.most > 1 else 0):
        lanes = active & (k < ahead.number)
        places = [patterns.at(look.shape, look.uv, mi.UInt32(k), lanes) for look in (ahead, behind)]
        x, y = _lines_between(*places)
        number += dr.select(lanes & ((x != 0) | (y != 0)), mi.UInt32(1), 0)
    return dr.maximum(mi.Float(number), 1)
