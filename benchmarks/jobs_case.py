"""A case of `python -m benchmarks jobs`: what is unknown, from which starts, and how near the truth a job must end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Limit:
    """A requirement: the figure of this name is at most `bound`, or at least if `at_least`. `unit` is for the table."""

    figure: str
    bound: float
    unit: str = ""
    at_least: bool = False

    def met(self, figures: Mapping[str, float]) -> bool:
        """Whether the figures of one start meet it; a figure that is missing or no number does not."""
        value = float(figures.get(self.figure, float("nan")))
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{self.figure} {'≥' if self.at_least else '≤'} {self.bound:g}{self.unit and ' ' + self.unit}"


@dataclass(frozen=True)
class Case:
    """One case. A file of cases has a tuple `CASES`, and a line in `benchmarks.jobs.MODULES`.

    name     what `--only` selects by: "camera-pose"
    text     what is unknown and from how far off, for the table
    limits   what every start must meet
    minutes  limit of the processor time of one start, in minutes of two cores
    run      (number of the start, an empty folder for its files) → figures by name. It is called in a process of its own. The start
             is perturbed by random numbers that depend on the number alone, the settings are the defaults. It raises
             `harness.Missed` where its input is not on this machine.
    """

    name: str
    text: str
    limits: tuple[Limit, ...]
    minutes: float
    run: Callable[[int, Path], Mapping[str, float]]


def fit(text: str, folder: Path) -> dict[str, Any]:
    """Write `text` to `folder`/job.toml and run it as `pbdr fit` does; what eval/metrics.json holds, and the `run` directory."""
    from pbdr.job import preflight, runner
    from pbdr.job.config import load_job

    path = folder / "job.toml"
    path.write_text(text, encoding="utf-8")
    job, source = load_job(path, {"output.dir": str(folder / "runs")})
    prepared = preflight.check(job)
    outcome = runner.run(runner.create(job, source), prepared=prepared)
    found: dict[str, Any] = json.loads((outcome.run.path / "eval" / "metrics.json").read_text(encoding="utf-8"))
    return {**found, "run": str(outcome.run.path)}
