"""Maps: they invert, keep their bounds, have the derivative they should, and neither make nor hide NaN."""

import math

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import OptionError, ParameterError
from pbdr.parameters import maps
from pbdr.parameters.names import Parameter
from pbdr.parameters.place import Place
from pbdr.srgb import linear_to_srgb

CASES = [
    ("clamp", (0.0, 1.0)),
    ("clamp", (-math.inf, math.inf)),
    ("clamp", (0.0, math.inf)),
    ("sigmoid", (0.0, 1.0)),
    ("sigmoid", (-2.0, 5.0)),
    ("exp", (0.0, math.inf)),
    ("exp", (0.5, 8.0)),
    ("softplus", (0.0, math.inf)),
    ("softplus", (-1.0, 3.0)),
    ("srgb", (0.0, 1.0)),
    ("srgb", (0.1, 0.7)),
    ("unit", (-math.inf, math.inf)),
]
NAMES = [f"{name}{bounds}" for name, bounds in CASES]


def samples(name, bounds, margin=0.01):
    lo, hi = (max(bounds[0], -3.0), min(bounds[1], 6.0))
    u = np.random.default_rng(5).uniform(margin, 1 - margin, (7, 5, 3))
    value = lo + (hi - lo) * u
    return value / np.linalg.norm(value, axis=-1, keepdims=True) if name == "unit" else value


def value_of(name, latent, bounds):
    return np.array(maps.to_value(name, mi.TensorXf(np.asarray(latent, np.float32)), bounds), dtype=np.float64)


@pytest.mark.parametrize(("name", "bounds"), CASES, ids=NAMES)
def test_round_trip(name, bounds):
    value = samples(name, bounds)
    latent = maps.to_latent(name, value, bounds)
    assert latent.shape == value.shape
    np.testing.assert_allclose(value_of(name, latent, bounds), value, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "bounds"), CASES, ids=NAMES)
def test_derivative_is_that_of_the_value(name, bounds):
    latent = maps.to_latent(name, samples(name, bounds, 0.1), bounds).astype(np.float32)
    weights = np.random.default_rng(6).normal(size=latent.shape)
    leaf = mi.TensorXf(latent)
    dr.enable_grad(leaf)
    dr.backward(dr.sum(maps.to_value(name, leaf, bounds) * mi.TensorXf(weights.astype(np.float32)), axis=None))
    gradient = np.array(dr.grad(leaf))
    step = 1e-2
    for index in ((0, 0, 0), (3, 2, 1), (6, 4, 2)):
        shifted = [latent.copy(), latent.copy()]
        shifted[0][index] -= step
        shifted[1][index] += step
        low, high = ((value_of(name, x, bounds) * weights).sum() for x in shifted)
        assert gradient[index] == pytest.approx((high - low) / (2 * step), rel=5e-3, abs=2e-3)


@pytest.mark.parametrize(("name", "bounds"), [c for c in CASES if c[0] != "unit"], ids=NAMES[:-1])
def test_no_projected_latent_leaves_the_bounds(name, bounds):
    latent = np.array([-1e6, -30.0, -1.0, 0.0, 0.3, 1.0, 30.0, 80.0], np.float32)
    value = value_of(name, maps.project(name, latent, bounds), bounds)
    slack = 1e-5 * max(1.0, *(abs(b) for b in bounds if math.isfinite(b)), 0.0)
    assert (value >= bounds[0] - slack).all() and (value <= bounds[1] + slack).all()
    assert np.isfinite(value).all()


@pytest.mark.parametrize("name", ["sigmoid", "exp", "softplus"])
def test_open_maps_start_inside_a_bound_they_cannot_reach(name):
    bounds = (0.0, 1.0)
    latent = maps.to_latent(name, np.array([0.0, 1.0]), bounds)
    assert np.isfinite(latent).all()
    np.testing.assert_allclose(value_of(name, latent, bounds), [0.0, 1.0], atol=2 * maps.INSIDE)


@pytest.mark.parametrize("name", ["clamp", "srgb"])
def test_a_latent_on_its_bound_can_leave_it(name):
    for bound in (0.0, 1.0):
        leaf = mi.TensorXf(maps.to_latent(name, np.array([bound]), (0.0, 1.0)).astype(np.float32))
        dr.enable_grad(leaf)
        dr.backward(dr.sum(maps.to_value(name, leaf, (0.0, 1.0)), axis=None))
        assert np.array(dr.grad(leaf))[0] > 0.05


@pytest.mark.parametrize(("name", "bounds"), CASES, ids=NAMES)
def test_nan_stays_nan(name, bounds):
    value = samples(name, bounds)
    value[0, 0] = np.nan
    with pytest.raises(ParameterError, match="3 non-finite"):
        maps.to_latent(name, value, bounds)
    latent = maps.to_latent(name, samples(name, bounds), bounds)
    latent[0, 0] = np.nan
    projected = np.array(maps.project(name, latent.astype(np.float32), bounds))
    assert np.isnan(projected[0, 0]).all() and np.isfinite(projected[1:]).all()
    assert np.isnan(value_of(name, latent, bounds)[0, 0]).all()


