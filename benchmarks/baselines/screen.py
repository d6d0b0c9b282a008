"""What rasterisers share: quads as triangles on the screen, and which of them each pixel shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .world import Array, Tensor, World

NEAR = 0.1  # what is nearer is not drawn


@dataclass(frozen=True)
class Triangles:
    """Triangles as a screen sees them.

    screen  (V, 2) from -1 to 1, x to the right and y down, in the order of columns and rows; attached to θ
    depth   (V,) along the axis of the camera; attached
    faces   (F, 3) numbers of vertices
    colours (F,) one of each face
    """

    screen: Tensor
    depth: Tensor
    faces: Tensor
    colours: Tensor

    def pixels(self, size: int) -> Tensor:
        """(V, 2): columns and rows, in which the centres of pixels are whole numbers."""
        return (self.screen + 1) * (0.5 * size) - 0.5


def triangles(world: World, theta: Tensor) -> Triangles:
    """The quads before the near plane. Rasterisers have no light transport: what is lit has one colour, that of its middle."""
    screen, depth, faces, colours = [], [], [], []
    for number, quad in enumerate(world.quads.values()):
        if quad.corners[:, 2].min() < NEAR:
            continue
        corners = torch.tensor(quad.corners) + theta * torch.tensor(quad.velocity, dtype=torch.float64)
        first = 4 * len(screen)
        screen.append(-corners[:, :2] / corners[:, 2:])
        depth.append(corners[:, 2])
        faces += [[first, first + 1, first + 2], [first, first + 2, first + 3]]
        colours += 2 * [quad.radiance + (unshadowed(world, number) if world.lamp and quad.albedo else 0.0)]
    return Triangles(
        torch.cat(screen), torch.cat(depth), torch.tensor(faces), torch.tensor(colours, dtype=torch.float64)
    )


def unshadowed(world: World, number: int) -> float:
    """Radiance of the middle of a quad by the middle of the lamp."""
    corner, a, b, _, _, albedo = (table[number] for table in world.tables)
    middle, lamp = (corner + 0.5 * (a + b))[None], world.lamp_point(torch.full((1, 2), 0.5, dtype=torch.float64))
    return float(albedo * world.flux(middle, torch.tensor([number]), lamp))


def centres(size: int) -> Tensor:
    """Screen points (size, size, 2) of the centres of pixels."""
    at = (torch.arange(size, dtype=torch.float64) + 0.5) / size * 2 - 1
    return torch.stack(torch.meshgrid(at, at, indexing="xy"), -1)


def barycentric(points: Tensor, screen: Tensor, faces: Tensor) -> Tensor:
    """Barycentric coordinates (..., F, 3) of screen points (..., 2) in every triangle."""
    a, b, c = screen[faces].unbind(1)
    area = cross(b - a, c - a)
    p = points[..., None, :]
    first, second = cross(b - p, c - p) / area, cross(c - p, a - p) / area
    return torch.stack([first, second, 1 - first - second], -1)


def cross(a: Tensor, b: Tensor) -> Tensor:
    """The component of the cross product of vectors of the plane."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


@dataclass(frozen=True)
class Picture:
    """A hard image (S, S), the face that each pixel shows (-1: none), and where on it: barycentric coordinates (S, S, 3)."""

    image: Array
    face: Array
    place: Array


def draw(given: Triangles, size: int) -> Picture:
    """One sample in the middle of every pixel. 1 / z is linear on the screen; coordinates are those on the triangle in space."""
    with torch.no_grad():
        place = barycentric(centres(size), given.screen, given.faces)
        shares = place / given.depth[given.faces]
        inverse = shares.sum(-1)
        nearness = torch.where((place > 0).all(-1), inverse, -torch.inf)
        best, face = nearness.max(-1)
        shown = torch.isfinite(best)
        image = torch.where(shown, given.colours[face], 0.0)
        place = shares / inverse[..., None]
        chosen = place.gather(2, face[..., None, None].expand(*face.shape, 1, 3))[..., 0, :]
    return Picture(image.numpy(), np.where(shown, face, -1), chosen.numpy())
