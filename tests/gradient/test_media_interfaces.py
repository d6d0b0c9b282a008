"""Interfaces that bend nothing and move: the borders of media. They have no edges, and no vertex of a path moves with them.

Closed forms are those of a slab of thickness 1 whose faces move (validation/scenes/media.py); others are compared with differences
of Mitsuba's `volpathmis`. 8 replicas find an error of 13 times the noise that a comparison allows with a probability of 99 %.
"""

import numpy as np
import pytest

import pbdr.errors
from pbdr import rendering
from pbdr.parameters import list_parameters, read
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.transport.media import volume
from validation.agreement import assert_agrees, assert_differs, replicas
from validation.finite_differences import Differences, adjoint, check, gradients
from validation.scenes import media

COUNT = 8
FLAT = np.full((2, 2, 3), 1 / 12, np.float32)  # the mean of the image
SIGMA, ALBEDO = 1.3, 0.6
BACK = ALBEDO / (4 * np.pi)


def thicker(scene):
    """Both faces of the slab move outwards."""
    parameter = next(p for p in list_parameters(scene) if p.name == "slab/positions")
    tangent = np.zeros(parameter.shape)
    tangent[:, 2] = np.sign(read(scene, parameter)[:, 2])
    return tangent


def thickness(medium, light, **options):
    """Replicas of the derivative of the mean image by half the thickness."""
    made = media.slab(medium, light=light)
    tangent, tracer = thicker(made), {"type": "pathspace", "max_depth": 2, **options}

    def estimate(seed):
        found = gradient(made, "slab/positions", FLAT, spp=4096, seed=seed, integrator=tracer)
        return float((found.total["slab/positions"] * tangent).sum())

    return replicas(estimate, COUNT, "thickness")


def test_transmittance():
    """e^(−2hσ) by h. Negative control: without what the way loses, it is 0."""
    exact = -2 * SIGMA * np.exp(-SIGMA)
    assert_agrees(thickness(media.fog(SIGMA, 0.0), media.behind()), exact, max_relative_se=0.02)


def test_light_scattered_at_the_interface(monkeypatch):
    """E a p (1 − e^(−4hσ))/2 by h. What is scattered first and what is lost cancel there, so that either alone is wrong."""
    medium, exact = media.fog(SIGMA, ALBEDO), 2 * SIGMA * BACK * np.exp(-2 * SIGMA)
    found = thickness(medium, media.sun())
    assert_agrees(found, exact, max_relative_se=0.08)
    monkeypatch.setattr(volume.Rim, "eval", lambda rim, direction, active: 0 * rim.before[2])
    assert_differs(thickness(medium, media.sun()), exact, by=0.5)


def moved(kind, scene, name):
    """Tangent: a shift of a pose or of vertices, or growth."""
    value = read(scene, next(p for p in list_parameters(scene) if p.name == name))
    if kind == "grows":
        return value - value.mean(0)
    if value.shape == (3, 4):
        return np.column_stack([np.zeros((3, 3)), [1, 0.3, 0.5]])
    return np.broadcast_to([1, 0.3, 0.5], value.shape).copy()


def in_a_large_grid():
    """A ball cut out of a cloud."""
    around = media.T().translate([-1, -1, -0.3]).scale(2)
    density = media.volume(np.random.default_rng(1).uniform(0, 3, (3, 4, 5)), around)
    return media.scene({**media.cloud(), "sigma_t": density}, "sphere")


# How it moves, the scene, the parameter, samples a pixel, replicas. Of directions along a round border few carry most: noise falls
# slowly.
CASES = {
    "box grows": ("grows", lambda: media.scene(media.fog(2.5, 0.7, media.forwards())), "thing/positions", 1024, 16),
    "box moves": ("moves", lambda: media.scene(media.fog(2.5, 0.7), bulb=media.POINT), "thing/positions", 1024, 16),
    "ball moves": ("moves", lambda: media.scene(media.fog(2.5, 0.7), "sphere", sky=media.SKY), "thing/pose", 4096, 24),
    "tinted ball moves": ("moves", lambda: media.scene(media.tinted(), "sphere", sky=media.SKY), "thing/pose", 4096, 24),
    "ball moves through a cloud": ("moves", in_a_large_grid, "thing/pose", 2048, 24),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_against_differences(case):
    kind, make, name, spp, count = CASES[case]
    made = load_scene(make())
    tangent = moved(kind, made, name)
    exact = Differences(made, name, tangent, 0.04, spp=1024, integrator={"type": "volpathmis", "max_depth": 2})
    weights = exact.signs()
    found = gradients(made, {name: tangent}, weights, spp=spp, count=count, max_depth=2)[name]
    check(found, exact.replicas(weights, gap=0.08, count=count), max_relative_se=0.02)


def test_both_modes():
    made = load_scene(CASES["box moves"][1]())
    tangent = moved("moves", made, "thing/positions")
    weights = adjoint().astype(np.float32)
    options = {"spp": 16, "seed": 5, "integrator": {"type": "pathspace", "max_depth": 3, "adjoint_sampling": False}}
    reverse = (
        gradient(made, "thing/positions", weights, **options).total["thing/positions"].astype(np.float64) * tangent
    )
    image = sum(rendering.derivative(made, {"thing/positions": tangent}, **options).values())
    assert abs(np.sum(image * weights) - reverse.sum()) <= 5e-4 * np.abs(reverse).sum() != 0


def test_interfaces_have_no_boundary_terms():
    found = gradient(
        load_scene(CASES["box moves"][1]()), "thing/positions", adjoint(), spp=4, integrator={"type": "pathspace"}
    )
    assert found.interior["thing/positions"].any()
    assert not any(getattr(found, term)["thing/positions"].any() for term in ("primary", "direct", "indirect"))


def test_grids_that_end_with_the_shape_are_refused():
    """Their own border does not move."""
    with pytest.raises(pbdr.errors.SceneError, match="Make the grid larger"):
        gradient(
            load_scene(media.CASES["grid"]()), "thing/positions", adjoint(), spp=1, integrator={"type": "pathspace"}
        )


def test_what_bends_or_shines_is_no_interface():
    for bsdf, more in (({"type": "dielectric"}, {}), (media.NULL, {"emitter": {"type": "area", "radiance": 1.0}})):
        described = media.scene(media.fog(), bsdf=bsdf)
        described["thing"] |= more
        with pytest.raises(pbdr.errors.SceneError, match="no derivative in this version"):
            gradient(load_scene(described), "thing/positions", adjoint(), spp=1, integrator={"type": "pathspace"})
