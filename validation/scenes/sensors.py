"""A block on a floor before every kind of sensor, and directions in which sensors and shapes change."""

from __future__ import annotations

import numpy as np

from pbdr.parameters import read
from pbdr.scene import load_scene
from validation.finite_differences import parameters
from validation.scenes import zoo
from validation.scenes.zoo import T

NEAR = T().look_at([0.3, -2.4, 1.6], [0.1, 0, 0.5], [0, 0, 1])
POINT = {"principal_point_offset_x": 0.05, "principal_point_offset_y": -0.04}
SENSORS = {
    "perspective": {"fov": 35.0, **POINT},
    "orthographic": {"to_world": zoo.VIEW @ T().scale([1.3, 1.3, 1.0])},
    "thinlens": {"fov": 35.0, "aperture_radius": 0.3, "focus_distance": 3.0},
    "opencv": {
        "to_world": NEAR, "fov": 70.0, "k1": -0.1, "k2": 0.05, "p1": 0.02, "p2": -0.03, "k3": 0.03, **POINT,
    },
    "opencv_fisheye": {"to_world": NEAR, "fov": 90.0, "k1": -0.05, "k2": 0.02, "k3": 0.01, "k4": -0.003},
}  # fmt: skip
# Sensor → role → step of the finite differences
PLACE = dict.fromkeys(("principal_point_x", "principal_point_y"), 0.005)
FOCAL = dict.fromkeys(("focal_x", "focal_y"), 0.01)
CAMERA = {
    "perspective": {"pose": 0.02, "fov": 0.5, **PLACE},
    "orthographic": {"pose": 0.02},
    "thinlens": {"pose": 0.02, "fov": 0.5, "aperture_radius": 0.04, "focus_distance": 0.1},
    "opencv": {"pose": 0.02, **FOCAL, **PLACE, "k1": 0.02, "k2": 0.03, "p1": 0.01, "p2": 0.01, "k3": 0.03},
    "opencv_fisheye": {"pose": 0.02, **FOCAL, **PLACE, "k1": 0.02, "k2": 0.02, "k3": 0.01, "k4": 0.01},
}


def scene(kind, light=None, film=None, **more):
    """A block on a patterned floor before a sensor of this kind, loaded; `more` adds shapes."""
    camera = {"type": kind, "to_world": zoo.VIEW, "film": film or zoo.film(), "sampler": {"type": "ldsampler"}}
    pose = T().translate([0.1, -0.2, 0.6]).rotate([0, 0, 1], 30).rotate([1, 0, 0], 20).scale(0.4)
    orange = {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.5, 0.3)}
    floor = {"type": "diffuse", "reflectance": zoo.texels(0.2, 0.9)}
    return load_scene({
        "type": "scene", "camera": {**camera, **SENSORS[kind]}, "light": light or zoo.lamp(-0.5, 0.3, -1.2),
        "block": {"type": "cube", "to_world": pose, "bsdf": orange},
        "floor": {"type": "rectangle", "to_world": T().scale(3), "bsdf": floor}, **more,
    })  # fmt: skip


def area():
    """A lamp with a surface."""
    return zoo.above(size=0.4, emitter={"type": "area", "radiance": zoo.rgb(30.0)})


def tangent(found, name):
    """A turn and a shift of camera and block; every entry alike for what else has a derivative."""
    value = read(found, parameters(found, name)[name])
    if name == "camera/pose":
        turn = np.array([[0, -0.04, 0.02], [0.04, 0, 0.06], [-0.02, -0.06, 0]])
        return np.column_stack([turn @ value[:, :3], [0.4, 0.3, -0.2]])
    if name == "block/positions":
        return np.tile([0.4, 0.3, -0.2], (len(value), 1))
    return np.ones(value.shape)


CROP = {"crop_width": 12, "crop_height": 12, "crop_offset_x": 3, "crop_offset_y": 2}
