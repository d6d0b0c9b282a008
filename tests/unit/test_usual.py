"""What suits unknowns without being asked for: losses, samples of derivatives, priors."""

from dataclasses import replace

import mitsuba as mi
import numpy as np
import pytest

from pbdr import inverse
from pbdr.inverse.priors.tv import variation
from pbdr.inverse.problem import JOB, View
from pbdr.inverse.unknowns import EVEN, moves_nothing
from pbdr.parameters import VariableSpec
from pbdr.scene import load_scene

SCENE = {
    "type": "scene",
    "sensor": {"type": "perspective", "film": {"type": "hdrfilm", "width": 8, "height": 6}},
    "light": {"type": "constant"},
    "mat": {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.5}},
    "wall": {"type": "rectangle", "bsdf": {"type": "ref", "id": "mat"}},
}


def problem(mask=None, options=JOB, **specs):
    view = View(np.full((6, 8, 3), 0.3, np.float32), 0, mask)
    return inverse.Problem(load_scene(SCENE), [view, view], specs, options)


COLOUR = VariableSpec("mat/base_color", texture=16)


def test_what_moves_nothing_has_the_relative_loss_and_a_quarter_of_the_samples():
    found = problem(colour=COLOUR)
    assert moves_nothing(found.bound)
    assert [loss.name for _, loss in found.losses] == ["relative_dual"]
    assert found.spp_grad == JOB.spp // 4


def test_what_moves_has_the_plain_loss_and_all_samples():
    found = problem(colour=COLOUR, shape=VariableSpec("wall/pose"))
    assert not moves_nothing(found.bound)
    assert [loss.name for _, loss in found.losses] == ["l2_dual"]
    assert found.spp_grad == JOB.spp


def test_textures_of_colours_have_a_prior_as_strong_as_there_are_texels_to_a_pixel():
    ((key, weight, prior),) = problem(colour=COLOUR).usual_priors
    assert (key.partition(":")[0], prior.name) == ("colour", "tv_colour")
    assert weight == pytest.approx(EVEN * 256 / 96)
    half = np.ones((6, 8), np.float32)
    half[:3] = 0
    assert problem(half, colour=COLOUR).usual_priors[0][1] == pytest.approx(EVEN * 256 / 48)


def test_there_is_no_prior_beside_a_loss_whose_value_is_noise():
    assert not problem(options=replace(JOB, loss="l2"), colour=COLOUR).usual_priors


def test_there_is_no_prior_where_it_would_decide_the_colour_of_a_light():
    assert problem(colour=COLOUR).usual_priors
    assert not problem(colour=COLOUR, light=VariableSpec("light/radiance")).usual_priors


@pytest.mark.parametrize(
    "spec",
    [
        VariableSpec("mat/base_color"),
        VariableSpec("mat/base_color", texture=16, prior={"tv": 0.0}),
        VariableSpec("light/radiance", texture=16),
    ],
    ids=["constant", "own prior", "light"],
)
def test_there_is_no_prior_for_constants_for_lights_and_where_one_is_named(spec):
    assert not problem(it=spec).usual_priors


def test_a_step_counts_the_prior_in_units_of_the_loss_and_of_the_mean_value():
    uneven = np.random.default_rng(2).uniform(0.2, 0.8, (16, 16, 3)).astype(np.float32)

    def prior(init, **more):
        task = problem(
            options=replace(JOB, spp=2), colour=VariableSpec("mat/base_color", texture=16, init=init, **more)
        )
        info = inverse.step(task, inverse.init(task))[1]
        return info.prior / abs(info.loss)

    mean = uneven.mean()
    expected = EVEN * 256 / 96 * float(variation(mi.TensorXf(uneven), joint=True)[0]) / mean
    assert prior(uneven) == pytest.approx(expected, rel=0.01)
    assert prior(0.5) == pytest.approx(0, abs=1e-6)
    assert prior(uneven, prior={"tv_colour": 0.0}) == 0  # negative control
