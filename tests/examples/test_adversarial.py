"""`examples/adversarial.py` finds a colour that no pixel tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra torch")
from validation import examples


@pytest.fixture(scope="module")
def example(root: Any) -> Any:
    module = examples.load("adversarial")
    return module


@pytest.mark.slow
def test_the_colour_is_found_without_a_pixel_that_matches(example: Any) -> None:
    """From two starts; errors of the start are 0.35 and more, and one colour in seventy is as near by chance."""
    for seed, start in enumerate([(0.5, 0.5, 0.5), (0.2, 0.2, 0.8)]):
        found = np.array(example.estimate(start, seed=seed))
        assert np.abs(found - example.TRUTH).max() < 0.12


def test_without_a_teacher_the_critic_knows_nothing(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control, and the example runs: a critic that never learns does not lead to the colour."""
    monkeypatch.setattr(example, "teach", lambda *given: None)
    found = np.array(example.estimate((0.5, 0.5, 0.5), steps=5))
    assert np.isfinite(found).all() and np.abs(found - example.TRUTH).max() > 0.2
