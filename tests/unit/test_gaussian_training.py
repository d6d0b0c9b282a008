"""Gaussians from views: what 3DGS-MCMC adds to Adam, by its definitions, and small fits."""

import dataclasses

import numpy as np
import pytest

from pbdr.data.cameras import Camera
from pbdr.errors import DataError, DivergedError, OptionError
from pbdr.fields.gaussians import mcmc
from pbdr.fields.gaussians.model import Gaussians, logit
from pbdr.fields.gaussians.project import on_device
from pbdr.fields.gaussians.rendering import render
from pbdr.fields.gaussians.training import Training, TrainingOptions, View, fit
from pbdr.srgb import linear_to_srgb, srgb_to_linear
from validation.gaussians import some


@pytest.mark.parametrize(("opacity", "count"), [(0.1, 1), (0.5, 2), (0.9, 3), (0.99, 10), (0.3, 51)])
def test_several_in_one_place_look_like_one(opacity, count):
    """The same alpha at the centre, and the same integral over a line, as Kheradmand et al. define it."""
    own, factor = (float(v[0]) for v in mcmc.shared(np.array([opacity]), np.array([count])))
    assert 1 - (1 - own) ** count == pytest.approx(opacity)
    x = np.linspace(-12, 12, 20001)
    whole = np.trapezoid(opacity * np.exp(-0.5 * x**2), x)
    assert np.trapezoid(1 - (1 - own * np.exp(-0.5 * (x / factor) ** 2)) ** count, x) == pytest.approx(whole, rel=1e-6)
    if count > 1:  # negative control: the scales of before
        assert np.trapezoid(1 - (1 - own * np.exp(-0.5 * x**2)) ** count, x) > 1.02 * whole


def test_the_dead_move_to_the_living():
    made = some(30, 1)
    dead = np.arange(30) % 3 == 0
    made = made.replaced({"logits": np.where(dead, logit(0.004), logit(0.6))})
    values = {name: v.numpy() for name, v in on_device(made).items()}
    moved, changed = mcmc.relocated(values, np.random.default_rng(0))
    assert dead[changed[-10:]].all() and not dead[changed[:-10]].any()
    assert (moved["logits"] > logit(0.1)).all()
    living = {tuple(p) for p in made.positions[~dead]}
    assert all(tuple(p) in living for p in moved["positions"][dead])
    kept = np.setdiff1d(np.arange(30), changed)
    assert all(np.array_equal(moved[name][kept], values[name][kept]) for name in values)
    camera = Camera.look_at([0, 0, -3], [0, 0, 0], [0, 1, 0], 30, 21, 0.7)
    colors = np.concatenate([moved["dc"], moved["rest"]], axis=1)
    after = Gaussians(moved["positions"], moved["log_scales"], moved["rotations"], moved["logits"], colors)
    away = np.abs(render(after, camera) - render(made, camera)).mean()
    assert away < 0.01
    untouched = after.replaced({"log_scales": made.log_scales[np.arange(30)]})
    assert np.abs(render(untouched, camera) - render(made, camera)).mean() > away
    nobody, none = mcmc.relocated({**values, "logits": np.full(30, 2, np.float32)}, np.random.default_rng(0))
    assert len(none) == 0 and nobody["positions"] is values["positions"]


def test_noise():
    """Displacements of a transparent one have the covariance Σ² times the square of the rate; an opaque one stays."""
    one, count = some(1), 40_000
    many = one.take(np.zeros(count, int)).replaced({"logits": np.full(count, -20.0)})
    rate, random = 0.7, np.random.default_rng(0)
    found = mcmc.noise(on_device(many), rate, random).numpy().astype(np.float64)
    share = 1 / (1 + np.exp(-0.5))
    expected = (rate * share) ** 2 * one.covariances[0] @ one.covariances[0]
    error = np.abs(expected).max() * 5 * np.sqrt(2 / count)
    assert np.abs(np.cov(found.T) - expected).max() < error
    assert np.abs(np.cov(found.T) - rate**2 * one.covariances[0]).max() > 3 * error
    opaque = many.replaced({"logits": np.full(count, 2.0)})
    assert np.abs(mcmc.noise(on_device(opaque), rate, random).numpy()).max() < 1e-6


def views(made, count=4, side=16):
    """Photographs of Gaussians whose colours are codes, over black, with alpha."""
    found = []
    for k in range(count):
        angle = 2 * np.pi * k / count
        eye = [3 * np.sin(angle), 0.5, -3 * np.cos(angle)]
        camera = Camera.look_at(eye, [0, 0, 0], [0, 1, 0], side, side, 0.7)
        image = np.clip(render(made, camera), 0, 1)
        alpha = 1 - (render(made, camera, background=(1, 1, 1)) - render(made, camera))[..., 0]
        straight = srgb_to_linear(np.clip(image / np.maximum(alpha, 1e-3)[..., None], 0, 1))
        found.append(View(camera, straight * alpha[..., None], np.clip(alpha, 0, 1)))
    return found


def test_a_small_fit():
    """Perturbed Gaussians come nearer to the views that they were made from, and their number stays."""
    truth = some(12, 0)
    random = np.random.default_rng(3)
    start = truth.replaced(
        {"positions": truth.positions + 0.1 * random.normal(size=(12, 3)), "harmonics": 0.5 * truth.harmonics}
    )
    seen = views(truth)
    losses = []
    done = fit(
        seen,
        start,
        TrainingOptions(steps=60, relocate=20, rate=4, seed=1),
        tell=lambda state: losses.append(state.step),
    )
    assert len(done.gaussians) == 12 and len(done.losses) == 60 and losses == [50] and done.seconds > 0
    assert np.mean(done.losses[-8:]) < 0.6 * np.mean(done.losses[:8])
    again = Training(seen, start, TrainingOptions(steps=60, relocate=20, rate=4, seed=1))
    state = again.first()
    for _ in range(3):
        state = again.advanced(state)
    assert state.loss == pytest.approx(done.losses[2], rel=1e-4)


def test_codes_and_alpha():
    """Targets are codes of straight colours, premultiplied; or linear radiance as it is."""
    seen = views(some(12, 0), 1)
    image, alpha = np.full((2, 2, 3), 0.1), np.full((2, 2), 0.5)
    coded = Training(seen, some(12, 0)).coded(image, alpha)
    assert np.allclose(coded, 0.5 * linear_to_srgb(np.array(0.2)))
    assert np.allclose(Training(seen, some(12, 0), TrainingOptions(linear=True)).coded(image, alpha), image)


def test_what_is_refused():
    seen, start = views(some(12, 0), 2), some(12, 0)
    with pytest.raises(DataError, match="no views"):
        Training([], start)
    with pytest.raises(DataError, match="view 1: the image"):
        Training([seen[0], dataclasses.replace(seen[1], target=seen[1].target[:8])], start)
    with pytest.raises(DataError, match="not finite"):
        Training([dataclasses.replace(seen[0], target=np.full((16, 16, 3), np.nan))], start)
    for wrong in ({"rates": {"colour": 1.0}}, {"steps": 0}, {"dssim": 2}, {"background": "white"}, {"rate": np.inf}):
        with pytest.raises(OptionError):
            TrainingOptions(**wrong)
    with pytest.raises((DivergedError, DataError)):
        fit(seen, start, TrainingOptions(steps=30, relocate=1, settle=0, rates={"log_scales": 1e6}))
