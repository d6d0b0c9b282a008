"""Shading horizons in mirrors, through glass and on instances, as cameras and surfaces see them (docs/theory.md, section 7a)."""

from __future__ import annotations

import numpy as np
import pytest

from pbdr.boundary.inside_faces import sightlines
from pbdr.rendering import derivative, gradient
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import Differences, adjoint, gradients
from validation.scenes import normal_maps, vertex_normals
from validation.scenes.sightlines import CASES, FLOOR, PANE, PATCH, bumpy_ball, in_a_mirror, plate, scene, wobble

REPLICAS = 8


def next_to_a_pane(folder):
    """A floor that the ball lights through a pane, with the lamp above it. Differences are too noisy for a test in a suite.

    Once, with 1.5 million samples: without the horizons −0.0127 ± 0.0025, with them −0.0164 ± 0.0025, by differences
    −0.0168 ± 0.0002.
    """
    pane = plate([0, -0.75, 0.0], [0, -4, 0.0], 0.9, PANE)
    return scene(PATCH, ball=bumpy_ball(folder), floor=FLOOR, lamp=vertex_normals.LAMP, pane=pane)


SLOW = ("in a mirror", "behind glass", "instance out of view", "normal map in a mirror")


@pytest.mark.parametrize("case", [pytest.param(x, marks=pytest.mark.slow) if x in SLOW else x for x in CASES])
def test_horizons(tmp_path, monkeypatch, case):
    """Against differences; negative control: without what sightlines.py finds."""
    make, name, along, depth, step, fd_spp, spp, noise, missing = CASES[case]
    made = make(tmp_path)
    tangent = normal_maps.texel_signs(made, name, depth) if along is None else along(made, name)
    exact = Differences(made, name, tangent, step, spp=fd_spp, integrator={"type": "path", "max_depth": depth})
    weights = adjoint()
    expected = exact.replicas(weights, gap=0.05, count=REPLICAS)

    def found():
        budgets = {"n_primary": 60_000, "n_direct": 60_000, "n_indirect": 120_000}
        return gradients(made, {name: tangent}, weights, spp=spp, count=REPLICAS, max_depth=depth, **budgets)[name]

    ours, scale = found(), abs(expected.mean())
    both = ours - expected
    monkeypatch.setattr(sightlines, "lengths", lambda *_: None)
    monkeypatch.setattr(sightlines, "lengths_from_surfaces", lambda *_: None)
    part = found()
    assert_agrees(both, 0.0, scale=scale, max_relative_se=noise)
    assert_differs(part - ours, 0.0, scale=scale, by=missing)  # on the same samples: only this term's noise is left


@pytest.mark.parametrize(("make", "depth"), [(in_a_mirror, 3), pytest.param(next_to_a_pane, 4, marks=pytest.mark.slow)])
def test_forward_and_reverse_agree(tmp_path, make, depth):
    """As the camera sees horizons, and as the floor does."""
    made, name = make(tmp_path), "ball/positions"
    tangent = wobble(made, name)
    options = {
        "spp": 8,
        "seed": 3,
        "terms": ("primary", "indirect"),
        "integrator": {"type": "pathspace", "max_depth": depth, "n_indirect": 60_000, "adjoint_sampling": False},
    }
    reverse = float(np.sum(gradient(made, name, adjoint(), **options).total[name] * tangent))
    terms = derivative(made, {name: tangent}, **options)
    forward = sum(float(np.sum(terms[x].astype(np.float64) * adjoint())) for x in options["terms"])
    assert abs(reverse) > 0
    assert forward == pytest.approx(reverse, rel=1e-3)
