"""Media that shine: images and gradients in closed form.

Slabs of thickness 1 show ε (1 − e^(−σ))/σ. A furnace, ε = (1 − a) σ in light of radiance 1 from everywhere, is 1 at every depth,
and stays so along directions that keep this balance. 8 replicas find an error of 13 times the noise that a comparison allows with
a probability of 99 %.
"""

import mitsuba as mi
import numpy as np
import pytest

from pbdr import rendering
from pbdr.errors import OptionError, SceneError
from pbdr.parameters import list_parameters
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.transport.media import emissive, volume
from validation.agreement import assert_agrees, assert_differs, replicas
from validation.scenes import media

COUNT = 8
FLAT = np.full((2, 2, 3), 1 / 12, np.float32)  # the mean of the image
EMISSION = 0.7


def image(scene, spp=4096, **options):
    """Replicas of the mean image."""
    tracer = mi.load_dict({"type": "pathspace", **options})
    return replicas(
        lambda seed: np.array(mi.render(scene.mi, integrator=tracer, spp=spp, seed=seed)).mean(), COUNT, "image"
    )


def derivative(scene, name, spp=4096, adjoint=FLAT, **options):
    """Replicas of the gradient of the mean image."""
    tracer = {"type": "pathspace", **options}
    return replicas(
        lambda seed: gradient(scene, name, adjoint, spp=spp, seed=seed, integrator=tracer).total[name].astype(np.float64),
        COUNT, name,
    )  # fmt: skip


def seen(sigma):
    """Radiance of a slab with ε = 1, and its derivative by σ_t."""
    if sigma == 0:
        return 1.0, -0.5
    passed = np.exp(-sigma)
    return (1 - passed) / sigma, (passed * (1 + sigma) - 1) / sigma**2


@pytest.mark.parametrize("sigma", [0.0, 1.3])
def test_slab(sigma):
    """Image, derivative by the emission, there or not yet, and by σ_t, at 0 as well."""
    light, slope = seen(sigma)
    made = media.slab(media.flame(EMISSION, sigma))
    assert_agrees(image(made, max_depth=1), EMISSION * light, max_relative_se=0.01)
    assert_agrees(derivative(made, "slab/emission", max_depth=1).ravel(), light, max_relative_se=0.01)
    assert_agrees(derivative(made, "slab/sigma_t", max_depth=1).ravel(), EMISSION * slope, max_relative_se=0.03)
    dark = media.slab(media.flame(0.0, sigma))
    assert_agrees(derivative(dark, "slab/emission", max_depth=1).ravel(), light, max_relative_se=0.01)


def test_what_lies_before_the_light_counts(monkeypatch):
    """Negative control of `test_slab`: without the transmittance as far as the point, σ_t has no derivative."""
    monkeypatch.setattr(volume, "_thinned", lambda *_: mi.Spectrum(1))
    found = derivative(media.slab(media.flame(EMISSION, 1.3)), "slab/sigma_t", max_depth=1, spp=64)
    assert_differs(found.ravel(), EMISSION * seen(1.3)[1], by=0.5)


@pytest.mark.slow
def test_layers():
    """Every voxel of both grids on its own: empty, black, and at the majorant."""
    sigma, emission = np.array([0.0, 2.2, 0.4]), np.array([0.8, 0.3, 0.0])
    grid = lambda values: media.volume(np.reshape(values, (-1, 1, 1)), media.GRID_IN_SLAB, filter_type="nearest")  # noqa: E731

    def exact(sigma, emission):
        total, passed = 0.0, 1.0
        for s, e in zip(sigma, emission, strict=True):  # the camera looks along +z
            total += passed * e * (1 / 3 if s == 0 else (1 - np.exp(-s / 3)) / s)
            passed *= np.exp(-s / 3)
        return total

    made = media.slab(media.flame(grid(emission), grid(sigma)))
    assert_agrees(image(made), exact(sigma, emission), max_relative_se=0.01)
    step = 1e-5
    for name, values in (("slab/emission", emission), ("slab/sigma_t", sigma)):
        slopes = []
        for k in range(3):
            ahead = np.array(values)
            ahead[k] += step
            pair = (sigma, ahead) if name.endswith("emission") else (ahead, emission)
            slopes.append((exact(*pair) - exact(sigma, emission)) / step)
        found = derivative(made, name, spp=16384).reshape(COUNT, 3)
        assert_agrees(found, np.array(slopes), scale=np.abs(slopes).max(), max_relative_se=0.02)


def furnace(emission, sigma=1.0, albedo=0.6):
    return load_scene(
        {"type": "scene", "camera": media.zoo.camera(), "sky": {"type": "constant"},
         "thing": {"type": "sphere", "bsdf": media.NULL, "interior": media.flame(emission, sigma, albedo)}}
    )  # fmt: skip


@pytest.mark.slow
def test_furnace():
    """What is absorbed is what shines: 1 everywhere, also along σ_t with ε, and along the albedo against ε."""
    made, options = furnace(0.4), {"max_depth": 48, "rr_depth": 48}
    assert_agrees(image(made, spp=256, **options), 1.0, max_relative_se=0.002)
    assert_differs(image(furnace(0.0), spp=64, **options), 1.0, by=0.02)
    weights = np.full((16, 16, 3), 1 / 768, np.float32)
    found = {
        name: derivative(made, f"thing/{name}", 64, weights, **options).ravel()
        for name in ("emission", "sigma_t", "albedo")
    }
    scale = np.abs(found["emission"]).mean()
    assert_agrees(found["sigma_t"] + 0.4 * found["emission"], 0.0, scale=scale, max_relative_se=0.03)
    assert_agrees(found["albedo"] - found["emission"], 0.0, scale=scale, max_relative_se=0.03)
    assert_differs(found["sigma_t"], 0.0, scale=scale, by=0.05)


def test_both_modes():
    """Forward and reverse mode on the same samples, through scattering."""
    made = media.slab(media.flame(EMISSION, 1.3, 0.6))
    options = {"spp": 64, "seed": 5, "integrator": {"type": "pathspace", "max_depth": 3, "adjoint_sampling": False}}
    for name in ("slab/emission", "slab/sigma_t"):
        reverse = gradient(made, name, FLAT, **options).total[name].astype(np.float64).sum()
        forwards = sum(rendering.derivative(made, {name: np.ones(1)}, **options).values())
        assert abs(np.sum(forwards * FLAT) - reverse) <= 5e-4 * abs(reverse) != 0


def test_names_and_refusals():
    """Emission is a parameter like others; no light is needed beside it; a border that moves is refused by name."""
    made = media.slab(media.flame())
    row = next(p for p in list_parameters(made) if p.name == "slab/emission")
    assert row.bounds == (0, np.inf)
    with pytest.raises(SceneError, match="'slab' shines"):
        gradient(made, "slab/positions", FLAT, spp=1, integrator={"type": "pathspace"})
    with pytest.raises(OptionError, match="emissive: unknown option 'sigma'"):
        media.slab({"type": "emissive", "sigma": 1.0})
    assert not emissive.glows(mi.load_dict(media.fog()))
