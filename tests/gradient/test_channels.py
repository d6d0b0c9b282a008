"""Extra channels (`aovs`) and their derivatives, against Mitsuba's own `aov` integrator around `path`.

Values: the image agrees channel by channel. Derivatives: forward mode against finite differences for every channel at once, with
one of the two terms left out as the negative control; reverse mode against forward mode by the dot-product test.
"""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

import pbdr.errors
from pbdr.parameters import read, traverse
from pbdr.rendering import derivative, gradient, render
from pbdr.scene import load_scene
from validation.agreement import assert_agrees, assert_differs, replicas
from validation.finite_differences import Differences, parameters
from validation.scenes import zoo
from validation.scenes.channels import KINDS, tangent, wavy
from validation.scenes.small import area_light

AOVS = ",".join(f"{kind}:{kind}" for kind in KINDS)
OURS = {"type": "pathspace", "max_depth": 2, "aovs": AOVS}
THEIRS = {"type": "aov", "aovs": AOVS, "image": {"type": "path", "max_depth": 2}}
CHANNELS_ONLY = {"type": "aov", "aovs": AOVS}
REPLICAS, NOISE = 6, 0.015


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A bent sheet and a block over a floor, all textured or coloured, under a lamp; the background shows."""
    paint = {
        "type": "twosided",
        "nested": {"type": "diffuse", "reflectance": zoo.texels(0.1, 0.9, filter_type="bilinear")},
    }
    beside = zoo.T().translate([0.9, -1, 0.4]).rotate([0, 0, 1], 30).scale(0.3)
    description = {
        "type": "scene", "camera": zoo.camera(sampler={"type": "ldsampler"}), "light": zoo.lamp(-0.5, 0.6, -1),
        "sheet": {**wavy(tmp_path_factory.mktemp("sheet")), "bsdf": paint},
        "block": {"type": "cube", "to_world": beside, "bsdf": zoo.GREEN},
        "floor": {"type": "rectangle", "to_world": zoo.T().scale(1.6), "bsdf": {"type": "diffuse"}},
    }  # fmt: skip
    return load_scene(description)


def by_kind(image, weights):
    """Σ weights · image of each kind of channel; images (H, W, C) without the film's own channels."""
    ends = np.cumsum(list(KINDS.values()))
    assert image.shape == weights.shape and image.shape[-1] == ends[-1]
    return [float(part.sum()) for part in np.split(image * weights, ends[:-1], axis=2)]


def test_values(scene):
    """Channel by channel, also on an rgba film with a wide filter and a crop; and in the film's own order."""
    cut = {"width": 24, "height": 20, "crop_offset_x": 3, "crop_offset_y": 2, "crop_width": 16, "crop_height": 16}
    sensor = mi.load_dict(zoo.camera(film=zoo.film(pixel_format="rgba", rfilter={"type": "gaussian"}, **cut)))
    for view, base in ((0, 3), (sensor, 4)):
        images = {}
        for kind, integrator in (("ours", {**OURS, "aovs": AOVS + ",mask"}), ("theirs", THEIRS)):
            plugin = mi.load_dict(integrator)
            images[kind] = replicas(
                lambda seed, p=plugin, v=view: np.array(mi.render(scene.mi, sensor=v, integrator=p, spp=64, seed=seed)),
                6, kind,
            )  # fmt: skip
        ours, mask = images["ours"][..., :-1], images["ours"][..., -1]
        assert ours.shape == images["theirs"].shape
        level = np.abs(images["theirs"]).mean((0, 1, 2))
        difference = ((ours - images["theirs"]) / level).mean((1, 2))
        assert_agrees(difference, 0 * difference[0], scale=1.0, max_relative_se=0.01)
        assert_differs(difference + 0.1, 0 * difference[0], scale=1.0, by=0.05)
        if base == 4:
            assert mask == pytest.approx(ours[..., 3], abs=1e-4)


@pytest.mark.parametrize(
    "name", ["sheet/positions", "block/positions", "floor/pose", "camera/pose", "sheet/base_color"]
)
def test_finite_differences(scene, name):
    along = tangent(scene, name)
    radiometric = name == "sheet/base_color"
    step = 0.1 if radiometric else 0.03
    exact = Differences(scene, name, along, step, spp=64 if radiometric else 1600, integrator=CHANNELS_ONLY)
    weights = exact.signs()
    samples = replicas(
        lambda seed: [by_kind(exact.image(h, seed), weights) for h in (step, step / 2)], REPLICAS, "differences", name
    )
    differences = (4 * samples[:, 1] - samples[:, 0]) / 3

    def ours(seed):
        options = {**OURS, "max_depth": 1, "n_primary": 65536}
        parts = derivative(scene, {name: along}, spp=64, seed=seed, integrator=options)
        return [by_kind(sum(parts[t] for t in terms)[..., 3:], weights) for terms in (parts, ["interior"], ["primary"])]

    found = replicas(ours, REPLICAS, "ours", name)
    scale = np.abs(differences.mean(0))
    present = [k for k, kind in enumerate(KINDS) if not radiometric or kind == "albedo"]
    if radiometric:
        assert np.delete(found[:, 0], present, axis=1) == pytest.approx(0)
    both = ((found[:, 0] - differences) / np.maximum(scale, 1e-9))[:, present]
    assert_agrees(both, 0 * both[0], scale=1.0, max_relative_se=NOISE, rounding=4e-3)
    if not radiometric:  # each channel notices that its boundary term is missing, and most that the interior is
        interior_only = (found[:, 1] - differences) / scale
        for k in range(len(scale)):
            assert_differs(interior_only[:, k], 0.0, scale=1.0, by=0.05)
        boundary_only = (found[:, 2] - differences) / scale
        assert_differs(boundary_only, 0 * boundary_only[0], scale=1.0, by=0.1)


