"""A ceiling of memory cuts a call into parts: what fits is left as it is, and parts have the same expectation."""

import drjit as dr
import mitsuba as mi
import numpy as np
import pytest

from pbdr.errors import OptionError
from pbdr.pathspace import memory
from pbdr.rendering import derivative, gradient, render
from pbdr.scene import load_scene
from validation.scenes import zoo

SPP, REPLICAS = 16, 8
PIXELS = zoo.SIZE**2
BOUNDARY = memory.PAIR * memory.MAX_ENTRIES
PIXEL_BYTES = memory.PIXEL * PIXELS * 5
QUARTER = BOUNDARY + PIXEL_BYTES + memory.SAMPLE * PIXELS * SPP // 4
NAME = "thing/positions"


@pytest.fixture(scope="module")
def scene():
    block = {"type": "cube", "to_world": mi.ScalarTransform4f().translate([0, 0, 0.6]).scale(0.3), "bsdf": zoo.GREEN}
    lamp = zoo.above(size=0.6, emitter={"type": "area", "radiance": zoo.rgb(10.0)})
    floor = {"type": "rectangle", "to_world": mi.ScalarTransform4f().scale(2)}
    camera = zoo.camera(sampler={"type": "independent"})
    return load_scene({"type": "scene", "camera": camera, "lamp": lamp, "floor": floor, "thing": block})


def tracer(**options):
    return {"type": "pathspace", "max_depth": 3, **options}


def weights():
    x, y = np.meshgrid(np.linspace(0, 3, zoo.SIZE), np.linspace(0, 2, zoo.SIZE))
    return np.repeat(np.sin(x + y)[..., None], 3, axis=2).astype(np.float32) / PIXELS


def test_a_call_that_fits_is_left_as_it_is(scene):
    free, bound = (
        gradient(scene, NAME, weights(), spp=SPP, seed=3, integrator=tracer(**options)).total[NAME]
        for options in ({}, {"memory": "4GB"})
    )
    assert bound == pytest.approx(free, rel=1e-4, abs=1e-7)  # sums have no fixed order
    same = [np.array(render(scene, spp=SPP, seed=3, integrator=tracer(**o))) for o in ({}, {"memory": "4GB"})]
    assert same[0] == pytest.approx(same[1], rel=1e-5)


def test_parts_have_the_same_expectation(scene):
    """Eight replicas each; the difference of means stays within four of its standard errors."""
    assert memory.parts(QUARTER, SPP, PIXELS, 5, [memory.SAMPLE]) == 4
    direction = np.array([0.3, 0.2, 1.0])
    found = []
    for options in ({}, {"memory": QUARTER}):
        integrator = tracer(**options)
        calls = [gradient(scene, NAME, weights(), spp=SPP, seed=k, integrator=integrator) for k in range(REPLICAS)]
        found.append(
            [
                [(getattr(c, t)[NAME] @ direction).sum() for c in calls]
                for t in ("interior", "primary", "direct", "indirect")
            ]
        )
    whole, parts = np.array(found)
    error = np.sqrt((whole.var(1, ddof=1) + parts.var(1, ddof=1)) / REPLICAS)
    assert (np.abs(whole.mean(1) - parts.mean(1)) < 4 * error).all()
    one_part_less = 0.75 * whole.mean(1)
    assert (np.abs(one_part_less - parts.mean(1)) > 4 * error).any()  # what this test would see


def test_forward_mode_and_images_in_parts(scene):
    bound = tracer(memory=QUARTER, adjoint_sampling=False)
    reverse = gradient(scene, NAME, weights(), spp=SPP, seed=5, integrator=bound)
    images = derivative(scene, {NAME: 1.0}, spp=SPP, seed=5, integrator=bound)
    for term, image in images.items():
        assert (image * weights()).sum() == pytest.approx(getattr(reverse, term)[NAME].sum(), rel=1e-3, abs=1e-6), term
    ceiling = PIXEL_BYTES + memory.SAMPLE * PIXELS * 16
    assert memory.parts(ceiling, 64, PIXELS, 5, []) == 4
    images = [
        np.array(render(scene, spp=64, seed=k, integrator=tracer(**options)))
        for k, options in ((1, {}), (2, {"memory": ceiling}))
    ]
    assert images[0].mean() == pytest.approx(images[1].mean(), rel=0.02)


@pytest.mark.parametrize("value", ["many", "4 parsecs", "-1GB", "", 0, -5, True, "0", "1e40GB"])
def test_nonsense_is_refused(scene, value):
    with pytest.raises(OptionError, match="memory"):
        render(scene, spp=1, integrator=tracer(memory=value))


@pytest.mark.parametrize(
    ("value", "size"),
    [("4GB", 4 * 10**9), ("512 MiB", 512 * 2**20), ("1.5e3", 1500), (10**9, 10**9), ("64k", None), ("2kb", 2000)],
)
def test_units(value, size):
    if size is None:
        with pytest.raises(OptionError, match="'4GB'"):
            memory.parse(value)
    else:
        assert memory.parse(value) == size


def test_too_little_is_refused_before_rendering(scene):
    with pytest.raises(OptionError, match="are needed for one sample a pixel"):
        gradient(scene, NAME, weights(), spp=4, integrator=tracer(memory="1MB"))


def test_a_call_stays_below_its_ceiling(scene):
    """Dr.Jit's high-water mark of an interior pass of a million samples, with and without a ceiling it cannot keep in one part."""

    def used(**options):
        call = {"spp": 4096, "terms": ("interior",), "integrator": tracer(boundary="none", **options)}
        gradient(scene, "floor/base_color", weights(), seed=1, **call)
        dr.sync_thread()
        dr.flush_malloc_cache()
        dr.detail.malloc_clear_statistics()
        backend = dr.backend_v(mi.Float)
        before = dr.detail.malloc_watermark(backend)
        gradient(scene, "floor/base_color", weights(), seed=2, **call)
        dr.sync_thread()
        return dr.detail.malloc_watermark(backend) - before

    ceiling = PIXEL_BYTES + memory.SAMPLE * PIXELS * 256
    assert used(memory=ceiling) < ceiling < used()
