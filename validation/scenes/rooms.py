"""Rooms and boxes made of rectangles that meet at their borders."""

from __future__ import annotations

from pbdr.scene import load_scene
from validation.scenes import zoo
from validation.scenes.zoo import T

BOX = T().translate([0.1, 0, 0.7]).rotate([0, 0, 1], 25).rotate([1, 0, 0], 20).scale(0.4)
UP = T().translate([0, 0, 1])
TURNS = [([1, 0, 0], angle) for angle in (0, 90, 180, 270)] + [([0, 1, 0], angle) for angle in (90, 270)]
LIGHTS = {
    "point": {"type": "point", "position": [1.5, -1, 2.5], "intensity": zoo.rgb(8.0)},
    "area": {
        "type": "rectangle",
        "to_world": T().look_at(origin=[1.5, -1, 2.5], target=[0, 0, 0.5], up=[0, 0, 1]).scale(0.4),
        "emitter": {"type": "area", "radiance": zoo.rgb(15.0)},
    },
}


def grey(reflectance):
    """A diffuse material, the same on both sides."""
    return {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": zoo.rgb(reflectance)}}


def corner():
    """A bright floor and a dark wall whose borders coincide."""
    look = T().look_at([-2.5, -1, 1.6], [1, 0.2, 0.2], [0, 0, 1])
    camera = {"type": "perspective", "fov": 40, "film": zoo.film(), "sampler": {"type": "ldsampler"}, "to_world": look}
    floor = {"to_world": T().translate([-0.5, 0, 0]).scale([1.5, 2, 1]), "bsdf": grey(0.8)}
    wall = {"to_world": T().translate([1, 0, 1.5]).rotate([0, 1, 0], -90).scale([1.5, 2, 1]), "bsdf": grey(0.3)}
    parts = {"floor": {"type": "rectangle", **floor}, "wall": {"type": "rectangle", **wall}}
    return load_scene({"type": "scene", "camera": camera, "light": zoo.lamp(0.6, 0.3, -1), **parts})


def box(split, light):
    """A box in one piece, or of six rectangles."""
    cube = {"box": {"type": "cube", "to_world": BOX, "bsdf": grey(0.5)}}
    sides = {
        f"side{k}": {"type": "rectangle", "to_world": BOX @ T().rotate(*turn) @ UP, "bsdf": grey(0.5)}
        for k, turn in enumerate(TURNS)
    }
    parts = {"floor": {"type": "rectangle", "to_world": T().scale(3)}, "light": LIGHTS[light]}
    camera = zoo.camera(sampler={"type": "ldsampler"})
    return load_scene({"type": "scene", "camera": camera, **parts, **(sides if split else cube)})
