"""Vertex positions that move together (Nicolet, Jacobson & Jakob, Large Steps in Inverse Rendering of Geometry, 2021)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.errors import DataWarning, ParameterError
from pbdr.parameters.maps.map import Array, Map
from pbdr.parameters.meshes import Surface, smooth_copies
from pbdr.parameters.place import Place
from pbdr.registry import option

#: How far a step spreads over the surface by default, as a fraction of the object's size. λ follows from it.
REACH = 0.08
#: Vertices that a map takes for equal to what it expresses, as a fraction of the object's size.
SAME = 1e-5


@dataclass(frozen=True, eq=False)
class Diffusion:
    """I + λL of those vertices of a surface that move, L its combinatorial Laplacian; the others are held at displacement 0.

    surface  the mesh at the start; `size`: the longest side of its bounding box, the unit of displacements
    weight   λ
    moving   (M,) welded vertices that move
    matrix   (M, M), sparse; `solver` holds its Cholesky factors
    row      for each of the mesh's N vertices, its row among the moving ones; `moves`: whether it has one
    base     (3 N) positions of the mesh's vertices at the start
    """

    surface: Surface
    size: float
    weight: float
    moving: Array
    matrix: Any
    solver: Any
    row: Any
    moves: Any
    base: Any

    def solve(self, latent: Any) -> Any:
        """Return (I + λL)⁻¹ of a tensor (M, columns), differentiable."""
        return dr.custom(Solve, self.solver, latent)

    def spread(self, rows: Any, column: Any, columns: int) -> Any:
        """For 3 N lanes, one a coordinate: entry `column` of the row (M, `columns`) of the lane's vertex; 0 where it is held."""
        owner = dr.arange(mi.UInt32, 3 * dr.width(self.row)) // 3
        row, moves = dr.gather(mi.UInt32, self.row, owner), dr.gather(mi.Bool, self.moves, owner)
        return dr.gather(mi.Float, rows.array, columns * row + column, moves)


class Solve(dr.CustomOp):
    """x = A⁻¹ u for a symmetric matrix A, which is its own transpose: derivatives take the same solve, either way."""

    def eval(self, solver: Any, u: Any) -> Any:
        self.solver = solver
        return self._solved(u)

    def forward(self) -> None:
        self.set_grad_out(self._solved(self.grad_in("u")))

    def backward(self) -> None:
        self.set_grad_in("u", self._solved(self.grad_out()))

    def name(self) -> str:
        return "Cholesky solve"

    def _solved(self, u: Any) -> Any:
        x = dr.empty(mi.TensorXf, shape=u.shape)
        self.solver.solve(u, x)
        return mi.TensorXf(x)


@dataclass(frozen=True)
class OfSurface(Map):
    """What maps of vertex positions share whose latents diffuse over the surface."""

    optimiser: ClassVar[str] = "adam_uniform"
    smoothness: float = option(0.0, "λ; 0 takes the one that suits the mesh")
    fix_border: bool = option(False, "open borders of the mesh stay where they are")

    def refusal(self, place: Place) -> str:
        if self.smoothness < 0:
            return f"has smoothness = {self.smoothness:g}: it is at least 0"
        if not place.of_mesh:
            return "serves the vertex positions of meshes only"
        return "keeps no bounds: leave them out" if np.isfinite(place.bounds).any() else ""

    def prepare(self, place: Place) -> Diffusion:
        from cholespy import CholeskySolverF, MatrixType
        from scipy.sparse import csr_matrix

        assert place.parameter is not None
        surface, name = place.surface, place.parameter.name
        size, count = surface.size, len(surface.positions)
        if not (np.isfinite(surface.positions).all() and size > 0 and len(surface.edges)):
            raise ParameterError(
                f"{name!r} has no extent, no faces or is not finite: map {self.name!r} needs a surface"
            )
        seams = smooth_copies(place.scene, place.parameter, surface)
        if seams:
            warnings.warn(
                f"{name}: {seams} vertices are copies along seams, whose interpolated normals Mitsuba computes apart once "
                "positions move: shading will jump there. Give the shape face_normals, or a mesh without texture coordinates",
                DataWarning,
                stacklevel=2,
            )
        moves = np.ones(count, bool)
        moves[surface.border] = not self.fix_border
        moving = np.flatnonzero(moves)
        if not len(moving):
            raise ParameterError(f"{name!r}: every vertex is on an open border, and fix_border holds all of them")
        weight = self.smoothness or (REACH * size / surface.edge_length) ** 2
        a, b = surface.edges.T
        off = csr_matrix((np.full(2 * len(a), weight), (np.r_[a, b], np.r_[b, a])), (count, count))
        matrix = -off
        matrix.setdiag(1 + np.asarray(off.sum(axis=1)).reshape(-1))
        matrix = matrix[moving][:, moving].tocsr()
        entries = matrix.tocoo()
        rows, cols = (mi.TensorXi(x.astype(np.int32)) for x in (entries.row, entries.col))
        solver = CholeskySolverF(len(moving), rows, cols, mi.TensorXd(entries.data), MatrixType.COO)
        row = np.cumsum(moves) - 1
        return Diffusion(
            surface, size, weight, moving, matrix, solver, mi.UInt32(aligned(row[surface.vertex], np.uint32)),
            mi.Bool(moves[surface.vertex]), mi.Float(aligned(surface.positions[surface.vertex].reshape(-1))),
        )  # fmt: skip

    def displacement(self, value: Array, place: Place) -> Array:
        """Return how far (M, 3) the moving vertices are from the start, in sizes; ParameterError where copies are apart."""
        made: Diffusion = place.prepared
        welded = value[made.surface.first]
        if np.abs(value - welded[made.surface.vertex]).max() > SAME * made.size:
            raise ParameterError(
                f"copies of a vertex are at different positions, which map {self.name!r} cannot express"
            )
        away = (welded - made.surface.positions) / made.size
        held = np.setdiff1d(np.arange(len(away)), made.moving)
        if len(held) and np.abs(away[held]).max() > SAME:
            raise ParameterError(f"vertices of open borders are moved, which map {self.name!r} with fix_border holds")
        return np.asarray(away[made.moving])


@dataclass(frozen=True)
class LargeSteps(OfSurface):
    """Positions of a mesh whose latent is (I + λL)(v − v₀) / size, L the combinatorial Laplacian: what pulls at one vertex moves
    those around it, so that shapes go far and stay smooth. Copies of a vertex stay together.

    λ = (0.08 · size / mean edge length)² by default. A step spreads over √λ edges, and so over the same part of the object
    however finely it is meshed; for a sphere of 20,000 faces this is the 19 that the paper takes. Size is the longest side of the
    bounding box at the start; it is the unit of the latent and of its learning rate, so that nothing depends on units or origin.
    """

    name: ClassVar[str] = "largesteps"

    def to_latent(self, value: Array, place: Place) -> Array:
        return np.asarray(place.prepared.matrix @ self.displacement(value, place))

    def to_value(self, latent: Any, place: Place) -> Any:
        made: Diffusion = place.prepared
        count = dr.width(made.row)
        away = made.spread(made.solve(latent), dr.arange(mi.UInt32, 3 * count) % 3, 3)
        return mi.TensorXf(dr.fma(away, dr.opaque(mi.Float, made.size), made.base), (count, 3))
