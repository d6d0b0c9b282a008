"""Grids of signed distances in shape groups: instances above a floor and in a gate, and how what they show changes."""

from __future__ import annotations

import mitsuba as mi
import numpy as np

from pbdr.scene import load_scene
from validation.scenes import grids, zoo
from validation.scenes.grids import blob, distances
from validation.scenes.indirect import SPOT, court
from validation.scenes.zoo import T

AXIS = np.array([1, 0.3, 1]) / np.sqrt(2.09)  # Mitsuba wants it normalised: the stored inverse is wrong otherwise
OWN = T().translate([-0.5, -0.4, -0.5]).scale([1, 0.9, 1.1])  # pose of a grid in its group
TURNED = T().translate([-0.4, -0.2, 0.75]).rotate(AXIS, 40).scale([1, 1.2, 0.8])
MIRRORED = T().translate([0.6, -0.4, 0.7]).rotate(AXIS, 110).scale([-0.8, 0.8, 0.7])
SHINING = zoo.above(size=0.4, emitter={"type": "area", "radiance": zoo.rgb(30.0)})


def shown(frame, group="group"):
    return {"type": "instance", "to_world": frame, "group": {"type": "ref", "id": group}}


def scene(light=None, **shapes):
    """Shapes above a textured floor."""
    floor = {"type": "diffuse", "reflectance": zoo.texels(0.2, 0.9)}
    return load_scene({
        "type": "scene", "camera": zoo.camera(sampler={"type": "ldsampler"}), "light": light or zoo.lamp(-0.5, 0.3, -1.2),
        **shapes, "floor": {"type": "rectangle", "to_world": T().scale(3), "bsdf": floor},
    })  # fmt: skip


def grouped(normals, frames, own=OWN, light=None, **others):
    """Instances of a group that holds the grid of test_grids.py, beside a box if there are two."""
    group = {"type": "shapegroup", "blob": blob(normals) | {"to_world": own}}
    if len(frames) > 1:
        box = {"type": "cube", "to_world": T().translate([0.1, 0.75, 0]).rotate([0.6, 0, 0.8], 25).scale(0.15)}
        group = {"type": "shapegroup", "box": box, **group}
    instances = {name: shown(frame) for name, frame in zip(("one", "two"), frames, strict=False)}
    return scene(light, group=group, **instances, **others)


def change(made, name):
    """What changes: all values, each in its own way while the surface grows, or a pose."""
    if name.endswith("blob_grid"):
        z, y, x = np.meshgrid(*[np.linspace(-1, 1, len(distances()))] * 3, indexing="ij")
        return (np.sin(2 * x + 1) + np.cos(3 * y - z) - 0.5 * np.sin(4 * z) - 1.5)[..., None]
    if name.endswith("blob_pose"):
        return np.array([[0.2, 0, 0, 0.3], [0, -0.1, 0, 0.2], [0, 0, 0.3, -0.2]])
    return grids.change(made, name)


# normals, instances, parameter, light, step, samples a pixel, and how many of the primary term
CASES = {
    "pose": ("analytic", [TURNED], "one/pose", "lamp", 0.03, 256, 60_000),
    "pose beside an equal one": ("smooth", [TURNED, MIRRORED], "one/pose", "lamp", 0.03, 256, 150_000),
    "values in two": ("analytic", [TURNED, MIRRORED], "group/group__blob_grid", "lamp", 0.01, 256, 60_000),
    "pose in the group": ("analytic", [TURNED, MIRRORED], "group/group__blob_pose", "lamp", 0.03, 256, 60_000),
    "camera": ("analytic", [TURNED, MIRRORED], "camera/pose", "lamp", 0.03, 256, 30_000),
    "pose under a lamp with a surface": ("analytic", [TURNED], "one/pose", "area", 0.03, 1024, 60_000),
}


def case(name):
    """(scene, parameter, step, sample counts) of one of CASES."""
    normals, frames, parameter, light, step, spp, primary = CASES[name]
    made = grouped(normals, frames, light=SHINING if light == "area" else None)
    return made, parameter, step, {"spp": spp, "n_primary": primary}


def gate(frame):
    """An instance of a grid between a lit wall and the floor that the camera sees."""
    black = {"type": "diffuse", "reflectance": zoo.rgb(0.0)}
    grid = {"type": "sdfgrid", "grid": mi.TensorXf(distances(8)), "bsdf": black}
    return court(SPOT, group={"type": "shapegroup", "blob": grid}, low=shown(frame))
