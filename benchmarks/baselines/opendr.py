"""OpenDR (Loper, Black: ECCV 2014): a hard image, whose derivative is its own differences times the motion on the screen.

Moved by a little, a surface carries its colours along: dI = -∇I · flow. Inside surfaces ∇I is a central difference which leaves out
neighbours on borders (one-sided beside them). A pixel of an occlusion boundary, as a line one pixel wide draws it, belongs to the
nearer surface; its difference is across the border. As in the authors' program, it is twice the central difference, because two
pixels share the step and one of them is counted. The flow is that of the vertices, by barycentric coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .screen import Picture, Triangles, barycentric, draw
from .world import Array, Tensor

NEARER = 1e-9  # by how much 1 / z must be larger to hide an edge


@dataclass(frozen=True)
class Borders:
    """Pixels on visible silhouettes (S, S), the faces of these, and barycentric coordinates there."""

    here: Array
    face: Array
    place: Array


def silhouettes(faces: Array) -> list[tuple[int, int, int]]:
    """(vertex, vertex, face) of the edges that one face has: flat things have no others."""
    edges: dict[tuple[int, int], list[int]] = {}
    for number, corners in enumerate(faces):
        for k in range(3):
            a, b = int(corners[k]), int(corners[(k + 1) % 3])
            edges.setdefault((min(a, b), max(a, b)), []).append(number)
    return [(a, b, numbers[0]) for (a, b), numbers in edges.items() if len(numbers) == 1]


def borders(given: Triangles, size: int) -> Borders:
    """Draw the silhouettes as lines, one pixel for each step along the longer axis, where nothing is before them."""
    found = Borders(np.zeros((size, size), bool), np.full((size, size), -1), np.zeros((size, size, 3)))
    pixels = given.pixels(size).detach().numpy()
    depth = given.depth.detach().numpy()
    for a, b, face in silhouettes(given.faces.numpy()):
        axis = int(np.abs(pixels[b] - pixels[a]).argmax())
        low, high = sorted((pixels[a, axis], pixels[b, axis]))
        for step in range(max(0, int(np.ceil(low))), min(size - 1, int(np.floor(high))) + 1):
            along = (step - pixels[a, axis]) / (pixels[b, axis] - pixels[a, axis])
            point = pixels[a] + along * (pixels[b] - pixels[a])
            other = round(float(point[1 - axis]))
            if not 0 <= other < size:
                continue
            inverse = (1 - along) / depth[a] + along / depth[b]
            if hidden(given, point, inverse, size):
                continue
            column, row = (step, other) if axis == 0 else (other, step)
            corners = given.faces[face].tolist()
            found.here[row, column], found.face[row, column] = True, face
            shares = {a: (1 - along) / depth[a] / inverse, b: along / depth[b] / inverse}
            found.place[row, column] = [shares.get(corner, 0.0) for corner in corners]
    return found


def hidden(given: Triangles, pixel: Array, inverse: float, size: int) -> bool:
    """Whether a triangle is before a point of the screen with this 1 / z."""
    point = torch.tensor((pixel + 0.5) * 2 / size - 1)
    place = barycentric(point, given.screen.detach(), given.faces)
    nearness = (place / given.depth.detach()[given.faces]).sum(-1)
    return bool(((place > 0).all(-1) & (nearness > inverse * (1 + NEARER) + NEARER)).any())


def differences(image: Array, border: Array) -> tuple[Array, Array]:
    """∂I / ∂column and ∂I / ∂row (S, S): within surfaces, and across borders."""
    across = [2 * g for g in np.gradient(image)]
    found = []
    for axis in (1, 0):
        values = np.where(border, np.nan, image)
        step = np.diff(values, axis=axis)
        pad = [(0, 0), (0, 0)]
        pad[axis] = (1, 1)
        both = np.pad(step, pad, constant_values=np.nan)
        size = image.shape[axis]
        sides = np.stack([np.take(both, range(size), axis), np.take(both, range(1, size + 1), axis)])
        count = np.isfinite(sides).sum(0)
        inside = np.nansum(sides, 0) / np.maximum(count, 1)
        found.append(np.where(count > 0, inside, across[axis]))
    return found[0], found[1]


def derivative_image(given: Triangles, flow: Tensor, size: int) -> Array:
    """dI (S, S) where vertices move by `flow` (V, 2), in units of the screen."""
    picture = draw(given, size)
    border = borders(given, size)
    shown = merged(picture, border)
    across, down = differences(picture.image, border.here)
    faces = given.faces.numpy()[np.maximum(shown.face, 0)]
    moved = (shown.place[..., None] * flow.detach().numpy()[faces]).sum(-2) * (0.5 * size)
    change = -(across * moved[..., 0] + down * moved[..., 1])
    return np.where(shown.face >= 0, change, 0.0)


def merged(picture: Picture, border: Borders) -> Picture:
    """What each pixel belongs to: on borders to the surface that ends there."""
    place = np.where(border.here[..., None], border.place, picture.place)
    return Picture(picture.image, np.where(border.here, border.face, picture.face), place)
