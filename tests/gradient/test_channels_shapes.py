"""Extra channels (`aovs`) on every kind of shape: derivatives against finite differences of Mitsuba's `aov`, kind by kind.

Forward mode gives all channels of a scene at once. Texture coordinates of round shapes, curves and grids are refused by name. What
meshes, smooth and flat, and rectangles give is asked by test_channels.py.
"""

import mitsuba as mi
import numpy as np
import pytest
import scene_zoo as zoo
import test_curves
import test_grids
import test_mapped
from agreement import assert_agrees, assert_differs, replicas
from finite_differences import Differences
from test_channels import KINDS, tangent, wavy

import pbdr.errors
from pbdr.rendering import derivative, render
from pbdr.scene import load_scene
from pbdr.transport import channels, groups

T = mi.ScalarTransform4f
REPLICAS, NOISE = 6, 0.02
WITHOUT_UV = {kind: n for kind, n in KINDS.items() if kind != "uv"}
UNBENT = {kind: n for kind, n in WITHOUT_UV.items() if kind != "sh_normal"}
TILTED = T().translate([0.2, 0, 0.8]).rotate([0.6, 0.8, 0], 35)


def on_instance(inner):
    """The shape in a group, and one instance of it."""
    place = T().translate([0.1, 0, 0.2]).rotate([0.6, 0, 0.8], 25).scale([0.7, 0.8, 0.6])
    return {
        "group": {"type": "shapegroup", "inner": inner},
        "thing": {"type": "instance", "to_world": place, "group": {"type": "ref", "id": "group"}},
    }  # fmt: skip


def box(**rest):
    return {"type": "cube", "to_world": T().translate([0, 0, 0.6]).rotate([0, 0.6, 0.8], 30).scale(0.5), **rest}


# What is beside the floor, the parameter, and the channels.
SHAPES = {
    "disk": (lambda folder: {"thing": {"type": "disk", "to_world": TILTED}}, "thing/pose", WITHOUT_UV),
    "sphere": (
        lambda folder: {"thing": {"type": "sphere", "center": [0, 0, 0.6], "radius": 0.5}},
        "thing/pose",
        WITHOUT_UV,
    ),
    "cylinder": (
        lambda folder: {"thing": {"type": "cylinder", "to_world": TILTED.scale(0.5)}},
        "thing/pose",
        WITHOUT_UV,
    ),
    "split flat mesh": (lambda folder: {"thing": box()}, "thing/positions", KINDS),
    "instance of a flat mesh": (lambda folder: on_instance(box()), "thing/pose", KINDS),
    "instance of a smooth mesh": (lambda folder: on_instance(wavy(folder)), "thing/pose", KINDS),
    "mesh in an instance": (lambda folder: on_instance(box()), "group/group__inner_positions", KINDS),
    "B-spline": (
        lambda folder: {"thing": test_curves.curve(folder, "bsplinecurve")},
        "thing/control_points",
        WITHOUT_UV,
    ),
    "linear curve": (
        lambda folder: {"thing": test_curves.curve(folder, "linearcurve")},
        "thing/control_points",
        WITHOUT_UV,
    ),
    "smooth grid": (lambda folder: {"thing": test_grids.blob("smooth")}, "thing/grid", WITHOUT_UV),
    "grid": (lambda folder: {"thing": test_grids.blob("analytic")}, "thing/grid", WITHOUT_UV),
    "normal map": (lambda folder: {"thing": test_mapped.bent_ball()}, "thing/pose", UNBENT),
}
QUICK = ("instance of a smooth mesh",)


def scene(case, folder):
    """The shape above a floor that does not fill the view."""
    floor = {"type": "rectangle", "to_world": T().scale(1.6), "bsdf": {"type": "diffuse"}}
    parts = {"camera": zoo.camera(sampler={"type": "ldsampler"}), "light": zoo.lamp(-0.5, 0.6, -1), "floor": floor}
    return load_scene({"type": "scene", **parts, **SHAPES[case][0](folder)})


def direction(made, name):
    """How the parameter changes."""
    if name.endswith("control_points"):
        return test_curves.bending(made, name)
    if name.endswith("grid"):
        return test_grids.change(made, name)
    return tangent(made, name)


