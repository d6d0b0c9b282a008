"""Priors of fields against their formulas, written as plain sums; and options of fields that are refused."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import DataError, OptionError
from pbdr.fields.field import Box
from pbdr.fields.march import Marched
from pbdr.fields.priors import FIELD_PRIORS, Seen
from pbdr.fields.problem import FieldOptions, FieldProblem, fit
from pbdr.fields.voxels import Voxels
from pbdr.inverse import Options, View
from pbdr.inverse.workers import Workers
from pbdr.scene import load_object

RAYS, SAMPLES = 5, 4
BOX = Box((0.0, 0.0, 0.0), (2.0, 2.0, 2.0))


def seen(weights, field=None, latents=None):
    """Rays with these weights (RAYS, SAMPLES); samples of weight 0 were left out."""
    slot = np.flatnonzero(weights.ravel() > 0).astype(np.uint32)
    place = (slot % SAMPLES + 0.5) / SAMPLES
    weight = mi.Float(weights.ravel()[slot].astype(np.float32))
    opacity = mi.Float(weights.sum(axis=1).astype(np.float32))
    dr.enable_grad(weight)
    found = Marched(
        mi.Color3f(0),
        opacity,
        mi.UInt32(slot // SAMPLES),
        mi.Float(place.astype(np.float32)),
        weight,
        mi.UInt32(slot),
        SAMPLES,
    )
    return Seen(field, latents or {}, BOX, found, None, mi.UInt32(3)), weight


@pytest.fixture
def weights():
    random = np.random.default_rng(2)
    found = random.uniform(0.02, 0.2, (RAYS, SAMPLES))
    found[0, 1] = found[2] = 0
    return found


def test_distortion_is_the_double_sum(weights):
    """Σ_ij w_i w_j |s_i − s_j| + ⅓ Σ w_i² δ, and its derivative."""
    place = (np.arange(SAMPLES) + 0.5) / SAMPLES
    apart = np.abs(place[:, None] - place)
    expected = (np.einsum("ri,rj,ij->", weights, weights, apart) + (weights**2).sum() / (3 * SAMPLES)) / RAYS
    given, weight = seen(weights)
    found = FIELD_PRIORS.make("distortion")(given)
    assert float(found[0]) == pytest.approx(expected, rel=1e-5)
    dr.backward(found)
    slope = (2 * weights @ apart + 2 * weights / (3 * SAMPLES)) / RAYS
    np.testing.assert_allclose(np.array(dr.grad(weight)), slope[weights > 0], rtol=1e-4)


def test_entropy_is_that_of_opacities(weights):
    opacity = np.clip(weights.sum(axis=1), 1e-6, 1 - 1e-6)
    expected = -np.mean(opacity * np.log(opacity) + (1 - opacity) * np.log(1 - opacity))
    assert float(FIELD_PRIORS.make("entropy")(seen(weights)[0])[0]) == pytest.approx(expected, rel=1e-4)


def test_variation_is_none_where_nothing_varies(weights):
    """And of a ramp along one axis, the difference of opacity by a step."""
    field = Voxels(resolution=8, grids=1)
    flat = {"grid": dr.full(mi.TensorXf, 0.5, (512, 4))}
    prior = FIELD_PRIORS.make({"type": "tv", "smooth": 1e-6})
    assert float(prior(seen(weights, field, flat)[0])[0]) == pytest.approx(0, abs=1e-5)
    ramp = np.zeros((8, 8, 8, 4), np.float32)
    ramp[..., 0] = np.arange(8)  # along x
    value = float(prior(seen(weights, field, {"grid": mi.TensorXf(ramp.reshape(512, 4))})[0])[0])
    # Nodes are at (i + ½)/8: raw is 8 x − ½ in between, and the opacity of a step 1 − exp(−exp(raw) step).
    x = np.linspace(0, 1 - prior.step, 200001)
    raw = lambda at: np.clip(8 * at - 0.5, 0, 7)  # noqa: E731
    opacity = [1 - np.exp(-np.exp(raw(at)) * prior.step) for at in (x, x + prior.step)]
    assert value == pytest.approx(np.mean(np.abs(opacity[1] - opacity[0])), rel=0.02)
    # Colours that vary cost something only where they are asked for.
    painted = np.full((8, 8, 8, 4), 0.5, np.float32)
    painted[..., 1] = np.arange(8)
    values = [
        float(
            FIELD_PRIORS.make({"type": "tv", "colour": x})(
                seen(weights, field, {"grid": mi.TensorXf(painted.reshape(512, 4))})[0]
            )[0]
        )
        for x in (0.0, 1.0)
    ]
    assert values[0] == pytest.approx(0, abs=1e-5) and values[1] > 1e-3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kind": "hush"}, "Closest: hash"),
        ({"kind": {"type": "hash", "features": 3}}, "even number"),
        ({"kind": {"type": "voxels", "resolution": 4, "grids": 5}}, "the coarsest grid needs 2 voxels"),
        ({"kind": {"type": "voxels", "degree": 4}}, "degree = 4"),
        ({"kind": {"type": "voxels", "shine": "tanh"}}, "'sigmoid' or 'exp'"),
        ({"box": ((0, 0, 0), (1, 0, 1))}, "the lower one first"),
        ({"samples": 1}, "samples = 1"),
        ({"background": "white"}, "background = 'white'"),
        ({"prior": {"tv": -1.0}}, "a weight is a number of at least 0"),
    ],
)
def test_options_are_refused(options, told):
    with pytest.raises(OptionError) as raised:
        FieldOptions(**options)
    assert told in str(raised.value)


def test_views_that_do_not_do_are_refused():
    film = {"type": "hdrfilm", "width": 4, "height": 4}
    view = View(np.zeros((4, 4, 3), np.float32), load_object({"type": "perspective", "film": film}), name="a")
    with pytest.raises(DataError, match="a: the image has no alpha"):
        fit([view], FieldOptions(background="random"))
    with pytest.raises(OptionError, match="a field is compared ray by ray"):
        fit([view], options=Options(loss="ssim"))
    with pytest.raises(OptionError, match="a radiance field is fitted by one"):
        FieldProblem(None, [view], {}, Options(loss="l2")).shared(type("Two", (Workers,), {"size": 2})())
    with pytest.raises(OptionError, match="lm"):
        fit([view], options=Options(loss="l2", optimiser="lm"))
