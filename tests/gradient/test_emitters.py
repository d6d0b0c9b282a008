"""Every parameter of every emitter against finite differences of Mitsuba's own `path`: a ball that throws a shadow on a floor."""

import numpy as np
import pytest
import scene_zoo as zoo
from finite_differences import Differences, adjoint, check, gradients, parameters

from pbdr.parameters import read
from pbdr.rendering import gradient
from pbdr.scene import load_scene

# Emitter → role → (finite-difference step, samples per pixel of the differences, of the gradients)
CASES = {
    "sky": {"scale": (0.1, 64, 64), "radiance": (0.1, 64, 64), "pose": (0.025, 4096, 4096)},
    "constant": {"radiance": (0.1, 64, 64)},
    "area": {"radiance": (0.5, 64, 64), "pose": (0.05, 256, 256)},
    "area-textured": {"radiance": (0.5, 64, 64), "pose": (0.05, 256, 256)},
    "area-sphere": {"radiance": (0.5, 64, 64), "pose": (0.05, 256, 256)},
    "point": {"position": (0.05, 256, 64), "intensity": (0.5, 64, 64)},
    "spot": {
        "intensity": (0.5, 64, 64), "texture": (0.1, 64, 64), "cutoff_angle": (0.5, 256, 64), "beam_width": (0.5, 256, 64),
        "pose": (0.02, 256, 64),
    },
    "directional": {"irradiance": (0.1, 64, 64), "pose": (0.02, 1024, 256)},
    "sunsky": {"albedo": (0.05, 256, 64)},
    "projector": {"scale": (0.1, 64, 64), "irradiance": (0.1, 64, 64), "pose": (0.02, 1024, 64)},
}  # fmt: skip
REFUSED = {"sunsky": ["pose", "turbidity", "sun_direction"]}
TURN = np.array([[0, 0, 0.3], [0, 0, -0.2], [-0.3, 0.2, 0]])  # about a horizontal axis
SPIN = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 0]])  # about the vertical
SHIFT = np.array([0.3, 0.2, 0.5])
NOISE = 0.015


def lit(emitter):
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


@pytest.mark.filterwarnings("ignore:pathspace.*indirect boundary")
@pytest.mark.parametrize(("emitter", "role"), [(e, r) for e, roles in CASES.items() for r in roles])
def test_emitter(emitter, role):
    step, spp_differences, spp = CASES[emitter][role]
    depth = 2 if role in ("pose", "position") else 3
    name = f"light/{role}"
    scene = lit(emitter)
    along = tangent(scene, emitter, parameters(scene, name)[name], depth)
    path = {"type": "path", "max_depth": depth}
    exact = Differences(scene, name, along, step, spp=spp_differences, integrator=path)
    weights = exact.signs()
    ours = gradients(scene, {name: along}, weights, spp=spp, max_depth=depth)[name]
    check(ours, exact.replicas(weights, gap=0.03), max_relative_se=NOISE)


def test_nothing_is_left_out():
    """Every differentiable parameter of every emitter in the zoo is a case above, or refused."""
    for emitter in ["sky", *zoo.EMITTERS]:
        found = parameters(lit(emitter)).values()
        roles = {p.role for p in found if p.name.startswith("light/") and "bsdf" not in p.raw}
        assert roles == {*CASES.get(emitter, {}), *REFUSED.get(emitter, [])}, emitter