def by_kind(image, weights, kinds):
    """Σ weights · image of each kind of channel."""
    ends = np.cumsum(list(kinds.values()))
    assert image.shape == weights.shape and image.shape[-1] == ends[-1]
    return [float(part.sum()) for part in np.split(image * weights, ends[:-1], axis=2)]


def compare(case, folder, parameter=None):
    """Replicas of (gradient − difference) / |difference| of each kind: of the whole, and of either term alone."""
    made, name, kinds = scene(case, folder), parameter or SHAPES[case][1], SHAPES[case][2]
    aovs = ",".join(f"{kind}:{kind}" for kind in kinds)
    along = direction(made, name)
    step = {"thing/grid": 0.005, "camera/pose": 0.01}.get(name, 0.02)
    exact = Differences(made, name, along, step, spp=1600, integrator={"type": "aov", "aovs": aovs})
    weights = exact.signs()
    pairs = lambda seed: [by_kind(exact.image(h, seed), weights, kinds) for h in (step, step / 2)]  # noqa: E731
    samples = replicas(pairs, REPLICAS, "differences", case, name)
    differences = (4 * samples[:, 1] - samples[:, 0]) / 3

    def ours(seed):
        options = {"type": "pathspace", "aovs": aovs, "max_depth": 1, "n_primary": 65536}
        parts = derivative(made, {name: along}, spp=64, seed=seed, integrator=options)
        return [by_kind(sum(parts[t] for t in terms)[..., 3:], weights, kinds) for terms in (parts, ["interior"])]

    found = replicas(ours, REPLICAS, "ours", case, name)
    scale = np.abs(differences.mean(0))
    present = np.array([kind != "albedo" or scale[k] > 0 for k, kind in enumerate(kinds)])
    return ((found - differences[:, None]) / np.maximum(scale, 1e-9))[..., present]


def assert_right(both):
    assert_agrees(both[:, 0], 0 * both[0, 0], scale=1.0, max_relative_se=NOISE, rounding=4e-3)
    for k in range(both.shape[-1]):  # each channel notices that its boundary term is missing
        assert_differs(both[:, 1, k], 0.0, scale=1.0, by=0.05)


@pytest.mark.parametrize("case", [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in SHAPES])
def test_shapes(case, tmp_path):
    assert_right(compare(case, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("case", SHAPES)
def test_cameras(case, tmp_path):
    assert_right(compare(case, tmp_path, "camera/pose"))


@pytest.mark.slow
def test_instances_need_their_own_derivatives(monkeypatch, tmp_path):
    """Negative control: with Mitsuba's derivatives of hits on instances, normals are wrong."""
    monkeypatch.setattr(
        groups, "sliding", lambda features, hit, ray, active=True: channels.hits.sliding(hit, ray, active)
    )
    both = compare("instance of a smooth mesh", tmp_path)
    kinds = list(SHAPES["instance of a smooth mesh"][2])
    for kind in ("sh_normal", "geo_normal"):
        assert_differs(both[:, 0, kinds.index(kind)], 0.0, scale=1.0, by=0.05)


@pytest.mark.parametrize("case", ["disk", "sphere", "cylinder", "B-spline", "linear curve", "smooth grid"])
def test_texture_coordinates_are_refused(case, tmp_path):
    """Those jump along a seam that is no edge, or follow nothing that is known."""
    made, name = scene(case, tmp_path), SHAPES[case][1]
    for moving in (name, "camera/pose"):
        with pytest.raises(pbdr.errors.SceneError, match=r"'uv' of thing"):
            derivative(made, {moving: 1.0}, spp=1, integrator={"type": "pathspace", "max_depth": 1, "aovs": "uv"})


@pytest.mark.parametrize("kind", ["normal", "bump"])
def test_bent_normals_are_refused(kind):
    """Mitsuba's channel follows the map of some materials and not of others, and turns normals that look away."""
    made = load_scene(
        {"type": "scene", "camera": zoo.camera(), "light": zoo.lamp(0, 0, -1), "thing": test_mapped.bent_ball(kind)}
    )
    tracer = {"type": "pathspace", "max_depth": 1, "aovs": "sh_normal"}
    for call in (
        lambda: render(made, spp=1, integrator=tracer),
        lambda: derivative(made, {"thing/pose": 1.0}, spp=1, integrator=tracer),
    ):
        with pytest.raises(pbdr.errors.SceneError, match="'sh_normal' of thing is bent"):
            call()
