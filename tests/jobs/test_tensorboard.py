"""Curves for TensorBoard: those of metrics.jsonl, each step once, also after a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pbdr.errors import OptionError
from pbdr.job import preflight, tensorboard
from pbdr.job.config import load_job
from pbdr.job.runner import create, run

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def test_curves_are_those_of_the_metrics(tiny: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny({"image_every = 6\n": "image_every = 6\ntensorboard = true\n", "steps = 12": "steps = 3"})
    job, text = load_job(path, {"output.dir": str(tmp_path / "runs")})
    directory = create(job, text)
    run(directory, prepared=preflight.check(job))
    from pbdr.job.extend import extend

    extend(directory, {"optim.steps": 5})
    run(directory)
    found = accumulator.EventAccumulator(str(directory.path / tensorboard.FOLDER)).Reload()
    losses = {event.step: event.value for event in found.Scalars("loss")}
    assert losses == pytest.approx({record["step"]: record["loss"] for record in directory.read_metrics()})
    assert sorted(losses) == [1, 2, 3, 4, 5]
    assert {"prior", "seconds", "gradient/albedo", "lr/albedo", "values/mat/base_color[0]"} <= set(
        found.Tags()["scalars"]
    )


def test_without_the_package_a_job_is_refused_before_it_starts(
    tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = load_job(tiny({"image_every = 6\n": "image_every = 6\ntensorboard = true\n"}), {})[0]
    tensorboard.check(job)
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match="pip install"):
        tensorboard.check(job)
