"""Meshes above a floor under a distant lamp: boxes, a frustum that stands on it, and meshes that are no clean surfaces."""

from __future__ import annotations

from typing import Any

import numpy as np

from pbdr.scene import load_scene
from validation.scenes import zoo
from validation.scenes.small import diffuse, mesh
from validation.scenes.zoo import T

TWO_SIDED = {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": zoo.rgb(0.2, 0.5, 0.8)}}
BOX = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
SIDES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
TRIANGLES = [[q[0], q[i], q[i + 1]] for q in SIDES for i in (1, 2)]
TURN = np.array(T().rotate([0, 0, 1], 30).rotate([1, 0, 0], 20).matrix)[:3, :3]


def star():
    """Four sheets of different width around one edge."""
    points: list[Any] = [[0, 0, 0], [0, 0, 1]]
    faces: list[list[int]] = []
    for angle, width in ((0.3, 0.5), (1.5, 0.7), (3.0, 0.6), (4.4, 0.4)):
        n = len(points)
        out = width * np.array([np.cos(angle), np.sin(angle), 0])
        points += [out, out + [0, 0, 0.9]]
        faces += [[0, n, n + 1], [0, n + 1, 1]]
    return np.array(points) + [0, 0, 0.2], faces


def wreck():
    """A box with two faces twice (one copy turned round), one face without area, two the other way round, and a fin on an edge."""
    points = [*(0.4 * BOX @ TURN.T + [0, 0, 0.75]), [0.9, -0.5, 1.0]]
    faces = [list(t) for t in TRIANGLES]
    faces[1], faces[5] = faces[1][::-1], faces[5][::-1]
    return np.array(points), [*faces, TRIANGLES[3][::-1], TRIANGLES[4], [6, 6, 7], [4, 6, 8]]


def scene(**shapes):
    """A floor under a lamp and `shapes`; `floor=None` leaves it out."""
    floor = {"type": "rectangle", "to_world": T().scale(3), "bsdf": diffuse(0.6)}
    camera = zoo.camera(sampler={"type": "ldsampler"})
    parts = {"camera": camera, "light": zoo.lamp(-0.5, 0.4, -1), "floor": floor, **shapes}
    return load_scene({"type": "scene", **{name: part for name, part in parts.items() if part is not None}})


SHAPES = {"star": star, "wreck": wreck}


def box(height, **rest):
    """A turned cube at this height."""
    frame = T().translate([0, 0, height]).rotate([0, 0, 1], 30).rotate([1, 0, 0], 20).scale(0.4)
    return {"type": "cube", "to_world": frame, "bsdf": zoo.GREEN, **rest}


def frustum(tmp_path, floor=False):
    """A block that stands on the floor, narrower at its top; or both in one mesh."""
    points = BOX * np.where(BOX[:, 2:] < 0, [[0.6, 0.5, 0.4]], [[0.3, 0.3, 0.4]])
    points = points @ STANDS.T + [0, 0, 0.4]
    if not floor:
        return mesh(tmp_path, "frustum", points, TRIANGLES, bsdf=diffuse(0.1))
    points = np.concatenate([points, [[-3, -3, 0], [3, -3, 0], [3, 3, 0], [-3, 3, 0]]])
    return mesh(tmp_path, "both", points, [*TRIANGLES, [8, 9, 10], [8, 10, 11]], bsdf=diffuse(0.1))


STANDS = np.array(T().rotate([0, 0, 1], 30).matrix)[:3, :3]
STANDING = T().translate([0, 0, 0.4]).rotate([0, 0, 1], 30).scale(0.4)
QUIET = {
    "standing": lambda: {"box": {"type": "cube", "to_world": STANDING, "bsdf": zoo.GREEN}},
    "stacked": lambda: {
        "box": {"type": "cube", "to_world": T().translate([0, 0, 0.4]).scale(0.4)},
        "other": {"type": "cube", "to_world": T().translate([0.1, 0, 1.0]).rotate([0, 0, 1], 40).scale(0.2)},
    },
    "ball": lambda: {"box": {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.6}},
    "can": lambda: {
        "box": {"type": "cylinder", "p0": [0, 0, 0], "p1": [0, 0, 1], "radius": 0.3},
        "lid": {"type": "disk", "to_world": T().translate([0, 0, 1]).scale(0.3)},
        "lying": {"type": "cylinder", "p0": [1, 0, 0.3], "p1": [1, 1, 0.3], "radius": 0.3},
    },
}  # fmt: skip
SUNK = {
    "sphere": {"type": "sphere", "center": [0, 0, 0.5], "radius": 0.6},
    "cylinder": {"type": "cylinder", "p0": [0, 0, -0.2], "p1": [0, 0, 1], "radius": 0.3},
    "disk": {"type": "disk", "to_world": T().rotate([1, 0, 0], 80).scale(0.5)},
}
