"""Shading horizons of normal maps: where the mapped normal turns away from the camera.

Mitsuba's `normalmap` then turns the normal round, so that the BSDF jumps along the curve n(uv)·(o − x) = 0. It moves with texels,
surface and camera like a horizon of interpolated normals (horizon.py), but is known by the sign on either side only: it is
found by root finding along short steps on the surface, in one of two directions each (docs/theory.md, section 7a).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import primary, segment
from pbdr.boundary.terms import Contribution
from pbdr.parameters import traverse
from pbdr.transport import camera, hits, path
from pbdr.transport.eye import Eye

STEP = 0.003  # longest step, in units of the square root of a shape's area: the surface is nearly flat along it
TEXELS = 0.5  # and in texels, so that few steps cross the curve twice
HALVINGS = 14
NEAR = 0.05  # of a step: between the points of a difference
TRIALS = 16  # steps for each sample: few cross the curve, and looking is cheap
MAP = "NormalMap"


class Maps:
    """Shapes with a normal map, and the texture of each. Not a dataclass: Dr.Jit must not take it for loop state."""

    def __init__(self) -> None:
        self.shapes: list[Any] = []
        self.textures: list[Any] = []

    @staticmethod
    def of(scene: Any) -> Maps:
        """Those of all shapes of a scene."""
        params = traverse(scene)
        found = Maps()
        below: dict[Any, list[Any]] = {}  # BSDF → textures of the normal maps in it
        for node, (owner, _) in params.hierarchy.items():
            if isinstance(node, mi.Texture) and isinstance(owner, mi.BSDF) and owner.class_name() == MAP:
                while isinstance(owner, mi.BSDF):
                    below.setdefault(owner, []).append(node)
                    owner = params.hierarchy[owner][0]
        for shape in scene.shapes() if below else ():
            for texture in below.get(shape.bsdf(), ()):
                found.shapes.append(shape)
                found.textures.append(texture)
        return found

    def normal(self, shape: Any, si: Any, active: Any) -> tuple[Any, Any]:
        """Mapped normal in the shading frame, not normalised, and whether the lane's shape has one."""
        normal, known = mi.Vector3f(0), mi.Bool(False)
        for own, texture in zip(self.shapes, self.textures, strict=True):
            mine = active & (shape == mi.ShapePtr(own))
            normal = dr.select(mine, 2 * texture.eval_3(si, mine) - 1, normal)
            known |= mine
        return normal, known


def facing(maps: Maps, shape: Any, si: Any, towards: Any, active: Any) -> tuple[Any, Any, Any]:
    """g = n·ω_i, positive where the mapped normal looks along `towards`; n in the world; whether there is a map."""
    normal, known = maps.normal(shape, si, active)
    back = dr.dot(si.sh_frame.n, dr.detach(towards)) < 0  # of `twosided` surfaces: it mirrors directions
    normal.z = dr.select(back, -normal.z, normal.z)
    world = si.to_world(normal)
    return dr.dot(world, towards), world, known


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
    def near(scene: Any, maps: Maps, eye: Eye, point: Any, normal: Any, reach: Any, active: Any) -> Spot:
        """Where the line along `normal` through `point` meets a surface within `reach`, without derivatives."""
        ray = mi.Ray3f(point + reach * normal, -normal)
        ray.maxt = 2 * reach
        hit = scene.ray_intersect_preliminary(ray, coherent=False, active=active)
        si = hit.compute_surface_interaction(ray, mi.RayFlags.All, active)
        g, mapped, known = facing(maps, hit.shape, si, -eye.sight(si.p).omega, active & hit.is_valid())
        return Spot(hit, ray, si.p, g, mapped, known)


@dr.syntax
def _root(
    scene: Any, maps: Maps, eye: Eye, low: Any, step: Any, normal: Any, reach: Any, sign: Any, active: Any
) -> Any:
    """Point between `low`, where g has this sign, and `low + step`, where it has not, by halving the interval."""
    k = mi.UInt32(0)
    start, width = mi.Float(0), mi.Float(1)
    while dr.hint(active & (k < HALVINGS), label="pathspace: normal maps"):
        width *= 0.5
        middle = Spot.near(scene, maps, eye, low + step * (start + width), normal, reach, active)
        start = dr.select(middle.known & ((middle.facing > 0) == sign), start + width, start)
        k += 1
    return low + step * (start + width)


