"""Parallelograms that shine or are lit by one of them, seen by a pinhole: a scene small enough for every baseline.

The camera is at the origin and looks along +z; x points to the left of the image and y up, as Mitsuba has it. A point of the film
is the tangent pair p = (x / z, y / z), each within ±1. Everything is in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

Tensor = torch.Tensor
Array = NDArray[np.float64]
NEAR = 1e-6  # hits nearer than this are where the ray starts


@dataclass(frozen=True)
class Quad:
    """corner + s a + t b for s, t in [0, 1], all of it moved by θ · velocity. It shines by `radiance`, and reflects `albedo`."""

    corner: tuple[float, float, float]
    a: tuple[float, float, float]
    b: tuple[float, float, float]
    radiance: float = 0.0
    albedo: float = 0.0
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def corners(self) -> Array:
        """(4, 3), around the border, at θ = 0."""
        c, a, b = (np.array(x, dtype=np.float64) for x in (self.corner, self.a, self.b))
        return np.stack([c, c + a, c + a + b, c + b])


def facing(x: float, y: float, z: float, half_x: float, half_y: float, **kind: object) -> Quad:
    """A rectangle across the axis of the camera, about (x, y, z)."""
    return Quad((x - half_x, y - half_y, z), (2 * half_x, 0, 0), (0, 2 * half_y, 0), **kind)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Signature:
    """What a path meets: the number of its first quad (-1: none), and of what hides the lamp from there (-1: nothing)."""

    first: Tensor
    blocker: Tensor

    def same(self, other: Signature) -> Tensor:
        """Where both paths meet the same."""
        return (self.first == other.first) & (self.blocker == other.blocker)


@dataclass(frozen=True)
class World:
    """Quads by name; `lamp` names the one that lights the others ("": nothing is lit)."""

    quads: dict[str, Quad]
    lamp: str = ""
    _table: list[Tensor] = field(default_factory=list, compare=False)

    @property
    def tables(self) -> list[Tensor]:
        """Corners, sides a and b, velocities (Q, 3), radiances and albedos (Q,)."""
        if not self._table:
            columns = zip(
                *((q.corner, q.a, q.b, q.velocity, q.radiance, q.albedo) for q in self.quads.values()), strict=True
            )
            self._table.extend(torch.tensor(column, dtype=torch.float64) for column in columns)
        return self._table

    @property
    def lamp_number(self) -> int:
        """Number of the lamp."""
        return list(self.quads).index(self.lamp)

    def planes(self, origin: Tensor, direction: Tensor, theta: Tensor | float) -> tuple[Tensor, Tensor]:
        """Distances (N, Q) along rays to the planes of all quads (inf: parallel), and whether the quad is there."""
        corner, a, b, velocity, *_ = self.tables
        normal = torch.linalg.cross(a, b)
        offset = corner + theta * velocity - origin[:, None]
        slope = direction @ normal.T
        distance = (offset * normal).sum(-1) / torch.where(slope == 0, torch.inf, slope)
        local = distance[..., None] * direction[:, None] - offset
        square = (normal * normal).sum(-1)
        s = (torch.linalg.cross(local, b.expand_as(local)) * normal).sum(-1) / square
        t = (torch.linalg.cross(a.expand_as(local), local) * normal).sum(-1) / square
        return distance, (s > 0) & (s < 1) & (t > 0) & (t < 1) & (distance > NEAR) & (slope != 0)

    def first(
        self, origin: Tensor, direction: Tensor, theta: Tensor | float, reach: Tensor | float = torch.inf
    ) -> Tensor:
        """Number of the nearest quad that rays meet within `reach` times their length; -1 where there is none."""
        distance, inside = self.planes(origin, direction, theta)
        limit = reach if isinstance(reach, float) else reach[:, None]
        distance = torch.where(inside & (distance < limit), distance, torch.inf)
        nearest, number = distance.min(-1)
        return torch.where(nearest < torch.inf, number, -1)

    def along(self, origin: Tensor, direction: Tensor, theta: Tensor | float, number: Tensor) -> Tensor:
        """Where rays meet the planes of the quads with these numbers (0 stands for none)."""
        distance, _ = self.planes(origin, direction, theta)
        chosen = distance.gather(1, number.clamp(min=0)[:, None])
        return origin + chosen * direction

    def lamp_point(self, uv: Tensor) -> Tensor:
        """Points (N, 3) of the lamp, which stands still."""
        corner, a, b, *_ = (table[self.lamp_number] for table in self.tables)
        return corner + uv[:, :1] * a + uv[:, 1:] * b

    def signature(self, film: Tensor, uv: Tensor, theta: Tensor | float) -> Signature:
        """What paths through film points (N, 2) to lamp points uv (N, 2) meet."""
        direction, origin = rays(film)
        first = self.first(origin, direction, theta)
        if not self.lamp:
            return Signature(first, torch.full_like(first, -1))
        wall = self.along(origin, direction, theta, first)
        away = self.lamp_point(uv) - wall
        blocker = self.first(wall, away, theta, reach=1 - 1e-9)
        return Signature(first, torch.where(first >= 0, blocker, -1))

    def radiance(self, film: Tensor, uv: Tensor, theta: Tensor | float, seen: Signature | None = None) -> Tensor:
        """Radiance (N,) along camera rays, with a lamp point for each; `seen`: as if they met this, whatever they meet."""
        direction, origin = rays(film)
        seen = self.signature(film, uv, theta) if seen is None else seen
        *_, shining, albedo = self.tables
        number = seen.first.clamp(min=0)
        found = shining[number]
        if self.lamp:
            wall = self.along(origin, direction, theta, seen.first)
            lit = albedo[number] * self.flux(wall, number, self.lamp_point(uv))
            found = found + torch.where(seen.blocker < 0, lit, 0.0)
        return torch.where(seen.first >= 0, found, 0.0)

    def flux(self, wall: Tensor, number: Tensor, lamp: Tensor) -> Tensor:
        """Irradiance / π of points on quads by lamp points, as if nothing were between, times the lamp's area."""
        _, a, b, _, shining, _ = self.tables
        normals = torch.linalg.cross(a, b)
        away = lamp - wall
        at_wall = (away * torch.nn.functional.normalize(normals[number], dim=-1)).sum(-1).abs()
        at_lamp = (away @ normals[self.lamp_number]).abs()  # times the area
        return shining[self.lamp_number] / torch.pi * at_wall * at_lamp / (away * away).sum(-1) ** 2


def rays(film: Tensor) -> tuple[Tensor, Tensor]:
    """Directions (N, 3) with z = 1 through film points (N, 2), and their origins."""
    direction = torch.cat([film, torch.ones_like(film[:, :1])], dim=1)
    return direction, torch.zeros_like(direction)


def weight(film: Tensor) -> Tensor:
    """The smooth function of the film (N,) whose integral with the image is differentiated. It is 0 on the border."""
    x, y = film[:, 0], film[:, 1]
    inside = (x.abs() < 1) & (y.abs() < 1)
    window = torch.where(inside, (1 - x * x) * (1 - y * y), 0.0)
    return window * (1 + x + 0.5 * y + 0.3 * torch.sin(3 * x + 2 * y))


def centres(size: int) -> Tensor:
    """Film points (size², 2) of the centres of pixels, row by row."""
    at = 1 - 2 * (torch.arange(size, dtype=torch.float64) + 0.5) / size
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x.ravel(), y.ravel()], dim=1)


def adjoint(size: int) -> Array:
    """(size, size): what pixels are multiplied with, so that the sum stands for the integral of `weight` times the image."""
    return weight(centres(size)).reshape(size, size).numpy() * (2 / size) ** 2
