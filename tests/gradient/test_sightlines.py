"""Shading horizons in mirrors, through glass and on instances, as cameras and surfaces see them (docs/theory.md, section 7a)."""

from __future__ import annotations

import mitsuba as mi
import numpy as np
import pytest
import scene_zoo as zoo
import test_mapped as maps
import test_smooth_shading as smooth
import trimesh
from agreement import assert_agrees, assert_differs
from finite_differences import Differences, adjoint, gradients, parameters
from small_scenes import shift

from pbdr.boundary import sightlines
from pbdr.parameters import read
from pbdr.rendering import derivative, gradient
from pbdr.scene import load_scene

T = mi.ScalarTransform4f
SILVER = {"type": "conductor", "material": "none"}
PANE = {"type": "thindielectric"}
VIEW = {"to_world": T().look_at([0, -4, 1.8], [0, 0, 0.7], [0, 0, 1]), "fov": 25}
MIRRORED = {"to_world": T().look_at([1.2, 0.8, 0.9], [0, 4.4, 0.7], [0, 0, 1]), "fov": 25}
FLOOR = {"type": "rectangle", "to_world": T().scale(3), "bsdf": {"type": "diffuse"}}
PATCH = {"to_world": smooth.DEEPER["horizons"][0], "fov": 60}  # of the floor


def coarse_ball(folder):
    """Convex, of 80 faces, smooth-shaded: it casts no shadows on itself."""
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.6)
    vertices = (ball.vertices * [1, 0.9, 1.1] + [0, 0, 0.7]).astype(np.float32)
    path = smooth.smooth_file(folder, vertices, ball.faces)
    return {"type": "ply", "filename": path, "bsdf": {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.6, 0.7)}}


def bumpy_ball(folder):
    path, _ = smooth.bumpy_ball(folder)
    return {"type": "ply", "filename": path, "bsdf": {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.8, 0.8)}}


def lamp(*place):
    pose = T().look_at(place, [0, 0, 0.7], [0, 0, 1]).scale(0.5)
    return {"type": "rectangle", "to_world": pose, "emitter": {"type": "area", "radiance": zoo.rgb(12.0)}}


LAMPS = {"key": lamp(2.5, -1.5, 2), "rim": lamp(-2.5, 1.5, 1)}
REPLICAS = 8


def plate(origin, target, size, bsdf):
    return {"type": "rectangle", "to_world": T().look_at(origin, target, [0, 0, 1]).scale(size), "bsdf": bsdf}


def scene(view, **shapes):
    return load_scene({"type": "scene", "camera": {"type": "perspective", "film": zoo.film(), **view}, **shapes})


def in_a_mirror(folder):
    return scene(MIRRORED, ball=coarse_ball(folder), mirror=plate([0, 2.2, 0.7], [0, 0, 0.7], 1.5, SILVER), **LAMPS)


def behind_glass(folder):
    return scene(VIEW, ball=coarse_ball(folder), pane=plate([0, -1.5, 0.9], [0, -4, 0.9], 2, PANE), **LAMPS)


def mapped(folder):
    """The ball of test_mapped.py in a mirror."""
    mirror = plate([0, 1.6, 0.6], [0, 0, 0.6], 1.5, SILVER)
    view = {"to_world": T().look_at([1.0, 0.3, 0.9], [0, 3.2, 0.6], [0, 0, 1]), "fov": 32}
    return scene(view, ball=maps.bent_ball(), mirror=mirror, rim=zoo.lamp(1, 1, -0.3))


def instance(view, folder):
    group = {"type": "shapegroup", "ball": bumpy_ball(folder)}
    thing = {"type": "instance", "g": {"type": "ref", "id": "group"}}
    return scene(view, group=group, thing=thing, floor=FLOOR, lamp=smooth.LAMP)


def next_to_a_pane(folder):
    """A floor that the ball lights through a pane, with the lamp above it. Differences are too noisy for a test in a suite.

    Once, with 1.5 million samples: without the horizons −0.0127 ± 0.0025, with them −0.0164 ± 0.0025, by differences
    −0.0168 ± 0.0002.
    """
    pane = plate([0, -0.75, 0.0], [0, -4, 0.0], 0.9, PANE)
    return scene(PATCH, ball=bumpy_ball(folder), floor=FLOOR, lamp=smooth.LAMP, pane=pane)


def wobble(given, name):
    positions = read(given, parameters(given, name)[name])
    return np.sin(7 * positions[:, [1, 2, 0]])


def motion(given, name):
    tangent = shift(1, -0.8, -0.3)
    tangent[:, :3] = [[0, 0, 0], [0, 0, 0.3], [0, -0.3, 0]]
    return tangent


# Scene, parameter, tangent, depth, step, samples of the differences and of the gradient, noise, and what is missing without.
CASES = {
    "in a mirror": (in_a_mirror, "ball/positions", wobble, 3, 0.01, 8192, 256, 0.03, 0.06),
    "behind glass": (behind_glass, "ball/positions", wobble, 3, 0.01, 16384, 1024, 0.05, 0.1),
    "normal map in a mirror": (mapped, "ball/normal_map", None, 3, 0.02, 8192, 256, 0.03, 0.04),
    "instance": (lambda f: instance(VIEW, f), "thing/pose", motion, 2, 0.01, 4096, 128, 0.05, 0.2),
    "instance out of view": (lambda f: instance(PATCH, f), "thing/pose", motion, 3, 0.01, 4096, 128, 0.05, 0.1),
}


SLOW = ("in a mirror", "behind glass", "instance out of view", "normal map in a mirror")


@pytest.mark.parametrize("case", [pytest.param(x, marks=pytest.mark.slow) if x in SLOW else x for x in CASES])
def test_horizons(tmp_path, monkeypatch, case):
    """Against differences; negative control: without what sightlines.py finds."""
    make, name, along, depth, step, fd_spp, spp, noise, missing = CASES[case]
    made = make(tmp_path)
    tangent = maps.texel_signs(made, name, depth) if along is None else along(made, name)
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
