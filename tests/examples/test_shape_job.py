"""`examples/shape_job.py` runs as it stands, with fewer steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from validation import examples


@pytest.mark.slow
def test_a_ball_comes_near_a_capsule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gpytoolbox")
    found = examples.load("shape_job").main(tmp_path, steps=24)
    assert 0.07 < found["start"] < 0.09 and found["end"] < found["start"] / 2
    assert "estimate.ply" in capsys.readouterr().out
