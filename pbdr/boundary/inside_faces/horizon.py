"""Shading horizons: where the interpolated normal of a smooth mesh turns away from the camera.

On the rim of a smooth-shaded mesh the face still looks at the camera while its shading normal does not any more, and the BSDF of a
one-sided surface drops to black. That curve, n(x)·(x − o) = 0 inside the faces, is a discontinuity of the image like any edge, and
it moves with the vertices and with the normals. (Without it, gradients of coarse smooth meshes are far off.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment, sides
from pbdr.boundary.connect import vertex
from pbdr.boundary.context import Context
from pbdr.boundary.edges import primary
from pbdr.boundary.sample import Sample, Side
from pbdr.boundary.sampling.masses import systematic
from pbdr.boundary.term import Term
from pbdr.discrete import Discrete, mixed
from pbdr.geometry import rounding, surfaces, vertex_normals
from pbdr.transport import camera, convention, spectra
from pbdr.transport.eye import Eye
from pbdr.transport.features import Features
from pbdr.transport.film import Magnitude

# Of a face's size: mass for a horizon that it may have from elsewhere on the lens. With 0 those horizons would be lost; from
# 0.1 to 4, the variance of a ball seen by a wide lens changes by less than 4 %.
TURNED = 0.2


@dataclass
class SmoothFaces:
    """Corners of all faces of the moving smooth-shaded meshes: positions, normals, and where they come from."""

    shape: Any
    face: Any
    positions: tuple[Any, Any, Any]
    normals: tuple[Any, Any, Any]


def collect(scene: Any, moving: frozenset[int]) -> SmoothFaces | None:
    """Faces of the moving meshes that interpolate vertex normals; None if there is no such mesh."""
    parts = []
    for index, mesh in enumerate(scene.shapes()):
        if index not in moving or not vertex_normals.interpolates_normals(mesh):
            continue
        corners = dr.unravel(mi.Vector3u, mesh.faces_buffer())
        positions, normals = dr.detach(mesh.vertex_positions_buffer()), dr.detach(mesh.vertex_normals_buffer())
        n = dr.width(corners)
        parts.append([
            dr.full(mi.UInt32, index, n), dr.arange(mi.UInt32, n),
            *[dr.gather(mi.Vector3f, positions, corners[k]) for k in range(3)],
            *[dr.gather(mi.Vector3f, normals, corners[k]) for k in range(3)],
        ])  # fmt: skip
    if not parts:
        return None
    joined = [_concat([part[i] for part in parts]) for i in range(8)]
    return SmoothFaces(joined[0], joined[1], tuple(joined[2:5]), tuple(joined[5:8]))


def _concat(arrays: list[Any]) -> Any:
    if dr.depth_v(arrays[0]) == 1:
        return dr.concat(arrays)
    return type(arrays[0])(*[dr.concat([a[k] for a in arrays]) for k in range(3)])


@dataclass
class Curve:
    """The horizon in one face, as seen by an `Eye`: rays from the corner on its own side of the curve, fan parameter s.

    `start` the isolated corner (0, 1, 2); x, n: position and normal at corner `start`; b, c: the two others, relative to it.
    """

    start: Any
    x: Any
    xb: Any
    xc: Any
    n: Any
    nb: Any
    nc: Any
    crosses: Any

    @staticmethod
    def of(positions: tuple[Any, Any, Any], normals: tuple[Any, Any, Any], eye: Eye) -> Curve:
        """Find the corner whose sign of n·(x − o) differs from the two others (orthographic: of n·d)."""
        side = [dr.dot(n, eye.towards(x)) > 0 for x, n in zip(positions, normals, strict=True)]
        start = dr.select(side[1] == side[2], mi.UInt32(0), dr.select(side[0] == side[2], mi.UInt32(1), mi.UInt32(2)))
        crosses = (side[0] != side[1]) | (side[1] != side[2])
        pick = lambda items, k: dr.select(k == 0, items[0], dr.select(k == 1, items[1], items[2]))  # noqa: E731
        second, third = (start + 1) % 3, (start + 2) % 3
        x, n = pick(positions, start), pick(normals, start)
        return Curve(
            start, x, pick(positions, second) - x, pick(positions, third) - x,
            n, pick(normals, second) - n, pick(normals, third) - n, crosses,
        )  # fmt: skip

    def at(self, s: Any, eye: Eye) -> tuple[Any, ...]:
        """Point of the curve on the ray towards fan parameter s.

        Returns (position, derivative d position/ds, normal, ray direction D in the face, slope of n·(x − o) along D, r).
        """
        arm, bend = self.xb + s * (self.xc - self.xb), self.nb + s * (self.nc - self.nb)
        offset = eye.towards(self.x)
        near = 0 if eye.distant else 1  # the line of sight turns with the point
        c0, c1, c2 = dr.dot(self.n, offset), dr.dot(bend, offset) + near * dr.dot(self.n, arm), near * dr.dot(bend, arm)
        r = _root(c0, c1, c2)
        normal, position = self.n + r * bend, self.x + r * arm
        across_x, across_n = r * (self.xc - self.xb), r * (self.nc - self.nb)
        slope = c1 + 2 * c2 * r
        change = dr.dot(across_n, eye.towards(position)) + near * dr.dot(normal, across_x)
        safe = dr.select(dr.abs(slope) > 0, slope, 1)
        return position, across_x - arm * (change / safe), normal, arm, slope, r


def _root(c0: Any, c1: Any, c2: Any) -> Any:
    """Root in (0, 1) of c0 + c1 r + c2 r², which changes its sign there."""
    discriminant = dr.sqrt(dr.maximum(c1 * c1 - 4 * c0 * c2, 0))
    q = -0.5 * (c1 + dr.mulsign(discriminant, c1))
    first = dr.select(q != 0, c0 / dr.select(q != 0, q, 1), 0.5)
    second = dr.select(c2 != 0, q / dr.select(c2 != 0, c2, 1), 0.5)
    inside = (first >= 0) & (first <= 1)
    return dr.clip(dr.select(inside, first, second), 0, 1)


def film_mass(faces: SmoothFaces, eye: Eye, magnitude: Magnitude | None) -> Any:
    """Sampling mass of every face: the angular length of its horizon as seen from the centre of the lens, times `magnitude` there.

    With an aperture, faces whose normals are nearly at right angles to the line of sight have a horizon from elsewhere on it.
    """
    curve = Curve.of(faces.positions, faces.normals, eye)
    ends = [mi.Point3f(curve.at(mi.Float(s), eye)[0]) for s in (0.0, 1.0)]
    crosses = curve.crosses
    towards = eye.towards(mi.Point3f(0.5 * (ends[0] + ends[1])))
    distance = dr.norm(towards)
    span = mi.Vector3f(ends[1] - ends[0])
    mass = (dr.norm(dr.cross(span, towards / distance)) + primary.ALONG_SIGHT * dr.norm(span)) / distance
    if eye.has_aperture:
        height = [dr.abs(dr.dot(n, eye.towards(x))) * dr.rsqrt(dr.squared_norm(n))
                  for n, x in zip(faces.normals, faces.positions, strict=True)]  # fmt: skip
        turns = dr.minimum(dr.minimum(height[0], height[1]), height[2]) < eye.radius
        size = dr.norm(curve.xb) + dr.norm(curve.xc)
        mass = dr.select(crosses, mass, 0) + dr.select(turns, TURNED * size / dr.norm(eye.towards(curve.x)), 0)
        crosses = crosses | turns
    front = [eye.in_front(x) for x in faces.positions]
    mass = dr.select(crosses & (front[0] | front[1] | front[2]), mass, 0)
    if magnitude is None:
        return mass
    sights = [eye.sight(point) for point in (ends[0], mi.Point3f(0.5 * (ends[0] + ends[1])), ends[1])]
    return mixed(mass, sum(magnitude.at(sight.position, sight.inside) for sight in sights), primary.UNIFORM)


@dataclass
class Viewpoint:
    """A point on a surface that looks at horizons, with what `Eye` offers to `Curve`."""

    point: Any
    distant: bool = False

    def towards(self, target: Any) -> Any:
        """Vector from the viewpoint to a world point."""
        return mi.Vector3f(target - self.point)


@dataclass
class Rim:
    """A sampled point on a horizon, and the segment that meets it. All detached.

    `length`: dℓ/ds; `side`: ±1, the side of m̂ on which the surface is lit; `starts`: (hit, ray) on the lit side and the dark one.
    """

    point: Any
    omega: Any
    normal: Any  # m̂
    sine: Any
    length: Any
    side: Any
    starts: tuple[tuple[Any, Any], tuple[Any, Any]]
    valid: Any
    shading_normal: Any
    arm: Any
    slope: Any
    distant: bool
    facing: Any  # sine of the angle between the face and ω; negative where the face is seen from behind
    size: Any  # of the face

    def clearance(self, distance: Any) -> Any:
        """Distance from x_B within which what is met in front of it does not count.

        Horizons lie on faces that look aside: what rounding displaces sideways meets such a face far from x_B, and may meet the
        face before it. (Without that, a sixth of a ball's horizons were lost at x = 256.)
        """
        far = rounding.blur(self.point, distance) / dr.maximum(self.facing, 1e-6)
        usual = primary.clear_of(self.point, distance)
        return dr.select(self.facing > 0, dr.maximum(usual, dr.minimum(far, self.size)), usual)

    def position(self, viewpoint: Any, active: Any) -> Any:
        """Attached x_B: the point of the face, shifted along the arm so that n·(x − o) stays zero as face and viewpoint move."""
        hit = self.starts[0][0]
        si = surfaces.follow_material(hit, mi.Ray3f(self.point - hit.t * self.omega, self.omega), active)
        zero = dr.dot(si.sh_frame.n, viewpoint if self.distant else mi.Vector3f(si.p - viewpoint))
        slope = dr.select(dr.abs(self.slope) > 0, self.slope, 1)
        shift = (zero - dr.detach(zero)) * dr.norm(self.shading_normal) / slope
        return dr.replace_grad(self.point, si.p - mi.Vector3f(self.arm) * shift)  # Eq. (10)


def rim(scene: Any, faces: SmoothFaces, index: Any, s: Any, view: Any) -> Rim:
    """The point at fan parameter s of the horizon in face `index`, as seen from `view`."""
    get = lambda array: dr.gather(type(array), array, index)  # noqa: E731
    curve = Curve.of(tuple(get(x) for x in faces.positions), tuple(get(n) for n in faces.normals), view)
    position, derivative, normal, arm, slope, r = curve.at(s, view)
    point = mi.Point3f(position)
    length = dr.norm(derivative)
    towards = view.towards(point)
    omega, distance = dr.normalize(towards), dr.norm(arm if view.distant else towards)
    across, sine = segment.across(omega, derivative * dr.select(length > 0, dr.rcp(length), 0))
    valid = curve.crosses & (length > 0) & (sine > 1e-6) & (dr.abs(slope) > 0)
    # n·(x − o) grows along the arm where `slope` > 0: the dark side.
    lit_side = -dr.sign(dr.dot(across, arm)) * dr.sign(slope)
    hit = dr.zeros(mi.PreliminaryIntersection3f, dr.width(s))
    weights = [dr.select(curve.start == k, 1 - r, 0) for k in range(3)]
    weights = [w + dr.select((curve.start + 1) % 3 == k, r * (1 - s), 0) for k, w in enumerate(weights)]
    weights = [w + dr.select((curve.start + 2) % 3 == k, r * s, 0) for k, w in enumerate(weights)]
    hit.t, hit.prim_uv, hit.prim_index = distance, mi.Point2f(weights[1], weights[2]), get(faces.face)
    hit.shape = dr.gather(mi.ShapePtr, scene.shapes_dr(), get(faces.shape), valid)
    hit.valid = mi.Bool(valid)
    face = dr.cross(curve.xb, curve.xc)
    facing = -dr.dot(face, omega) * dr.rsqrt(dr.squared_norm(face))
    size = dr.maximum(dr.norm(curve.xb), dr.norm(curve.xc))
    upright = dr.normalize(normal)
    lit, dark = ((hit, segment.grazing_ray(point, omega, sign * upright, distance)) for sign in (1, -1))
    starts = (lit, dark)
    return Rim(
        point, omega, across, sine, length, lit_side, starts, valid, normal, arm, slope, view.distant, facing, size
    )


class HorizonsOnFilm(Term):
    """Shading horizons of meshes, as the camera sees them."""

    part, divisor = "primary", 2

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where meshes that interpolate normals move on the film."""
        return features.smooth and primary.on_film(features)

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """More of them where |δL| is large, if it is known."""
        features = context.features
        everything = frozenset(range(len(context.scene.shapes())))
        faces = collect(context.scene, everything if features.sensor_moves else features.moving_shapes)
        if faces is not None:
            yield sample(context, faces, context.stream("horizon", count), count)


def sample(context: Context, faces: SmoothFaces, sampler: Any, count: int) -> Sample:
    """`count` points on horizons in `faces`, as seen from the camera."""
    scene, sensor = context.scene, context.sensor
    distribution = Discrete.of(film_mass(faces, Eye.of(sensor), context.magnitude))
    index, probability, s = distribution.sample(systematic(sampler, count))
    eye = Eye.of(sensor, camera.aperture_sample(sensor, sampler))
    edge = rim(scene, faces, index, s, eye)
    sight = eye.sight(edge.point)
    active = edge.valid & (probability > 0) & sight.inside
    clear = edge.clearance(sight.distance)
    active &= primary.visible(scene, context.tracer, sight.start, edge.point, sight.distance, clear, active)
    seen = primary.Seen(
        edge.point, sight.omega, edge.normal, edge.sine, edge.length / (probability * count), edge.side, *edge.starts,
        lambda: edge.position(camera.attached_viewpoint(sensor, count, eye.aperture), active), active,
    )  # fmt: skip
    return primary.contribution(context, eye, sampler, seen)


def face_mass(faces: SmoothFaces) -> Any:
    """Sampling mass of every face for viewpoints all around: about its size times the angle that its normals span."""
    size, bend = (
        dr.norm(x[1] - x[0]) + dr.norm(x[2] - x[1]) + dr.norm(x[0] - x[2])
        for x in (faces.positions, [dr.normalize(n) for n in faces.normals])
    )
    return size * bend


class HorizonsFromSurfaces(Term):
    """Shading horizons of meshes as vertices of camera paths see them, with the light that they reflect."""

    part, divisor = "indirect", 6

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where meshes interpolate normals."""
        return features.smooth and max_depth > 2

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """One horizon for each vertex."""
        scene = context.scene
        faces = collect(scene, frozenset(range(len(scene.shapes()))))
        if faces is None:
            return
        sampler = context.stream("horizons from surfaces", count)
        from_here = vertex.draw(context, sampler)
        index, probability, s = Discrete.of(face_mass(faces)).sample(systematic(sampler, count))
        edge = rim(scene, faces, index, s, Viewpoint(mi.Point3f(from_here.si.p)))
        weight = dr.select(probability > 0, edge.length / (probability * count), 0)
        yield reflected(context, from_here, edge, weight, lambda x: edge.position(x, from_here.active), sampler)


def reflected(
    context: Context, from_here: vertex.Vertex, curve: Any, weight: Any, position: Callable[[Any], Any], sampler: Any
) -> Sample:
    """A horizon seen from x_S: light that the surface reflects on either side of a `Rim`, or whatever has its fields.

    `weight`: 1 / density along the curve; `position(x_S)`: the attached x_B.
    """
    t = context
    distance = dr.norm(curve.point - from_here.si.p)
    active = from_here.active & curve.valid & (weight > 0) & (distance > 0)
    scattered = from_here.scattered(curve.omega, active)
    active &= dr.max(scattered) > 0
    active &= from_here.sees(t.scene, curve.point, curve.clearance(distance), active)
    factor = from_here.factor * scattered * (curve.sine * weight / dr.square(distance))
    for _, start in curve.starts:
        spectra.carry(start, from_here.wavelengths)
    lit, dark = sides.radiance(t.scene, curve.starts, sampler, t.options, active, from_here.count, True)
    jump = segment.weigh(curve.side, lit, factor) + segment.weigh(-curve.side, dark, factor)

    def carried(origin: Any, direction: Any) -> list[Side]:
        """Equations (5), (6a) and (10): both sides are hits of the same face."""
        hit, ray = curve.starts[0]
        far = surfaces.material(t.features, hit, ray, active)
        onward, _ = convention.scattered_direction(origin, curve.omega, far, t.options.h, active)
        ray_point = convention.ray_point_scattered(origin, onward, distance)
        return [Side(jump, segment.rule(curve.normal, position(origin), ray_point))]

    return from_here.sample(curve.omega, carried, active)
