"""Curves of a run for TensorBoard, beside metrics.jsonl: `[output] tensorboard`."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from ..errors import OptionError
from .config import Job
from .events import Events
from .rundir import RunDirectory

FOLDER = "tensorboard"


def check(job: Job) -> None:
    """Raise OptionError where curves are wanted and what writes them is not installed."""
    missing = [name for name in ("torch", "tensorboard") if importlib.util.find_spec(name) is None]
    if job.output.tensorboard and missing:
        raise OptionError(f"[output] tensorboard needs {' and '.join(missing)}: pip install 'pbdr[tensorboard]', or leave it out")


def beside(job: Job, run: RunDirectory, events: Events) -> Events:
    """Return events that write curves into the run, if the job wants them, and tell `events` everything."""
    return _Board(run, events) if job.output.tensorboard else events


class _Board:
    """Writes what every step notes; a run that goes on goes on in its curves."""

    def __init__(self, run: RunDirectory, events: Events) -> None:
        self._folder = run.path / FOLDER
        self._events = events
        self._writer: Any = None

    def message(self, text: str) -> None:
        """Pass it on."""
        self._events.message(text)

    def started(self, done: int, steps: int) -> None:
        """Open a file; curves of an earlier process end at step `done`."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=done + 1)
        self._events.started(done, steps)

    def stepped(self, record: Mapping[str, Any]) -> None:
        """Add a point to every curve: loss, prior, seconds; by variable gradient norms and rates; values by parameter."""
        for name in ("loss", "prior", "seconds"):
            self._writer.add_scalar(name, record[name], record["step"])
        for group in ("gradient", "lr", "values"):
            for name, value in record[group].items():
                self._writer.add_scalar(f"{group}/{name}", value, record["step"])
        self._events.stepped(record)

    def ended(self) -> None:
        """Close the file."""
        self._writer.close()
        self._events.ended()
