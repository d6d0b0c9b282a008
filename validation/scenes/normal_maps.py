"""Balls whose normals a texture bends, and directions in which its texels and the ball change."""

from __future__ import annotations

from typing import Any

import mitsuba as mi
import numpy as np

from pbdr.rendering import gradient
from pbdr.scene import load_scene
from validation.scenes import zoo
from validation.scenes.zoo import T


def bent_ball(kind="normal", tilt=0.2, turn=0.0):
    """The ball with its map, turned about the vertical by some degrees."""
    random = np.random.default_rng(3)
    if kind == "normal":
        values = np.array([0.5, 0.5, 1.0]) + random.uniform(-1, 1, (8, 8, 3)) * [tilt, tilt, 0.1]
    else:
        values = random.uniform(0, 1, (8, 8, 1))
    texture = {"type": "bitmap", "bitmap": mi.Bitmap(values.astype(np.float32)), "raw": True}
    bsdf: dict[str, Any] = {"type": f"{kind}map", "map": texture, "nested": {"type": "roughconductor", "alpha": 0.3}}
    bsdf |= {"scale": 0.15} if kind == "bump" else {"normalmap": bsdf.pop("map")}
    return {"type": "sphere", "to_world": T().translate([0, 0, 0.6]).rotate([0, 0, 1], turn).scale(0.6), "bsdf": bsdf}


def scene(kind="normal", depth=2, turn=0.0):
    """The ball; at depth 3 the floor next to it, which it lights."""
    ball = bent_ball(kind, turn=turn)
    parts = {"camera": zoo.camera(sampler={"type": "ldsampler"}), "ball": ball, "rim": zoo.lamp(-1, -0.8, -0.5)}
    if depth == 3:
        look = T().look_at([1.3, -0.2, 1], [1.3, -0.2, 0], [0, 1, 0])
        parts["camera"] |= {"to_world": look, "fov": 60}
        parts["floor"] = {"type": "rectangle", "to_world": T().scale(3)}
        parts["rim"] = zoo.lamp(-1, -0.2, -0.9)
    return load_scene({"type": "scene", **parts})


def texel_signs(made, name, depth=2):
    """The sign of each texel's derivative, so that nothing cancels."""
    integrator = {"type": "pathspace", "max_depth": depth}
    return np.sign(gradient(made, name, np.ones((16, 16, 3)), spp=1024, integrator=integrator).total[name])
