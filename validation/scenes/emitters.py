"""A ball and a floor under each emitter, and directions in which its parameters change."""

from __future__ import annotations

import numpy as np

from pbdr.parameters import read
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from validation.finite_differences import adjoint
from validation.scenes import zoo

TURN = np.array([[0, 0, 0.3], [0, 0, -0.2], [-0.3, 0.2, 0]])  # about a horizontal axis
SPIN = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 0]])  # about the vertical
SHIFT = np.array([0.3, 0.2, 0.5])


def lit(emitter):
    """The ball of the zoo under this emitter, loaded."""
    light = zoo.sky() if emitter == "sky" else zoo.EMITTERS[emitter]()
    return load_scene(zoo.scene(light=light, sensor=zoo.camera(sampler={"type": "ldsampler"})))


def tangent(scene, emitter, parameter, depth):
    """Poses: a turn of lights that have a direction, a shift and growth of the others; texels: the sign of their derivative."""
    if parameter.role == "pose":
        pose = read(scene, parameter)
        result = np.zeros((3, 4))
        if emitter in ("sky", "directional", "spot", "projector"):
            result[:, :3] = (SPIN if emitter == "sky" else TURN) @ pose[:, :3]
        if emitter in ("area", "area-textured", "area-sphere", "spot", "sky", "directional", "projector"):
            result[:, 3] = SHIFT  # which does nothing to distant lights
        if emitter.startswith("area"):
            result[:, :3] = 0.4 * pose[:, :3]
        return result
    if parameter.role == "position":
        return SHIFT
    if np.prod(parameter.shape) < 16:
        return np.ones(parameter.shape)
    integrator = {"type": "pathspace", "max_depth": depth}
    found = gradient(scene, parameter.name, adjoint(), spp=64, seed=1, integrator=integrator, terms=("interior",))
    return np.sign(found.total[parameter.name])
