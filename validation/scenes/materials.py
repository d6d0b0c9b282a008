"""A subject of each material of the zoo, and a direction in which each of its parameters changes."""

from __future__ import annotations

import numpy as np

from pbdr.rendering import gradient
from pbdr.scene import load_scene
from validation.finite_differences import adjoint
from validation.scenes import zoo

DEPTH = 2
THROUGH = ("thindielectric", "smoothdielectric", "roughdielectric", "principled-transmission", "principledthin", "mask")
GLOSS = {"type": "roughconductor", "alpha": 0.05}
#: Material, role, its value: an end of its bounds, where a lobe has no weight.
AT_BOUNDS = {
    "plastic": ({"type": "plastic", "diffuse_reflectance": zoo.rgb(0.0)}, "base_color", 0.0),
    "roughplastic": ({"type": "roughplastic", "alpha": 0.1, "diffuse_reflectance": zoo.rgb(0.0)}, "base_color", 0.0),
    "pplastic": ({"type": "pplastic", "alpha": 0.06, "diffuse_reflectance": zoo.rgb(0.0)}, "base_color", 0.0),
    "blend, 0": ({"type": "blendbsdf", "weight": 0.0, "a": GLOSS, "b": {"type": "diffuse"}}, "weight", 0.0),
    "blend, 1": ({"type": "blendbsdf", "weight": 1.0, "a": {"type": "diffuse"}, "b": GLOSS}, "weight", 1.0),
    "metallic": ({"type": "principled", "roughness": 0.3, "metallic": 1.0}, "metallic", 1.0),
    "clearcoat": ({"type": "principled", "roughness": 0.3, "clearcoat": 0.0}, "clearcoat", 0.0),
    "sheen": ({"type": "principled", "roughness": 0.3, "sheen": 0.0}, "sheen", 0.0),
    "spec_trans": ({"type": "principled", "roughness": 0.3, "spec_trans": 1.0}, "spec_trans", 1.0),
}
DELTA = ("thindielectric", "smoothdielectric", "conductor", "mask")


def subject(material, sampled=False):
    """The object; under distant lights, or under a sky (delta materials, whose lobes no light sample finds, always)."""
    through = material in THROUGH
    lights = {"rim": zoo.lamp(-1, -0.8, -0.5)}
    if through:
        lights = {"front": zoo.lamp(-0.77, -0.64, -0.3), "behind": zoo.lamp(0.6, -0.7, -0.3)}
    if sampled or material in DELTA:
        lights = {"light": zoo.glow()}
    return load_scene(zoo.alone(zoo.MATERIALS[material](), "plate" if through else "ball", lights))


def tangent(scene, parameter):
    """All entries of a colour or number; for a texture the sign of each texel's derivative, so that nothing cancels."""
    if np.prod(parameter.shape) < 16:
        return np.ones(parameter.shape)
    integrator = {"type": "pathspace", "max_depth": DEPTH}
    found = gradient(scene, parameter.name, adjoint(), spp=64, seed=1, integrator=integrator, terms=("interior",))
    return np.sign(found.total[parameter.name])
