"""Samplers that take more samples than asked for (full squares, powers of four): derivatives are means all the same."""

import numpy as np
import pytest

from pbdr.rendering import derivative, gradient
from pbdr.scene import load_scene
from validation.scenes import zoo

SPP = 50  # no square, no power of two
MATERIALS = {"base_color": "diffuse", "roughness": "roughconductor"}


def values(sampler, role, spp):
    """Reverse and forward mode derivative of the image's mean; for roughness of one side against the other."""
    description = zoo.alone(zoo.MATERIALS[MATERIALS[role]](), "ball", {"lamp": zoo.lamp(0.7, 0.9, -0.5)})
    scene = load_scene({**description, "camera": zoo.camera(sampler={"type": sampler})})
    weights = np.ones((zoo.SIZE, zoo.SIZE, 3)) / zoo.SIZE**2
    if role == "roughness":
        weights *= np.sign(np.linspace(-1, 1.2, zoo.SIZE))[None, :, None]
    name, options = (
        f"ball/{role}",
        {
            "spp": spp,
            "integrator": {"type": "pathspace", "max_depth": 2, "sequence": "independent"},
            "terms": ("interior",),
        },
    )
    reverse = [gradient(scene, name, weights, seed=k, **options).total[name].sum() for k in range(4)]
    forward = [(derivative(scene, {name: 1.0}, seed=k, **options)["interior"] * weights).sum() for k in range(4)]
    return np.mean(reverse), np.mean(forward)


@pytest.mark.parametrize("sampler", ["stratified", "multijitter", "orthogonal", "ldsampler"])
@pytest.mark.parametrize("role", MATERIALS)
def test_rounded_sample_counts(sampler, role):
    assert values(sampler, role, SPP) == pytest.approx(values("independent", role, 32 * SPP), rel=0.08)
