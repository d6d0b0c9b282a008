"""Gradients with respect to σ_t, albedo and phase functions, and of everything else that moves nothing, in scenes with media.

Closed forms are those of a slab of thickness 1 (validation/scenes/media.py): transmittance e^(−τ), and light scattered back once.
Others are compared with differences of Mitsuba's `volpathmis`. Each comparison says how much noise it allows; 8 replicas find an
error of 13 times that with a probability of 99 %.
"""

import mitsuba as mi
import numpy as np
import pytest

from pbdr import rendering
from pbdr.parameters import list_parameters
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.transport.media import flight
from validation.agreement import assert_agrees, assert_differs, replicas
from validation.finite_differences import Differences, adjoint, check, gradients
from validation.scenes import media

COUNT = 8
FLAT = np.full((2, 2, 3), 1 / 12, np.float32)  # the mean of the image
BACK = 1 / (4 * np.pi)  # isotropic


def derivative(scene, name, spp=4096, max_depth=2, adjoint=FLAT, **options):
    """Replicas of the gradient of the mean image."""
    tracer = {"type": "pathspace", "max_depth": max_depth, **options}

    def estimate(seed):
        return gradient(scene, name, adjoint, spp=spp, seed=seed, integrator=tracer).total[name].astype(np.float64)

    return replicas(estimate, COUNT, name)


@pytest.mark.parametrize("density", [0.0, 1.3])
def test_beer_lambert(density):
    """d e^(−σ)/dσ, also where there is nothing yet. Negative control: without collisions with nothing, that is 0."""
    made = media.slab(media.fog(density, 0.0), light=media.behind())
    exact = -np.exp(-density)
    assert_agrees(derivative(made, "slab/sigma_t").ravel(), exact, max_relative_se=0.006)


def test_nothing_has_no_derivative_without_collisions_with_nothing(monkeypatch):
    """Negative control of `test_beer_lambert` at 0, and of `test_single_scattering` there."""
    monkeypatch.setattr(flight, "DEFENSIVE", 0.0)
    made = media.slab(media.fog(0.0, 0.0), light=media.behind())
    assert_differs(derivative(made, "slab/sigma_t", spp=64).ravel(), -1.0, by=0.9)


def scattered_back(sigma, albedo, phase=BACK):
    """Parallel light that comes back from the slab after one collision: E a p ∫σ e^(−2σt) dt."""
    return albedo * phase * (1 - np.exp(-2 * sigma)) / 2


@pytest.mark.parametrize("sigma, albedo", [(1.3, 0.0), (1.3, 0.6), (0.0, 0.6), (0.0, 0.0)])
def test_single_scattering(sigma, albedo):
    """Derivatives in σ_t and albedo; those that do not vanish are not lost where the factor beside them is 0."""
    made = media.slab(media.fog(sigma, albedo), light=media.sun())
    for name, exact in (
        ("slab/sigma_t", albedo * BACK * np.exp(-2 * sigma)),
        ("slab/albedo", scattered_back(sigma, 1.0)),
    ):
        found = derivative(made, name).ravel()
        if exact == 0:
            assert not found.any()
        else:
            assert_agrees(found, exact, max_relative_se=0.01)
            assert_differs(found * 0.9, exact, by=0.05)


def test_phase_function():
    """Henyey and Greenstein's function straight back: (1 − g²) / (1 + g)³ / 4π."""
    sigma, albedo, g, step = 1.3, 0.6, 0.3, 1e-4
    back = lambda g: BACK * (1 - g * g) / (1 + g) ** 3  # noqa: E731
    made = media.slab(media.fog(sigma, albedo, media.forwards(g)), light=media.sun())
    exact = scattered_back(sigma, albedo, (back(g + step) - back(g - step)) / (2 * step))
    assert_agrees(derivative(made, "slab/phase_g").ravel(), exact, max_relative_se=0.01)


