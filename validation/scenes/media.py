"""Scenes with participating media: one of each kind over the zoo's floor, and slabs with closed forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mitsuba as mi
import numpy as np

from pbdr.scene import Scene, load_scene
from validation.scenes import zoo

Dict = dict[str, Any]
T = zoo.T
NULL: Dict = {"type": "null"}
BOX = T().translate([0, 0, 0.6]).scale(0.5)
IN_BOX = T().translate([-0.5, -0.5, 0.1])  # of grids, whose own space is the unit cube


def isotropic() -> Dict:
    """The simplest phase function."""
    return {"type": "isotropic"}


def forwards(g: float = 0.4) -> Dict:
    """Henyey and Greenstein's phase function."""
    return {"type": "hg", "g": g}


def fog(sigma_t: Any = 1.5, albedo: Any = 0.7, phase: Dict | None = None, **rest: Any) -> Dict:
    """A medium that is the same everywhere; numbers or colours of at most 1 (`scale` multiplies σ_t)."""
    return {"type": "homogeneous", "sigma_t": sigma_t, "albedo": albedo, "phase": phase or isotropic(), **rest}


def tinted() -> Dict:
    """σ_t between 0.4 and 3.6, and a coloured albedo."""
    return fog(zoo.rgb(0.1, 0.4, 0.9), zoo.rgb(0.9, 0.5, 0.7), scale=4.0)


def volume(values: Any, to_world: Any = IN_BOX, **rest: Any) -> Dict:
    """A grid of values (Z, Y, X) or (Z, Y, X, C)."""
    values = np.asarray(values, np.float32)
    grid = mi.VolumeGrid(values if values.ndim == 4 else values[..., None])
    return {"type": "gridvolume", "grid": grid, "to_world": to_world, **rest}


def cloud(albedo: Any = 0.8, phase: Dict | None = None, values: Any = None, **rest: Any) -> Dict:
    """A medium of random density."""
    density = np.random.default_rng(1).uniform(0, 3, (3, 4, 5)) if values is None else values
    return {"type": "heterogeneous", "sigma_t": volume(density), "albedo": albedo, "phase": phase or isotropic(), **rest}


def flame(emission: Any = 0.7, sigma_t: Any = 1.5, albedo: Any = 0.0, **rest: Any) -> Dict:
    """A medium that shines; numbers, colours or volumes."""
    described = {"type": "emissive", "emission": emission, "sigma_t": sigma_t, "albedo": albedo, "phase": isotropic()}
    return {**described, **rest}


def gaussians(albedo: Any = 0.7) -> Dict:
    """Five Gaussians, elongated and turned, in the box."""
    random = np.random.default_rng(5)
    values = {
        "peaks": random.uniform(1, 5, 5), "centers": random.uniform(-0.25, 0.25, (5, 3)) + [0, 0, 0.6],
        "log_scales": np.log(random.uniform(0.08, 0.2, (5, 3))), "rotations": random.normal(size=(5, 4)),
    }  # fmt: skip
    tensors = {name: mi.TensorXf(np.asarray(value, np.float32)) for name, value in values.items()}
    return {"type": "gaussians", **tensors, "albedo": albedo, "phase": isotropic()}


def phases() -> dict[str, Dict]:
    """Every phase function that Mitsuba ships."""
    fibres = np.broadcast_to(np.array([0.9, 0.3, 0.1, 0.1, 0, 0], np.float32), (2, 2, 2, 6))
    return {
        "isotropic": isotropic(), "hg": forwards(), "rayleigh": {"type": "rayleigh"},
        "tabphase": {"type": "tabphase", "values": "0.5, 1.0, 0.7, 1.5, 3.0"},
        "sggx": {"type": "sggx", "S": volume(np.array(fibres))},
        "blendphase": {"type": "blendphase", "a": forwards(0.6), "b": forwards(-0.3), "weight": 0.4},
    }  # fmt: skip


