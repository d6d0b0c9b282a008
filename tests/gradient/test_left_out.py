"""What sampling leaves out is counted and told once: images in glass that are hardly ever found, faces beyond a warp's memory."""

import warnings

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.boundary.edges import specular
from pbdr.boundary.sampling import left_out
from pbdr.boundary.warp import levels
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.transport.support import IncompleteGradientWarning
from validation.scenes import zoo

T = mi.ScalarTransform4f


def scene(**rest):
    """A block behind a glass ball."""
    parts = {
        "camera": zoo.camera(), "floor": {"type": "rectangle", "to_world": T().scale(3)},
        "thing": {"type": "cube", "to_world": T().translate([0.3, 1.2, 0.5]).scale(0.4)},
    }  # fmt: skip
    return load_scene({"type": "scene", **parts, **rest})


def told(made, integrator, term):
    """The warnings of two calls of one integrator."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for seed in (1, 2):
            gradient(
                made, "thing/positions", np.ones((16, 16, 3)), spp=2, seed=seed, integrator=integrator, terms=(term,)
            )
    return [str(w.message) for w in caught if issubclass(w.category, IncompleteGradientWarning)]


def test_images_that_are_hardly_found(monkeypatch):
    """With three trials in place of a thousand, images are left out; negative control: with a thousand, none is."""
    ball = {"type": "sphere", "center": [0, -0.2, 0.7], "radius": 0.5, "bsdf": {"type": "dielectric"}}
    made = scene(sun=zoo.lamp(-0.3, 0.2, -1), glass=ball)
    options = {"type": "pathspace", "max_depth": 4, "n_primary": 2048}
    assert told(made, mi.load_dict(options), "primary") == []
    monkeypatch.setattr(specular, "MAX_TRIALS", 3)
    found = told(made, mi.load_dict(options), "primary")
    assert len(found) == 1 and "% or more of what edges contribute by way of mirrors and glass is left out" in found[0]


def test_faces_beyond_the_memory_of_a_warp(monkeypatch):
    made = scene(lamp={**zoo.above(size=0.4), "emitter": {"type": "area", "radiance": 3.0}})
    options = {"type": "pathspace", "max_depth": 2, "boundary": "warp", "warp_unbiased": True}
    monkeypatch.setattr(levels, "CAPACITY", 2)
    found = told(made, mi.load_dict(options), "interior")
    assert len(found) == 1 and "faces than they can tell apart" in found[0]


def test_sums():
    """By hand: two of three images are kept, those of lanes that found none do not count; recorded calls are not counted."""
    counts = left_out.Counts()
    found, trials = mi.Bool([True, True, True, False]), mi.Float([3, 1000, 17, 1000])
    kept = counts.images(found, trials, 1000)
    assert list(kept & found) == [True, False, True, False]
    number, share = counts.shares()[left_out.IMAGES]
    assert number == 1000 and share == pytest.approx(1000 / 1020)
    assert counts.shares() == {}
    recorded = left_out.Counts(recorded=True)
    recorded.images(found, trials, 1000)
    assert recorded.shares() == {}
    few = left_out.Counts()
    few.images(mi.Bool(True), dr.full(mi.Float, 2, 4), 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few.tell()
