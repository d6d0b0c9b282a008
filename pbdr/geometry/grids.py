"""Grids of signed distances (`sdfgrid`), on instances too: silhouettes within voxels, creases between them, hits with derivatives.

Mitsuba's own derivatives of hits are off by |∇φ|, and those of its smooth normals leave out the values.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import grid_edges, grid_values
from pbdr.geometry.edges import columns
from pbdr.geometry.grid_fields import KIND, Fields, shown_by
from pbdr.geometry.intersections import Solid
from pbdr.geometry.kind import Inside, Kind, Part
from pbdr.geometry.placed import Placed
from pbdr.geometry.view import Curve, View
from pbdr.parameters import traverse


class Grids(Fields, Kind):
    """Shapes `sdfgrid`."""

    name = "grids of signed distances"
    plugins = (KIND,)
    forms = (grid_edges.SILHOUETTE, grid_edges.CREASE)
    grouped = wraps = True
    tells = textured = False

    @classmethod
    def of(cls, scene: Any) -> Grids | None:
        """The grids of a scene; None if it has none."""
        shown = shown_by(scene)
        return cls(scene, shown) if shown else None

    @property
    def smooth(self) -> bool:
        """Whether a grid interpolates normals."""
        return any(self.smooth_host)

    def interpolates(self, hit: Any, active: Any) -> Any:
        """Whether hits are on a grid that interpolates normals."""
        here, number = self.on(hit, active)
        return here & dr.gather(mi.Bool, self.interpolating, number, here)

    def sighted(self, hit: Any, active: Any) -> Any:
        """Whether hits are on a grid."""
        return self.on(hit, active)[0]

    def hits(self, evaluate: Any, hit: Any, ray: Any, active: Any, follow: bool) -> Any:
        """All derivatives anew."""
        with self.at_rest():
            si = evaluate(hit, ray, active)
        here, number = self.on(hit, active)
        frame = self.frame(number, here).spread(here)
        still = frame.detached()
        local = still.local(dr.detach(si.p))
        corner = self.voxel(number, local)
        cell = self.cell(number, corner, here)
        at = local - corner
        slope = dr.detach(cell.slope(at))
        now = frame.point(corner + self.follow(cell, at, slope))
        distance = dr.norm(now - ray.o) * dr.rcp(dr.norm(ray.d))
        if not follow:
            n = still.normal(slope)
            facing = dr.dot(n, dr.detach(ray.d))
            facing = dr.select(here & (dr.abs(facing) > 0), facing, -1)
            met = dr.dot(n, now - ray.o) / dr.select(here, dr.dot(n, ray.d), facing)
            distance = dr.replace_grad(hit.t, met)
            now = ray.o + distance * ray.d
        local = dr.replace_grad(local, frame.local(now))
        normal = dr.normalize(frame.normal(cell.slope(local - corner)))
        shading = normal
        if self.smooth:
            smooth = self.interpolates(hit, active)
            bent = frame.normal(self.smooth_slope(number, local, smooth))
            shading = dr.select(smooth, dr.normalize(dr.select(smooth, bent, mi.Vector3f(0, 0, 1))), normal)
        value = lambda old, new: dr.select(here, dr.replace_grad(old, new), old)  # noqa: E731
        si.p = mi.Point3f(value(mi.Vector3f(si.p), mi.Vector3f(now)))
        si.t = value(si.t, distance)
        si.n = mi.Normal3f(value(mi.Vector3f(si.n), normal))
        # The frame that belongs to Mitsuba's normal, also where `groups` has none for want of a tangent.
        s, t = mi.coordinate_system(dr.replace_grad(mi.Vector3f(si.sh_frame.n), shading))
        si.sh_frame.n = mi.Normal3f(value(mi.Vector3f(si.sh_frame.n), shading))
        si.sh_frame.s, si.sh_frame.t = dr.select(here, s, si.sh_frame.s), dr.select(here, t, si.sh_frame.t)
        return si

    def at_rest(self) -> Any:
        """All of them are replaced."""
        parameters = [traverse(shape) for shape in self.shapes]
        moving = [p[name] for p in parameters for name in ("grid", "to_world")]
        moving = [x for x in moving if dr.grad_enabled(x)]
        return dr.suspend_grad(*moving, when=bool(moving))

    # ------------------------------------------------------------------ rows of the table

    def rows(self, placed: Placed, kept: Any) -> list[Part]:
        """Silhouettes within voxels and creases between them; `face`: number of the grid."""
        number = self.number_of(placed.shape, placed.index)
        found = grid_edges.rows(self, number)
        same = dr.full(mi.UInt32, number, dr.width(found["form"]))
        return [Part(columns(placed, {**found, "face0": same, "face1": same}), self.forms)]

    def curve(self, row: Any, view: View, u: Any, here: Any) -> Curve:
        """The point in the plane, or on the line, at u."""
        lane = grid_edges.Lane(self, row, here)
        within = grid_edges.silhouette(lane, view, u)
        return grid_edges.crease(lane, view, u).over(within, row.of(grid_edges.CREASE))

    def exists(self, row: Any, view: View, here: Any) -> Any:
        """False where the values at the corners of a voxel tell that it shows nothing."""
        return grid_edges.may_show(grid_edges.Lane(self, row, here), view, row.of(grid_edges.CREASE))

    def extent(self, row: Any) -> Any:
        """About the size of the whole grid."""
        number = dr.select(row.of_kind(self), row.face[0], 0)
        return dr.norm(row.b) * mi.Float(dr.gather(mi.UInt32, self.side, number))

    def moved(self, scene: Any, edge: Any, which: Any, here: Any) -> Any:
        """As the values at the corners of the voxel say, equation (15)."""
        return grid_edges.moved(self, edge.row, edge.point, here)

    def inside(self, edge: Any, which: Any, inward: Any, active: Any) -> Inside:
        """A grid asks the voxel in which the point lies."""
        into = dr.select(edge.round, mi.Vector3f(0), dr.select(which == 0, *edge.into))
        return Inside(mi.Point2f(0), shift=inward * into)

    # ------------------------------------------------------------------ on the host

    def state(self, placed: Placed) -> list[Any]:
        """Values and pose."""
        return [dr.detach(traverse(placed.shape)["grid"].array), placed.matrix().tobytes()]

    def solid(self, placed: Placed, kept: Any) -> Solid:
        """Triangles near the surface."""
        return grid_edges.net(grid_values.on_host(placed.shape), placed.matrix())

    def detail(self, shape: Any, size: float) -> float:
        """An eighth of a voxel. (Jumps of radiance between voxels are differences of points that lie as far inside as coordinates
        are exact: 6 % of a primary term at 1,000 voxels from the origin, 9 % at 2,000, and none at 500.)"""
        return size / (8 * (grid_values.on_host(shape).shape[0] - 1))

    def unwarped(self, shape: Any) -> str:
        """As for all kinds without faces."""
        return "is a grid: its outlines are not edges of the faces that rays hit."

    def gpu_refusal(self, features: Any, max_depth: int) -> str:
        """Measured on an H100."""
        if not features.edges_seen_to_move or max_depth <= 2:
            return ""
        return "motion in scenes with grids of signed distances, seen by way of two scatterings (max_depth > 2)"
