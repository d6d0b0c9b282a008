"""Neural 3D Mesh Renderer (Kato, Ushiku, Harada: CVPR 2018): hard images, and a made-up gradient for their edges.

A pixel changes its colour by δI when an edge reaches it, at a distance δx from where the edge is. The paper puts a ramp of slope
δI / δx in place of the step (its figure 2), and keeps it only where the loss wants the change: adjoint · δI < 0 (equation (5)).
So it is a gradient for one adjoint image, not a linear function of it. Pixels outside a face may be reached by it; pixels inside
may be left by it, and show then what is beside the edge. Each end of an edge moves it by its share along the scan line.
"""

from __future__ import annotations

import math

import numpy as np

from .screen import Triangles, draw
from .world import Array

EPSILON = 1e-3  # added to distances, in units of the screen, as the authors' program does


def gradient(given: Triangles, adjoint: Array, epsilon: float = EPSILON) -> Array:
    """Gradient (V, 2) with respect to the screen positions, for the derivatives `adjoint` (S, S) of a loss by pixels."""
    size = len(adjoint)
    picture = draw(given, size)
    pixels = given.pixels(size).detach().numpy()
    found = np.zeros((len(pixels), 2))
    for face, corners in enumerate(given.faces.numpy()):
        for k in range(3):
            numbers = [int(corners[(k + j) % 3]) for j in range(3)]
            for axis in (0, 1):  # the edge moves along this axis; scan lines are numbered along the other one
                lines = [image if axis == 0 else image.T for image in (picture.image, adjoint, picture.face)]
                points = pixels[numbers][:, [1 - axis, axis]]  # (line, position)
                for vertex, slope in zip(numbers, _edge(points, face, lines, epsilon), strict=False):
                    found[vertex, axis] += slope
    return found


def _edge(points: Array, face: int, lines: list[Array], epsilon: float) -> tuple[float, float]:
    """Gradients of the positions of the first two of three points, which are the ends of an edge."""
    (line0, at0), (line1, at1), _ = points
    image, adjoint, shown = lines
    size = len(image)
    total = [0.0, 0.0]
    for line in range(max(0, math.ceil(min(line0, line1))), math.floor(min(max(line0, line1), size - 1)) + 1):
        if line0 == line1:
            break
        cross = at0 + (at1 - at0) * (line - line0) / (line1 - line0)
        other = _other_side(points, line)
        outwards = 1 if cross > other else -1
        inside = math.floor(cross) if outwards > 0 else math.ceil(cross)
        outside = inside + outwards
        if not (0 <= inside < size and 0 <= outside < size):
            continue
        if shown[line, inside] == face:
            reach = np.arange(outside, size) if outwards > 0 else np.arange(outside, -1, -1)
            ramps = _ramps(image[line], adjoint[line], reach, image[line, inside])
            _share(total, ramps, cross, line, points, size, epsilon)
        last = math.ceil(other) if outwards > 0 else math.floor(other)
        leave = np.arange(max(min(inside, last), 0), min(max(inside, last), size - 1) + 1)
        leave = leave[shown[line, leave] == face]
        ramps = _ramps(image[line], adjoint[line], leave, image[line, outside])
        _share(total, ramps, cross, line, points, size, epsilon)
    return total[0], total[1]


def _ramps(image: Array, adjoint: Array, at: Array, colour: float) -> tuple[Array, Array]:
    """Pixels that the loss wants to become `colour`, and by how much it falls then."""
    falls = (image[at] - colour) * adjoint[at]
    return at[falls > 0], falls[falls > 0]


def _share(
    total: list[float], ramps: tuple[Array, Array], cross: float, line: int, points: Array, size: int, epsilon: float
) -> None:
    """Add -fall / distance to both ends, the distance being what the end must move until the edge is at the pixel."""
    at, falls = ramps
    (line0, _), (line1, _), _ = points
    for end, share in ((0, (line1 - line) / (line1 - line0)), (1, (line - line0) / (line1 - line0))):
        if share:
            distance = (at - cross) / share * (2 / size)
            distance = distance + np.where(distance > 0, epsilon, -epsilon)
            total[end] -= float(np.sum(falls / distance))


def _other_side(points: Array, line: float) -> float:
    """Where a scan line that crosses the first edge leaves the triangle."""
    (line0, at0), (line1, at1), (line2, at2) = points
    if (line - line0) * (line - line2) < 0:
        return float(at0 + (at2 - at0) * (line - line0) / (line2 - line0))
    if line1 == line2:  # the scan line runs along the third edge
        return float(at2)
    return float(at2 + (at1 - at2) * (line - line2) / (line1 - line2))
