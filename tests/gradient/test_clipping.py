"""Near and far planes of the camera that cut surfaces open: closed forms, and finite differences of Mitsuba's own `path`."""

import numpy as np
import pytest

from pbdr.errors import SceneError
from pbdr.rendering import gradient
from pbdr.transport import clipping
from validation.agreement import assert_agrees, assert_differs
from validation.derivatives import derivatives
from validation.finite_differences import Differences, adjoint, check, gradients, parameters
from validation.scenes import zoo
from validation.scenes.small import T, area_light, film_camera, film_integral, pose, quad, scene_of, shape, shift

HALF, SIZE, L = 0.5, 16, 3.0
A, B = 2.0, 0.5  # the plate is the plane z = A + B x, in front of a camera at the origin that looks along z
NEAR, FAR = 1.9, 2.1
BOTH = {"near_clip": NEAR, "far_clip": FAR}
SLOPE = np.sqrt(1 + B * B)
PLATE = pose((0, 0, A), x=(-4 / SLOPE, 0, -4 * B / SLOPE), y=(0, 4, 0), z=(B / SLOPE, 0, -1 / SLOPE))
BALL = (2.0, 0.8)  # distance and radius
FORWARDS, BACK = shift(0, 0, 1), shift(0, 0, -1)


def camera(**planes):
    return {**film_camera(HALF, SIZE), **planes}


def shining(kind, folder, **planes):
    """One thing that emits towards the camera."""
    light = area_light(L)
    things = {
        "rectangle": lambda: shape("rectangle", PLATE, emitter=light),
        "mesh": lambda: quad(folder, "thing", PLATE, emitter=light),
        "ball": lambda: {"type": "sphere", "center": [0, 0, BALL[0]], "radius": BALL[1], "emitter": light},
    }
    return scene_of(camera=camera(**planes), thing=things[kind]())


def ball(near):
    """A ring between the outline of the ball and the hole that the near plane makes: beyond it, the inside is dark."""
    distance, radius = BALL
    outline = -2 * distance * radius**2 / (distance**2 - radius**2) ** 2
    return np.pi * L * (outline + 2 * (distance - near) / near**2)


CASES = {  # kind, planes, what moves, derivative
    "near": ("rectangle", {"near_clip": NEAR}, "thing/pose", FORWARDS, 2 * HALF * L / (B * NEAR)),
    "far": ("mesh", {"far_clip": FAR}, "thing/positions", None, -2 * HALF * L / (B * FAR)),
    "both planes": ("rectangle", BOTH, "thing/pose", FORWARDS, 2 * HALF * L / B * (1 / NEAR - 1 / FAR)),
    "camera": ("rectangle", {"near_clip": NEAR}, "camera/pose", BACK, 2 * HALF * L / (B * NEAR)),
    "ball": ("ball", {"near_clip": 1.5}, "thing/pose", FORWARDS, ball(1.5)),
}  # fmt: skip


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.slow) if c in ("near", "far") else c for c in CASES]
)
def test_closed_forms(case, tmp_path, monkeypatch):
    """A plane that slides through the near plane, or a ball: to 1 %; without the term the derivative is another one."""
    kind, planes, name, tangent, expected = CASES[case]
    scene = shining(kind, tmp_path, **planes)
    tangent = np.tile([0.0, 0, 1], (parameters(scene, name)[name].shape[0], 1)) if tangent is None else tangent
    estimate = lambda: derivatives(  # noqa: E731
        scene,
        {name: tangent[None]},
        film_integral(HALF, SIZE),
        spp=64,
        replica_count=8,
        terms=("interior", "primary"),
        max_depth=1,
    ).total[:, 0]
    scale = 2 * HALF * L / (B * NEAR)
    assert_agrees(estimate(), expected, scale=scale, max_relative_se=0.01, rounding=1e-3)
    monkeypatch.setattr(clipping, "planes", lambda *_: frozenset())
    assert_differs(estimate(), expected, scale=scale, by=0.05)


SENSORS = {
    "perspective": {"fov": 35.0}, "thinlens": {"fov": 35.0, "aperture_radius": 0.1, "focus_distance": 4.0},
    "orthographic": {"to_world": zoo.VIEW.scale(1.2)}, "opencv": {"fov": 35.0, "k1": -0.1, "k2": 0.02},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sensor", "moves"),
    [
        ("perspective", "camera/pose"),
        ("thinlens", "block/positions"),
        ("orthographic", "camera/pose"),
        ("opencv", "block/positions"),
    ],
)
def test_sensors(sensor, moves):
    """A block cut by both planes on a floor, under a sky and a lamp."""
    view = {
        "type": sensor,
        "to_world": zoo.VIEW,
        "film": zoo.film(),
        "near_clip": 3.9,
        "far_clip": 4.6,
        **SENSORS[sensor],
    }
    block = {**zoo.block(), "bsdf": {"type": "twosided", "bsdf": {"type": "diffuse"}}}
    floor = {"type": "rectangle", "to_world": T().scale(3), "bsdf": {"type": "diffuse"}}
    lights = {"sky": zoo.sky(), "lamp": zoo.lamp(1, 1, -2)}
    scene = scene_of(camera=view, block=block, floor=floor, **lights)
    tangent = np.tile([0.3, 1.0, 0.2], (24, 1)) if moves.startswith("block") else shift(0.2, 1.0, 0.3)
    exact = Differences(scene, moves, tangent, 0.03, spp=4096, integrator={"type": "path", "max_depth": 2})
    ours = gradients(scene, {moves: tangent}, adjoint(), spp=256, max_depth=2, count=10)[moves]
    check(ours, exact.replicas(adjoint(), gap=0.03, count=10), max_relative_se=0.0175)


def test_what_has_no_term_is_refused(tmp_path):
    """Fisheyes, whose planes are spheres, and the warp: by name, and only where something is cut."""
    options = {"spp": 4, "integrator": {"type": "pathspace", "max_depth": 1}}
    round_the_eye = lambda near: scene_of(  # noqa: E731
        camera={"type": "opencv_fisheye", "fov": 60.0, "film": zoo.film(), "near_clip": near},
        thing=quad(tmp_path, "thing", PLATE, emitter=area_light(L)),
    )
    with pytest.raises(SceneError, match=r"'near_clip' of the fisheye.*thing.*smaller near_clip"):
        gradient(round_the_eye(2.0), "thing/positions", adjoint(SIZE), **options)
    gradient(round_the_eye(0.5), "thing/positions", adjoint(SIZE), **options)
    warped = {**options, "integrator": {**options["integrator"], "boundary": "warp"}}
    with pytest.raises(SceneError, match="'near_clip' of the camera"):
        gradient(shining("mesh", tmp_path, near_clip=NEAR), "thing/positions", adjoint(SIZE), **warped)
