"""Instances of a group of meshes."""

from __future__ import annotations

import numpy as np

from validation.scenes import zoo
from validation.scenes.meshes import T, scene


def grouped(**rest):
    """Two instances of a group of two boxes, one of them textured, above a floor."""
    plain = {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.5, 0.2)}
    textured = {"type": "diffuse", "reflectance": zoo.texels(0.1, 0.9)}
    group = {
        "type": "shapegroup",
        "large": {"type": "cube", "to_world": T().scale(0.3), "bsdf": textured},
        "small": {"type": "cube", "to_world": T().translate([0, 0.1, 0.48]).rotate([0, 0, 1], 40).scale(0.15), "bsdf": plain},
    }  # fmt: skip
    axis = np.array([1, 0.3, 1]) / np.sqrt(2.09)  # Mitsuba wants it normalised: the stored inverse is wrong otherwise
    place = lambda x, angle: T().translate([x, 0, 0.7]).rotate(axis, angle).scale([1, 1.2, 0.9])  # noqa: E731
    instance = lambda frame: {"type": "instance", "to_world": frame, "group": {"type": "ref", "id": "group"}}  # noqa: E731
    return scene(group=group, one=instance(place(-0.4, 30)), two=instance(place(0.6, 70)), **rest)
