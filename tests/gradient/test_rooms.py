"""Shapes whose borders coincide, as those of rooms and boxes made of rectangles: an edge that two shapes have counts once."""

from dataclasses import replace

import mitsuba as mi
import numpy as np
import pytest

from pbdr.boundary import segment, sides
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.seeds import hashed
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import Differences, check, gradients
from validation.scenes import zoo
from validation.scenes.rooms import LIGHTS, box, corner, grey
from validation.scenes.small import shift
from validation.scenes.zoo import T

REPLICAS = 8


def agrees(made, name, tangent, step):
    """The gradient agrees with finite differences; returns the adjoint image and these."""
    exact = Differences(made, name, tangent, step, spp=4096, integrator={"type": "path", "max_depth": 2})
    weights = exact.signs()
    expected = exact.replicas(weights, gap=0.05)
    found = gradients(made, {name: tangent}, weights, spp=256, max_depth=2)[name]
    check(found, expected, max_relative_se=0.02)
    return weights, expected


def test_a_camera_moves_in_a_room(monkeypatch):
    """Negative control: counted by both shapes, the edge is twice as strong."""
    made, tangent = corner(), shift(0.3, 0.2, 0.4)
    weights, expected = agrees(made, "camera/pose", tangent, 0.01)
    once = sides.in_contact
    monkeypatch.setattr(sides, "in_contact", lambda *given: replace(once(*given), share=1.0))
    part = gradients(made, {"camera/pose": tangent}, weights, spp=64, max_depth=2)["camera/pose"]
    assert part.mean() == pytest.approx(2 * expected.mean(), rel=0.03)


def moves(made, names, depth):
    """Replicas of the derivative of a smooth functional where everything named moves the same way."""
    y, x = np.mgrid[0 : zoo.SIZE, 0 : zoo.SIZE]
    weights = np.repeat(np.sin(0.4 * x + 0.3 * y)[..., None], 3, axis=2) / zoo.SIZE**2
    direction = np.array([0.3, 0.2, 0.4])

    def along(name, array):
        return array @ direction if name.endswith("positions") else array[:, 3] @ direction

    integrator = {"type": "pathspace", "max_depth": depth}
    found = (
        gradient(made, names, weights, spp=256, seed=hashed(0, "box", k), integrator=integrator).total
        for k in range(REPLICAS)
    )
    return np.array([sum(along(name, total[name].astype(np.float64)).sum() for name in names) for total in found])


@pytest.mark.parametrize("light", LIGHTS)
def test_a_box_of_rectangles_is_a_box(monkeypatch, light):
    """Negative control: shadows of hidden faces' edges, too."""
    whole = moves(box(False, light), ["box/positions"], 2)
    names = [f"side{k}/pose" for k in range(6)]
    parts = moves(box(True, light), names, 2)
    assert_agrees(parts - whole, 0.0, scale=abs(whole.mean()), max_relative_se=0.03)
    monkeypatch.setattr(sides, "covered", lambda scene, edge, away, distance, trace, active: mi.Bool(False))
    doubled = moves(box(True, light), names, 2)
    assert_differs(doubled - whole, 0.0, scale=abs(whole.mean()), by=0.1)


def test_a_camera_before_a_box_of_rectangles():
    whole, parts = (moves(box(split, "area"), ["camera/pose"], 2) for split in (False, True))
    assert_agrees(parts - whole, 0.0, scale=np.abs(whole).mean(), max_relative_se=0.1)


def test_a_poster_close_to_the_floor(monkeypatch):
    """Its thin shadow begins at its border and ends where it would without: not contact. Negative control: taken for contact."""
    poster = {"type": "rectangle", "to_world": T().translate([0.1, -0.2, 4e-4]).rotate([0, 0, 1], 30).scale(0.8)}
    parts = {"poster": {**poster, "bsdf": grey(0.1)}, "floor": {"type": "rectangle", "to_world": T().scale(3)}}
    camera = zoo.camera(sampler={"type": "ldsampler"})
    made = load_scene({"type": "scene", "camera": camera, "light": zoo.lamp(-0.5, 0.9, -1), **parts})
    tangent = shift(0.2, 1, 0)
    weights, expected = agrees(made, "poster/pose", tangent, 0.02)
    monkeypatch.setattr(segment, "TOUCHING", 1e-3)
    monkeypatch.setattr(segment, "CLEARANCE", 1e-3)
    part = gradients(made, {"poster/pose": tangent}, weights, spp=64, max_depth=2)["poster/pose"]
    assert_differs(part, expected.mean(), by=0.1)
