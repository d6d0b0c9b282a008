"""The four scenes of `python -m benchmarks bias` and their exact images, every pixel of which is known in closed form.

| case | what moves | what is asked |
|---|---|---|
| silhouette | a shining rectangle before nothing | are outlines seen? |
| shadow | an occluder that no camera ray meets, between a lamp and a wall | are shadows? |
| occlusion | a rectangle that another one hides in part | are hidden edges left out? |
| depth order | one of two planes that pass through each other, towards the camera | does the line in which they do move rightly? |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .world import Array, Quad, World, adjoint, facing

STEP = 1e-5  # of central differences of exact images, which are polynomials of the parameter as long as no edge leaves its pixel
NODES = 6  # Gauss–Legendre points a side of a pixel, of the wall in the shadow


@dataclass(frozen=True)
class Case:
    """A world, the quad that moves, the depth of its paths, and its image as a function of (pixels a side, θ).

    mask    the quad whose coverage is the image (1 there, 0 elsewhere); "": the image is radiance. `pathspace` refuses what shines
            where it passes through something, but has such masks as extra channels
    """

    name: str
    world: World
    moving: str
    depth: int
    image: Callable[[int, float], Array]
    mask: str = ""

    def derivative_image(self, size: int, step: float = STEP) -> Array:
        """Derivative of the exact image (size, size)."""
        return np.asarray((self.image(size, step) - self.image(size, -step)) / (2 * step))

    def derivative(self, size: int, step: float = STEP) -> float:
        """Derivative of the sum of `adjoint` times the image."""
        return float(np.sum(adjoint(size) * self.derivative_image(size, step)))


def overlaps(low: float, high: float, size: int) -> Array:
    """(size,): shares of pixels, from +1 to -1, that the interval covers."""
    borders = 1 - 2 * np.arange(size + 1) / size
    covered = np.minimum(high, borders[:-1]) - np.maximum(low, borders[1:])
    return np.clip(covered, 0, None) * size / 2


Box = tuple[float, float, float, float]  # x0, x1, y0, y1 on the film


def coverage(box: Box, size: int) -> Array:
    """(size, size): shares of pixels that a rectangle of the film covers."""
    return np.outer(overlaps(box[2], box[3], size), overlaps(box[0], box[1], size))


def seen(quad: Quad, theta: float) -> Box:
    """Where a rectangle across the axis is on the film."""
    corners = quad.corners + theta * np.array(quad.velocity)
    x, y = (corners[:, :2] / corners[:, 2:]).T
    return float(x.min()), float(x.max()), float(y.min()), float(y.max())


def common(a: Box, b: Box) -> Box:
    """The part of the film that both cover; its sides may be negative, and it covers nothing then."""
    return max(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), min(a[3], b[3])


# ---------------------------------------------------------------------- light that is seen directly

PLATE = facing(0.07, -0.05, 2.0, 0.53, 0.53, radiance=1.0, velocity=(1.0, 0.4, 0.0))
FRONT = facing(0.5, 0.1, 2.0, 0.4, 0.9, radiance=0.3)
BACK = facing(-0.1, 0.15, 3.0, 0.75, 0.75, radiance=1.0, velocity=(1.0, 0.4, 0.0))
FAR = facing(0.0, 0.0, 4.0, 5.0, 5.0, radiance=0.1)


def silhouette_image(size: int, theta: float) -> Array:
    """What the plate covers."""
    return PLATE.radiance * coverage(seen(PLATE, theta), size)


def occlusion_image(size: int, theta: float) -> Array:
    """The far wall, before it the plate behind, before that the plate in front."""
    front, back = seen(FRONT, theta), seen(BACK, theta)
    behind = coverage(back, size) - coverage(common(front, back), size)
    others = FAR.radiance * (1 - behind - coverage(front, size))
    return others + BACK.radiance * behind + FRONT.radiance * coverage(front, size)


SLOPE, GAP = 0.2, 0.04
A, B = 1.0, 0.0  # radiances of the planes z = 3 + θ + SLOPE x and z = 3 + GAP - SLOPE x, which fill the film
NARROW, WIDE = 2.7, 4.2  # how far they reach to the side where they are near, and where they are far
TILTED = Quad(
    (-NARROW, -WIDE, 3 - NARROW * SLOPE),
    (NARROW + WIDE, 0, (NARROW + WIDE) * SLOPE),
    (0, 2 * WIDE, 0),
    radiance=A,
    velocity=(0.0, 0.0, 1.0),
)
OTHER = Quad(
    (-WIDE, -WIDE, 3 + GAP + WIDE * SLOPE), (NARROW + WIDE, 0, -(NARROW + WIDE) * SLOPE), (0, 2 * WIDE, 0), radiance=B
)  # fmt: skip


def depth_image(size: int, theta: float) -> Array:
    """Along a ray z = (3 + θ) / (1 - SLOPE p) and (3 + GAP) / (1 + SLOPE p): the first is nearer where p is small."""
    border = (GAP - theta) / (SLOPE * (6 + GAP + theta))
    nearer = np.tile(overlaps(-1.0, border, size), (size, 1))
    return A * nearer + B * (1 - nearer)


# ---------------------------------------------------------------------- light that is seen by way of a wall

WALL, HEIGHT = 4.0, 0.5  # distances of wall and occluder from the plane of the camera, in which the lamp lies
ALBEDO, RADIANCE = 0.8, 400.0
LAMP = facing(1.5, 1.0, 0.0, 0.1, 0.1, radiance=RADIANCE)
BLOCK = facing(1.3375, 0.8625, HEIGHT, 0.1, 0.1, velocity=(0.125, 0.05, 0.0))
SCREEN = facing(0.0, 0.0, WALL, 20.0, 20.0, albedo=ALBEDO)


def form_factor(x: Array, y: Array, height: float) -> Array:
    """That of a rectangle with corners at 0 and (x, y), for a parallel area below 0 (odd in x and y).

    Howell, Menguc: A Catalog of Radiation Heat Transfer Configuration Factors, B-3.
    """
    a, b = x / height, y / height
    p, q = np.sqrt(1 + a * a), np.sqrt(1 + b * b)
    return np.asarray((a / p * np.arctan(b / p) + b / q * np.arctan(a / q)) / (2 * np.pi))


def rectangle_factor(x0: Array, x1: Array, y0: Array, y1: Array, height: float) -> Array:
    """Form factor of a rectangle at these distances from the point below it; 0 where it is empty."""
    found = sum(sx * sy * form_factor(x, y, height) for sx, x in ((1, x1), (-1, x0)) for sy, y in ((1, y1), (-1, y0)))
    return np.where((x1 > x0) & (y1 > y0), found, 0.0)


def wall_radiance(x: Array, y: Array, theta: float) -> Array:
    """Radiance of points of the wall: the lamp, less what the occluder hides of it."""
    sides = []
    for k, point in ((0, x), (1, y)):
        lamp, block = LAMP.corners[:, k], BLOCK.corners[:, k] + theta * BLOCK.velocity[k]
        hidden = [point + (edge - point) * WALL / (WALL - HEIGHT) for edge in (block.min(), block.max())]
        low, high = lamp.min() + 0 * point, lamp.max() + 0 * point
        sides.append(
            (low - point, high - point, np.maximum(hidden[0], low) - point, np.minimum(hidden[1], high) - point)
        )
    (x0, x1, u0, u1), (y0, y1, v0, v1) = sides
    visible = rectangle_factor(x0, x1, y0, y1, WALL) - rectangle_factor(u0, u1, v0, v1, WALL)
    return ALBEDO * RADIANCE * visible


def penumbra(axis: int, theta: float) -> Array:
    """Where on the film a border of the occluder passes a border of the lamp: radiance has a kink there."""
    lamp, block = LAMP.corners[:, axis], BLOCK.corners[:, axis] + theta * BLOCK.velocity[axis]
    grown = WALL / (WALL - HEIGHT)
    found = [(b * grown - a) / (grown - 1) for a in (lamp.min(), lamp.max()) for b in (block.min(), block.max())]
    return np.array(found) / WALL


def quadrature(size: int, kinks: Array) -> tuple[Array, Array]:
    """Points of the film along one axis (N,), and weights (size, N) that make means over pixels of what is smooth between kinks."""
    borders = 1 - 2 * np.arange(size + 1) / size
    cells = np.unique(np.concatenate([borders, kinks[np.abs(kinks) < 1]]))
    middles, halves = 0.5 * (cells[1:] + cells[:-1]), 0.5 * np.diff(cells)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    pixel = np.clip(((1 - middles) * size / 2).astype(int), 0, size - 1)
    shares = np.zeros((size, len(middles), NODES))
    shares[pixel, np.arange(len(middles))] = halves[:, None] * weights * size / 2
    return (middles[:, None] + halves[:, None] * nodes).ravel(), shares.reshape(size, -1)


def shadow_image(size: int, theta: float) -> Array:
    """Means over pixels of `wall_radiance`, by Gauss–Legendre quadrature between its kinks."""
    (across, mean_x), (down, mean_y) = (quadrature(size, penumbra(axis, theta)) for axis in (0, 1))
    x, y = np.meshgrid(WALL * across, WALL * down)
    return np.asarray(mean_y @ wall_radiance(x, y, theta) @ mean_x.T)


CASES = {
    case.name: case
    for case in (
        Case("silhouette", World({"plate": PLATE}), "plate", 1, silhouette_image),
        Case("shadow", World({"block": BLOCK, "wall": SCREEN, "lamp": LAMP}, "lamp"), "block", 2, shadow_image),
        Case("occlusion", World({"front": FRONT, "back": BACK, "far": FAR}), "back", 1, occlusion_image),
        Case("depth order", World({"plane": TILTED, "other": OTHER}), "plane", 1, depth_image, mask="plane"),
    )
}