@pytest.mark.slow  # the matrix at small size asks the same of such cases
@pytest.mark.parametrize("name", ["sheet/positions", "floor/pose", "camera/pose", "sheet/base_color"])
def test_forward_is_reverse(scene, name):
    """⟨a, J t⟩ = ⟨Jᵀ a, t⟩ on the same samples, a random in every channel; other samples would differ."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(zoo.SIZE, zoo.SIZE, 3 + sum(KINDS.values())))
    along = rng.normal(size=read(scene, parameters(scene, name)[name]).shape)
    images = derivative(scene, {name: along}, spp=8, seed=3, integrator=OURS)
    found = gradient(scene, name, weights, spp=8, seed=3, integrator={**OURS, "adjoint_sampling": False})
    for term, image in images.items():
        reverse = getattr(found, term)[name].astype(np.float64)
        size = np.sum(np.abs(reverse * along)) + 1e-12
        assert np.sum(weights * image) == pytest.approx(np.sum(reverse * along), abs=3e-4 * size), term
    other = derivative(scene, {name: along}, spp=8, seed=4, integrator=OURS)["interior"]
    reverse = found.interior[name].astype(np.float64)
    assert abs(np.sum(weights * other) - np.sum(reverse * along)) > 1e-3 * np.sum(np.abs(reverse * along))


def test_autograd(scene):
    """`mi.render` and `pbdr.render` hand the adjoint of the extra channels to reverse mode."""
    params = traverse(scene)
    key = parameters(scene, "floor/pose")["floor/pose"].raw
    before = type(params[key])(params[key])
    try:
        height = mi.Float(0.0)
        dr.enable_grad(height)
        params[key] = mi.Transform4f(before).translate([0, 0, height])
        params.update()
        image = render(scene, params, spp=16, seed=2, integrator=OURS)
        weights = np.zeros(image.shape)
        weights[..., 3] = 1 / zoo.SIZE**2
        dr.backward(dr.sum((image * mi.TensorXf(weights.astype(np.float32))).array))
        found = float(dr.grad(height)[0])
    finally:
        params[key] = before
        params.update()
    along = np.zeros((3, 4))
    along[2, 3] = 1.6  # the pose scales
    same = np.sum(gradient(scene, "floor/pose", weights, spp=16, seed=3, integrator=OURS).total["floor/pose"] * along)
    assert found != 0 and found == pytest.approx(same, rel=0.05)


def test_masks():
    """mask(id) is the radiance of a shape that alone shines; `mask` is alpha. Their derivative is a boundary term only."""
    beside = zoo.T().translate([-0.7, 0.8, 0.9]).rotate([0, 0, 1], 30).scale(0.4)  # half hidden by the ball
    description = zoo.scene(light={"type": "cube", "to_world": beside, "emitter": area_light(1.0)})
    description["camera"] = zoo.camera(film=zoo.film(pixel_format="rgba"), sampler={"type": "ldsampler"})
    description["floor"]["to_world"] = zoo.T().scale(1.2)
    scene = load_scene(description)
    integrator = {"type": "pathspace", "max_depth": 1, "aovs": "mask,mask(light)"}
    image = np.array(render(scene, spp=64, integrator=integrator))
    assert image[..., 4] == pytest.approx(image[..., 3], abs=1e-5)
    assert image[..., 5] == pytest.approx(image[..., 0], abs=1e-5)
    assert 0.01 < image[..., 5].mean() < image[..., 4].mean() - 0.05
    parts = derivative(scene, {"ball/pose": tangent(scene, "ball/pose")}, spp=64, integrator=integrator)
    assert np.all(parts["interior"][..., 3:] == 0)
    moved = parts["primary"]
    assert np.abs(moved[..., 4:]).sum((0, 1)).min() > 0.1
    assert moved[..., 4] == pytest.approx(moved[..., 3], abs=1e-4)
    assert moved[..., 5] == pytest.approx(moved[..., 0], abs=1e-4)


BAD = {
    "kind": ("dept", "dept.*depth"),
    "no derivative": ("prim_index", "prim_index.*no derivative"),
    "twice": ("depth,depth", "twice"),
    "shape": ("mask(bal)", r"mask\(bal\).*ball"),
    "shape of depth": ("depth(ball)", "shape id"),
    "syntax": ("a:b:depth", "a:b:depth"),
    "type": (3, "aovs"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_names(case):
    aovs, match = BAD[case]
    with pytest.raises(pbdr.errors.OptionError, match=match):
        render(load_scene(zoo.scene()), spp=1, integrator={"type": "pathspace", "aovs": aovs})


def test_texture_coordinates_of_round_shapes_are_refused():
    """Those jump along a seam that is no edge; they stay available where nothing moves."""
    round_scene = load_scene(zoo.scene())
    integrator = {"type": "pathspace", "max_depth": 1, "aovs": "uv"}
    with pytest.raises(pbdr.errors.SceneError, match=r"ball.*seam"):
        derivative(round_scene, {"floor/pose": 1.0}, spp=1, integrator=integrator)
    derivative(round_scene, {"floor/base_color": 1.0}, spp=1, integrator=integrator)


def test_wrong_adjoint_shape(scene):
    with pytest.raises(pbdr.errors.DataError, match=r"16, 16, 3.*16, 16, 18"):
        gradient(scene, "floor/pose", np.ones((16, 16, 3)), spp=1, integrator=OURS)


def test_nesting_in_mitsubas_aov_is_refused(scene):
    nested = mi.load_dict({"type": "aov", "aovs": "depth:depth", "image": {"type": "pathspace"}})
    with pytest.raises(pbdr.errors.OptionError, match="aovs = 'depth,sh_normal'"):
        nested.render(scene.mi, spp=1)