def scene(medium: Dict | None, kind: str = "cube", bsdf: Dict | None = None, **parts: Any) -> Dict:
    """A floor, a lamp, and a box or a ball of a medium."""
    place = {"to_world": BOX} if kind == "cube" else {"center": [0, 0, 0.7], "radius": 0.6}
    inside = {} if medium is None else {"interior": medium}
    paint = {"type": "diffuse", "reflectance": zoo.rgb(0.5, 0.4, 0.3)}
    return {
        "type": "scene", "camera": zoo.camera(), "floor": {"type": "rectangle", "to_world": T().scale(3), "bsdf": paint},
        "lamp": {**zoo.above(), "emitter": {"type": "area", "radiance": 3.0}},
        "thing": {"type": kind, **place, "bsdf": bsdf or NULL, **inside}, **parts,
    }  # fmt: skip


def nested() -> Dict:
    """A ball of another medium inside a box, which touch nothing else."""
    ball = {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.3, "bsdf": NULL, "interior": cloud(), "exterior": fog(0.5)}
    return scene(fog(0.5), inner=ball)


POINT: Dict = {"type": "point", "position": [0.2, -1.5, 2], "intensity": 5.0}
SKY: Dict = {"type": "constant", "radiance": 0.5}

#: What the primal image is compared on: name → scene.
CASES: dict[str, Callable[[], Dict]] = {
    "homogeneous": lambda: scene(fog(phase=forwards())),
    "tinted": lambda: scene(tinted(), "sphere"),
    "grid": lambda: scene(cloud()),
    "albedo grid": lambda: scene(cloud(albedo=volume(np.random.default_rng(2).uniform(0, 1, (3, 3, 3, 3))))),
    "glass": lambda: scene(fog(), "sphere", {"type": "dielectric"}, sky=SKY),
    "rough glass": lambda: scene(cloud(), bsdf={"type": "roughdielectric", "alpha": 0.3}, sky=SKY),
    "point light": lambda: scene(cloud(), bulb=POINT),
    "nested": nested,
    "around the camera": lambda: {
        **scene(None, bsdf={"type": "diffuse"}), "camera": zoo.camera(medium={"type": "ref", "id": "air"}), "air": fog(0.1),
    },
}  # fmt: skip

# ---------------------------------------------------------------------- slabs |z| < 1/2, seen along z without perspective

NARROW = T().look_at([0, 0, -4], [0, 0, 0], [0, 1, 0]) @ T().scale([0.02, 0.02, 1])
GRID_IN_SLAB = T().translate([-2, -2, -0.5]) @ T().scale([4, 4, 1])


def slab(medium: Dict, **lights: Dict) -> Scene:
    """A slab of thickness 1, four pixels of which look straight through it."""
    film = zoo.film(width=2, height=2)
    eye = {"type": "orthographic", "to_world": NARROW, "film": film, "sampler": {"type": "independent"}}
    block = {"type": "cube", "to_world": T().scale([2, 2, 0.5]), "bsdf": NULL, "interior": medium}
    return load_scene({"type": "scene", "camera": eye, "slab": block, **lights})


def layers(values: Any, albedo: Any = 0.0, phase: Dict | None = None) -> Dict:
    """A medium of constant layers across the slab."""
    density = volume(np.reshape(values, (-1, 1, 1)), GRID_IN_SLAB, filter_type="nearest")
    return {"type": "heterogeneous", "sigma_t": density, "albedo": albedo, "phase": phase or isotropic()}


def behind() -> Dict:
    """A large plate of radiance 1 behind the slab."""
    pose = T().translate([0, 0, 2]) @ T().rotate([1, 0, 0], 180) @ T().scale(4)
    return {"type": "rectangle", "to_world": pose, "emitter": {"type": "area", "radiance": 1.0}}


def sun() -> Dict:
    """Parallel light from behind the camera, of irradiance 1."""
    return {"type": "directional", "direction": [0, 0, 1], "irradiance": 1.0}
