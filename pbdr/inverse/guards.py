"""Meshes that keep their faces: a step after which some would be turned over, folded or collapsed is shortened around them.

It is shortened there alone: shortened everywhere, one face that fails again and again would hold a whole shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pbdr.errors import ParameterError
from pbdr.parameters import Variables, maps
from pbdr.parameters.meshes import Surface, face_normals

Array = NDArray[Any]

#: What a step that damages faces may do.
COLLAPSE = ("shorten", "ignore")
#: 4 √3 area / (sum of squared sides), 1 for an equilateral face, below which a face has collapsed.
FLAT = 0.01
#: Cosine of the angle between the normals of neighbours below which they are folded onto each other.
FOLDED = -0.9
#: How often the step is halved around damaged faces; how often these are then held where they are, each time with one ring more.
HALVINGS, HOLDS = 3, 5


@dataclass(frozen=True)
class Shape:
    """Unit normals (F, 3) of a mesh's faces, how far from flat these are (F,), and which pairs of neighbours are folded (P,)."""

    normals: Array
    quality: Array
    folded: Array

    @staticmethod
    def of(points: Array, surface: Surface) -> Shape:
        """Of welded vertices (V, 3)."""
        normals = face_normals(points, surface.faces)
        length = np.linalg.norm(normals, axis=1)
        corners = points[surface.faces]
        sides = np.sum((corners - np.roll(corners, 1, axis=1)) ** 2, axis=(1, 2))
        quality = 2 * np.sqrt(3) * length / np.where(sides > 0, sides, 1)
        unit = normals / np.where(length > 0, length, 1)[:, None]
        first, second = surface.pairs.T
        return Shape(unit, quality, np.einsum("ij,ij->i", unit[first], unit[second]) < FOLDED)


def damaged(before: Shape, after: Shape, surface: Surface) -> Array:
    """Return (F,) which faces a step has turned over, collapsed, or folded onto a neighbour; not those that were so before."""
    wrong = np.einsum("ij,ij->i", before.normals, after.normals) < 0
    wrong |= (after.quality < FLAT) & (before.quality >= FLAT)
    wrong[surface.pairs[after.folded & ~before.folded].reshape(-1)] = True
    return np.asarray(wrong)


def shortened(before: Array, after: Array, surface: Surface) -> tuple[Array | None, int]:
    """Return (vertices, number of faces that the whole step would have damaged) for welded vertices (V, 3) before and after.

    Around damaged faces the step is halved, with a smooth transition, until there are none; if that does not help, these faces are
    held where they are, and more and more of those around them: one face must not hold a whole shape. None where nothing helps.
    """
    start = Shape.of(before, surface)
    wrong = damaged(start, Shape.of(after, surface), surface)
    count, points = int(wrong.sum()), after
    factor = np.ones(len(before))
    for number in range(HALVINGS + HOLDS):
        if not wrong.any():
            return points, count
        holds = number - HALVINGS + 1  # from 1 on, faces are held, with holds - 1 rings around them
        near = np.zeros(len(before))
        near[surface.faces[wrong].reshape(-1)] = 1
        near = _spread(near, surface, [1.0] * (holds - 1) + [0.7, 0.5])
        factor = factor * (1 - (1.0 if holds > 0 else 0.5) * near)
        points = before + factor[:, None] * (after - before)
        wrong = damaged(start, Shape.of(points, surface), surface)
    return (None if wrong.any() else points), count


def _spread(near: Array, surface: Surface, shares: list[float]) -> Array:
    """Numbers of vertices (V,) spread to their neighbours, ring by ring, by these shares."""
    a, b = surface.edges.T
    for share in shares:
        ring = near.copy()
        np.maximum.at(ring, a, share * near[b])
        np.maximum.at(ring, b, share * near[a])
        near = ring
    return near


def kept(
    collapse: str, bound: Variables, before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the latents after a step, shortened where it damages meshes, and a line about each such mesh.

    `collapse` is one of `COLLAPSE`; with "ignore" they are as they were given.
    """
    latents, notes = dict(after), []
    if collapse == "ignore":
        return latents, ()
    for key, latent in bound.latents.items():
        if not latent.place.of_mesh or before[key] is after[key]:
            continue
        surface = latent.place.surface
        x, y = (np.array(maps.to_value(latent.map, z[key], latent.place), np.float64) for z in (before, after))
        points, count = shortened(x[surface.first], y[surface.first], surface)
        if not count:
            continue
        faces = f"{latent.parameter.name}: {count} face{'s' if count > 1 else ''} would turn over, fold or collapse"
        try:
            if points is None:
                raise ParameterError("no shorter step helps")
            latents[key] = mi.TensorXf(bound.to_latent(key, points[surface.vertex]))
            notes.append(f"{faces}; the step is shortened around them")
        except ParameterError:  # or a map that cannot move some vertices less than others
            latents[key] = before[key]
            notes.append(f"{faces}; the step is undone")
    return latents, tuple(notes)
