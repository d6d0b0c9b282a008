"""One voxel of a grid of signed distances: where it lies, and φ within it, trilinear between the values at its corners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.geometry import poses

AXES = ((1, 2), (2, 0), (0, 1))  # the two axes that follow each axis


@dataclass
class Frame:
    """Axes of a voxel in world space, as long as the voxel, and the world position of the first value."""

    x: Any
    y: Any
    z: Any
    origin: Any

    def detached(self) -> Frame:
        """The same without derivatives."""
        return Frame(*(dr.detach(v) for v in (self.x, self.y, self.z, self.origin)))

    def vector(self, local: Any) -> Any:
        """World vector of one in voxels."""
        return self.x * local.x + self.y * local.y + self.z * local.z

    def point(self, local: Any) -> Any:
        """World point of one in voxels."""
        return self.vector(local) + self.origin

    def local(self, point: Any) -> Any:
        """World point in voxels."""
        return self.local_vector(mi.Vector3f(point) - self.origin)

    def local_vector(self, vector: Any) -> Any:
        """World vector in voxels."""
        return mi.Vector3f(poses.solve(self.x, self.y, self.z, vector))

    def normal(self, slope: Any) -> Any:
        """World vector along which a function grows whose gradient is `slope` in voxels; not of unit length."""
        dual = dr.cross(self.y, self.z), dr.cross(self.z, self.x), dr.cross(self.x, self.y)
        result = dual[0] * slope.x + dual[1] * slope.y + dual[2] * slope.z
        return dr.mulsign(result, dr.dot(self.x, dual[0]))

    def spread(self, here: Any) -> Frame:
        """The frame where `here`, elsewhere one that nothing divides by zero with."""
        units = (mi.Vector3f(unit) for unit in poses.UNIT)
        return Frame(
            *(dr.select(here, v, e) for v, e in zip((self.x, self.y, self.z, self.origin), units, strict=True))
        )


@dataclass
class Cell:
    """φ at the eight corners of a voxel, by x + 2y + 4z; positions count from the first corner."""

    values: list[Any]

    def weights(self, at: Any) -> list[tuple[Any, Any]]:
        """For each axis, weights of both ends."""
        return [(1 - at[k], at[k]) for k in range(3)]

    def value(self, at: Any) -> Any:
        """φ."""
        w = self.weights(at)
        total = mi.Float(0)
        for n, value in enumerate(self.values):
            total += w[0][n & 1] * w[1][n >> 1 & 1] * w[2][n >> 2] * value
        return total

    def slope(self, at: Any) -> Any:
        """∇φ per voxel."""
        w = self.weights(at)
        result = []
        for k, (p, q) in enumerate(AXES):
            total = mi.Float(0)
            for n in range(8):
                if not n >> k & 1:
                    total += w[p][n >> p & 1] * w[q][n >> q & 1] * (self.values[n | 1 << k] - self.values[n])
            result.append(total)
        return mi.Vector3f(*result)

    def bend(self, at: Any, direction: Any) -> Any:
        """Second derivative of φ along a direction."""
        w = self.weights(at)
        total = mi.Float(0)
        for k, (p, q) in enumerate(AXES):
            for end in (0, 1):
                n = end << k
                mixed = (
                    self.values[n | 1 << p | 1 << q]
                    - self.values[n | 1 << p]
                    - self.values[n | 1 << q]
                    + self.values[n]
                )
                total += 2 * w[k][end] * mixed * direction[p] * direction[q]
        return total
