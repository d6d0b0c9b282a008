"""Horizons that lines of sight find: what they look for, and where steps (steps.py) cross them (docs/theory.md, section 7a)."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment, sides
from pbdr.boundary.connect import chains
from pbdr.boundary.inside_faces import steps
from pbdr.boundary.inside_faces.steps import Step
from pbdr.geometry import rounding, surfaces
from pbdr.geometry.kind import Kind
from pbdr.transport import emission, path, spectra
from pbdr.transport.features import Features

NEAR = 1e-3  # of a step: between the points of a difference; what is seen at grazing angles is narrow on the film
NEAR_LIT = 2e-2  # the same where light grazes: in shorter ones, rounding of hits on grids makes slopes uncertain
SHADING, MAPPED, LIT = range(3)


@dataclass
class Sights(steps.Sights):
    """Lines of sight; `kind` of curve they look for.

    SHADING: where the shading normal turns away from the viewer; MAPPED: the normal that a map bends; LIT: where smooth-shaded
    grids, whose own normal turns within a voxel, turn away from `light`, one of those without size, of which there are `lights`.
    """

    kind: Any
    light: Any
    lights: int

    @staticmethod
    def of(chain: chains.Chain, features: Features, sampler: Any) -> Sights:
        """Those of `chain`; kind and light are chosen at random, for each sight its own."""
        emitters = chain.scene.emitters()
        delta = [k for k, emitter in enumerate(emitters) if emission.is_delta(emitter)] if features.lit_smoothly else []
        kinds = mi.UInt32([SHADING, *([MAPPED] if features.maps.shapes else []), *([LIT] if delta else [])])
        kind = dr.gather(mi.UInt32, kinds, mi.UInt32(sampler.next_1d() * dr.width(kinds)))
        light = dr.zeros(mi.EmitterPtr)
        if delta:
            number = dr.gather(mi.UInt32, mi.UInt32(delta), mi.UInt32(sampler.next_1d() * len(delta)))
            light = dr.gather(mi.EmitterPtr, chain.scene.emitters_dr(), number)
        return Sights(chain, features, kind, light, len(delta))

    def at(self, index: Any) -> Sights:
        """Those of some lanes."""
        light = dr.gather(mi.EmitterPtr, self.light, index) if self.lights else self.light
        return Sights(self.chain.at(index), self.features, dr.gather(mi.UInt32, self.kind, index), light, self.lights)

    @property
    def choices(self) -> int:
        """Number of kinds to choose from."""
        return 1 + bool(self.features.maps.shapes) + bool(self.lights)

    def drawn(self) -> tuple[Any, ...]:
        """Those of the chain, kinds and lights."""
        return (*super().drawn(), self.kind, self.light)

    def look(self, position: Any, active: Any, store: Any = None) -> Look:
        """Through a film position, or in a direction."""
        return Look.along(self, position, active, store)

    def crossing(self, step: Step, reach: float, sampler: Any, store: Any, active: Any) -> Crossing:
        """Where a step crosses a horizon."""
        return Crossing.of(self, step, reach, store, active)

    def facing(self, si: Any, hit: Any, ray: Any, active: Any) -> tuple[Any, Any, Any]:
        """g = n·ω_i at `si`, positive where the normal looks back along `ray` (to the light); that normal; whether there is one."""
        normal, towards, known = mi.Vector3f(si.sh_frame.n), -ray.d, active
        if self.features.maps.shapes:
            mapped = self.kind == MAPPED
            _, bent, has_map = self.features.maps.facing(si.shape, si, -ray.d, active & mapped)
            normal, known = dr.select(has_map, bent, normal), active & (has_map | ~mapped)
        turning = [kind for kind in self.features.kinds if type(kind).interpolates is not Kind.interpolates]
        if self.lights and turning:
            lit = active & (self.kind == LIT)
            direction, _, _ = emission.delta_emission(self.light, si, lit)
            normal, towards = dr.select(lit, mi.Vector3f(si.n), normal), dr.select(lit, direction, towards)
            turns = functools.reduce(operator.or_, (kind.interpolates(hit, lit) for kind in turning))
            known = known & (~lit | turns)
        return dr.dot(normal, towards), normal, known


@dataclass
class Look:
    """What a line of sight meets, without derivatives: hit of `ray`, which leaves the last delta vertex; g; the normal."""

    end: chains.End
    hit: Any
    ray: Any
    facing: Any
    normal: Any
    known: Any

    @staticmethod
    def along(sights: Sights, position: Any, active: Any, store: Any = None) -> Look:
        """Through a film position, or in a direction; with a `store`, the chain's vertices are kept there."""
        chain = sights.chain
        end = chains.trace(chain, position, active, store)
        ray = steps.leave(chain, end)
        active = active & end.valid
        hit = chain.scene.ray_intersect_preliminary(ray, coherent=False, active=active)
        # In a straight line, horizons on most shapes are found from the surfaces.
        here = (chain.length > 0) | (hit.instance != dr.zeros(mi.ShapePtr))
        for kind in sights.features.kinds:
            if type(kind).sighted is not Kind.sighted:
                here |= kind.sighted(hit, active)
        known = active & hit.is_valid() & here
        facing, normal, known = sights.facing(surfaces.slide(hit, ray, known), hit, ray, known)
        return Look(end, hit, ray, facing, normal, known)

    def on(self, other: Look) -> Any:
        """Whether it is on the surface that the other one sees."""
        same = (self.hit.shape == other.hit.shape) & (self.hit.instance == other.hit.instance)
        return self.known & same & (self.hit.shape_index == other.hit.shape_index)

    def looks(self) -> Any:
        """Whether the normal looks at the viewer."""
        return self.facing > 0

    def differs(self, other: Look) -> Any:
        """Whether the normal looks at the viewer in one of the two alone."""
        return self.looks() != other.looks()


