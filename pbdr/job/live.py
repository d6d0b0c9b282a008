"""A run at work and who looks at it from another process: control.json says what is asked, live/ holds the state that is shown.

The files are those of the run directory, so that nobody needs a connection. A job that nobody asks for anything looks for the file
once a step, and does nothing else. Its course never depends on what is asked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import PbdrError
from . import checkpoint, storage
from .rundir import RunDirectory

#: Seconds after which a pause ends unless it is asked for again: whoever asked may be gone, and a job must not wait for ever.
LEASE = 30.0
#: Seconds between two looks while a job pauses.
POLL = 0.2


@dataclass(frozen=True)
class Wish:
    """What is asked of a run: to pause once `until` steps are done, and to show its state for the `show`-th time."""

    paused: bool = False
    until: int = 0
    show: int = 0


def control(run: RunDirectory) -> Path:
    """The file that holds what is asked."""
    return run.path / "control.json"


def folder(run: RunDirectory) -> Path:
    """Where the state is that was asked for: as a checkpoint, but none that a run goes on from."""
    return run.path / "live"


def ask(run: RunDirectory, wish: Wish) -> None:
    """Ask it of the run. Raises DataError, OptionError where the directory cannot be written."""
    storage.write_json(control(run), asdict(wish))


def asked(run: RunDirectory) -> Wish:
    """What is asked of the run: nothing where there is no file, or one that cannot be read, and no pause that is LEASE old."""
    try:
        age = time.time() - os.stat(control(run)).st_mtime
        found = storage.read_json(control(run))
        paused = bool(found.get("paused")) and age < LEASE
        return Wish(paused, int(found.get("until", 0)), int(found.get("show", 0)))
    except (OSError, PbdrError, TypeError, ValueError):
        return Wish()


def at_work(run: RunDirectory) -> bool:
    """Whether a process of this machine works on the run, as its status says."""
    try:
        status = run.read_status()
    except PbdrError:
        return False
    if status.get("state") != "running" or not isinstance(status.get("pid"), int):
        return False
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def newest(run: RunDirectory) -> checkpoint.Checkpoint | None:
    """The newest state that the run has written: a checkpoint, or what it has shown; None where there is neither."""
    last, shown = checkpoint.steps(run.checkpoints)[-1:], checkpoint.steps(folder(run))[-1:]
    found = checkpoint.load(folder(run)) if shown > last else None
    return found or checkpoint.load(run.checkpoints)


class Attention:
    """The job's side: after each step, does what is asked.

    `state()` returns (step, arrays, meta) to show; `told(paused)` is called when a pause begins and when it ends; `stop()` says
    whether the job has been asked to end.
    """

    def __init__(
        self, run: RunDirectory, state: Callable[[], tuple[int, Mapping[str, Any], Mapping[str, Any]]],
        told: Callable[[bool], None], stop: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.run, self.state, self.told, self.stop = run, state, told, stop
        self.shown = 0
        with contextlib.suppress(OSError):  # what was asked of an earlier process
            control(run).unlink(missing_ok=True)
        shutil.rmtree(folder(run), ignore_errors=True)

    def after(self, step: int) -> None:
        """Show and pause as asked; returns at once where nothing is. `step`: steps done."""
        if not control(self.run).exists():
            return
        paused = False
        while True:
            wish = asked(self.run)
            holds = wish.paused and step >= wish.until and not self.stop()
            if wish.show > self.shown or (holds and not paused):
                self.shown = max(self.shown, wish.show)
                checkpoint.save(folder(self.run), *self.state(), keep=1)
            if holds != paused:
                paused = holds
                self.told(holds)
            if not holds:
                return
            time.sleep(POLL)
