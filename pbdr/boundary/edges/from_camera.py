"""Reflected radiance that jumps at edges, from vertices of camera paths to edge points (reflected.py says which share of it)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.boundary import segment
from pbdr.boundary.connect import vertex
from pbdr.boundary.context import Context
from pbdr.boundary.edges import reflected
from pbdr.boundary.sample import Sample
from pbdr.boundary.sampling.masses import Reservoir, edge_mass, systematic
from pbdr.boundary.term import Term
from pbdr.discrete import Discrete
from pbdr.geometry import rounding
from pbdr.geometry.edges import EdgeTable
from pbdr.geometry.view import View
from pbdr.transport.features import Features

CANDIDATES = 16  # edge points that one is chosen from, for x_S
# What edges promise that are seen from a point in a mirror, by their angle off the light. Measured on the shadow of a small
# lamp in a mirror (one scene, 60 gradients): without the distinction the variance is 3 times as large, with twice either value
# 1.2 to 1.3 times, with half of either 0.8 to 0.9 times. Other scenes were not measured.
BESIDE_LIGHT = 0.02  # 1 − cos of the angle, 11°, below which all are as promising
FAR_FROM_LIGHT = 0.05  # promise far off the light: defensive


@dataclass
class Choice:
    """An edge point chosen for x_S. `weight`: in place of 1 / density along the rows' parameter."""

    index: Any
    u: Any
    weight: Any


@dr.syntax
def choose(table: EdgeTable, distribution: Discrete, eye: Eye, sampler: Any, u: Any) -> Choice:
    """One of CANDIDATES edge points drawn by length, the first one at `u`, in proportion to `Eye.promise` (Talbot et al. 2005)."""
    kept = Reservoir.empty()
    index, place = mi.UInt32(0), mi.Float(0)
    u = mi.Float(u)
    k = mi.UInt32(0)
    while dr.hint(k < CANDIDATES, label="pathspace: edge points", exclude=[table, distribution, eye]):
        candidate, probability, at = distribution.sample(u)
        promise = eye.promise(segment.at(table.row(candidate), at, eye.view(), away=True))
        share = dr.select(probability > 0, promise / probability, 0)
        kept, taken = kept.add(promise, share, sampler.next_1d())
        index, place = dr.select(taken, candidate, index), dr.select(taken, at, place)
        u = sampler.next_1d()
        k += 1
    return Choice(index, place, kept.weight(CANDIDATES))


@dataclass
class Eye:
    """x_S and what tells edge points that matter to it from others; all detached.

    `light`: direction of a point of a light; `near`: whether edges near there are the ones that matter; `behind`: whether no walk
    from the edge can find x_S; `reach`: of `outward_share`; `scattered`: f_s cosθ towards a direction.
    """

    point: Any
    normal: Any
    light: Any
    near: Any
    behind: Any
    reach: Any
    scattered: Callable[[Any, Any], Any]

    @staticmethod
    def of(t: Context, from_here: vertex.Vertex, u: Any, behind: Any) -> Eye:
        """Of a vertex; `u` chooses the light."""
        si = from_here.si
        near, towards = mi.Bool(False), mi.Vector3f(0, 0, 1)
        if t.features.delta_bsdfs:
            light, _ = t.scene.sample_emitter_direction(si, u, False, behind)
            # Where a sky is, a point of it says nothing about where else it shines.
            near = behind & ~mi.has_flag(light.emitter.flags(), mi.EmitterFlags.Infinite)
            towards = light.d
        return Eye(mi.Point3f(si.p), mi.Vector3f(si.n), towards, near, behind, t.options.h, from_here.scattered)

    def view(self) -> View:
        """For `EdgeTable.curve`."""
        return View(mi.Point3f(self.point), mi.Vector3f(0), mi.Bool(False))

    def share(self, edge: segment.Edge) -> Any:
        """Share of `from_camera` in the pair."""
        distance = dr.norm(edge.point - self.point)
        outward = reflected.share(edge.row, dr.dot(self.normal, edge.omega), distance, self.reach)
        return dr.select(self.behind, 1, 1 - outward)

    def measure(self, edge: segment.Edge) -> Any:
        """Solid angle over the row's parameter."""
        squared = dr.squared_norm(edge.point - self.point)
        return edge.sine * edge.length * dr.select(squared > 0, dr.rcp(squared), 0)

    def promise(self, edge: segment.Edge) -> Any:
        """About what the edge point contributes; positive wherever it does."""
        away = 1 + BESIDE_LIGHT - dr.dot(edge.omega, self.light)
        lit = dr.select(self.near, FAR_FROM_LIGHT + BESIDE_LIGHT / away, 1)
        scattered = dr.mean(self.scattered(edge.omega, edge.counts))
        return dr.select(edge.counts, self.measure(edge) * self.share(edge) * lit * scattered, 0)


class FromCamera(Term):
    """Edges as vertices of camera paths see them."""

    part, divisor = "indirect", 3

    def applies(self, features: Features, max_depth: int) -> bool:
        """Where paths are long enough."""
        return max_depth > 2

    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """One edge point for each vertex."""
        yield sample(context, context.stream("indirect from the camera", count), count)


def sample(context: Context, sampler: Any, count: int) -> Sample:
    """`count` samples: a camera path, one of its vertices, an edge point, radiance on both sides."""
    t = context
    scene, table = t.scene, t.table
    from_here = vertex.draw(t, sampler)
    si, active = from_here.si, from_here.active
    behind = active & from_here.after_delta  # no walk from x_S could go through that vertex
    eye = Eye.of(t, from_here, sampler.next_2d(active), behind)

    # ---- x_B: systematic samples run along the edges as the lanes run; the camera paths do not, so that the two stay independent.
    chosen = choose(table, Discrete.of(edge_mass(table)), eye, sampler, systematic(sampler, count))
    edge = segment.at(table.row(chosen.index), chosen.u, eye.view(), away=True)
    distance = dr.norm(edge.point - si.p)
    active = active & edge.counts & (chosen.weight > 0) & (distance > 0)
    # Edges in the plane of the face that x_S lies on are a part of its geometric horizon: terminator.py.
    height = dr.abs(dr.dot(si.n, edge.point - si.p))
    active &= height > rounding.blur(edge.point, distance)
    scattered = from_here.scattered(edge.omega, active)
    active &= dr.max(scattered) > 0
    target = segment.outside(edge, distance)
    active &= from_here.sees(scene, target, segment.clearance(edge, distance), active)
    factor = from_here.factor * scattered * (eye.measure(edge) * eye.share(edge) * chosen.weight / count)
    carried = reflected.sides_of(
        t, edge, target, distance, factor, sampler, from_here.count, active, behind, mi.Bool(False), from_here.wavelengths
    )  # fmt: skip
    return from_here.sample(edge.omega, carried, active)