def _slope(sights: Sights, position: Any, here: Look, reach: Any, active: Any) -> tuple[Any, Any]:
    """Gradient of g over positions, and whether it could be found: the curve may run along the rim of a surface."""
    slopes, usable = [], mi.Bool(active)
    for axis in (mi.Vector2f(reach, 0), mi.Vector2f(0, reach)):
        ahead, behind = (Look.along(sights, mi.Point2f(position + sign * axis), active) for sign in (1, -1))
        forth, back = (dr.select(end.on(here), end.facing, here.facing) for end in (ahead, behind))
        span = reach * sum(dr.select(end.on(here), mi.Float(1), 0) for end in (ahead, behind))
        usable &= span > 0
        slopes.append((forth - back) / dr.select(span > 0, span, 1))
    return mi.Vector2f(*slopes), usable


@dataclass
class Crossing:
    """A point on a horizon, detached. `weight`: 1 / density of such points along the curve, for a unit density of steps; `steep`:
    slope of g over positions."""

    position: Any
    look: Look
    weight: Any
    steep: Any
    active: Any

    @staticmethod
    def of(sights: Sights, step: Step, reach: float, store: Any, active: Any) -> Crossing:
        """The one that `step`, `reach` long, crosses."""
        here = Look.along(sights, step.start, active)
        beside = active & ~step.same
        rim = dr.select(beside, steps.last(sights, step, 1, lambda seen: seen.on(here), beside), 1)
        end = Look.along(sights, mi.Point2f(step.start + step.across * rim), beside)
        active = active & (step.same | (end.on(here) & end.differs(here)))
        before = lambda seen: seen.on(here) & ~seen.differs(here)  # noqa: E731
        position = step.start + step.across * steps.last(sights, step, rim, before, active)
        found = Look.along(sights, mi.Point2f(position), active, store)
        step_share = dr.select(sights.kind == LIT, mi.Float(NEAR_LIT), NEAR)
        near = step_share * reach
        slope, usable = _slope(sights, mi.Point2f(position), found, near, active & found.on(here))
        steep = dr.norm(slope)
        beyond = Look.along(sights, mi.Point2f(position + step.across * (0.1 * step_share)), active)
        # Else g jumps: another part of the surface is in front of it.
        active &= usable & (steep > 0) & (dr.abs(beyond.facing - found.facing) < 0.3 * near * steep)
        steep = dr.select(active, steep, 1)
        weight = step.weight(slope, steep, reach)  # Eq. (10b)
        return Crossing(mi.Point2f(position), found, weight, steep, active)

    def jump(self, sights: Sights, sampler: Any, options: path.PathOptions, depth: Any, silent: Any) -> Any:
        """Radiance where the normal looks at the viewer (at the light), minus where it does not. `silent`: reflected only."""
        scene = sights.chain.scene
        hit = mi.PreliminaryIntersection3f(self.look.hit)
        ray, normal = self.look.ray, dr.normalize(self.look.normal)
        point = mi.Point3f(ray(self.look.hit.t))
        starts = [
            (hit, spectra.carry(segment.grazing_ray(point, ray.d, side * normal, hit.t), ray.wavelengths))
            for side in (1, -1)
        ]
        towards = sights.kind == LIT
        lit, dark = sides.radiance(scene, starts, sampler, options, self.active & ~towards, depth, silent)
        if not sights.lights:
            return lit - dark
        towards &= self.active & (depth + 2 <= options.max_depth)
        return dr.select(towards, self.lit(scene, sights, point, towards), lit - dark)

    def lit(self, scene: Any, sights: Sights, point: Any, active: Any) -> Any:
        """Radiance that the light without size lends the side that looks at it."""
        si = self.look.hit.compute_surface_interaction(self.look.ray, mi.RayFlags.All, active)
        si.wi = si.to_local(-self.look.ray.d)
        direction, weight, place = emission.delta_emission(sights.light, si, active)
        start = mi.Point3f(point + rounding.blur(point, si.t, segment.OUTWARD_ROUGH) * dr.normalize(si.n))
        distant = mi.has_flag(sights.light.flags(), mi.EmitterFlags.DeltaDirection) & ~mi.has_flag(
            sights.light.flags(), mi.EmitterFlags.DeltaPosition
        )
        beyond = dr.select(distant, dr.largest(mi.Float), dr.norm(place - start) * (1 - mi.math.ShadowEpsilon))
        shadow = mi.Ray3f(start, direction)
        shadow.maxt = beyond
        seen = active & ~scene.ray_test(shadow, active)
        scattered = si.bsdf().eval(mi.BSDFContext(), si, si.to_local(direction), seen)
        return dr.select(seen, scattered * weight * sights.lights, 0)

    def speed(self, sights: Sights, origin: Any, direction: Any) -> Any:
        """Attached speed of the curve over positions, towards the side where the normal looks away."""
        ray = spectra.carry(mi.Ray3f(mi.Point3f(origin), mi.Vector3f(direction)), self.look.ray.wavelengths)
        si = surfaces.sliding(sights.features, self.look.hit, ray, self.active)
        return sights.facing(si, self.look.hit, ray, self.active)[0] / self.steep  # Eq. (10b)
