"""Sample counts from a pilot: the optimum for what was measured, and a gradient with them that has the variance predicted."""

import mitsuba as mi
import numpy as np
import pytest

import pbdr
from pbdr import pilot
from pbdr.errors import OptionError
from pbdr.rendering import gradient
from pbdr.scene import load_scene
from pbdr.seeds import hashed
from validation.agreement import summary
from validation.scenes import zoo

SPP, REPLICAS = 16, 32
# Relative error of a variance summed over 72 components from R replicas: about √(2/(R·k)), where k counts those that vary on their
# own. Say k = 10, since neighbouring vertices share samples: 0.11 for the pilot (R = 16), 0.08 for the check, 0.14 together; 0.5 is
# 3.5 times that. Samples counted twice, or the counts of another term, are a factor of 2 or more.
WITHIN = 0.5
NAME = "thing/positions"


def test_the_best_counts():
    """Against all others that cost as much."""
    variance, rate = {"interior": 4.0, "direct": 1.0}, {"interior": 1.0, "direct": 0.25}
    found = pilot.shares(variance, rate, {"interior": 1000, "direct": 1000})
    assert found["interior"] / found["direct"] == pytest.approx(1.0)
    assert sum(found[t] * rate[t] for t in rate) == pytest.approx(1250)
    cost = lambda n: variance["interior"] / n + variance["direct"] / ((1250 - n) / 0.25)  # noqa: E731
    assert min(cost(n) for n in np.linspace(10, 1240, 500)) >= cost(found["interior"]) * (1 - 1e-6)


def test_counts_stay_near_the_pilot():
    found = pilot.shares(
        {"interior": 1.0, "direct": 1e-12}, {"interior": 1.0, "direct": 1.0}, {"interior": 100, "direct": 100}
    )
    assert found["direct"] == pytest.approx(100 / pilot.WITHIN)
    assert pilot.shares({}, {}, {}) == {}


@pytest.fixture(scope="module")
def scene():
    """A block below a lamp."""
    pose = mi.ScalarTransform4f().translate([0, 0, 0.6]).rotate([1, 0, 0], 25).rotate([0, 0, 1], 20).scale(0.3)
    block = {"type": "cube", "to_world": pose, "bsdf": zoo.GREEN}
    lamp = zoo.above(size=0.6, emitter={"type": "area", "radiance": zoo.rgb(10.0)})
    floor = {"type": "rectangle", "to_world": mi.ScalarTransform4f().scale(2)}
    return load_scene({"type": "scene", "camera": zoo.camera(), "lamp": lamp, "floor": floor, "thing": block})


@pytest.mark.needs("budgets")  # states the default counts
def test_a_gradient_has_the_variance_predicted(scene):
    """Variances of 32 gradients each, with the pilot's counts and with the new ones; and equal means."""
    adjoint = np.random.default_rng(0).normal(size=(zoo.SIZE, zoo.SIZE, 3)).astype(np.float32) / zoo.SIZE**2
    tracer = {"type": "pathspace", "max_depth": 2}
    found = pbdr.allocate(scene, NAME, adjoint, spp=SPP, integrator=tracer, replicas=16)
    assert found.gain >= 1 and set(found.options) == {"n_primary", "n_direct", "n_indirect"}
    assert found.variance["indirect"] == 0 and found.options["n_indirect"] == 1  # at depth 2 there is none

    def measured(spp, integrator):
        samples = np.array([
            gradient(scene, NAME, adjoint, spp=spp, seed=hashed(0, "measured", k), integrator=integrator).total[NAME]
            for k in range(REPLICAS)
        ])  # fmt: skip
        return samples.reshape(REPLICAS, -1).astype(np.float64)

    before, after = measured(SPP, tracer), measured(found.spp, {**tracer, **found.options})
    size = np.square(before.mean(0)).sum()
    relative = [x.var(0, ddof=1).sum() / size for x in (before, after)]
    counts = {"primary": zoo.SIZE**2 * SPP / 3, "direct": zoo.SIZE**2 * SPP / 4}
    expected = sum(found.variance[t] * int(counts[t]) / found.options[f"n_{t}"] for t in counts)
    expected += found.variance["interior"] * SPP / found.spp
    assert relative[0] == pytest.approx(sum(found.variance.values()), rel=WITHIN)
    assert relative[1] == pytest.approx(expected, rel=WITHIN)
    mean, error = summary(before - after)
    assert (np.abs(mean) <= 5 * error + 1e-6).all()


def test_what_is_refused(scene):
    adjoint = np.ones((zoo.SIZE, zoo.SIZE, 3))
    with pytest.raises(OptionError, match="replicas = 2"):
        pbdr.allocate(scene, NAME, adjoint, replicas=2)
    with pytest.raises(OptionError, match="'pathspace' only"):
        pbdr.allocate(scene, NAME, adjoint, integrator={"type": "prb"})