def test_unit_vectors_have_length_one_whatever_the_latent():
    latent = np.random.default_rng(7).normal(size=(50, 3)) * 100
    np.testing.assert_allclose(np.linalg.norm(value_of("unit", latent, (-math.inf, math.inf)), axis=-1), 1, rtol=1e-5)
    with pytest.raises(ParameterError, match="length zero"):
        maps.to_latent("unit", np.zeros((2, 3)), (-1.0, 1.0))


def test_srgb_is_the_standard_transfer_function():
    # Published pairs of the sRGB standard: 18 % grey has code 0.4614, code 0.5 is 21.4 % linear.
    assert float(linear_to_srgb(np.array(0.18))) == pytest.approx(0.4614, abs=1e-4)
    assert value_of("srgb", [0.5], (0.0, 1.0))[0] == pytest.approx(0.21404, abs=1e-5)
    assert value_of("srgb", [0.04], (0.0, 1.0))[0] == pytest.approx(0.04 / 12.92, abs=1e-6)


@pytest.mark.parametrize("name", ["clamp", "sigmoid", "exp", "softplus", "srgb"])
def test_an_initial_value_out_of_bounds_is_refused(name):
    with pytest.raises(ParameterError, match=r"outside its bounds \[0, 1\]"):
        maps.to_latent(name, np.array([0.5, 1.2]), (0.0, 1.0))


def test_maps_refuse_bounds_they_cannot_keep():
    for name, bounds in (("sigmoid", (0.0, math.inf)), ("exp", (-math.inf, 1.0)), ("softplus", (-math.inf, 1.0))):
        with pytest.raises(OptionError, match="bound"):
            maps.get_map(name, bounds)
    with pytest.raises(OptionError, match="within"):
        maps.get_map("srgb", (0.0, 2.0))
    with pytest.raises(OptionError, match="empty"):
        maps.get_map("clamp", (1.0, 1.0))
    with pytest.raises(OptionError, match="sigmoid"):
        maps.get_map("sigmoyd", (0.0, 1.0))


def pyramid(shape, bounds, kind="texture", **options):
    parameter = Parameter("a/b", "a.b", "b", shape, bounds, kind)
    return maps.bind({"type": "pyramid", **options}, Place(bounds, parameter))


@pytest.mark.parametrize(
    ("shape", "bounds", "kind"),
    [((5, 8, 3), (0.0, 1.0), "texture"), ((6, 13, 3), (0.0, math.inf), "environment"), ((3,), (0.01, 1.0), "color")],
)
def test_a_pyramid_is_its_levels_added_up(shape, bounds, kind):
    chosen, place = pyramid(shape, bounds, kind)
    value = np.random.default_rng(2).uniform(0.1, 0.9, shape)
    latent = maps.to_latent(chosen, value, place)
    assert latent.ndim == 1
    np.testing.assert_allclose(np.array(maps.to_value(chosen, mi.TensorXf(latent), place)), value, rtol=1e-5)
    if len(shape) == 3:  # the coarsest level alone is constant, the finest moves its texel alone
        first = np.zeros_like(latent)
        first[: shape[2] * math.prod(chosen.sizes(shape)[0])] = 0.3
        flat = np.array(maps.to_value(chosen, mi.TensorXf(first), place))
        assert np.ptp(flat) < 1e-6 and flat.flat[0] != pytest.approx(0.5)
        last = np.zeros_like(latent)
        last[-1] = 0.3
        moved = np.array(maps.to_value(chosen, mi.TensorXf(last), place))
        still = np.array(maps.to_value(chosen, mi.TensorXf(np.zeros_like(latent)), place))
        assert (np.abs(moved - still) > 1e-6).sum() == 1


def test_a_pyramid_reaches_a_wrapped_edge_alike_from_both_sides():
    chosen, place = pyramid((4, 8, 1), (0.0, math.inf), "environment")
    latent = np.zeros(sum(h * w for h, w in chosen.sizes((4, 8, 1))))
    latent[2] = 1.0  # the first texel of the level of 2 x 4, beside the seam
    rows = np.log(np.array(maps.to_value(chosen, mi.TensorXf(latent), place))[..., 0])
    np.testing.assert_allclose(rows[0, [0, 1, 2, 7]] / rows[0, 0], [1, 1, 1 / 3, 1 / 3], rtol=1e-4)


def test_a_pyramid_refuses_what_it_cannot_lie_in():
    with pytest.raises(OptionError, match="auto or one of sigmoid"):
        pyramid((2, 2, 3), (0.0, 1.0), of="unit")
    with pytest.raises(OptionError, match="two finite bounds"):
        pyramid((2, 2, 3), (0.0, math.inf), of="sigmoid")
