"""Points on lights (or directions to distant ones), and every edge that is a silhouette from there: what casts shadows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.boundary.sampling import silhouettes
from pbdr.boundary.sampling.masses import favour_moving
from pbdr.discrete import Discrete
from pbdr.geometry import rounding
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.view import View
from pbdr.transport import emission, points, spectra

MAX_ENTRIES = 1 << 21  # views × edges held at once
IN_PLANE = 1e-5  # height above a light's tangent plane that counts as rounding, relative to the distance
PROBES = 16  # points at which the light of each emitter is measured: shares of views follow it by a half only
ALONG = (0.1, 0.5, 0.9)  # of edges: where the intensity of lights without size is looked up
DEFENSIVE = 0.05  # of the largest intensity: what edges have that look unlit at these points
# Both are defensive: only the middle of an edge is looked at. For the shadow of a block under a rectangle, half and twice the
# values change the variance by less than 3 % and less than 0.1 %, and 0 changes it by 6 % and less than 0.1 %.
ALONG_SIGHT = 0.05  # added to the sine between an edge and its view: at other points of the edge it is not that of the middle
EDGE_ON = 0.01  # of the mass without the light's cosine: what pairs keep whose middle the light does not shine on
MIN_VIEWS = 64  # unless there are too many edges; 256 were measured to be no better


@dataclass
class LightViews:
    """K points on lights or directions to them, drawn once a call; `weight` = 1 / (K · density).

    `radiance` of these points or directions, a mean over the spectrum (of lights without size: 1).
    """

    emitter: Any
    view: View
    normal: Any  # of surface lights
    weight: Any
    surface: Any
    delta: Any
    radiance: Any

    def at(self, index: Any) -> LightViews:
        """The views at `index`."""
        get = lambda x: dr.gather(type(x), x, index)  # noqa: E731
        view = View(get(self.view.point), get(self.view.towards), get(self.view.distant))
        return LightViews(
            get(self.emitter), view, get(self.normal), get(self.weight), get(self.surface), get(self.delta),
            get(self.radiance),
        )  # fmt: skip


def draw_views(scene: Any, sampler: Any, count: int, shares: Discrete | None = None) -> LightViews:
    """`count` stratified views over all emitters of the scene, as `emitter_shares` says (None: as many of each)."""
    emitters = scene.emitters_dr()
    number = dr.width(emitters)
    k = mi.Float(dr.arange(mi.UInt32, count))
    whole = dr.opaque(mi.Float, count)  # varies with the silhouettes
    u = (k + sampler.next_1d()) / whole
    if shares is None:
        index, often = dr.minimum(mi.UInt32(u * number), number - 1), mi.Float(1 / number)
    else:
        index, often, _ = shares.sample(u)
    emitter = dr.gather(mi.EmitterPtr, emitters, index)
    flags = emitter.flags()
    surface = mi.has_flag(flags, mi.EmitterFlags.Surface)
    delta = emission.is_delta(emitter)
    # Within an emitter, a shifted lattice stratifies the points.
    shift = sampler.next_2d()
    shift = mi.Point2f(dr.gather(mi.Float, shift.x, mi.UInt32(0)), dr.gather(mi.Float, shift.y, mi.UInt32(0)))
    lattice = mi.Point2f(k * 0.7548776662466927, k * 0.5698402909980532) + shift
    lattice -= dr.floor(lattice)
    box = scene.bbox()
    reference = dr.zeros(mi.Interaction3f, count)
    reference.p, reference.wavelengths = mi.Point3f(0.5 * (box.min + box.max)), spectra.typical()
    dr.make_opaque(reference.p)  # moves with the shapes
    # As a recorded call it would be compiled for every shape of the process, of which instances and curves cannot do it.
    with dr.scoped_set_flag(dr.JitFlag.SymbolicCalls, False):
        on_surface, _ = emitter.sample_position(0.0, lattice, surface)  # of a textured light, where it is bright
    direction, value = emitter.sample_direction(reference, lattice, ~surface)
    distant = ~surface & mi.has_flag(flags, mi.EmitterFlags.Infinite)
    distant |= mi.has_flag(flags, mi.EmitterFlags.DeltaDirection) & ~mi.has_flag(flags, mi.EmitterFlags.DeltaPosition)
    density = dr.select(surface, on_surface.pdf, dr.select(delta, 1, direction.pdf))
    shining = mi.SurfaceInteraction3f(on_surface, reference.wavelengths)
    shining.wi = mi.Vector3f(0, 0, 1)
    radiance = dr.select(surface, dr.mean(emitter.eval(shining, surface)), dr.mean(value) * direction.pdf)
    views = LightViews(
        emitter=emitter,
        view=View(dr.select(surface, on_surface.p, direction.p), mi.Vector3f(direction.d), distant),
        normal=points.normals([light.get_shape() for light in scene.emitters()], index, on_surface),
        weight=dr.select(density > 0, 1 / (often * density * whole), 0), surface=surface, delta=delta,
        radiance=dr.select(delta, 1, radiance),
    )  # fmt: skip
    dr.eval(views)
    return views


def emitter_shares(scene: Any, sampler: Any) -> Discrete | None:
    """How many of the views each emitter gets: half of them alike, half by the light that it throws into the scene.

    Were all alike, one strong lamp among a hundred weak ones would be seen in every other call only. `sampler` has
    `PROBES` lanes for each emitter: points of the scene's box, at which the light without shadows is measured.
    """
    emitters = scene.emitters_dr()
    number = dr.width(emitters)
    if number < 2:
        return None
    box = scene.bbox()
    low, high = mi.Point3f(box.min), mi.Point3f(box.max)
    dr.make_opaque(low, high)
    emitter = dr.gather(mi.EmitterPtr, emitters, dr.arange(mi.UInt32, number * PROBES) // PROBES)
    probe = dr.zeros(mi.Interaction3f, number * PROBES)
    x, y = sampler.next_2d()
    probe.p = low + (high - low) * mi.Vector3f(x, y, sampler.next_1d())
    probe.wavelengths = spectra.typical()
    _, light = emitter.sample_direction(probe, sampler.next_2d(), True)
    light = dr.mean(light)
    thrown = dr.block_sum(dr.select(dr.isfinite(light), light, 0), PROBES)
    total = dr.sum(thrown)
    return Discrete.of(1 / number + dr.select(total > 0, thrown / total, 0))


def view_count(edges: int, samples: int, emitters: int) -> int:
    """Number of views: their list of pairs with all edges may take a fraction of the time of the samples, and bounded memory.

    With few views a camera that sees little of the receivers gets samples from a handful of them only.
    """
    views = min(max(MIN_VIEWS, 2 * samples // edges), MAX_ENTRIES // edges)
    return max(1, min(emitters, MIN_VIEWS), views)


def light_factor(lights: LightViews, edge: segment.Edge) -> Any:
    """Measure of a light point at an edge point: cosθ_y/|y−x_B|² for surfaces, 1 for distant and delta lights.

    Zero for edges in the tangent plane of the light point (a flat light's own border): there cosθ_y is rounding.
    """
    offset = lights.view.point - edge.point
    distance2 = dr.squared_norm(offset)
    height = dr.abs_dot(lights.normal, offset)
    cosine = height * dr.rsqrt(dr.maximum(distance2, 1e-20))
    cosine = dr.select(height > rounding.blur(edge.point, dr.sqrt(distance2), IN_PLANE), cosine, 0)
    return dr.select(lights.surface, cosine / dr.maximum(distance2, 1e-20), 1)


def shadow_mass(scene: Any, table: EdgeTable, possible: Any, lights: LightViews) -> Any:
    """Sampling mass of all pairs of a view and a `possible` edge, view-major: zero exactly where the edge is no silhouette.

    In proportion to the radiance of the view: without it a sun, which has many views of small weight, is drawn so rarely that
    estimates look converged long before they are. The floor keeps edges that only their middle hides; a flat light's own border
    never counts.
    """
    number = dr.opaque(mi.UInt32, dr.width(possible))
    entry = dr.arange(mi.UInt32, dr.width(lights.weight) * dr.width(possible))
    k = entry // number
    row = table.row(dr.gather(mi.UInt32, possible, entry - k * number))
    chosen = lights.at(k)
    edge = segment.at(row, mi.Float(0.5), chosen.view, away=False)
    distance2 = dr.squared_norm(chosen.view.point - edge.point)
    fall_off = dr.select(chosen.view.distant, 1, dr.rcp(dr.maximum(distance2, 1e-20)))
    length = segment.rough_length(edge) * chosen.weight
    near = dr.select(chosen.delta, fall_off, 1)
    mass = length * (edge.sine + ALONG_SIGHT) * light_factor(chosen, edge) * near * chosen.radiance
    floor = EDGE_ON * length * fall_off * chosen.radiance
    own = chosen.surface & (dr.gather(mi.ShapePtr, scene.shapes_dr(), row.shape) == chosen.emitter.get_shape())
    # Nor does the outline of a sphere or cylinder seen from a point on it: that is the point itself, as close as rounding has it.
    degenerate = own & row.having("convex")
    outline = edge.silhouette | (row.having("winding") & row.exists(chosen.view))
    mass = dr.select(outline & ((mass > 0) | ~own) & ~degenerate, dr.maximum(mass, floor), 0)
    if any(_without_size(emitter) for emitter in scene.emitters()):
        lit = _brightness(chosen, row, dr.width(possible), chosen.delta & (mass > 0))
        mass *= dr.select(chosen.delta, lit, 1)
    return favour_moving(mass, row.moving)


def _without_size(emitter: Any) -> bool:
    flags = emitter.flags()
    return any(mi.has_flag(flags, kind) for kind in (mi.EmitterFlags.DeltaPosition, mi.EmitterFlags.DeltaDirection))


def _brightness(lights: LightViews, row: EdgeTable, edges: int, active: Any) -> Any:
    """Mean intensity of lights without size over edges, and a part of each view's largest: a beam may meet just a bit of them."""
    si = dr.zeros(mi.SurfaceInteraction3f, dr.width(active))
    si.wavelengths = spectra.typical()
    intensity = mi.Float(0)
    for u in ALONG:
        si.p = row.curve(lights.view, mi.Float(u)).position
        _, value, _ = emission.delta_emission(lights.emitter, si, active)
        distance2 = dr.select(lights.view.distant, 1, dr.squared_norm(lights.view.point - si.p))
        intensity += dr.mean(dr.detach(value)) * distance2 / len(ALONG)
    intensity = dr.select(active & dr.isfinite(intensity), intensity, 0)
    largest = dr.block_reduce(dr.ReduceOp.Max, intensity, edges)
    return intensity + DEFENSIVE * dr.repeat(largest, edges)


@dataclass
class Outlines:
    """Points on lights, drawn once a call, and every edge that is a silhouette from there; shared by all segments to lights."""

    lights: LightViews
    possible: Any
    number: Any  # of `possible` edges, on the device
    pairs: Discrete

    @staticmethod
    def of(scene: Any, table: EdgeTable, stream: Callable[[str, int], Any], count: int) -> Outlines | None:
        """For about `count` samples, `stream` makes samplers by name and number of lanes; None if no edge can cast a shadow."""
        emitters = len(scene.emitters())
        pilot = lambda: draw_views(scene, stream("emitters", emitters), emitters)  # noqa: E731
        possible = silhouettes.candidates(table, silhouettes.regions(scene, pilot))
        if dr.width(possible) == 0:
            return None
        views = view_count(dr.width(possible), count, emitters)
        shares = emitter_shares(scene, stream("light shares", PROBES * emitters))
        lights = draw_views(scene, stream("light points", views), views, shares)
        pairs = Discrete.of(shadow_mass(scene, table, possible, lights))
        return Outlines(lights, possible, dr.opaque(mi.UInt32, dr.width(possible)), pairs)

    def sample(self, table: EdgeTable, u: Any) -> tuple[LightViews, EdgeTable, Any, Any]:
        """u in [0, 1) → (light points, rows of the table, probability of the pair, u rescaled within it)."""
        entry, probability, rest = self.pairs.sample(u)
        k = entry // self.number
        row = table.row(dr.gather(mi.UInt32, self.possible, entry - k * self.number))
        return self.lights.at(k), row, probability, rest
