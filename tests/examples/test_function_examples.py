"""The examples of functions find what they look for: joint angles, launch velocity and stiffness, the weights of a network."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # tests/jobs/test_functions.py guards the kind


@pytest.fixture
def example(root: Any) -> Any:
    def load(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(name, root / "examples" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_angles_of_a_skinned_mesh(example: Any) -> None:
    module = example("skinned_mesh")
    found = module.main()
    for name, angle in module.TRUTH.items():
        assert found[name] == pytest.approx(angle, rel=0.01), name
        assert abs(module.START[name] - angle) > 0.3


def test_parameters_of_a_simulation(example: Any) -> None:
    module = example("simulation")
    for name, value in module.main().items():
        np.testing.assert_allclose(value, module.TRUTH[name], rtol=0.01, err_msg=name)


def test_a_neural_texture(example: Any) -> None:
    pytest.importorskip("torch")
    before, after = example("neural_texture").main()
    assert after < 0.05 < before