@pytest.mark.parametrize("values", [(1.3, 1.3, 1.3), (0.3, 2.2, 0.05), (6.0, 0.0, 0.1)])
def test_voxels(values):
    """Every layer on its own: −e^(−τ)/3, at the majorant as well, where no collision is one with nothing, and at 0."""
    made = media.slab(media.layers(values), light=media.behind())
    exact = np.full(3, -np.exp(-np.mean(values)) / 3)
    found = derivative(made, "slab/sigma_t").reshape(COUNT, 3)
    assert_agrees(found, exact, max_relative_se=0.03)
    planted = found.copy()
    planted[:, np.argmax(values)] = 0
    assert_differs(planted, exact, by=0.5)


def test_colours():
    """Each channel of σ_t is on its own; the densities of one wavelength serve all."""
    sigma = np.array([0.1, 0.4, 0.9])
    made = media.slab(media.fog({"type": "rgb", "value": sigma.tolist()}, 0.0, scale=4.0), light=media.behind())
    found = derivative(made, "slab/sigma_t")
    assert_agrees(found, -4 * np.exp(-4 * sigma) / 3, max_relative_se=0.02)


@pytest.mark.slow
def test_furnace():
    """A white medium in light from everywhere: nothing changes it but the albedo. (Very few paths are cut at this depth.)"""
    furnace = load_scene(
        {"type": "scene", "camera": media.zoo.camera(), "sky": {"type": "constant"},
         "thing": {"type": "sphere", "bsdf": media.NULL, "interior": media.fog(1.0, 1.0, media.forwards())}}
    )  # fmt: skip
    weights = np.full((16, 16, 3), 1 / 768, np.float32)
    options = {"spp": 64, "max_depth": 48, "rr_depth": 48, "adjoint": weights}
    scale = np.abs(derivative(furnace, "thing/albedo", **options)).mean()
    for name in ("thing/sigma_t", "thing/phase_g"):
        found = derivative(furnace, name, **options).ravel()
        assert_agrees(found, 0.0, scale=scale, max_relative_se=0.02)
    grey = load_scene(
        {"type": "scene", "camera": media.zoo.camera(), "sky": {"type": "constant"},
         "thing": {"type": "sphere", "bsdf": media.NULL, "interior": media.fog(1.0, 0.8, media.forwards())}}
    )  # fmt: skip
    assert_differs(derivative(grey, "thing/sigma_t", **options).ravel(), 0.0, scale=scale, by=0.05)


