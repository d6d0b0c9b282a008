"""The examples of functions find what they look for: joint angles, launch velocity and stiffness, the weights of a network."""

from __future__ import annotations

import numpy as np
import pytest

from validation import examples

pytestmark = pytest.mark.slow  # tests/jobs/test_functions.py guards the kind


def test_angles_of_a_skinned_mesh() -> None:
    module = examples.load("skinned_mesh")
    found = module.main()
    for name, angle in module.TRUTH.items():
        assert found[name] == pytest.approx(angle, rel=0.01), name
        assert abs(module.START[name] - angle) > 0.3


def test_parameters_of_a_simulation() -> None:
    module = examples.load("simulation")
    for name, value in module.main().items():
        np.testing.assert_allclose(value, module.TRUTH[name], rtol=0.01, err_msg=name)


def test_a_neural_texture() -> None:
    pytest.importorskip("torch")
    before, after = examples.load("neural_texture").main()
    assert after < 0.05 < before
