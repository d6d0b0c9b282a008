"""Textures on surfaces that move: smooth ones agree with finite differences, ones that jump inside faces are refused by name.

A texture jumps with a filter 'nearest', and as a checkerboard. The jumps move on the film with the surface or
the camera, and would need a boundary term.
"""

import warnings

import mitsuba as mi
import numpy as np
import pytest
import scene_zoo as zoo
from agreement import assert_agrees, assert_differs
from finite_differences import Differences, adjoint, gradients
from small_scenes import diffuse, shift

import pbdr.errors
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.transport import support, texels

T = mi.ScalarTransform4f
TILT = T().translate([0.1, -0.2, 0.8]).rotate(np.array([1, 0.4, 0]) / np.sqrt(1.16), 50).scale(0.7)
RED = {"type": "twosided", "nested": {"type": "diffuse", "reflectance": zoo.rgb(0.8, 0.5, 0.3)}}
CHECKER = {"type": "checkerboard", "color0": 0.2, "color1": 0.9, "to_uv": T().scale(2)}


def grid(filter_type, channels=1):
    return zoo.texels(0.1, 0.9, channels, size=3, filter_type=filter_type)


def cut_out(opacity):
    return {"type": "mask", "opacity": opacity, "nested": painted(zoo.rgb(0.0))}


def painted(colour):
    return {"type": "twosided", "nested": {"type": "diffuse", "reflectance": colour}}


def scene(bsdf, **more):
    """A plate above a floor and before a wall, under a distant lamp."""
    floor = {"type": "rectangle", "to_world": T().scale(3), "bsdf": diffuse(0.6)}
    wall = T().translate([0, 3, 0]).rotate([1, 0, 0], 90).scale(8)
    more = {"wall": {"type": "rectangle", "to_world": wall, "bsdf": diffuse(0.4)}, **more}
    plate = {"type": "rectangle", "to_world": TILT, "bsdf": bsdf}
    camera = zoo.camera(sampler={"type": "ldsampler"})
    light = {"light": zoo.lamp(-0.5, 0.4, -1)}
    return load_scene({"type": "scene", "camera": camera, "floor": floor, "plate": plate, **light, **more})


def glowing(bsdf):
    """The same before a floor and a wall that shine: nothing is seen but opacity, and no shadow."""
    shining = lambda v: {"bsdf": diffuse(0.0), "emitter": {"type": "area", "radiance": zoo.rgb(v)}}  # noqa: E731
    floor = {"type": "rectangle", "to_world": T().scale(3), **shining(0.6)}
    wall = T().translate([0, 3, 0]).rotate([1, 0, 0], 90).scale(8)
    camera = zoo.camera(sampler={"type": "ldsampler"})
    plate = {"type": "rectangle", "to_world": TILT, "bsdf": bsdf}
    wall = {"type": "rectangle", "to_world": wall, **shining(0.2)}
    return load_scene({"type": "scene", "camera": camera, "floor": floor, "plate": plate, "wall": wall})


def compared(found, name, *, spp=1024, ours=64):
    """Replicas of finite differences and of ours, for a shift."""
    along = shift(0.4, 0.2, 0.3)
    exact = Differences(found, name, along, 0.02, spp=spp, integrator={"type": "path", "max_depth": 2})
    weights = exact.signs()
    expected = exact.replicas(weights, gap=0.05)
    return gradients(found, {name: along}, weights, spp=ours, max_depth=2)[name], expected


