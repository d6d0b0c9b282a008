"""Coarse meshes with interpolated normals: shading horizons and geometric horizons are boundaries (theory, section 7a)."""

from __future__ import annotations

import mitsuba as mi
import numpy as np
import pytest

from pbdr.boundary import segment
from pbdr.boundary.inside_faces import horizon, terminator
from pbdr.transport import scattering
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import Differences, adjoint, gradients
from validation.scenes.vertex_normals import BESIDE, LAMP, VIEW, bumpy_ball, fine_ball, scene_of
from validation.scenes.zoo import SIZE, T

STEP = 1e-2
REPLICAS = 16
# Finite differences and gradients each leave about 0.5 % of noise. Leaving out the shading horizon changes the motion
# tested by more than 10 %, leaving out the geometric horizon by 5 %: both controls are detected at more than three errors.
NOISE = 0.02


@pytest.fixture(scope="module")
def ball_file(tmp_path_factory):
    return bumpy_ball(tmp_path_factory.mktemp("ball"))


@pytest.fixture(scope="module")
def ball(ball_file):
    path, vertices = ball_file
    return scene_of(path, LAMP, VIEW, 35), vertices


@pytest.fixture(scope="module")
def reference(ball):
    """Finite differences of a motion that turns faces and vertex normals."""
    scene, vertices = ball
    wobble = np.sin(7 * vertices[:, [1, 2, 0]])
    path = {"type": "path", "max_depth": 2}
    exact = Differences(scene, "ball/positions", wobble, STEP, spp=4096, integrator=path)
    return wobble, exact.replicas(adjoint(), gap=0.03, count=REPLICAS)


def test_positions_of_a_smooth_mesh(ball, reference):
    scene, _ = ball
    wobble, expected = reference
    ours = gradients(scene, {"ball/positions": wobble}, adjoint(), spp=256, count=REPLICAS, max_depth=2)[
        "ball/positions"
    ]
    scale = abs(expected.mean())
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=NOISE)


@pytest.mark.parametrize(("left_out", "by"), [(horizon.HorizonsOnFilm, 0.05), (terminator.Terminators, 0.02)])
def test_both_horizons_are_needed(ball, reference, monkeypatch, left_out, by):
    """Negative control: without either term the total is wrong."""
    monkeypatch.setattr(left_out, "draw", lambda *_: iter(()))
    scene, _ = ball
    wobble, expected = reference
    ours = gradients(scene, {"ball/positions": wobble}, adjoint(), spp=256, count=REPLICAS, max_depth=2)[
        "ball/positions"
    ]
    assert_differs(ours - expected, 0.0, scale=abs(expected.mean()), by=by)


def test_vertex_normals_alone(ball):
    """Static vertices, turning normals: interior and shading horizon."""
    scene, vertices = ball
    turn = 0.3 * np.sin(5 * vertices[:, [2, 0, 1]])
    path = {"type": "path", "max_depth": 2}
    expected = Differences(scene, "ball/normals", turn, 0.02, spp=1024, integrator=path).replicas(adjoint(), gap=0.03)
    ours = gradients(scene, {"ball/normals": turn}, adjoint(), spp=256, max_depth=2)["ball/normals"]
    assert_agrees(ours - expected, 0.0, scale=abs(expected.mean()), max_relative_se=NOISE)


DOWN = {  # lights the floor alone
    "type": "rectangle",
    "to_world": T().look_at([0.6, -2, 1], [0.6, -2, 0], [0, 1, 0]).scale(0.5),
    "emitter": {"type": "area", "radiance": {"type": "rgb", "value": 12.0}},
}
# What the camera sees: where, lamp, which term, samples, noise, and what is missing without the term (None: less than the noise)
DEEPER = {
    "horizons": (
        BESIDE,
        60,
        LAMP,
        horizon.HorizonsFromSurfaces,
        8192,
        NOISE,
        0.05,
    ),
    "terminators": (VIEW, 35, DOWN, terminator.TerminatorsOnPaths, 16384, 0.05, None),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["horizons", "terminators"])
def test_reflected_light(ball_file, monkeypatch, case):
    """The floor next to the ball, lit by way of it; and the ball, lit by way of the floor. Negative control: without this term."""
    path, vertices = ball_file
    look, fov, light, term, spp, noise, missing = DEEPER[case]
    made = scene_of(path, light, look, fov, (0.8, 0.8, 0.8))
    wobble = np.sin(7 * vertices[:, [1, 2, 0]])
    weights = adjoint() if look is VIEW else np.full((SIZE, SIZE, 3), SIZE**-2)
    exact = Differences(made, "ball/positions", wobble, STEP, spp=spp, integrator={"type": "path", "max_depth": 3})
    expected = exact.replicas(weights, gap=0.03, count=REPLICAS)

    def found():
        options = {"max_depth": 3, "n_direct": 60_000, "n_indirect": 16 * spp}
        return gradients(made, {"ball/positions": wobble}, weights, spp=spp // 4, count=REPLICAS, **options)[
            "ball/positions"
        ]

    ours, scale = found(), abs(expected.mean())
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=noise)
    monkeypatch.setattr(term, "draw", lambda *_: iter(()))
    part = found()
    if missing is None:  # same random numbers
        assert abs((part - ours).mean()) > 5 * (part - ours).std() / np.sqrt(len(part))
    else:
        assert_differs(part - expected, 0.0, scale=scale, by=missing)


def test_edges_inside_fine_meshes_add_no_noise(tmp_path, monkeypatch):
    """Nearly all edges of a fine mesh are between faces that look alike: few samples go there, and both sides take the same paths.

    Without either, the same expectation has several times the standard deviation.
    """
    path, count = fine_ball(tmp_path)
    light = np.random.default_rng(5).gamma(0.2, 5.0, (8, 16, 3)).astype(np.float32)
    sky = {"type": "envmap", "bitmap": mi.Bitmap(light), "mis_compensation": False}
    scene, moved = scene_of(path, sky, VIEW, 35), np.tile([0.8, 0.0, 0.6], (count, 1))
    monkeypatch.setattr(horizon.HorizonsOnFilm, "draw", lambda *_: iter(()))  # has samples of its own

    def primary():
        settings = {"spp": 16, "max_depth": 2, "n_primary": 16_000, "terms": ("primary",), "count": REPLICAS}
        return gradients(scene, {"ball/positions": moved}, adjoint(), **settings)["ball/positions"]

    ours = primary()
    monkeypatch.setattr(scattering, "untwisted", lambda si, *_: si)
    twisted = primary()
    monkeypatch.setattr(segment.Edge, "expected", 1.0)
    alike = primary()
    assert ours.std(ddof=1) < 0.1 * abs(ours.mean()), (ours.mean(), ours.std())
    for noisy in (twisted, alike):
        assert_agrees(ours - noisy, 0.0, scale=abs(ours.mean()), max_relative_se=0.5)
        assert ours.std(ddof=1) < 0.2 * noisy.std(ddof=1), (ours.std(), noisy.std())
