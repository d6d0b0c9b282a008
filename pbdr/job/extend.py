"""Letting a run go further than its job said: more steps, or other reasons to stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data import read_text
from ..errors import Mistakes, OptionError, closest
from . import checkpoint, storage, toml
from .config import parse_job
from .rundir import RunDirectory

#: What may change between two parts of a run. All else decides what its first steps were.
CHANGEABLE = (
    "optim.steps", "stop.patience", "stop.max_minutes", "goal.psnr", "output.image_every", "output.checkpoint_every",
    "output.keep_checkpoints",
)  # fmt: skip


def extend(run: RunDirectory, changes: Mapping[str, Any]) -> str:
    """Put `changes` ({"optim.steps": 800}) into the run's job, and let a finished run go on; returns what was done.

    Raises OptionError for what cannot change, and where there is nothing left to do.
    """
    mistakes = Mistakes()
    for key in changes:
        with mistakes.collected():
            if key not in CHANGEABLE:
                near = closest(key, CHANGEABLE)
                hint = f"Closest: --{near[0]}. " if near else ""
                raise OptionError(
                    f"--{key} cannot change between two parts of a run. {hint}What can: {', '.join(CHANGEABLE)}; for all else, "
                    "start a new run by `pbdr fit`"
                )
    mistakes.raise_any()
    path = run.path / "job.toml"
    with run.locked():
        job = parse_job(read_text(path), str(path), changes)
        done = max(checkpoint.steps(run.checkpoints), default=0)
        status = run.read_status()
        finished = status.get("state") == "finished"
        if job.optim.steps <= done:
            raise OptionError(f"{run.path} has done {done} steps already: give more, such as --optim.steps {2 * done}")
        storage.write_text(path, toml.dumps(job.model_dump(mode="python")), durable=True)
        told = ", ".join(f"{key} = {value}" for key, value in changes.items())
        run.log(f"the job was changed after step {done}: {told}")
        if finished:
            run.write_status("interrupted", step=done, steps=job.optim.steps, message=f"extended: {told}")
    again = " Learning rates follow the decay over all steps from here on." if "optim.steps" in changes else ""
    return f"{run.path}: {told}, from step {done} on.{again}"