def test_smooth_opacity_moves():
    """A cut-out with a bilinear opacity has no edges but its border, which is not seen through itself: a quarter less."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", support.IncompleteGradientWarning)
        ours, expected = compared(glowing(cut_out(grid("bilinear"))), "plate/pose", spp=4096)
    scale = abs(expected.mean())
    assert_agrees(ours - expected, 0.0, scale=scale, max_relative_se=0.03)
    assert_differs(1.3 * ours - expected, 0.0, scale=scale, by=0.1)


@pytest.mark.parametrize("kind", ["nearest opacity", "checkerboard"])
def test_what_is_refused_would_be_wrong(kind, monkeypatch):
    """Negative control of the refusals."""
    monkeypatch.setattr(support, "_check_texels", lambda *_: None)
    found = scene(painted(CHECKER)) if kind == "checkerboard" else glowing(cut_out(grid("nearest")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", support.IncompleteGradientWarning)
        ours, expected = compared(found, "plate/pose")
    assert_differs(ours - expected, 0.0, scale=abs(expected.mean()), by=0.1)


STEPPED = {
    "opacity": lambda _: {"plate": {"bsdf": cut_out(grid("nearest"))}},
    "checkered opacity": lambda _: {"plate": {"bsdf": cut_out(CHECKER)}},
    "colour": lambda _: {"plate": {"bsdf": painted(grid("nearest", 3))}},
    "checkerboard": lambda _: {"plate": {"bsdf": painted(CHECKER)}},
    "roughness": lambda _: {"plate": {"bsdf": {"type": "roughconductor", "alpha": grid("nearest")}}},
    "radiance": lambda _: {"plate": {"emitter": {"type": "area", "radiance": grid("nearest", 3)}}},
}
INTEGRATOR = {"type": "pathspace", "max_depth": 2}


@pytest.mark.filterwarnings("ignore:pathspace.*boundary term")
@pytest.mark.parametrize("kind", STEPPED)
def test_refused_by_name(kind, tmp_path):
    changes = STEPPED[kind](tmp_path)["plate"]
    found = scene(RED, plate={"type": "rectangle", "to_world": TILT, **changes})
    for name, moved in (("plate/pose", "plate"), ("camera/pose", "camera"), ("camera/fov", "camera")):
        with pytest.raises(pbdr.errors.SceneError, match=rf"texture 'plate\..*jumps inside faces.*{moved}\."):
            gradient(found, name, adjoint(), spp=1, integrator=INTEGRATOR)
    # What neither moves the pattern on the film nor passes by it stays allowed; so does the interior alone.
    allowed = {"spp": 1, "integrator": INTEGRATOR | {"n_direct": 0}, "terms": ("direct",)}
    for name, options in (("floor/base_color", {}), ("floor/pose", {}), ("plate/pose", {"boundary": "none"})):
        gradient(found, name, adjoint(), **allowed | {"integrator": allowed["integrator"] | options})
    with pytest.warns(support.IncompleteGradientWarning, match="jumps inside faces"):
        gradient(found, "floor/pose", adjoint(), **allowed | {"integrator": allowed["integrator"] | {"max_depth": 3}})


def test_patterns_of_lights_and_mirrors_are_refused():
    """A pattern that a lamp throws slides over what moves; a moving mirror shows any pattern in motion."""
    lamp = zoo.aimed(type="spot", intensity=zoo.rgb(9.0), texture=grid("nearest", 3))
    with pytest.raises(pbdr.errors.SceneError, match=r"texture 'light\.texture' jumps"):
        gradient(scene(RED, light=lamp), "floor/pose", adjoint(), spp=1, integrator=INTEGRATOR)
    mirror = {"type": "disk", "to_world": T().translate([1, 1, 1]), "bsdf": {"type": "conductor"}}
    with pytest.raises(pbdr.errors.SceneError, match=r"texture 'plate\..*jumps"):
        gradient(scene(painted(CHECKER), mirror=mirror), "mirror/pose", adjoint(), spp=1, integrator=INTEGRATOR)


def test_which_textures_jump():
    stepped = [grid("nearest"), grid("nearest", 3), CHECKER]
    smooth = [grid("bilinear"), grid("bilinear", 3), zoo.rgb(0.5), {"type": "uniform", "value": 0.5}, zoo.normals(),
              {"type": "mesh_attribute", "name": "vertex_color"}, {"type": "mesh_attribute", "name": "face_color"}]  # fmt: skip
    assert [texels.is_stepped(mi.load_dict(t)) for t in stepped] == [True] * len(stepped)
    assert [texels.is_stepped(mi.load_dict(t)) for t in smooth] == [False] * len(smooth)
