"""Grids of signed distances: their hits, silhouettes, creases and shading horizons, against finite differences."""

from __future__ import annotations

from types import SimpleNamespace

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest
import scene_zoo as zoo
from agreement import assert_differs
from finite_differences import Differences, adjoint, check, gradients, parameters

import pbdr.errors
from pbdr.parameters import read, traverse
from pbdr.rendering import derivative, gradient
from pbdr.scene import load_scene
from pbdr.transport import grids, groups

T = mi.ScalarTransform4f
PLACE = T().translate([-0.8, -0.7, 0.3]).scale([1.6, 1.5, 1.3])


def distances(size=10, scale=1.7):
    """A bumpy ball, by z, y, x; its slope is not one."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij")
    bumps = 0.12 * np.sin(4 * x + 1) * np.cos(3 * y) + 0.1 * np.sin(5 * z + 2 * x)
    return (scale * (np.sqrt(x**2 + y**2 + 1.2 * z**2) - 0.6 + bumps))[..., None].astype(np.float32)


def blob(normals, values=None):
    paint = {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.5, 0.3)}
    tensor = mi.TensorXf(distances() if values is None else values)
    return {"type": "sdfgrid", "grid": tensor, "normals": normals, "to_world": PLACE, "bsdf": paint}


def scene(normals, light=None, values=None, floor=None, **others):
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
