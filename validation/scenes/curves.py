"""A B-spline or linear curve above a floor, and a direction in which it bends."""

from __future__ import annotations

import numpy as np

from pbdr.parameters import read
from pbdr.scene import load_scene
from validation.finite_differences import parameters
from validation.scenes import zoo
from validation.scenes.zoo import T

# x, y, z, radius: bent in space, thicker in the middle, clear of the floor
POINTS = {
    "bsplinecurve": [
        (-1.6, 0.2, 0.3, 0.2), (-0.8, -0.3, 0.6, 0.2), (0.0, 0.2, 1.2, 0.3), (0.7, 0.1, 0.7, 0.15), (1.5, -0.4, 0.8, 0.2),
    ],
    "linearcurve": [(-0.9, -0.2, 0.5, 0.2), (0.0, 0.2, 1.0, 0.3), (0.8, -0.3, 0.6, 0.15)],
}  # fmt: skip


def curve(folder, kind, points=None):
    """The shape, through POINTS or through `points` (x, y, z, radius); its file is written to `folder`."""
    path = folder / f"{kind}.txt"
    path.write_text("\n".join(" ".join(map(str, p)) for p in points or POINTS[kind]))
    paint = {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.5, 0.3)}
    return {"type": kind, "filename": str(path), "bsdf": paint}


def scene(folder, kind, light=None, points=None):
    """The curve above a textured floor, under a distant lamp or `light`; loaded."""
    floor = {"type": "diffuse", "reflectance": zoo.texels(0.2, 0.9)}
    return load_scene({
        "type": "scene", "camera": zoo.camera(sampler={"type": "ldsampler"}), "light": light or zoo.lamp(-0.5, 0.3, -1.2),
        "curve": curve(folder, kind, points), "floor": {"type": "rectangle", "to_world": T().scale(3), "bsdf": floor},
    })  # fmt: skip


def bending(scene, name):
    """Every control point moves its own way, and every radius changes."""
    value = read(scene, parameters(scene, name)[name])
    if name == "floor/pose":
        return np.array([[0, 0, 0, 0.3], [0, 0, 0, 0], [0, 0.1, 0, 0.5]])
    if name.endswith("pose"):
        turn = np.array([[0, -0.2, 0.1], [0.2, 0, 0.3], [-0.1, -0.3, 0]])
        return np.column_stack([turn @ value[:, :3], [0.4, 0.3, -0.2]])
    moves = np.sin(3.0 * np.arange(value.size) + 1).reshape(-1, 4)
    return (moves * [0.5, 0.5, 0.5, 0.15]).reshape(value.shape)
