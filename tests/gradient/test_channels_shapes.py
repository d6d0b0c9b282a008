"""Extra channels (`aovs`) on every kind of shape: derivatives against finite differences of Mitsuba's `aov`, kind by kind.

Forward mode gives all channels of a scene at once. Texture coordinates of round shapes, curves and grids are refused by name. What
meshes, smooth and flat, and rectangles give is asked by test_channels.py.
"""

import numpy as np
import pytest

import pbdr.errors
from pbdr.geometry import groups
from pbdr.rendering import derivative, render
from pbdr.scene import load_scene
from pbdr.transport import channels
from validation.agreement import assert_agrees, assert_differs, replicas
from validation.finite_differences import Differences
from validation.scenes import normal_maps, zoo
from validation.scenes.channels_of_shapes import SHAPES, direction, scene

REPLICAS, NOISE = 6, 0.02
QUICK = ("instance of a smooth mesh",)


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
        groups, "sliding", lambda features, hit, ray, active=True: channels.surfaces.slide(hit, ray, active)
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
        {"type": "scene", "camera": zoo.camera(), "light": zoo.lamp(0, 0, -1), "thing": normal_maps.bent_ball(kind)}
    )
    tracer = {"type": "pathspace", "max_depth": 1, "aovs": "sh_normal"}
    for call in (
        lambda: render(made, spp=1, integrator=tracer),
        lambda: derivative(made, {"thing/pose": 1.0}, spp=1, integrator=tracer),
    ):
        with pytest.raises(pbdr.errors.SceneError, match="'sh_normal' of thing is bent"):
            call()
