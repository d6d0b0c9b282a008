"""Gaussians as 3DGS composites them: images, and derivatives of every attribute, against double precision without tiles."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.data.cameras import Camera
from pbdr.errors import DataError, OptionError
from pbdr.fields.gaussians import composite
from pbdr.fields.gaussians.model import SHAPES
from pbdr.fields.gaussians.project import from_device, on_device
from pbdr.fields.gaussians.rendering import Cameras, Compositing, depths, images, render
from validation.gaussians import composited, some

CAMERA = Camera.look_at([0.3, 0.4, -3], [0, 0, 0], [0, 1, 0], 30, 21, 0.7)  # no multiple of a tile
BEHIND = np.array([0.2, 0.5, 0.9])
WEIGHTS = np.random.default_rng(5).random((21, 30, 3))
EXACT = Compositing(cutoff=1e-5)  # its border jumps by too little to matter


def test_the_image_is_that_of_the_definition():
    made = some()
    for options in (Compositing(), Compositing(low_pass=0.0, cutoff=1e-3, side=16), Compositing(near=2.9)):
        expected, left = composited(
            made.arrays(), CAMERA, low_pass=options.low_pass, cutoff=options.cutoff, near=options.near
        )
        image = render(made, CAMERA, background=BEHIND, options=options)
        assert np.abs(image - expected - left[..., None] * BEHIND).max() < 2e-5
    opaque = made.replaced({"logits": made.logits + 8})  # the largest alpha, and pixels that are done
    expected, left = composited(opaque.arrays(), CAMERA)
    assert left.min() < 2e-4
    assert np.abs(render(opaque, CAMERA) - expected).max() < 2e-4
    wrong = composited(made.arrays(), CAMERA, low_pass=0.0)[0]
    assert np.abs(wrong - composited(made.arrays(), CAMERA)[0]).max() > 0.01


def test_several_films_at_once():
    """Films of one call are those of calls alone, and the order of the Gaussians is no matter."""
    made = some()
    cameras = [CAMERA, Camera.look_at([2, 1, 2], [0, 0, 0], [0, 1, 0], 30, 21, 0.9)]
    sums, left = (v.numpy() for v in images(on_device(made), Cameras(cameras), [1, 0], Compositing()))
    alone = [render(made, camera) for camera in cameras[::-1]]
    assert np.abs(sums - alone).max() < 1e-5 and left.shape == (2, 21, 30, 1)
    assert np.abs(alone[0] - alone[1]).max() > 0.1
    mixed = made.take(np.random.default_rng(0).permutation(len(made)))
    assert np.abs(render(mixed, CAMERA) - alone[1]).max() < 1e-5


def test_nothing_in_view():
    away = some().replaced({"positions": some().positions - [0, 0, 9]})
    assert np.allclose(render(away, CAMERA, background=BEHIND), BEHIND)


def gradient(made, options=EXACT):
    """Derivatives of Σ weights · image over a background, by the names of `SHAPES`."""
    latents = on_device(made)
    dr.enable_grad(latents)
    sums, left = images(latents, Cameras([CAMERA]), [0], options)
    behind = mi.TensorXf(BEHIND.astype(np.float32).reshape(1, 1, 1, 3))
    dr.backward(dr.sum((sums + left * behind) * mi.TensorXf(WEIGHTS[None].astype(np.float32)), axis=None))
    found = {name: dr.grad(value).numpy() for name, value in latents.items()}
    return {**found, "harmonics": np.concatenate([found["dc"], found["rest"]], axis=1)}


def difference(made, name, direction, step, options=EXACT):
    """The same by central differences of the definition, along a direction."""

    def value(sign):
        moved = {**made.arrays(), name: getattr(made, name).astype(np.float64) + sign * step * direction}
        image, left = composited(moved, CAMERA, cutoff=options.cutoff)
        return float(((image + left[..., None] * BEHIND) * WEIGHTS).sum())

    return (value(1) - value(-1)) / (2 * step)


def errors(made, found, name):
    """Largest relative error along four random directions, by two step sizes; and how much these two disagree themselves."""
    random, worst, apart = np.random.default_rng(1), 0.0, 0.0
    for _ in range(4):
        direction = random.normal(size=getattr(made, name).shape)
        size = np.linalg.norm(found[name])  # of a derivative along a random direction
        coarse, fine = (difference(made, name, direction, step) for step in (1e-3, 1e-4))
        worst = max(worst, abs(float((found[name] * direction).sum()) - fine) / size)
        apart = max(apart, abs(coarse - fine) / size)
    return worst, apart


@pytest.mark.parametrize("name", list(SHAPES))
def test_derivatives(name):
    made = some()
    worst, apart = errors(made, gradient(made), name)
    assert apart < 0.02
    assert worst < 0.005


def test_without_what_is_behind_they_are_wrong(monkeypatch):
    """Negative control: a derivative of alpha that forgets what a splat hides."""
    whole = composite._add

    def careless(target, splat, hit, sums, light, counts):
        weight, left, _, passed = light
        own = dr.sum([d * v for d, v in zip(sums, hit.values[4:], strict=True)])
        return whole(target, splat, hit, sums, (weight, left, passed + weight * own, passed), counts)

    monkeypatch.setattr(composite, "_add", careless)
    made = some()
    found = gradient(made)
    assert all(errors(made, found, name)[0] > 0.02 for name in ("positions", "log_scales", "logits"))


def test_depth():
    """One opaque Gaussian: its distance along the axis of the camera; NaN where nothing is."""
    one = some(1).replaced({"positions": [[0, 0, 0]], "logits": [9.0], "log_scales": np.log([[0.1, 0.1, 0.1]])})
    distance, opacity = depths(one, CAMERA)
    expected = np.linalg.norm(CAMERA.to_world[:3, 3])
    assert distance[10, 15] == pytest.approx(expected, rel=1e-5)
    assert opacity[10, 15] > 0.9 and np.isnan(distance[0, 0]) and opacity[0, 0] == 0


def test_what_is_refused():
    fish = Camera(CAMERA.to_world, 30, 21, 30.0, 15.0, 10.0, model="opencv_fisheye")
    with pytest.raises(DataError, match="pinhole"):
        render(some(), fish)
    with pytest.raises(DataError, match="2 sizes"):
        Cameras([CAMERA, Camera.from_fov(CAMERA.to_world, 8, 8, 1.0)])
    for wrong in ({"low_pass": -1}, {"cutoff": 0}, {"side": 0}, {"near": 0}):
        with pytest.raises(OptionError):
            Compositing(**wrong)


def test_there_and_back():
    made = some()
    again = from_device(on_device(made))
    assert all(np.array_equal(a, b) for a, b in zip(made.arrays().values(), again.arrays().values(), strict=True))
