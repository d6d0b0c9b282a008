"""Courts: a gate hides a wall that a spot or a panel lights, so that what moves is seen in indirect light only."""

from __future__ import annotations

import numpy as np

from pbdr.scene import load_scene
from validation.finite_differences import adjoint, gradients
from validation.scenes.zoo import T, film, rgb

DEPTH = 3
REPLICAS = 6
BLACK = {"type": "diffuse", "reflectance": rgb(0.0)}
SPOT = {"type": "spot", "to_world": T().look_at([-1, 0, 1.5], [1.5, 0, 0.9], [0, 0, 1]), "intensity": rgb(40.0, 30.0, 20.0),
        "cutoff_angle": 25.0}  # fmt: skip
PANEL = {"type": "rectangle", "to_world": T().look_at([-1, 0, 1.5], [1.5, 0, 0.9], [0, 0, 1]).scale(0.15),
         "emitter": {"type": "area", "radiance": rgb(60.0, 50.0, 40.0)}}  # fmt: skip


def court(lamp, mirror=False, **others):
    """The camera looks down, beside the gates; nothing but the wall lights the floor."""
    wall = {"type": "conductor", "material": "Ag"} if mirror else {"type": "diffuse", "reflectance": rgb(0.8, 0.6, 0.4)}
    return load_scene({
        "type": "scene",
        "camera": {"type": "perspective", "fov": 42, "film": film(),
                   "to_world": T().look_at([-0.7, 0, 3], [-0.7, 0, 0], [0, 1, 0])},
        "lamp": lamp,
        "floor": {"type": "rectangle", "to_world": T().translate([-0.5, 0, 0]).scale(2), "bsdf": {"type": "diffuse"}},
        "wall": {"type": "rectangle", "to_world": T().translate([1.5, 0, 1]).rotate([0, 1, 0], -90).scale(1), "bsdf": wall},
        "low": {"type": "rectangle", "to_world": T().translate([0.9, 0.1, 0.45]).rotate([0, 1, 0], -70).scale(0.3), "bsdf": BLACK},
        "high": {"type": "rectangle", "to_world": T().translate([0.4, 0, 1.2]).rotate([0, 1, 0], -70).scale(0.2), "bsdf": BLACK},
        "lid": {"type": "rectangle", "to_world": T().translate([-1, 0, 1.2]).scale(0.3), "bsdf": BLACK},
        **others,
    })  # fmt: skip


def motion(name):
    """A motion of the gate with translation, rotation and scale, as a derivative of its pose."""
    tangent = np.zeros((3, 4))
    tangent[:3, 3] = {"low": [0.1, 0.2, 1.0], "high": [0.0, 0.3, 1.0]}[name]
    tangent[0, 2], tangent[1, 1] = 0.1, 0.1
    return tangent


CASES = {"spot-low": (SPOT, "low"), "spot-high": (SPOT, "high"), "panel-low": (PANEL, "low")}


def case(name):
    """Scene and tangents."""
    lamp, gate = CASES[name]
    return court(lamp), {f"{gate}/pose": motion(gate)}


def estimate(scene, tangents, count=REPLICAS, **options):
    """Replicas (N,) of the derivative along the first tangent."""
    options = {"max_depth": DEPTH, "n_indirect": 300_000, **options}
    return gradients(scene, tangents, adjoint(), spp=16, count=count, **options)[next(iter(tangents))]
