"""Shading horizons of normal and bump maps: where the bent normal turns away from the camera, or from another surface.

Mitsuba's `normalmap` then turns the normal round, and below a `bumpmap` one-sided BSDFs are black, so that the BSDF jumps along the
curve n(uv)·(o − x) = 0. It moves with texels, surface and viewpoint like a horizon of interpolated normals (horizon.py), but is
known by the sign on either side only: it is found by root finding along short steps on the surface, in one of two directions each
(docs/theory.md, section 7a).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.boundary.connect import vertex
from pbdr.boundary.context import Context
from pbdr.boundary.edges import primary
from pbdr.boundary.inside_faces import horizon
from pbdr.boundary.sample import Sample
from pbdr.boundary.sampling.masses import one_trial, trial_lanes
from pbdr.boundary.term import Term
from pbdr.geometry import surfaces
from pbdr.geometry.normal_maps import Maps
from pbdr.transport import camera, points
from pbdr.transport.eye import Eye
from pbdr.transport.features import Features

STEP = 0.003  # longest step, in units of the square root of a shape's area: the surface is nearly flat along it
TEXELS = 0.5  # and in texels, so that few steps cross the curve twice
HALVINGS = 14
NEAR = 0.05  # of a step: between the points of a difference
TRIALS = 16  # steps for each sample: few cross the curve, and looking is cheap


@dataclass
class Spot:
    """A point of a surface with a normal map: hit and ray that re-create it, point, g, and mapped normal; whether there is one."""

    hit: Any
    ray: Any
    point: Any
    facing: Any
    normal: Any
    known: Any

    @staticmethod
    def near(scene: Any, maps: Maps, view: Any, point: Any, normal: Any, reach: Any, active: Any) -> Spot:
        """Where the line along `normal` through `point` meets a surface within `reach`, without derivatives."""
        ray = mi.Ray3f(point + reach * normal, -normal)
        ray.maxt = 2 * reach
        hit = scene.ray_intersect_preliminary(ray, coherent=False, active=active)
        si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
        towards = -dr.normalize(view.towards(si.p))
        g, mapped, known = maps.facing(hit.shape, si, towards, active & hit.is_valid())
        return Spot(hit, ray, si.p, g, mapped, known)


@dr.syntax
def _root(
    scene: Any, maps: Maps, view: Any, low: Any, step: Any, normal: Any, reach: Any, sign: Any, active: Any
) -> Any:
    """Point between `low`, where g has this sign, and `low + step`, where it has not, by halving the interval."""
    k = mi.UInt32(0)
    start, width = mi.Float(0), mi.Float(1)
    while dr.hint(active & (k < HALVINGS), label="pathspace: normal maps"):
        width *= 0.5
        middle = Spot.near(scene, maps, view, low + step * (start + width), normal, reach, active)
        start = dr.select(middle.known & ((middle.facing > 0) == sign), start + width, start)
        k += 1
    return low + step * (start + width)


@dataclass
class Step:
    """A step on a mapped surface: from `start` along a unit vector, `size` long; `share`: area per step; `upwards`: normal."""

    start: Any
    upwards: Any
    size: Any
    share: Any
    along: Any

    @staticmethod
    def draw(maps: Maps, sampler: Any, count: int) -> Step:
        """`count` of them, in one of two directions each."""
        start, upwards, size, share = _points(maps, sampler, count)
        frame = mi.Frame3f(upwards)
        return Step(start, upwards, size, share, dr.select(sampler.next_1d() < 0.5, frame.s, frame.t))

    def at(self, index: Any) -> Step:
        """Those at `index`."""
        return Step(
            *(dr.gather(type(x), x, index) for x in (self.start, self.upwards, self.size, self.share, self.along))
        )

    def ends(self, scene: Any, maps: Maps, view: Any, active: Any) -> tuple[Any, Any, Any]:
        """Whether the step crosses a horizon; the shape; whether the normal looks at the viewpoint at its start."""
        here, there = (
            Spot.near(scene, maps, view, point, self.upwards, 0.5 * self.size, active)
            for point in (self.start, self.start + self.size * self.along)
        )
        same = here.known & there.known & (here.hit.shape == there.hit.shape)
        return active & same & ((here.facing > 0) != (there.facing > 0)), here.hit.shape, here.facing > 0


@dataclass
class Crossing:
    """A point on a horizon, and the segment that meets it. All detached.

    `weight`: 1 / density of the point along the curve; `side`: ±1, the side of m̂ on which the normal looks at the viewpoint;
    `starts`: (hit, ray) on that side and the other; `arm`: unit vector along which g grows, by 1/`steep`.
    """

    middle: Spot
    point: Any
    omega: Any
    normal: Any  # m̂
    sine: Any
    weight: Any
    side: Any
    starts: tuple[tuple[Any, Any], tuple[Any, Any]]
    valid: Any
    arm: Any
    steep: Any

    def clearance(self, distance: Any) -> Any:
        """Distance from x_B within which what is met in front of it does not count."""
        return primary.clear_of(self.point, distance)

    @staticmethod
    def of(scene: Any, maps: Maps, view: Any, step: Step, shape: Any, sign: Any, active: Any) -> Crossing:
        """The one that `step` crosses, as seen from `view`."""
        size, frame = step.size, mi.Frame3f(step.upwards)
        meet = lambda point, lanes: Spot.near(scene, maps, view, point, step.upwards, 0.5 * size, lanes)  # noqa: E731
        found = _root(scene, maps, view, step.start, size * step.along, step.upwards, 0.5 * size, sign, active)

        # ---- the curve on the surface, from differences
        middle = meet(found, active)
        active = active & middle.known & (middle.hit.shape == shape)
        slopes = []
        for axis in (frame.s, frame.t):
            ahead, behind = meet(found + NEAR * size * axis, active), meet(found - NEAR * size * axis, active)
            active &= ahead.known & behind.known & (ahead.hit.shape == behind.hit.shape)
            slopes.append((ahead.facing - behind.facing) / (2 * NEAR * size))
        steepness = dr.norm(mi.Vector2f(slopes[0], slopes[1]))
        # Else g jumps: an edge of the mesh, or the border of a texel of a bump map.
        active &= (steepness > 0) & (dr.abs(middle.facing) < NEAR * size * steepness)
        steep = dr.rcp(dr.select(active, steepness, 1))
        arm = mi.Vector3f((slopes[0] * frame.s + slopes[1] * frame.t) * steep)
        point = mi.Point3f(middle.point)
        towards = view.towards(point)
        omega, distance = dr.normalize(towards), step.size / STEP if view.distant else dr.norm(towards)
        across, sine = segment.across(omega, dr.cross(step.upwards, arm))
        # Steps cross the curve with this density; over both directions the squared cosines add up to one.
        weight = 2 * step.share / size * dr.abs(dr.dot(step.along, arm))  # Eq. (10a)
        hit = mi.PreliminaryIntersection3f(middle.hit)
        hit.t = distance
        mapped = dr.normalize(middle.normal)
        lit, dark = ((hit, segment.grazing_ray(point, omega, way * mapped, distance)) for way in (1, -1))
        side = dr.sign(dr.dot(across, arm))
        return Crossing(
            middle, point, omega, across, sine, weight, side, (lit, dark), active & (sine > 1e-6), arm, steep
        )

    def position(self, maps: Maps, viewpoint: Any, distant: bool, active: Any) -> Any:
        """Attached x_B: the material point, shifted so that g stays zero as surface, map and viewpoint move."""
        si = surfaces.follow_material(self.middle.hit, self.middle.ray, active)
        towards = -viewpoint if distant else dr.normalize(mi.Vector3f(viewpoint - si.p))
        g, _, _ = maps.facing(self.starts[0][0].shape, si, towards, active)
        return dr.replace_grad(self.point, si.p - self.arm * ((g - dr.detach(g)) * self.steep))  # Eq. (10)


def _points(maps: Maps, sampler: Any, count: int) -> tuple[Any, ...]:
    """Points of the mapped shapes, uniform over their area: position, normal, length of the step, area / number of points."""
    placed = [
        (shape, texture)
        for shape, texture, grouped in zip(maps.shapes, maps.textures, maps.grouped, strict=True)
        if not grouped
    ]
    areas = [float(dr.sum(shape.surface_area())[0]) for shape, _ in placed]
    ends = [round(count * sum(areas[: k + 1]) / sum(areas)) for k in range(len(areas))]
    u = sampler.next_2d()
    parts, begin = [], 0
    for (shape, texture), area, end in zip(placed, areas, ends, strict=True):
        n = end - begin
        if n == 0:
            continue
        at = dr.gather(mi.Point2f, u, begin + dr.arange(mi.UInt32, n))
        position = shape.sample_position(0.0, at)
        texel = area**0.5 / max(texture.resolution())
        step = min(STEP * area**0.5, TEXELS * texel)
        normal = points.normals([shape], dr.zeros(mi.UInt32, n), position)
        parts.append((position.p, normal, dr.full(mi.Float, step, n), dr.full(mi.Float, area / n, n)))
        begin = end
    columns = [dr.concat([mi.Vector3f(part[i]) if i < 2 else part[i] for part in parts], axis=-1) for i in range(4)]
    dr.eval(columns)  # shapes have been asked one by one
    return tuple(columns)


class _Horizons(Term):
    """What the camera's view of such horizons shares with those of other surfaces."""

    memory, needs_table = 64 * TRIALS, False

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where there are maps on shapes of the scene itself: for those on instances, see sightlines.py."""
        return features.moving and not all(features.maps.grouped)


class MapsOnFilm(_Horizons):
    """Horizons of maps as the camera sees them, from `TRIALS` steps for each sample."""

    part = "primary"

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """Those that the steps cross."""
        found = sample(context, count)
        if found is not None:
            yield found


def sample(context: Context, count: int) -> Sample | None:
    """Horizons that `TRIALS * count` steps cross, as seen from the camera; None if they cross none."""
    scene, sensor, maps, stream = context.scene, context.sensor, context.features.maps, context.stream
    trials = TRIALS * count
    sampler = stream("normal maps", trials)
    step = Step.draw(maps, sampler, trials)
    aperture = camera.aperture_sample(sensor, sampler)
    crosses, shape, sign = step.ends(scene, maps, Eye.of(sensor, aperture), mi.Bool(True))
    chosen = dr.compress(crosses)
    number = dr.width(chosen)
    if number == 0:
        return None
    get = lambda x: dr.gather(type(x), x, chosen)  # noqa: E731
    aperture = None if aperture is None else get(aperture)
    sampler = stream("paths to normal maps", number)
    eye, active = Eye.of(sensor, aperture), dr.full(mi.Bool, True, number)
    curve = Crossing.of(scene, maps, eye, step.at(chosen), get(shape), get(sign), active)
    sight = eye.sight(curve.point)
    active = curve.valid & sight.inside
    clear = curve.clearance(sight.distance)
    active &= primary.visible(scene, context.tracer, sight.start, curve.point, sight.distance, clear, active)
    seen = primary.Seen(
        curve.point, sight.omega, curve.normal, curve.sine, curve.weight, curve.side, *curve.starts,
        lambda: curve.position(maps, camera.attached_viewpoint(sensor, number, aperture), eye.distant, active), active,
    )  # fmt: skip
    return primary.contribution(context, eye, sampler, seen)


class MapsFromSurfaces(_Horizons):
    """Horizons of maps as vertices of camera paths see them, with the light that they reflect."""

    part, divisor = "indirect", 6

    def applies(self, features: Features, max_depth: int) -> bool:
        """As above, and paths are long enough."""
        return max_depth > 2 and super().applies(features, max_depth)

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """`TRIALS` steps for each vertex; one of those that cross a horizon stands for all."""
        yield seen_from_surfaces(context, count)


def seen_from_surfaces(context: Context, count: int) -> Sample:
    """Horizons as vertices of `count` camera paths see them."""
    t, maps, stream = context, context.features.maps, context.stream
    scene, trials = t.scene, TRIALS * count
    paths = lambda: vertex.draw(t, stream("maps from surfaces", count))  # noqa: E731
    first = paths()
    dr.eval(first.si.p, first.active)
    sampler = stream("normal maps from surfaces", trials)
    step = Step.draw(maps, sampler, trials)
    lane = trial_lanes(trials, count)
    view = horizon.Viewpoint(dr.gather(mi.Point3f, first.si.p, lane))
    crosses, shape, sign = step.ends(scene, maps, view, dr.gather(mi.Bool, first.active, lane))
    number, chosen = one_trial(crosses, lane, count, TRIALS, sampler)
    dr.eval(number, chosen, shape, sign)
    get = lambda x: dr.gather(type(x), x, chosen)  # noqa: E731

    from_here, numbers = paths(), stream("light on maps from surfaces", count)
    view = horizon.Viewpoint(mi.Point3f(from_here.si.p))
    active = from_here.active & (number > 0)
    curve = Crossing.of(scene, maps, view, step.at(chosen), get(shape), get(sign), active)
    weight = curve.weight * mi.Float(number)
    return horizon.reflected(t, from_here, curve, weight, lambda x: curve.position(maps, x, False, active), numbers)
