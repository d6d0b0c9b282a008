"""Chains of mirrors and glass between the camera, a shape and a lamp."""

from __future__ import annotations

import numpy as np

from pbdr.scene import load_scene
from validation.finite_differences import parameters
from validation.scenes.zoo import T, film, rgb

SILVER = {"type": "conductor", "material": "none"}
RED = {"type": "diffuse", "reflectance": rgb(0.9, 0.1, 0.1)}
PLATE = T().rotate([1, 0, 0], 90)


def box(*place):
    """A turned cube at this place."""
    return {"type": "cube", "to_world": T().translate(place).rotate([0.6, 0, 0.8], 30).scale(0.25), "bsdf": RED}


def ball(*place):
    """A ball at this place."""
    return {"type": "sphere", "to_world": T().translate(place).scale(0.3), "bsdf": RED}


def scene(fov, origin, towards, **shapes):
    """Shapes under an even sky before a camera, loaded."""
    camera = {"type": "perspective", "fov": fov, "film": film(), "to_world": T().look_at(origin, towards, [0, 0, 1])}
    return load_scene({"type": "scene", "camera": camera, "sky": {"type": "constant", "radiance": rgb(0.5)}, **shapes})


def flat_mirror(thing, size=1.0, **tint):
    """The thing is beside the camera, seen in the mirror only."""
    pose = T().translate([0, 1, 1]) @ PLATE @ T().scale(size)
    mirror = {"type": "rectangle", "to_world": pose, "bsdf": {**SILVER, **tint}}
    return scene(50, [0, -1.2, 1.2], [0, 1, 1], mirror=mirror, thing=thing(0.5, -1.6, 1.2))


def curved_mirror():
    """A box seen in a ball that mirrors."""
    mirror = {"type": "sphere", "center": [0, 0.5, 1], "radius": 0.9, "bsdf": SILVER}
    return scene(40, [0, -2.2, 1.2], [0, 0.5, 1], mirror=mirror, thing=box(0.9, -1.6, 1.3))


def glass_plate(thing=ball):
    """Close to the thing, so that it shadows it from the sky."""
    plate = {"type": "rectangle", "to_world": T().translate([0, 0, 1]) @ PLATE, "bsdf": {"type": "thindielectric"}}
    return scene(40, [0, -3, 1.2], [0, 0, 1], mirror=plate, thing=thing(0.1, 0.45, 1.05))


def glass_ball():
    """A shining ball seen through a ball of glass."""
    glass = {"type": "sphere", "center": [0, 0, 1], "radius": 0.6, "bsdf": {"type": "smoothdielectric", "int_ior": 1.5}}
    lamp = {**ball(0.1, 1.3, 1.05), "bsdf": {"type": "diffuse", "reflectance": rgb(0.0)}}
    return scene(
        25, [0, -3, 1.2], [0, 0, 1], mirror=glass, thing={**lamp, "emitter": {"type": "area", "radiance": rgb(1.5)}}
    )


def lamp_behind_a_box():
    """In a curved mirror at the same height: the rays that it throws back are level."""
    mirror = {"type": "sphere", "center": [1.5, 0.5, 0.7], "radius": 0.5, "bsdf": SILVER}
    pose = T().look_at([-2.5, 1.5, 0.7], [0, 0, 0.7], [0, 0, 1]).scale(0.7)
    lamp = {"type": "rectangle", "to_world": pose, "emitter": {"type": "area", "radiance": rgb(12.0)}}
    return scene(12, [0.8, -4, 0.7], [1.5, 0.5, 0.7], mirror=mirror, thing=box(-0.6, 0.5, 0.7), lamp=lamp)


def shadow_in_a_mirror():
    """The camera looks up into a mirror, and sees the floor there: a point light's shadow, which no camera path finds."""
    camera = {
        "type": "perspective",
        "fov": 30,
        "film": film(),
        "sampler": {"type": "ldsampler"},
        "to_world": T().look_at([0, -2, 0.8], [0, 0.3, 1.6], [0, 0, 1]),
    }
    pose = T().translate([0, 0.3, 1.6]).rotate([1, 0, 0], 160).scale(1.5)
    return load_scene({
        "type": "scene", "camera": camera, "light": {"type": "point", "position": [0.9, 1.5, 0.95], "intensity": rgb(2.0)},
        "floor": {"type": "rectangle", "to_world": T().scale(4), "bsdf": {"type": "diffuse"}},
        "mirror": {"type": "rectangle", "to_world": pose, "bsdf": SILVER}, "thing": box(0.1, 1.2, 0.4),
    })  # fmt: skip


def shift(scene, name):
    """A translation of the object as a tangent of its pose or of its vertices."""
    shape = parameters(scene, name)[name].shape
    tangent = np.zeros(shape)
    if name == "mirror/pose":  # away from the camera, and a turn: a plane does not show shifts along itself
        tangent[1, 3], tangent[1, 0] = 1.0, 0.5
    elif name.endswith("pose"):
        tangent[:3, 3] = [0.5, 0.2, 1.0]
    else:
        tangent.reshape(-1, 3)[:] = [0.5, 0.2, 1.0]
    return tangent


CASES = {  # scene, parameter, step, max_depth, samples per pixel
    "box in a mirror": (lambda: flat_mirror(box), "thing/positions", 0.01, 3, 256),
    "ball in a mirror": (lambda: flat_mirror(ball), "thing/pose", 0.01, 3, 256),
    "mirror moves": (lambda: flat_mirror(box), "mirror/pose", 0.01, 3, 256),
    "mirror and its border": (
        lambda: flat_mirror(box, 0.4, specular_reflectance=rgb(0.5)),
        "mirror/pose",
        0.01,
        3,
        128,
    ),
    "box in a curved mirror": (curved_mirror, "thing/positions", 0.005, 3, 128),
    "lamp behind a box in a curved mirror": (lamp_behind_a_box, "thing/positions", 0.01, 2, 128),
    "ball behind glass": (glass_plate, "thing/pose", 0.01, 3, 512),
    "lamp behind a glass ball": (glass_ball, "thing/pose", 0.005, 3, 512),
    "point light's shadow in a mirror": (shadow_in_a_mirror, "thing/positions", 0.01, 3, 64),
    "index of a glass ball": (glass_ball, "mirror/eta", 0.005, 3, 512),
}
