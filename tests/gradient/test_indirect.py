"""Visibility seen after more than one scattering: gates between a lit wall and the floor that the camera sees.

`low` stands between the wall and the floor: what it hides is radiance reflected by the wall. `high` stands between the lamp and the
wall: its shadow lies on the wall, and the floor sees it. Both move in a way that their own faces do not show.
"""

from __future__ import annotations

import numpy as np
import pytest

from pbdr.boundary.edges import reflected
from pbdr.rendering import derivative, gradient
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import Differences, adjoint
from validation.scenes.indirect import BLACK, CASES, DEPTH, SPOT, case, court, estimate

STEP = 0.02
NOISE = 0.04  # of the derivative; leaving out the term leaves nothing, a missing technique leaves out a third or more


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
