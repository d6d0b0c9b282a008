"""`examples/shape_job.py` runs as it stands, with fewer steps."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_ball_comes_near_a_capsule(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gpytoolbox")
    spec = importlib.util.spec_from_file_location("shape_job", root / "examples" / "shape_job.py")
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.main(tmp_path, steps=24)
    assert 0.07 < found["start"] < 0.09 and found["end"] < found["start"] / 2
    assert "estimate.ply" in capsys.readouterr().out
