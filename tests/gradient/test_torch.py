"""The PyTorch bridge: the same images and gradients as Dr.Jit's own graph, and PyTorch's rules kept."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import ParameterError
from pbdr.parameters import Variables, VariableSpec, traverse
from pbdr.scene import integrator_of, load_scene
from pbdr.seeds import hashed

torch = pytest.importorskip("torch")
bridge = pytest.importorskip("pbdr.torch")

PRB = {"type": "prb", "max_depth": 3}
T = mi.ScalarTransform4f


@pytest.fixture
def scene():
    sky = np.random.default_rng(1).uniform(0.2, 1, (4, 8, 3)).astype(np.float32)
    return load_scene(
        {
            "type": "scene",
            "camera": {
                "type": "perspective",
                "to_world": T().look_at([0, 2, -6], [0, 0, 0], [0, 1, 0]),
                "film": {"type": "hdrfilm", "width": 12, "height": 10},
            },
            "env": {"type": "envmap", "bitmap": mi.Bitmap(sky)},
            "ball": {"type": "sphere", "bsdf": {"type": "principled", "base_color": {"type": "rgb", "value": 0.4}}},
            "wall": {
                "type": "rectangle",
                "to_world": T().translate([0, 0, 2]).rotate([0, 1, 0], 180).scale(4),
                "bsdf": {"type": "diffuse"},
            },
        }
    )


def tensors(scene, names):
    variables = Variables(scene, {n: VariableSpec(n, map="clamp") for n in names})
    return {
        x.parameter.name: torch.tensor(np.array(v), requires_grad=True)
        for x, v in zip(variables.latents.values(), variables.init().values(), strict=True)
    }


NAMES = ("env/radiance", "ball/roughness", "wall/base_color")


@pytest.mark.parametrize("integrator", [PRB, {"type": "pathspace", "max_depth": 3}], ids=["prb", "pathspace"])
def test_image_and_gradients_are_those_of_drjit(scene, integrator):
    inputs = tensors(scene, NAMES)
    weights = np.random.default_rng(2).normal(size=(10, 12, 3)).astype(np.float32)
    image = bridge.render(scene, inputs, spp=8, seed=3, integrator=integrator)
    assert image.shape == (10, 12, 3) and image.dtype == torch.float32
    (torch.log1p(image) * torch.tensor(weights)).sum().backward()

    variables = Variables(scene, {n: VariableSpec(n, map="clamp") for n in NAMES})
    latents = variables.init()
    dr.enable_grad(*latents.values())
    params = variables.apply(latents)
    same = mi.render(
        scene.mi, params, integrator=integrator_of(scene, integrator),
        spp=8, seed=hashed(3, "primal"), seed_grad=hashed(3, "gradient"),
    )  # fmt: skip
    dr.backward(dr.sum(dr.log(1 + same) * mi.TensorXf(weights), axis=None))
    np.testing.assert_allclose(image.detach().numpy(), np.array(same), rtol=1e-5, atol=1e-6)
    for key, latent in variables.latents.items():
        expected = np.array(dr.grad(latents[key]))
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(
            inputs[latent.parameter.name].grad.numpy(), expected, rtol=2e-3, atol=1e-4 * np.abs(expected).max()
        )


def test_a_chain_of_torch_operations_is_differentiated(scene):
    """A known answer: the image is linear in the environment's scale, so the derivative of its sum is its sum."""
    base = tensors(scene, ("env/radiance",))["env/radiance"].detach()
    gain = torch.tensor(1.3, requires_grad=True)
    image = bridge.render(scene, {"env/radiance": base * gain}, spp=256, integrator=PRB)
    image.sum().backward()
    assert float(gain.grad) * 1.3 == pytest.approx(float(image.detach().sum()), rel=0.02)


def test_only_what_needs_a_gradient_gets_one(scene):
    inputs = tensors(scene, ("env/radiance", "wall/base_color"))
    inputs["env/radiance"].requires_grad_(False)
    bridge.render(scene, inputs, spp=2, integrator=PRB).sum().backward()
    assert inputs["env/radiance"].grad is None and inputs["wall/base_color"].grad is not None
    with torch.no_grad():
        assert not bridge.render(scene, inputs, spp=2, integrator=PRB).requires_grad


def test_two_renders_of_one_scene_keep_their_own_values(scene):
    """The backward pass of the first render must not see the values that the second one wrote."""
    results = []
    for interfere in (False, True):
        color = torch.tensor([0.2], requires_grad=True)
        image = bridge.render(scene, {"wall/base_color": color}, spp=4, integrator=PRB)
        if interfere:
            bridge.render(scene, {"wall/base_color": torch.tensor([0.9])}, spp=4, integrator=PRB)
        (image**2).sum().backward()
        results.append(float(color.grad))
    assert results[0] == pytest.approx(results[1], rel=1e-4)


def test_double_precision_and_raw_keys(scene):
    color = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    bridge.render(scene, {"wall.bsdf.reflectance.value": color}, spp=2, integrator=PRB).sum().backward()
    assert color.grad.dtype == torch.float64 and color.grad.shape == () and float(color.grad) > 0
    assert not dr.grad_enabled(traverse(scene)["wall.bsdf.reflectance.value"])


def test_mistakes_are_named(scene):
    with pytest.raises(ParameterError, match="wall/base_color"):
        bridge.render(scene, {"wall/base_colour": torch.zeros(1)}, integrator=PRB)
    with pytest.raises(ParameterError, match="selects 2 parameters"):
        bridge.render(scene, {"*/base_color": torch.zeros(1)}, integrator=PRB)
    with pytest.raises(ParameterError, match=r"shape \(4, 8, 3\)"):
        bridge.render(scene, {"env/radiance": torch.zeros(4, 8)}, integrator=PRB)
    with pytest.raises(ParameterError, match="float"):
        bridge.render(scene, {"wall/base_color": 0.5}, integrator=PRB)
