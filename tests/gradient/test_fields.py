"""Rays through fields: values and derivatives against a closed form and finite differences, for every kind of field."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.fields import march as marching
from pbdr.fields import occupancy
from pbdr.fields.field import Box
from pbdr.fields.hashed import HashGrid
from pbdr.fields.march import look, march
from pbdr.fields.voxels import Voxels
from pbdr.sequence import over_lanes

BOX = Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
SAMPLES, RAYS = 16, 32
BACKGROUND = 0.3


def rays():
    """Rays from outside and inside, in all directions; some miss the box."""
    random = np.random.default_rng(3)
    origin = random.uniform(-2, 2, (3, RAYS)).astype(np.float32)
    direction = random.uniform(-0.8, 0.8, (3, RAYS)).astype(np.float32) - origin
    return mi.Point3f(origin), dr.normalize(mi.Vector3f(direction))


def marched(field, latents, where=None):
    """Radiance (3, RAYS) over a background."""
    origin, direction = rays()
    jitter = over_lanes(RAYS * SAMPLES, 5).next_1d()
    return march(field, latents, BOX, origin, direction, SAMPLES, jitter, where).over(mi.Color3f(BACKGROUND))


def random_latents(field, spread):
    """Latents of some size, so that densities and colours differ from place to place."""
    random = np.random.default_rng(7)
    return {
        key: mi.TensorXf((np.array(x) + random.normal(0, spread, x.shape)).astype(np.float32))
        for key, x in field.init(1).items()
    }


def slab(density, radiance):
    """The closed form of a field that is the same everywhere: radiance of the rays, (3, RAYS)."""
    origin, direction = (np.array(x, dtype=np.float64) for x in rays())
    with np.errstate(divide="ignore"):
        first, second = (-1 - origin) / direction, (1 - origin) / direction
    near = np.maximum(np.minimum(first, second).max(axis=0), 0)
    length = np.maximum(np.maximum(first, second).min(axis=0) - near, 0)
    opacity = 1 - np.exp(-density * length)
    return radiance[:, None] * opacity + BACKGROUND * (1 - opacity)


@pytest.fixture
def constant():
    """A field of one density and colour, its latents, and these two numbers."""
    field = Voxels(resolution=2, grids=1, shine="exp")
    raw = np.array([0.4, -0.3, 0.2, -1.0])
    latents = {"grid": mi.TensorXf(np.tile(raw, (8, 1)).astype(np.float32))}
    return field, latents, np.exp(raw[0]) / BOX.side, np.exp(raw[1:])


def slopes(field, latents):
    """Derivatives of the sum of all radiance with respect to the raw numbers, all voxels moved together."""
    leaf = {key: mi.TensorXf(value) for key, value in latents.items()}
    dr.enable_grad(leaf["grid"])
    dr.backward(dr.sum(dr.sum(marched(field, leaf))))
    return np.array(dr.grad(leaf["grid"])).sum(axis=0)


def expected_slopes(density, radiance, step=1e-5):
    """The same of the closed form, whose differences are exact to many digits in double precision."""
    up, down = (slab(density * np.exp(x), radiance).sum() for x in (step, -step))
    colour = []
    for c in range(3):
        ends = [slab(density, radiance * np.exp(x * (np.arange(3) == c))).sum() for x in (step, -step)]
        colour.append((ends[0] - ends[1]) / (2 * step))
    return np.array([(up - down) / (2 * step), *colour])


def test_a_constant_field_is_a_slab(constant):
    field, latents, density, radiance = constant
    found = np.array(marched(field, latents))
    np.testing.assert_allclose(found, slab(density, radiance), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(slopes(field, latents), expected_slopes(density, radiance), rtol=1e-4)


def test_a_wrong_transmittance_is_noticed(constant, monkeypatch):
    """Negative control: every sample absorbs its own light, too."""
    field, latents, density, radiance = constant
    exclusive = dr.block_prefix_sum
    monkeypatch.setattr(marching.dr, "block_prefix_sum", lambda x, size: exclusive(x, size, exclusive=False))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(np.array(marched(field, latents)), slab(density, radiance), rtol=2e-5, atol=2e-6)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(slopes(field, latents), expected_slopes(density, radiance), rtol=1e-4)


KINDS = {
    "voxels": (Voxels(resolution=8, grids=2), 0.5),
    "harmonics": (Voxels(resolution=6, grids=1, degree=2, shine="exp"), 0.3),
    "hash": (HashGrid(grids=3, table=8, base=4, hidden=16), 0.4),
}


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_differences(kind, monkeypatch):
    """Along a random direction of all latents, in both modes; the error of the larger of two steps is four times as large."""
    field, spread = KINDS[kind]
    latents = random_latents(field, spread)
    random = np.random.default_rng(11)
    way = {key: mi.TensorXf(random.uniform(0, 2, x.shape).astype(np.float32)) for key, x in latents.items()}
    weights = random.uniform(0.5, 1.5, (3, RAYS)).astype(np.float32)

    def total(moved):
        return dr.sum(dr.sum(mi.Color3f(weights) * marched(field, moved)))

    differences = []
    for step in (0.02, 0.01):
        images = [np.array(marched(field, {k: latents[k] + s * step * way[k] for k in latents})) for s in (1, -1)]
        differences.append(np.sum(weights * (images[0].astype(np.float64) - images[1])) / (2 * step))
    expected = (4 * differences[1] - differences[0]) / 3
    error = abs(differences[1] - differences[0]) / 3 + 2e-3 * abs(expected)
    leaf = {key: mi.TensorXf(value) for key, value in latents.items()}
    dr.enable_grad(*leaf.values())
    dr.backward(total(leaf))
    reverse = sum(float(np.sum(np.array(dr.grad(leaf[k]), dtype=np.float64) * np.array(way[k]))) for k in leaf)
    assert reverse == pytest.approx(expected, abs=error)
    for key, value in leaf.items():
        dr.clear_grad(value)
        dr.set_grad(value, way[key])
    result = total(leaf)
    dr.forward_to(result)
    assert float(dr.grad(result)[0]) == pytest.approx(expected, abs=error)
    assert error < 0.02 * abs(expected)
    # Negative control: without the derivative of what lies before a sample.
    exclusive = dr.block_prefix_sum
    monkeypatch.setattr(marching.dr, "block_prefix_sum", lambda x, size: dr.detach(exclusive(x, size)))
    leaf = {key: mi.TensorXf(value) for key, value in latents.items()}
    dr.enable_grad(*leaf.values())
    dr.backward(total(leaf))
    wrong = sum(float(np.sum(np.array(dr.grad(leaf[k]), dtype=np.float64) * np.array(way[k]))) for k in leaf)
    assert abs(wrong - expected) > 3 * error


def test_images_are_the_same_sum():
    """`look`, one sample after the other, and `march` agree where samples of a ray have one offset, and where cells are empty."""
    field, spread = KINDS["voxels"]
    latents = random_latents(field, spread)
    origin, direction = rays()
    offset = over_lanes(RAYS, 6).next_1d()
    grid = occupancy.looked(field, latents, BOX, occupancy.everywhere(), mi.UInt32(1))
    for where in (
        occupancy.of(occupancy.everywhere(), BOX),
        occupancy.Occupancy(grid, dr.opaque(mi.Float, 0.4)),
    ):
        jitter = dr.repeat(offset, SAMPLES)
        one = march(field, latents, BOX, origin, direction, SAMPLES, jitter, where)
        radiance, opacity = look(field, latents, BOX, origin, direction, SAMPLES, offset, where)
        np.testing.assert_allclose(np.array(radiance), np.array(one.radiance), atol=2e-4)
        np.testing.assert_allclose(np.array(opacity), np.array(one.opacity), atol=2e-4)
    assert dr.width(one.slot) < RAYS * SAMPLES  # some cells were left out
