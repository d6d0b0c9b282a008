"""Spheres, cylinders and disks whose texture coordinates start again in view, with textures that do not close there."""

import mitsuba as mi
import numpy as np
import pytest

from pbdr.boundary.table.builder import TableBuilder
from pbdr.errors import SceneError
from pbdr.geometry import seams
from pbdr.geometry.analytic import SEAM
from pbdr.rendering import derivative, gradient
from pbdr.scene import load_scene
from validation.agreement import assert_differs
from validation.finite_differences import Differences, adjoint, check, gradients
from validation.scenes import zoo
from validation.scenes.round_seams import PLACES, WRAPS, pose, ramp, scene
from validation.scenes.zoo import T

TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 0]])  # about a shape's own axis: its outline stays where it is


def turn(found, kind):
    matrix = np.array(pose(PLACES[kind]).scale(0.38).matrix)
    return np.column_stack([matrix[:3, :3] @ TURN, np.zeros(3)])


@pytest.mark.parametrize("wrap", [pytest.param(k, marks=() if k == "clamp" else pytest.mark.slow) for k in WRAPS])
def test_shapes_turn_about_their_axes(wrap, monkeypatch):
    found = scene(WRAPS[wrap])
    tangents = {f"{kind}/pose": turn(found, kind) for kind in PLACES}
    theirs = {"spp": 4096, "integrator": {"type": "path", "max_depth": 2}}
    exact = {
        name: Differences(found, name, tangent, 0.02 if "repeat" in wrap else 0.05, **theirs)
        for name, tangent in tangents.items()
    }
    weights = sum(each.signs() for each in exact.values())  # the shapes are seen in different pixels
    ours = gradients(found, tangents, weights, spp=256, max_depth=2, terms=("interior", "primary"))
    monkeypatch.setattr(seams, "opens", lambda _: False)
    without = gradients(found, tangents, weights, spp=64, max_depth=2, terms=("interior",))
    for name in tangents:
        expected = exact[name].replicas(weights, gap=0.05)
        check(ours[name], expected, max_relative_se=0.03)
        assert_differs(without[name] - expected, 0.0, scale=abs(expected.mean()), by=0.1)


def test_forward_equals_reverse():
    found = scene(WRAPS["clamp"])
    weights, options = adjoint(), {"spp": 16, "seed": 5, "terms": ("primary",)}
    integrator = {"type": "pathspace", "max_depth": 2, "adjoint_sampling": False}
    name = "sphere/pose"
    image = derivative(found, {name: turn(found, "sphere")}, integrator=integrator, **options)["primary"]
    reverse = gradient(found, name, weights, integrator=integrator, **options).primary[name].astype(np.float64)
    assert np.any(image != 0)
    assert np.sum(image * weights) == pytest.approx(np.sum(reverse * turn(found, "sphere")), rel=5e-4)


CLOSED = {
    "repeat": ramp(),
    "twice": ramp(to_uv=T().scale([2, 1, 1])),
    "shifted": ramp(to_uv=T().translate([0.3, 0.2, 0])),
    "no texture": zoo.rgb(0.5),
}


@pytest.mark.parametrize("wrap", CLOSED)
def test_textures_that_close_have_no_seam(wrap):
    assert not any(seams.opens(shape) for shape in scene(CLOSED[wrap]).mi.shapes())


@pytest.mark.parametrize("wrap", WRAPS)
def test_rows(wrap):
    """One more row for each shape; also for a single row of texels that differs, and for light."""
    found = scene(WRAPS[wrap])
    assert all(seams.opens(shape) for shape in found.mi.shapes())
    table = TableBuilder().build(found.mi, frozenset([0]))
    assert int(np.sum(np.array(table.form) == SEAM.code)) == len(PLACES)


def test_seams_depend_on_the_texels_of_now():
    pixels = np.full((512, 4, 3), 0.5, np.float32)
    pixels[100] = [[0.1] * 3, [0.2] * 3, [0.3] * 3, [0.4] * 3]
    light = {
        "type": "area",
        "radiance": {"type": "bitmap", "bitmap": mi.Bitmap(pixels), "raw": True, "wrap_mode": "clamp"},
    }
    ball = {"type": "sphere", "emitter": light}
    found = load_scene({"type": "scene", "camera": zoo.camera(), "ball": ball})
    assert seams.opens(found.mi.shapes()[0])
    params = mi.traverse(found.mi)
    params["ball.emitter.radiance.data"] = mi.TensorXf(np.full((512, 4, 3), 0.5, np.float32))
    params.update()
    assert not seams.opens(found.mi.shapes()[0])


def test_the_warp_refuses_seams():
    found = load_scene(zoo.scene(bsdf={"type": "diffuse", "reflectance": ramp(wrap_mode="clamp")}))
    with pytest.raises(SceneError, match="'ball' has a texture that jumps"):
        gradient(found, "floor/pose", adjoint(), spp=1, integrator={"type": "pathspace", "boundary": "warp"})


def test_textures_around_curves_are_refused(tmp_path):
    (tmp_path / "curve.txt").write_text("\n".join(f"{0.3 * k - 1} 0.1 {0.2 * k + 0.2} 0.1" for k in range(6)))
    for kind in ("bsplinecurve", "linearcurve"):
        for turned in (False, True):
            paint = {"type": "diffuse", "reflectance": ramp(turned)}
            curve = {"type": kind, "filename": str(tmp_path / "curve.txt"), "bsdf": paint}
            found = load_scene({"type": "scene", "camera": zoo.camera(), "sky": {"type": "constant"}, "curve": curve})
            options = {
                "spp": 1,
                "integrator": {"type": "pathspace", "max_depth": 1, "n_primary": 64},
                "terms": ("primary",),
            }
            if turned:
                gradient(found, "camera/pose", adjoint(), **options)
            else:
                with pytest.raises(SceneError, match="'curve' has a texture that changes around the curve"):
                    gradient(found, "camera/pose", adjoint(), **options)
