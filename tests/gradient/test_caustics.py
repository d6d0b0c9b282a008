"""Edges that a surface sees in mirrors and through glass: a floor that is lit by way of a mirror or a glass plate alone."""

from __future__ import annotations

import mitsuba as mi
import numpy as np
from scene_zoo import film, rgb

from pbdr.scene import load_scene

T = mi.ScalarTransform4f
SILVER = {"type": "conductor", "material": "none"}
RED = {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": rgb(0.7, 0.4, 0.2)}}


def court(**shapes):
    """The camera sees the floor and nothing else."""
    view = T().look_at([0.7, -3, 1.0], [0.7, 0, 0], [0, 0, 1])
    return load_scene({
        "type": "scene",
        "camera": {"type": "perspective", "fov": 25, "film": film(), "to_world": view},
        "floor": {"type": "rectangle", "to_world": T().scale(4), "bsdf": {"type": "diffuse"}},
        **shapes,
    })  # fmt: skip


def lamp(radiance=20.0):
    """It shines upwards, away from the floor."""
    pose = T().translate([-0.6, 0, 0.2]).scale(0.5)
    return {"type": "rectangle", "to_world": pose, "bsdf": {"type": "diffuse", "reflectance": rgb(0.0)},
            "emitter": {"type": "area", "radiance": rgb(radiance)}}  # fmt: skip


def mirror():
    pose = T().translate([-0.4, 0, 1.5]).rotate([0, 1, 0], 170).scale([1.0, 1.2, 1])
    return {"type": "rectangle", "to_world": pose, "bsdf": SILVER}


def box(*place, size=0.25):
    return {"type": "cube", "to_world": T().translate(place).rotate([0.6, 0, 0.8], 30).scale(size), "bsdf": RED}


BLACK = {"type": "diffuse", "reflectance": rgb(0.0)}
