"""Horizons of normal and bump maps: the curve where the bent normal turns away from the viewpoint, docs/theory.md, section 7a.

A ball whose map tilts normals by up to 22 degrees, so that the term is a ninth of the derivative.
"""

import mitsuba as mi
import numpy as np
import pytest
import scene_zoo as zoo
from agreement import assert_agrees, assert_differs
from finite_differences import Differences, gradients
from small_scenes import shift

from pbdr.boundary import mapped
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.transport.bent import Maps

T = mi.ScalarTransform4f
NOISE = 0.025  # of the comparison: the term is 3 to 11 %
CASES = {  # parameter, depth, step, samples of the gradient, and what is missing without horizons
    "normal map": ("normal", "ball/normal_map", 2, 0.02, 1024, 0.05),
    "a ball moves": ("normal", "ball/pose", 2, 0.02, 1024, None),
    "normal map in reflected light": ("normal", "ball/normal_map", 3, 0.02, 1024, 0.04),
    "bump map": ("bump", "ball/nested_texture", 2, 0.005, 1024, 0.05),
}


def bent_ball(kind="normal", tilt=0.2):
    """The ball with its map."""
    random = np.random.default_rng(3)
    if kind == "normal":
        values = np.array([0.5, 0.5, 1.0]) + random.uniform(-1, 1, (8, 8, 3)) * [tilt, tilt, 0.1]
    else:
        values = random.uniform(0, 1, (8, 8, 1))
    texture = {"type": "bitmap", "bitmap": mi.Bitmap(values.astype(np.float32)), "raw": True}
    bsdf = {"type": f"{kind}map", "map": texture, "nested": {"type": "roughconductor", "alpha": 0.3}}
    bsdf |= {"scale": 0.15} if kind == "bump" else {"normalmap": bsdf.pop("map")}
    return {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.6, "bsdf": bsdf}


def scene(kind="normal", depth=2):
    """The ball; at depth 3 the floor next to it, which it lights."""
    ball = bent_ball(kind)
    parts = {"camera": zoo.camera(sampler={"type": "ldsampler"}), "ball": ball, "rim": zoo.lamp(-1, -0.8, -0.5)}
    if depth == 3:
        look = T().look_at([1.3, -0.2, 1], [1.3, -0.2, 0], [0, 1, 0])
        parts["camera"] |= {"to_world": look, "fov": 60}
        parts["floor"] = {"type": "rectangle", "to_world": T().scale(3)}
        parts["rim"] = zoo.lamp(-1, -0.2, -0.9)
    return load_scene({"type": "scene", **parts})


def texel_signs(made, name, depth=2):
    """The sign of each texel's derivative, so that nothing cancels."""
    integrator = {"type": "pathspace", "max_depth": depth}
    return np.sign(gradient(made, name, np.ones((16, 16, 3)), spp=1024, integrator=integrator).total[name])


@pytest.mark.parametrize(
    "case", [pytest.param(x, marks=pytest.mark.slow) if x == "normal map in reflected light" else x for x in CASES]
)
def test_texels_and_motion(monkeypatch, case):
    """Negative control: without the horizons the derivative with respect to the texels is another one."""
    kind, name, depth, step, spp, missing = CASES[case]
    made = scene(kind, depth)
    tangent = shift(0.4, 0.2, 0.3)
    if name != "ball/pose":
        tangent = texel_signs(made, name, depth)
    exact = Differences(made, name, tangent, step, spp=16384, integrator={"type": "path", "max_depth": depth})
    weights = exact.signs()
    expected = exact.replicas(weights, gap=0.03)
    options = {"spp": spp, "max_depth": depth, "n_indirect": 400_000}
    ours = gradients(made, {name: tangent}, weights, **options)[name]
    scale = abs(expected.mean())
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=NOISE)
    if missing is not None:
        monkeypatch.setattr(mapped, "sample", lambda *_: [])
        monkeypatch.setattr(mapped, "seen_from_surfaces", lambda *_: None)
        part = gradients(made, {name: tangent}, weights, **options)[name]
        assert_differs(part - expected, 0.0, scale=scale, by=missing)


def test_only_shapes_with_a_map_are_sampled():
    assert len(Maps.of(scene().mi).shapes) == 1
    assert Maps.of(scene("bump").mi).kinds == ["BumpMap"]
    assert Maps.of(load_scene(zoo.scene()).mi).shapes == []
    group = {"type": "shapegroup", "ball": bent_ball()}
    shown = load_scene(
        {
            "type": "scene",
            "group": group,
            "sky": {"type": "constant"},
            "camera": zoo.camera(),
            "one": {"type": "instance", "g": {"type": "ref", "id": "group"}},
        }
    )
    assert Maps.of(shown.mi).grouped == [True]
