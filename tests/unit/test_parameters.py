"""Parameters: names and roles, selection, reading and writing, textures, variables, probing."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import OptionError, ParameterError
from pbdr.parameters import (
    Variables,
    VariableSpec,
    is_radiometric,
    list_parameters,
    probe,
    read,
    resolve,
    traverse,
    write,
)
from pbdr.parameters.film import resized_film
from pbdr.parameters.probing import probe_all
from pbdr.parameters.textures import resize
from pbdr.parameters.values import wrap_columns
from pbdr.scene import load_object, load_scene

PRB = {"type": "prb", "max_depth": 3}
T = mi.ScalarTransform4f
RNG = np.random.default_rng


def description():
    sky = RNG(1).uniform(0.2, 1, (4, 8, 3)).astype(np.float32)
    texels = RNG(2).uniform(0, 1, (5, 6, 3)).astype(np.float32)
    checker = {"type": "bitmap", "data": mi.TensorXf(texels), "raw": True}
    return {
        "type": "scene",
        "camera": {
            "type": "perspective",
            "fov": 45,
            "to_world": T().look_at([0, 2, -6], [0, 0, 0], [0, 1, 0]),
            "film": {"type": "hdrfilm", "width": 24, "height": 16},
        },
        "env": {"type": "envmap", "bitmap": mi.Bitmap(sky)},
        "lamp": {"type": "point", "position": [2, 3, -2], "intensity": {"type": "rgb", "value": [5, 4, 3]}},
        "panel": {
            "type": "rectangle",
            "to_world": T().translate([0, 4, 0]).rotate([1, 0, 0], 90),
            "emitter": {"type": "area", "radiance": {"type": "rgb", "value": [2, 2, 2]}},
        },
        "wood": {"type": "twosided", "inner": {"type": "diffuse", "reflectance": checker}},
        "floor": {
            "type": "rectangle",
            "to_world": T().translate([0, -1, 0]).rotate([1, 0, 0], -90).scale(5),
            "bsdf": {"type": "ref", "id": "wood"},
        },
        "ball": {
            "type": "sphere",
            "bsdf": {"type": "principled", "base_color": {"type": "rgb", "value": [0.2, 0.4, 0.6]}, "roughness": 0.4},
        },
        "box": {
            "type": "cube",
            "to_world": T().translate([2, 0, 1]).scale(0.7),
            "bsdf": {
                "type": "mask",
                "opacity": 0.8,
                "inner": {
                    "type": "blendbsdf",
                    "weight": 0.3,
                    "a": {"type": "diffuse"},
                    "b": {"type": "roughconductor", "alpha": 0.2},
                },
            },
        },
        "behind": {"type": "sphere", "center": [0, 0, -50], "radius": 0.1, "bsdf": {"type": "diffuse"}},
    }


@pytest.fixture
def scene():
    return load_scene(description())


def test_names_roles_and_kinds(scene):
    table = {p.name: (p.kind, p.shape) for p in list_parameters(scene)}
    expected = {
        "camera/pose": ("transform", (3, 4)),
        "camera/fov": ("scalar", (1,)),
        "env/radiance": ("environment", (4, 8, 3)),
        "env/scale": ("scalar", (1,)),
        "lamp/intensity": ("color", (3,)),
        "lamp/position": ("vector", (3,)),
        "panel/radiance": ("color", (3,)),
        "panel/pose": ("transform", (3, 4)),
        "wood/base_color": ("texture", (5, 6, 3)),
        "ball/base_color": ("color", (3,)),
        "ball/roughness": ("scalar", (1,)),
        "ball/metallic": ("scalar", (1,)),
        "ball/specular": ("scalar", (1,)),
        "box/opacity": ("scalar", (1,)),
        "box/base_color": ("scalar", (1,)),
        "box/roughness": ("scalar", (1,)),
        "box/positions": ("mesh", (24, 3)),
        "box/normals": ("mesh", (24, 3)),
        "box/texcoords": ("mesh", (24, 2)),
    }
    assert {name: table[name] for name in expected} == expected
    assert not any("sampling" in name or "clip" in name or "film" in name or "faces" in name for name in table)
    names = [p.name for p in list_parameters(scene)]
    assert len(set(names)) == len(names)


def test_two_parameters_of_one_role_are_told_apart_by_their_place():
    both = {"type": "blendbsdf", "weight": 0.3, "a": {"type": "diffuse"}, "b": {"type": "plastic"}}
    scene = load_scene({**description(), "ball": {"type": "sphere", "bsdf": both}})
    colors = {p.name: p.raw for p in list_parameters(scene) if p.name.startswith("ball") and p.role == "base_color"}
    assert colors == {
        "ball.bsdf.bsdf_0/base_color": "ball.bsdf.bsdf_0.reflectance.value",
        "ball.bsdf.bsdf_1/base_color": "ball.bsdf.bsdf_1.diffuse_reflectance.value",
    }


def test_selection(scene):
    def names(match):
        return [p.name for p in resolve(scene, match)]

    assert names("ball/base_color") == ["ball/base_color"]
    assert set(names("*/base_color")) >= {"ball/base_color", "wood/base_color", "behind/base_color"}
    assert "wood/base_color" not in names(["*/base_color", "!wood/*"])
    assert "ball/roughness" in names(["!*/base_color"])
    assert [p.name for p in resolve(scene, raw="wood.brdf_0.*.data")] == ["wood/base_color"]


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("ball/color", "'ball/color' is not in <dict>. Closest: 'ball/base_color'"),
        ("ball/albedo", "'ball/albedo' is not in <dict>. Closest: 'ball/base_color'. List all"),
        ("bal/Diffuse", "'bal/Diffuse' is not in <dict>. Closest: 'ball/base_color'"),
        ("nobody/*", "is not in"),
        (["*/base_color", "!*"], "selects no parameter"),
        ([], "selects no parameter"),
        (None, "either match"),
    ],
)
def test_a_wrong_selection_says_what_is_close(scene, match, message):
    with pytest.raises(ParameterError) as caught:
        resolve(scene, match)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_every_parameter_reads_back_what_was_written(scene):
    parameters = list_parameters(scene)
    params = traverse(scene)
    assert {p.kind for p in parameters} >= {"scalar", "color", "vector", "texture", "environment", "mesh", "transform"}
    for p in parameters:
        value = read(scene, p, params) * 1.0625 + (0.125 if p.kind in ("mesh", "texture") else 0.0)
        write(params, p, mi.TensorXf(value.astype(np.float32)))
        np.testing.assert_allclose(read(scene, p, params), value, rtol=1e-6, atol=1e-7, err_msg=p.name)


def test_writing_reaches_the_renderer(scene):
    ball = resolve(scene, "ball/base_color")[0]
    before = mi.render(scene.mi, integrator=load_object(PRB), spp=4)
    params = traverse(scene)
    write(params, ball, mi.TensorXf(np.array([0.9, 0.0, 0.0], np.float32)))
    params.update()
    after = np.array(mi.render(scene.mi, integrator=load_object(PRB), spp=4)) - np.array(before)
    assert after[..., 0].max() > 0.05 and after[..., 2].min() < -0.05


def test_a_wrong_shape_is_refused(scene):
    params = traverse(scene)
    with pytest.raises(ParameterError, match=r"'ball/base_color' has shape \(3,\), got a value of shape \(4,\)"):
        write(params, resolve(scene, "ball/base_color")[0], dr.zeros(mi.TensorXf, (4,)))
    with pytest.raises(ParameterError, match="wood"):
        write(params, resolve(scene, "wood/base_color")[0], dr.zeros(mi.TensorXf, (5, 6, 1)))


def test_an_environment_keeps_its_seam_and_its_gradient(scene):
    sky = resolve(scene, "env/radiance")[0]
    value = RNG(3).uniform(size=sky.shape).astype(np.float32)
    params = traverse(scene)
    write(params, sky, mi.TensorXf(value))
    params.update()
    stored = np.array(traverse(scene)["env.data"])
    np.testing.assert_array_equal(stored[:, 1:-1], value)
    np.testing.assert_array_equal(stored[:, 0], value[:, -1])
    np.testing.assert_array_equal(stored[:, -1], value[:, 0])
    weights = RNG(4).uniform(size=stored.shape).astype(np.float32)
    leaf = mi.TensorXf(value)
    dr.enable_grad(leaf)
    dr.backward(dr.sum(wrap_columns(leaf) * mi.TensorXf(weights), axis=None))
    expected = weights[:, 1:-1].copy()
    expected[:, 0] += weights[:, -1]
    expected[:, -1] += weights[:, 0]
    np.testing.assert_allclose(np.array(dr.grad(leaf)), expected, rtol=1e-6)


def test_environment_gradient_sums_to_that_of_its_scale(scene):
    """Radiance is linear in texels and in `scale`: Σ texel · ∂ must equal scale · ∂scale, seam included."""
    specs = {"sky": VariableSpec("env/radiance", map="clamp"), "scale": VariableSpec("env/scale", map="clamp")}
    variables = Variables(scene, specs)
    latents = variables.init()
    dr.enable_grad(*latents.values())
    params = variables.apply(latents)
    image = mi.render(variables.scene.mi, params, integrator=load_object(PRB), spp=4)
    dr.backward(dr.sum(image, axis=None))
    texels = np.array(latents["sky:env.data"]) * np.array(dr.grad(latents["sky:env.data"]))
    assert texels.sum() == pytest.approx(np.array(dr.grad(latents["scale:env.scale"]))[0], rel=1e-3)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("mat.brdf_0.reflectance.value", True),
        ("mat.bsdf.alpha.value", True),
        ("mat.base_color.data", True),
        ("mat.specular_reflectance.value", True),
        ("env.data", True),
        ("lamp.intensity.value", True),
        ("panel.emitter.radiance.value", True),
        ("glass.eta", False),
        ("mat.specular", False),
        ("mat.reflectance.to_uv", False),
        ("box.vertex_positions", False),
        ("box.vertex_normals", False),
        ("box.to_world", False),
        ("lamp.position", False),
        ("mat.opacity.value", True),
        ("camera.x_fov", False),
        ("thing.never_heard_of", False),
    ],
)
def test_radiometric_only_when_certain(raw, expected):
    assert is_radiometric(raw) is expected


def test_probing_tells_what_the_image_depends_on_and_changes_nothing(scene):
    values = {p.name: read(scene, p) for p in list_parameters(scene)}
    chosen = resolve(scene, ["ball/base_color", "wood/base_color", "env/radiance", "behind/base_color", "camera/fov"])
    found = probe_all(scene, chosen, integrator=PRB)
    assert found == {
        "ball/base_color": True,
        "wood/base_color": True,
        "env/radiance": True,
        "behind/base_color": False,
        "camera/fov": False,
    }
    assert probe(scene, chosen[-1], integrator=PRB) == found[chosen[-1].name]
    for p in list_parameters(scene):
        np.testing.assert_array_equal(read(scene, p), values[p.name].astype(np.float32))
    assert list(scene.sensors[0].film().size()) == [24, 16]


def test_film_size_comes_back_even_after_an_error(scene):
    camera = scene.sensors[0]
    with pytest.raises(RuntimeError), resized_film(camera, (12, 8)):
        assert mi.render(scene.mi, integrator=load_object(PRB), spp=1).shape == (8, 12, 3)
        raise RuntimeError
    assert list(camera.film().crop_size()) == [24, 16]
    # A scaled film sees the same view.
    full = np.array(mi.render(scene.mi, integrator=load_object(PRB), spp=64))
    with resized_film(camera, (12, 8)):
        half = np.array(mi.render(scene.mi, integrator=load_object(PRB), spp=256))
    assert np.abs(resize(full, (8, 12)) - half).mean() < 0.05 * half.mean()


def test_a_constant_becomes_a_texture_of_the_same_look(scene):
    params = traverse(scene)
    params["ball.bsdf.roughness.value"] = 0.7
    params.update()
    before = np.array(mi.render(scene.mi, integrator=load_object(PRB), spp=16, seed=5))
    variables = Variables(
        scene, {"a": VariableSpec("ball/base_color", texture=4), "r": VariableSpec("ball/roughness", texture=(2, 3))}
    )
    assert variables.scene is not scene
    shapes = {x.parameter.name: x.parameter.shape for x in variables.latents.values()}
    assert shapes == {"ball/base_color": (4, 4, 3), "ball/roughness": (2, 3, 1)}
    after = np.array(mi.render(variables.scene.mi, integrator=load_object(PRB), spp=16, seed=5))
    np.testing.assert_allclose(after, before, rtol=2e-3, atol=1e-4)
    assert np.array(read(variables.scene, resolve(variables.scene, "ball/roughness")[0])) == pytest.approx(0.7)
    # The old scene is as it was.
    assert resolve(scene, "ball/base_color")[0].kind == "color"


def test_a_constant_sky_becomes_a_map_of_the_same_look():
    sky = {"type": "constant", "radiance": {"type": "rgb", "value": [0.2, 0.5, 0.9]}}
    scene = load_scene({**description(), "env": sky})
    variables = Variables(scene, {"sky": VariableSpec("env/radiance", texture=4)})
    assert next(iter(variables.latents.values())).parameter.shape == (4, 8, 3)
    images = [
        np.array(mi.render(s.mi, integrator=load_object(PRB), spp=64, seed=5)).mean((0, 1))
        for s in (scene, variables.scene)
    ]
    np.testing.assert_allclose(images[1], images[0], rtol=0.03)


def test_textures_change_their_resolution(scene):
    before = read(scene, resolve(scene, "wood/base_color")[0])
    sky = read(scene, resolve(scene, "env/radiance")[0])
    variables = Variables(
        scene,
        {
            "a": VariableSpec("wood/base_color", texture=(10, 12), map="clamp"),
            "e": VariableSpec("env/radiance", texture=8, map="clamp"),
        },
    )
    shapes = [x.parameter.shape for x in variables.latents.values()]
    assert shapes == [(10, 12, 3), (8, 16, 3)] or shapes == [(8, 16, 3), (10, 12, 3)]
    values = {variables.latents[k].parameter.name: np.array(v) for k, v in variables.init().items()}
    np.testing.assert_allclose(values["wood/base_color"].mean(), before.mean(), rtol=0.05)
    np.testing.assert_allclose(values["env/radiance"], resize(sky, (8, 16), wrap=True), rtol=1e-5)
    stored = np.array(mi.render(variables.scene.mi, integrator=load_object(PRB), spp=4))
    assert np.isfinite(stored).all()


def test_promotion_is_refused_where_it_cannot_work(tmp_path, monkeypatch):
    mesh = mi.Mesh("m", 3, 1)
    params = traverse(mesh)
    params["vertex_positions"] = [0, 0, 0, 1, 0, 0, 0, 1, 0]
    params["faces"] = [0, 1, 2]
    params.update()
    mesh.write_ply(str(tmp_path / "m.ply"))
    bare = {"type": "ply", "filename": str(tmp_path / "m.ply"), "bsdf": {"type": "diffuse"}}
    scene = load_scene({**description(), "bare": bare})
    with monkeypatch.context() as patch, pytest.raises(ParameterError, match=r"'bare' has no texture.*pbdr\[unwrap\]"):
        patch.setattr("pbdr.parameters.unwrap.importlib.util.find_spec", lambda name: None)
        Variables(scene, {"a": VariableSpec("bare/base_color", texture=4)})
    with pytest.raises(ParameterError, match="no texture slot"):
        Variables(scene, {"a": VariableSpec("ball/specular", texture=4)})
    with pytest.raises(ParameterError, match="load_scene"):
        Variables(scene.mi, {"a": VariableSpec("ball/base_color", texture=4)})
    with pytest.raises(ParameterError, match="at least 3 rows"):
        Variables(scene, {"a": VariableSpec("env/radiance", texture=2)})
    with pytest.raises(ParameterError, match="positive sizes"):
        Variables(scene, {"a": VariableSpec("ball/base_color", texture=0)})


def test_variables_round_trip_and_attach(scene):
    specs = {
        "color": VariableSpec(["*/base_color", "!wood/*"], map="sigmoid", init=0.25),
        "sky": VariableSpec("env/radiance", map="softplus"),
        "rough": VariableSpec(raw="ball.bsdf.roughness.value", bounds=(0.1, 0.9), init=0.5),
    }
    variables = Variables(scene, specs)
    latents = variables.init()
    assert set(latents) == set(variables.latents) and "rough:ball.bsdf.roughness.value" in latents
    assert all(key.startswith("color:") for key in variables.names("color")) and len(variables.names("color")) == 4
    values = variables.numpy(latents)
    np.testing.assert_allclose(values["ball/base_color"], 0.25, rtol=1e-5)
    np.testing.assert_allclose(values["env/radiance"], read(scene, resolve(scene, "env/radiance")[0]), rtol=1e-4)
    key = variables.names("color")[0]
    np.testing.assert_allclose(variables.to_latent(key, np.full(latents[key].shape, 0.25)), latents[key], rtol=1e-5)
    dr.enable_grad(*latents.values())
    params = variables.apply(latents)
    assert all(dr.grad_enabled(params[x.parameter.raw]) for x in variables.latents.values())
    variables.apply({k: dr.detach(v) for k, v in latents.items()})


def test_two_variables_cannot_share_a_parameter(scene):
    with pytest.raises(ParameterError, match="'ball/base_color' belongs to two variables, 'a' and 'b'"):
        Variables(scene, {"a": VariableSpec("ball/*color"), "b": VariableSpec("*/base_color")})


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ({"init": 1.5}, ParameterError, "outside its bounds"),
        ({"init": float("nan")}, ParameterError, "non-finite"),
        ({"init": [0.1, 0.2]}, ParameterError, r"shape \(2,\), the parameter \(3,\)"),
        ({"map": "sigmoit"}, OptionError, "sigmoid"),
        ({"bounds": (1.0, 0.0)}, OptionError, "empty"),
        ({"bounds": (0.0, 1.0, 2.0)}, OptionError, "two numbers"),
        ({"lr": 0.0}, OptionError, "lr"),
        ({"start": -1}, OptionError, "start"),
    ],
)
def test_a_wrong_specification_is_refused(scene, spec, error, message):
    with pytest.raises(error, match=message):
        Variables(scene, {"a": VariableSpec("ball/base_color", **spec)}).init()
    with pytest.raises(ParameterError, match="nothing"):
        Variables(scene, {})


def test_an_integer_texture_cannot_be_optimised(tmp_path):
    mi.Bitmap(np.zeros((2, 2, 3), np.uint8)).write(str(tmp_path / "t.png"))
    image = {"type": "bitmap", "filename": str(tmp_path / "t.png")}
    ball = {"type": "sphere", "bsdf": {"type": "diffuse", "reflectance": image}}
    plain = mi.load_dict({**description(), "ball": ball})
    with pytest.raises(ParameterError, match=r"integers.*pbdr\.load_scene"):
        Variables(plain, {"a": VariableSpec("ball/base_color")})
    assert Variables(load_scene({**description(), "ball": ball}), {"a": VariableSpec("ball/base_color")})


def test_resize_is_an_exact_average_and_reproduces_linear_ramps():
    image = RNG(8).uniform(size=(6, 8, 2))
    np.testing.assert_allclose(resize(image, (3, 2)), image.reshape(3, 2, 2, 4, 2).mean((1, 3)))
    np.testing.assert_allclose(resize(image, (4, 5)).mean((0, 1)), image.mean((0, 1)))
    ramp = np.broadcast_to(np.arange(4.0)[None, :, None], (1, 4, 1))
    np.testing.assert_allclose(resize(ramp, (1, 8))[0, 1:-1, 0], np.arange(1, 7) / 2 - 0.25)
    wrapped = resize(ramp, (1, 8), wrap=True)[0, :, 0]
    assert wrapped[0] == pytest.approx(0.75) and wrapped[-1] == pytest.approx(2.25)


@pytest.mark.parametrize("name", ["ball/base_color", "ball/pose", "ball/roughness", "lamp/position"])
def test_a_nan_gradient_is_not_lost_on_its_way_to_the_latent(scene, name):
    """Dr.Jit's scatter, and so the derivative of its gather, drops NaN: the conversions must not use it."""
    variables = Variables(scene, {"a": VariableSpec(name, map="clamp", bounds=(-100.0, 100.0))})
    latents = variables.init()
    leaf = next(iter(latents.values()))
    for factor in (float("nan"), 2.0):
        dr.enable_grad(leaf)
        value = variables.apply(latents)[next(iter(variables.latents.values())).parameter.raw]
        value = value.matrix[1, 2] if name.endswith("pose") else value
        value = value.y if name in ("ball/base_color", "lamp/position") else value
        dr.backward(value * factor)
        gradient = np.array(dr.grad(leaf)).ravel()
        assert np.count_nonzero(gradient) == 1
        assert np.isnan(gradient).any() if np.isnan(factor) else gradient.max() == factor
        dr.disable_grad(leaf)