# Scene, parameter, step of the differences.
DIFFERENCES = {
    "density of a grid": ("grid", "thing/sigma_t", 0.3),
    "albedo of a grid": ("albedo grid", "thing/albedo", 0.1),
    "tinted, density": ("tinted", "thing/sigma_t", 0.03),
    "tinted, albedo": ("tinted", "thing/albedo", 0.05),
    "phase function, four segments": ("homogeneous", "thing/phase_g", 0.1),
    "behind glass": ("glass", "thing/sigma_t", 0.4),
    "behind rough glass": ("rough glass", "thing/sigma_t", 0.4),
    "a ball in a box": ("nested", "thing/sigma_t", 0.3),
    "around the camera": ("around the camera", "camera/sigma_t", 0.04),
    "floor below a medium": ("grid", "floor/base_color", 0.05),
    "lamp above a medium": ("tinted", "lamp/radiance", 0.1),
    "bulb above a medium": ("point light", "bulb/intensity", 0.1),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", DIFFERENCES)
def test_against_differences(case):
    made, name, step = DIFFERENCES[case]
    made = load_scene(media.CASES[made]())
    shape = next(p.shape for p in list_parameters(made) if p.name == name)
    tangent = np.random.default_rng(4).uniform(0.3, 1, shape)
    exact = Differences(
        made, name, tangent, step, spp=1024, integrator={"type": "volpathmis", "max_depth": 4, "rr_depth": 50}
    )
    weights = exact.signs()
    found = gradients(made, {name: tangent}, weights, spp=512, count=12, max_depth=4)[name]
    check(found, exact.replicas(weights, gap=0.05, count=12), max_relative_se=0.015)


@pytest.mark.parametrize("name", ["thing/sigma_t", "thing/albedo", "floor/base_color"])
def test_both_modes(name):
    """Forward and reverse mode on the same samples."""
    made = load_scene(media.CASES["grid"]())
    shape = next(p.shape for p in list_parameters(made) if p.name == name)
    tangent = np.random.default_rng(4).uniform(0.3, 1, shape)
    weights = adjoint().astype(np.float32)
    options = {"spp": 16, "seed": 5, "integrator": {"type": "pathspace", "max_depth": 3, "adjoint_sampling": False}}
    reverse = gradient(made, name, weights, **options).total[name].astype(np.float64) * tangent
    image = sum(rendering.derivative(made, {name: tangent}, **options).values())
    assert abs(np.sum(image * weights) - reverse.sum()) <= 5e-4 * np.abs(reverse).sum() != 0


def test_alpha():
    """Alpha is 1 − e^(−σ) beside what lies behind the slab: nothing."""
    film = {"type": "hdrfilm", "width": 2, "height": 2, "pixel_format": "rgba", "rfilter": {"type": "box"}}
    described = {"type": "orthographic", "to_world": media.NARROW, "film": film}
    block = {
        "type": "cube",
        "to_world": media.T().scale([2, 2, 0.5]),
        "bsdf": media.NULL,
        "interior": media.fog(1.3, 0.5),
    }
    made = load_scene({"type": "scene", "camera": described, "slab": block, "sun": media.sun()})
    weights = np.zeros((2, 2, 4), np.float32)
    weights[..., 3] = 0.25
    image = np.array(mi.render(made.mi, integrator=mi.load_dict({"type": "pathspace", "max_depth": 2}), spp=4096))
    assert abs(image[..., 3].mean() - (1 - np.exp(-1.3))) < 0.02
    assert_agrees(derivative(made, "slab/sigma_t", adjoint=weights).ravel(), np.exp(-1.3), max_relative_se=0.01)


def test_fog_behind_a_hidden_lamp_is_there():
    """A wall seen through absorbing fog, in which a lamp hangs that `hide_emitters` makes invisible: e^−σd of the whole way, within
    four standard errors of at most 1 %; without the half behind the lamp, e^−σd/2. Mitsuba's `volpath` is black there."""
    to, sigma = mi.ScalarTransform4f(), 0.5

    def seen(density: float) -> np.ndarray:
        fog = {"type": "homogeneous", "sigma_t": density, "albedo": 0.0}
        scene = load_scene(
            {
                "type": "scene",
                "point": {"type": "point", "position": [0.4, 0, -1.5], "intensity": 5.0},
                "wall": {"type": "rectangle", "to_world": to.translate([0, 0, -2]).scale(3.0)},
                "fog": {"type": "cube", "to_world": to.scale([3, 3, 1]), "bsdf": {"type": "null"}, "interior": fog},
                "lamp": {"type": "rectangle", "to_world": to.scale(2.0), "emitter": {"type": "area", "radiance": 3.0}},
                "camera": {
                    "type": "perspective",
                    "fov": 4,
                    "to_world": to.look_at([0, 0, 6], [0, 0, 0], [0, 1, 0]),
                    "film": {"type": "hdrfilm", "width": 8, "height": 8, "rfilter": {"type": "box"}},
                },
            }
        )
        tracer = mi.load_dict({"type": "pathspace", "max_depth": 3, "hide_emitters": True})
        return np.array(mi.render(scene.mi, integrator=tracer, spp=1024, seed=1))[..., 0].ravel()

    ratio = seen(sigma) / seen(1e-6)
    error = ratio.std() / np.sqrt(ratio.size)
    assert error < 0.01 * np.exp(-2 * sigma)
    assert abs(ratio.mean() - np.exp(-2 * sigma)) < 4 * error
