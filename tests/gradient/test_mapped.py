"""Horizons of normal maps: the curve where the mapped normal turns away from the camera, docs/theory.md, section 7a.

A ball whose map tilts normals by up to 22 degrees, so that the term is a ninth of the derivative.
"""

import mitsuba as mi
import numpy as np
import pytest
import scene_zoo as zoo
from agreement import assert_agrees, assert_differs
from finite_differences import Differences, gradients
from small_scenes import shift
from test_materials import tangent as signs

from pbdr.boundary import mapped
from pbdr.parameters import resolve
from pbdr.scene import load_scene

NOISE = 0.025  # of the comparison: the term is 11 %


def scene(tilt=0.2):
    values = np.array([0.5, 0.5, 1.0]) + np.random.default_rng(3).uniform(-1, 1, (8, 8, 3)) * [tilt, tilt, 0.1]
    texture = {"type": "bitmap", "bitmap": mi.Bitmap(values.astype(np.float32)), "raw": True}
    nested = {"type": "roughconductor", "alpha": 0.3}
    bsdf = {"type": "normalmap", "normalmap": texture, "nested": nested}
    ball = {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.6, "bsdf": bsdf}
    lamp = {"rim": zoo.lamp(-1, -0.8, -0.5)}
    return load_scene({"type": "scene", "camera": zoo.camera(sampler={"type": "ldsampler"}), "ball": ball, **lamp})


@pytest.fixture(scope="module")
def made():
    return scene()


@pytest.mark.filterwarnings("ignore::pbdr.transport.support.IncompleteGradientWarning")
@pytest.mark.parametrize("name", ["ball/normal_map", "ball/pose"])
def test_texels_and_motion(made, name):
    """Negative control: without the horizons the derivative with respect to the texels is another one."""
    (parameter,) = resolve(made, name)
    tangent = signs(made, parameter) if name.endswith("map") else shift(0.4, 0.2, 0.3)
    exact = Differences(made, name, tangent, 0.02, spp=16384, integrator={"type": "path", "max_depth": 2})
    weights = exact.signs()
    expected = exact.replicas(weights, gap=0.03)
    ours = gradients(made, {name: tangent}, weights, spp=1024, max_depth=2)[name]
    assert_agrees(ours - expected, 0.0, scale=abs(expected.mean()), max_relative_se=NOISE)
    if name.endswith("map"):
        part = gradients(made, {name: tangent}, weights, spp=256, max_depth=2, terms=("interior",))[name]
        assert_differs(part - expected, 0.0, scale=abs(expected.mean()), by=0.05)


def test_only_shapes_with_a_map_are_sampled(made):
    assert len(mapped.Maps.of(made.mi).shapes) == 1
    plain = load_scene(zoo.scene())
    assert mapped.Maps.of(plain.mi).shapes == []
