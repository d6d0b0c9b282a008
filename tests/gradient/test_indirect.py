"""Visibility seen after more than one scattering: gates between a lit wall and the floor that the camera sees.

`low` stands between the wall and the floor: what it hides is radiance reflected by the wall. `high` stands between the lamp and the
wall: its shadow lies on the wall, and the floor sees it. Both move in a way that their own faces do not show.
"""

from __future__ import annotations

import mitsuba as mi
import numpy as np
import pytest
from agreement import assert_agrees, assert_differs
from finite_differences import Differences, adjoint, gradients
from scene_zoo import film, rgb

from pbdr.boundary import reflected
from pbdr.rendering import derivative, gradient
from pbdr.scene import load_scene

T = mi.ScalarTransform4f
DEPTH = 3
STEP = 0.02
NOISE = 0.04  # of the derivative; leaving out the term leaves nothing, a missing technique leaves out a third or more
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
    options = {"max_depth": DEPTH, "n_indirect": 300_000, **options}
    return gradients(scene, tangents, adjoint(), spp=16, count=count, **options)[next(iter(tangents))]


@pytest.mark.parametrize("name", CASES)
def test_gates(name):
    scene, tangents = case(name)
    path = {"type": "path", "max_depth": DEPTH}
    ((parameter, tangent),) = tangents.items()
    expected = Differences(scene, parameter, tangent, STEP, spp=16384, integrator=path).replicas(adjoint(), gap=0.05)
    scale = abs(expected.mean())
    assert_agrees(estimate(scene, tangents) - expected, 0.0, scale=scale, max_relative_se=NOISE)
    without = estimate(scene, tangents, n_indirect=0)
    assert_differs(without - expected, 0.0, scale=scale, by=0.5)


@pytest.mark.parametrize(("share", "blend"), [(1e-3, 0.3), (3.0, 0.3), (0.3, 0.03), (0.3, 3.0)])
def test_techniques_and_conventions_agree(monkeypatch, share, blend):
    """What is found from the camera, from the edges, or by both; and the convention's h: the same expectation."""
    scene, tangents = case("spot-low")
    reference = estimate(scene, tangents, blend_distance=0.3)
    original = reflected.outward_share
    monkeypatch.setattr(reflected, "outward_share", lambda cosine, distance, _: original(cosine, distance, share))
    other = estimate(scene, tangents, blend_distance=blend)
    scale = abs(reference.mean())
    assert_agrees(other - reference, 0.0, scale=scale, max_relative_se=NOISE)


def test_forward_and_reverse_agree():
    scene, tangents = case("spot-high")
    integrator = {"type": "pathspace", "max_depth": DEPTH, "n_indirect": 30_000}
    (name,) = tangents
    reverse = gradient(scene, name, adjoint(), spp=4, seed=3, integrator=integrator, terms=("indirect",)).total[name]
    forward = derivative(scene, tangents, spp=4, seed=3, integrator=integrator, terms=("indirect",))["indirect"]
    expected = float(np.sum(reverse * tangents[name]))
    assert abs(expected) > 0
    assert float(np.sum(forward.astype(np.float64) * adjoint())) == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_techniques_agree_on_round_shapes(monkeypatch):
    """Silhouettes of a ball between wall and floor, found from the camera, from the ball, or by both."""
    ball = {"type": "sphere", "center": [0.9, 0.1, 0.45], "radius": 0.3, "bsdf": BLACK}
    scene, name = court(SPOT, low=ball), "low/pose"
    tangents = {name: np.zeros((3, 4))}
    tangents[name][:, 3] = [0.1, 0.2, 1.0]
    reference = estimate(scene, tangents, terms=("indirect",))
    original = reflected.outward_share
    for share in (1e-3, 3.0):
        monkeypatch.setattr(
            reflected, "outward_share", lambda cosine, distance, _, share=share: original(cosine, distance, share)
        )
        other = estimate(scene, tangents, terms=("indirect",))
        assert_agrees(other - reference, 0.0, scale=abs(reference.mean()), max_relative_se=NOISE)
