"""Grids of signed distances: above a floor, in a gate, and how their values and poses change."""

from __future__ import annotations

import mitsuba as mi
import numpy as np

from pbdr.parameters import read
from pbdr.scene import load_scene
from validation.finite_differences import parameters
from validation.scenes import zoo
from validation.scenes.indirect import SPOT, court
from validation.scenes.zoo import T

PLACE = T().translate([-0.8, -0.7, 0.3]).scale([1.6, 1.5, 1.3])


def distances(size=10, scale=1.7):
    """A bumpy ball, by z, y, x; its slope is not one."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij")
    bumps = 0.12 * np.sin(4 * x + 1) * np.cos(3 * y) + 0.1 * np.sin(5 * z + 2 * x)
    return (scale * (np.sqrt(x**2 + y**2 + 1.2 * z**2) - 0.6 + bumps))[..., None].astype(np.float32)


def blob(normals, values=None):
    """The grid's shape: `normals` as in `sdfgrid`, `values` instead of the bumpy ball's."""
    paint = {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.5, 0.3)}
    tensor = mi.TensorXf(distances() if values is None else values)
    return {"type": "sdfgrid", "grid": tensor, "normals": normals, "to_world": PLACE, "bsdf": paint}


def scene(normals, light=None, values=None, floor=None, **others):
    """The grid above a floor, under a distant lamp or `light`; loaded."""
    floor = floor or {"type": "diffuse", "reflectance": zoo.texels(0.2, 0.9)}
    return load_scene({
        "type": "scene", "camera": zoo.camera(sampler={"type": "ldsampler"}), "light": light or zoo.lamp(-0.5, 0.3, -1.2),
        "blob": blob(normals, values), "floor": {"type": "rectangle", "to_world": T().scale(3), "bsdf": floor}, **others,
    })  # fmt: skip


def change(scene, name):
    """Every value of the grid changes in its own way, smoothly."""
    value = read(scene, parameters(scene, name)[name])
    if name == "floor/pose":
        return np.array([[0, 0, 0, 0.3], [0, 0, 0, 0], [0, 0.1, 0, 0.5]])
    if name == "blob/pose":
        return np.array([[0.2, 0, 0, 0.3], [0, -0.1, 0, 0.2], [0, 0, 0.3, -0.2]]) * 1.0
    if name.endswith("pose"):
        turn = np.array([[0, -0.2, 0.1], [0.2, 0, 0.3], [-0.1, -0.3, 0]])
        return np.column_stack([turn @ value[:, :3], [0.4, 0.3, -0.2]])
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, value.shape[0])] * 3, indexing="ij")
    return (np.sin(2 * x + 1) + np.cos(3 * y - z) - 0.5 * np.sin(4 * z))[..., None]


# normals, parameter, light, step, samples a pixel, and how many of the primary term: lines of sight find few horizons
CASES = {
    "values": ("smooth", "blob/grid", "lamp", 0.004, 128, 150_000),
    "values, no smooth normals": ("analytic", "blob/grid", "lamp", 0.004, 128, 30_000),
    "camera": ("analytic", "camera/pose", "lamp", 0.02, 256, 30_000),
    "values under a lamp with a surface": ("smooth", "blob/grid", "area", 0.01, 1024, 100_000),
    "pose": ("analytic", "blob/pose", "lamp", 0.01, 1024, 60_000),
    "receiver": ("smooth", "floor/pose", "area", 0.02, 1024, 100_000),
}


def case(name):
    """(scene, parameter, step, sample counts) of one of CASES."""
    normals, parameter, light, step, spp, primary = CASES[name]
    shining = zoo.above(size=0.4, emitter={"type": "area", "radiance": zoo.rgb(30.0)}) if light == "area" else None
    return scene(normals, shining), parameter, step, {"spp": spp, "n_primary": primary}


def gate():
    """A grid between a lit wall and the floor that the camera sees."""
    pose = T().translate([0.6, -0.35, 0.1]).scale([0.5, 0.6, 0.6])
    black = {"type": "diffuse", "reflectance": zoo.rgb(0.0)}
    tensor = mi.TensorXf(distances(8))
    return court(SPOT, low={"type": "sdfgrid", "id": "blob", "grid": tensor, "to_world": pose, "bsdf": black})
