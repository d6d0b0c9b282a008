"""A bent sheet for derivatives of extra channels, and the direction in which a parameter changes."""

from __future__ import annotations

import mitsuba as mi
import numpy as np

from pbdr.parameters import read
from validation.finite_differences import parameters

KINDS = {"depth": 1, "sh_normal": 3, "geo_normal": 3, "albedo": 3, "position": 3, "uv": 2}
TURN = np.array([[0, -0.2, 0.1], [0.2, 0, 0.3], [-0.1, -0.3, 0]])


def wavy(folder):
    """A smooth-shaded mesh with texture coordinates: a tilted, bent sheet."""
    n = 5
    u, v = (g.ravel() for g in np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n)))
    points = np.stack([2 * u - 1, 0.4 * np.sin(3 * u + 2 * v) + 0.8 * v - 0.4, 1.4 * v + 0.1], -1)
    corner = np.arange(n * n).reshape(n, n)
    a, b, c, d = (x.ravel() for x in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    made = mi.Mesh("sheet", n * n, len(faces), has_vertex_texcoords=True, has_vertex_normals=True)
    params = mi.traverse(made)
    params["vertex_positions"], params["faces"] = mi.Float(points.ravel()), mi.UInt32(faces.ravel())
    params["vertex_texcoords"] = mi.Float(np.stack([u, v], -1).ravel())
    params.update()
    made.recompute_vertex_normals()
    made.write_ply(str(folder / "sheet.ply"))
    return {"type": "ply", "filename": str(folder / "sheet.ply")}


def tangent(scene, name):
    """How positions, poses or colours change: everything in its own way."""
    value = read(scene, parameters(scene, name)[name])
    if name.endswith("positions"):
        return (value - value.mean(0)) @ TURN.T + 0.3 * value + [0.3, 0.2, 0.1]
    if name.endswith("pose"):
        return np.column_stack([TURN @ value[:, :3], [0.3, 0.2, -0.1]])
    return np.ones(value.shape)
