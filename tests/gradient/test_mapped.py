"""Horizons of normal and bump maps: the curve where the bent normal turns away from the viewpoint, docs/theory.md, section 7a.

A ball whose map tilts normals by up to 22 degrees, so that the term is a ninth of the derivative, and a fifth where it is turned.
"""

import pytest

from pbdr.boundary.inside_faces import normal_maps
from pbdr.geometry.normal_maps import Maps
from pbdr.scene import load_scene
from validation.agreement import assert_agrees, assert_differs
from validation.finite_differences import Differences, gradients
from validation.scenes import zoo
from validation.scenes.normal_maps import bent_ball, scene, texel_signs
from validation.scenes.small import shift

NOISE = 0.025  # of the comparison: the term is 3 to 20 %
CASES = {  # kind, parameter, depth, turn of the ball, step, samples of the gradient, and what is missing without horizons
    "normal map": ("normal", "ball/normal_map", 2, 60, 0.02, 1024, 0.15),
    "a ball moves": ("normal", "ball/pose", 2, 0, 0.02, 1024, None),
    "normal map in reflected light": ("normal", "ball/normal_map", 3, 0, 0.02, 1024, 0.04),
    "bump map": ("bump", "ball/nested_texture", 2, 0, 0.005, 1024, 0.05),
}


@pytest.mark.parametrize(
    "case", [pytest.param(x, marks=pytest.mark.slow) if x == "normal map in reflected light" else x for x in CASES]
)
def test_texels_and_motion(monkeypatch, case):
    """Negative control: without the horizons the derivative with respect to the texels is another one."""
    kind, name, depth, turn, step, spp, missing = CASES[case]
    made = scene(kind, depth, turn)
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
        monkeypatch.setattr(normal_maps.MapsOnFilm, "draw", lambda *_: iter(()))
        monkeypatch.setattr(normal_maps.MapsFromSurfaces, "draw", lambda *_: iter(()))
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