def _points(maps: Maps, sampler: Any, count: int) -> tuple[Any, ...]:
    """Points of the mapped shapes, uniform over their area: position, normal, length of the step, area / number of points."""
    areas = [float(dr.sum(shape.surface_area())[0]) for shape in maps.shapes]
    ends = [round(count * sum(areas[: k + 1]) / sum(areas)) for k in range(len(areas))]
    u = sampler.next_2d()
    parts, begin = [], 0
    for shape, texture, area, end in zip(maps.shapes, maps.textures, areas, ends, strict=True):
        n = end - begin
        if n == 0:
            continue
        at = dr.gather(mi.Point2f, u, begin + dr.arange(mi.UInt32, n))
        position = shape.sample_position(0.0, at)
        texel = area**0.5 / max(texture.resolution())
        step = min(STEP * area**0.5, TEXELS * texel)
        parts.append((position.p, position.n, dr.full(mi.Float, step, n), dr.full(mi.Float, area / n, n)))
        begin = end
    columns = [dr.concat([mi.Vector3f(part[i]) if i < 2 else part[i] for part in parts], axis=-1) for i in range(4)]
    dr.eval(columns)  # shapes have been asked one by one
    return tuple(columns)


def sample(
    scene: Any, sensor: Any, integrator: Any, options: path.PathOptions, stream: Callable[[str, int], Any], count: int
) -> list[Contribution]:
    """The primary boundary on horizons of normal maps, from `TRIALS * count` steps; empty without such maps.

    `stream` makes samplers by name and number of lanes.
    """
    maps = Maps.of(scene)
    if not maps.shapes:
        return []
    trials = TRIALS * count
    sampler = stream("normal maps", trials)
    start, upwards, step, share = _points(maps, sampler, trials)
    aperture = camera.aperture_sample(sensor, sampler)
    frame = mi.Frame3f(upwards)
    along = dr.select(sampler.next_1d() < 0.5, frame.s, frame.t)
    eye = Eye.of(sensor, aperture)
    here, there = (
        Spot.near(scene, maps, eye, point, upwards, 0.5 * step, mi.Bool(True))
        for point in (start, start + step * along)
    )
    crosses = here.known & there.known & (here.hit.shape == there.hit.shape) & ((here.facing > 0) != (there.facing > 0))
    chosen = dr.compress(crosses)
    number = dr.width(chosen)
    if number == 0:
        return []
    get = lambda x: dr.gather(type(x), x, chosen)  # noqa: E731
    start, upwards, step, share, along = (get(x) for x in (start, upwards, step, share, along))
    sign, shape = get(here.facing) > 0, get(here.hit.shape)
    aperture = None if aperture is None else get(aperture)
    sampler = stream("paths to normal maps", number)
    eye, frame, active = Eye.of(sensor, aperture), mi.Frame3f(upwards), dr.full(mi.Bool, True, number)
    meet = lambda point, lanes: Spot.near(scene, maps, eye, point, upwards, 0.5 * step, lanes)  # noqa: E731
    found = _root(scene, maps, eye, start, step * along, upwards, 0.5 * step, sign, active)

    # ---- the curve on the surface, from differences
    middle = meet(found, active)
    active &= middle.known & (middle.hit.shape == shape)
    slopes = []
    for axis in (frame.s, frame.t):
        ahead, behind = meet(found + NEAR * step * axis, active), meet(found - NEAR * step * axis, active)
        active &= ahead.known & behind.known & (ahead.hit.shape == behind.hit.shape)
        slopes.append((ahead.facing - behind.facing) / (2 * NEAR * step))
    steepness = dr.norm(mi.Vector2f(slopes[0], slopes[1]))
    active &= (steepness > 0) & (dr.abs(middle.facing) < NEAR * step * steepness)  # else g jumps: an edge of the mesh
    steep = dr.rcp(dr.select(active, steepness, 1))
    arm = mi.Vector3f((slopes[0] * frame.s + slopes[1] * frame.t) * steep)  # unit vector along which g grows
    tangent = dr.cross(upwards, arm)
    point = mi.Point3f(middle.point)
    sight = eye.sight(point)
    across, sine = segment.across(sight.omega, tangent)
    active &= sight.inside & (sine > 1e-6)
    active &= primary.visible(scene, integrator, sight.start, point, sight.distance, active)
    # Steps cross the curve with this density; over both directions the squared cosines add up to one.
    weight = 2 * share / step * dr.abs(dr.dot(along, arm))  # Eq. (10a)
    hit = mi.PreliminaryIntersection3f(middle.hit)
    hit.t = mi.Float(1)
    mapped = dr.normalize(middle.normal)
    sides = [(hit, segment.grazing_ray(point, sight.omega, way * mapped)) for way in (1, -1)]

    def moved() -> Any:
        """Attached x_B: the material point, shifted so that g stays zero as surface, map and camera move."""
        si = hits.material(middle.hit, middle.ray, active)
        viewpoint = camera.attached_viewpoint(sensor, aperture)
        towards = -viewpoint if eye.distant else dr.normalize(mi.Vector3f(viewpoint - si.p))
        g, _, _ = facing(maps, hit.shape, si, towards, active)
        return dr.replace_grad(point, si.p - arm * ((g - dr.detach(g)) * steep))  # Eq. (10)

    lit_side = dr.sign(dr.dot(across, arm))
    seen = primary.Seen(point, sight.omega, across, sine, weight, lit_side, sides[0], sides[1], moved, active)
    return [primary.contribution(scene, sensor, integrator, eye, options, sampler, seen)]
