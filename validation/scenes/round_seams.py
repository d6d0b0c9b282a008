"""A sphere, a cylinder and a disk whose texture coordinates start again in view."""

from __future__ import annotations

import mitsuba as mi
import numpy as np

from pbdr.scene import load_scene
from validation.scenes import zoo
from validation.scenes.zoo import T

PLACES = {"sphere": -0.8, "cylinder": 0.0, "disk": 0.8}
RAMP = np.zeros((4, 8, 3), np.float32)
RAMP[:] = np.linspace([0.1, 0.3, 0.9], [0.9, 0.2, 0.1], 8)


def ramp(turned=False, **rest):
    """A texture whose first and last columns (rows if `turned`) differ."""
    pixels = np.ascontiguousarray(RAMP.transpose(1, 0, 2)) if turned else RAMP
    return {"type": "bitmap", "bitmap": mi.Bitmap(pixels), "raw": True, **rest}


def pose(x):
    """The shape's own x axis, where the angle starts, looks at the camera, a little upwards."""
    return T().translate([x, 0, 0.6]).rotate([0, 0, 1], -80).rotate([0, 1, 0], -40)


def scene(textures, **more):
    """One of each shape, with these textures (one for all, or by the name of the shape), under a distant lamp."""
    lamp = {"type": "directional", "direction": [0.1, 1, -0.5], "irradiance": zoo.rgb(3.0, 2.0, 1.0)}
    found = {"type": "scene", "camera": zoo.camera(sampler={"type": "ldsampler"}), "lamp": lamp}
    for kind, x in PLACES.items():
        texture = textures(kind == "disk") if callable(textures) else textures
        paint = {"type": "twosided", "nested": {"type": "diffuse", "reflectance": texture}}
        found[kind] = {"type": kind, "to_world": pose(x).scale(0.38), "bsdf": paint}
    return load_scene({**found, **more})


WRAPS = {
    "clamp": lambda turned: ramp(turned, wrap_mode="clamp"),
    "mirror": lambda turned: ramp(turned, wrap_mode="mirror"),
    "a repeat that does not close": lambda turned: ramp(turned, to_uv=T().scale(1.3)),
    "turned": lambda turned: ramp(turned, to_uv=T().rotate([0, 0, 1], 30)),
}
