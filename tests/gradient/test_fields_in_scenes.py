"""Fields as media among meshes and lights: the path tracer's image is the marched one; gradients are finite differences."""

import mitsuba as mi
import numpy as np
import pytest

import pbdr
from pbdr.errors import OptionError
from pbdr.fields import integrator, volume
from pbdr.fields.field import Box
from pbdr.fields.hashed import HashGrid
from pbdr.fields.voxels import Voxels
from pbdr.scene import load_scene
from validation.agreement import assert_agrees, assert_differs, replicas
from validation.finite_differences import Differences

BOX = Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
SIDE, SKY = 8, 0.4
CLOUD = Voxels(resolution=2, grids=1)
FLAT = np.full((SIDE, SIDE, 3), 1 / (3 * SIDE**2), np.float32)
TRACER = {"type": "pathspace", "max_depth": 3}
#: In front of the cloud, with a lamp that throws its shadow onto it.
BALL = {
    "ball": {"type": "sphere", "center": [0.4, 0.5, 1.6], "radius": 0.5},
    "lamp": {"type": "directional", "direction": [-0.2, -0.4, -1.0], "irradiance": 2.0},
}


def latents(field):
    """Latents for which densities and colours differ from place to place."""
    random = np.random.default_rng(1)
    return {
        key: mi.TensorXf((np.array(x) + random.normal(0, 0.7, x.shape)).astype(np.float32))
        for key, x in field.init(1).items()
    }


def scene(field, mode, further):
    """The field in its box under a sky, seen by a small camera."""
    look_at = mi.ScalarTransform4f().look_at([0.3, 0.5, 4], [0, 0, 0], [0, 1, 0])
    film = {"type": "hdrfilm", "width": SIDE, "height": SIDE, "rfilter": {"type": "box"}}
    return load_scene(
        {
            "type": "scene", "cloud": volume.shape(field, latents(field), BOX, mode), "sky": {"type": "constant", "radiance": SKY},
            "sensor": {"type": "perspective", "fov": 45, "to_world": look_at, "film": film}, **further,
        }
    )  # fmt: skip


def path_traced(made, spp=256):
    """Replicas of the mean of the image by pixel channel."""
    return replicas(
        lambda seed: np.array(pbdr.render(made, spp=spp, seed=seed, integrator=TRACER)).mean(axis=(0, 1)), 6
    )


@pytest.mark.parametrize(
    "field", [CLOUD, pytest.param(HashGrid(grids=3, table=8, base=4, hidden=16), marks=pytest.mark.slow)]
)
def test_a_field_that_shines_is_what_was_marched(field):
    """The emissive medium in the path tracer, and (29) with many samples. Negative control: without the light behind it."""
    made = scene(field, "emission", {})
    marched = integrator.make(field, BOX, 64, (SKY, SKY, SKY))
    marched.take(latents(field))
    marched.occupancy.least = mi.Float(-1)  # nothing is left out
    expected = np.array(mi.render(made.mi, integrator=marched, spp=16), dtype=np.float64).mean(axis=(0, 1))
    found = path_traced(made)
    assert_agrees(found, expected, max_relative_se=0.01, rounding=2e-3)
    dark = integrator.make(field, BOX, 64, (0.0, 0.0, 0.0))
    dark.take(latents(field))
    image = np.array(mi.render(made.mi, integrator=dark, spp=4), dtype=np.float64)
    assert_differs(found, image.mean(axis=(0, 1)), by=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["albedo", "emission"])
def test_gradients_of_a_field_behind_a_mesh(mode):
    """A ball hides a part of the cloud and throws its shadow onto it; along a direction of all latents, colours included."""
    made = scene(CLOUD, mode, BALL)
    tangent = np.random.default_rng(2).uniform(0.5, 1.5, (8, CLOUD.width)) * [1, 0.3, 0.3, 0.3]
    name = "cloud/sigma_t_grid"
    expected = Differences(made, name, tangent, 0.2, spp=1024, integrator=TRACER).replicas(FLAT, gap=0.05)

    def gradient(seed):
        found = pbdr.gradient(made, name, FLAT, spp=512, seed=seed, integrator=TRACER).total[name]
        return float(np.sum(np.asarray(found, dtype=np.float64) * tangent))

    found = replicas(gradient, 6)
    noise = np.hypot(expected.std(ddof=1), found.std(ddof=1)) / 6**0.5
    assert abs(found.mean() - expected.mean()) < 6 * noise
    assert noise < 0.05 * abs(expected.mean())
    # Negative control: the shadow is a part of it.
    without = scene(CLOUD, mode, {**BALL, "ball": {**BALL["ball"], "center": [0.4, 0.5, -3.0]}})
    other = [
        float(
            np.sum(
                np.asarray(pbdr.gradient(without, name, FLAT, spp=512, seed=s, integrator=TRACER).total[name]) * tangent
            )
        )
        for s in range(3)
    ]
    assert abs(np.mean(other) - expected.mean()) > 6 * noise


def test_a_mode_that_is_not_there():
    with pytest.raises(OptionError, match="mode = 'shadow'"):
        volume.shape(CLOUD, latents(CLOUD), BOX, "shadow")
    bright = Voxels(resolution=2, grids=1, shine="exp")
    with pytest.raises(OptionError, match="sigmoid"):
        volume.shape(bright, latents(bright), BOX, "albedo")
