"""What the commands that run a job share: demo, fit, resume."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BusyError, PbdrError, counted
from . import console
from .beside import Beside
from .progress import Progress
from .shared import Result

if TYPE_CHECKING:
    from ..job.runner import Outcome


def start(job: Any, text: str, allow_code: bool = False, beside: Beside | None = None) -> Result:
    """Check a job against its scene, make its run directory, and run it; with the viewer `beside` it, if that is wanted."""
    from ..job import preflight, runner

    several = _joined()
    prepared = preflight.check(job, allow_code)
    if not several.first:
        return _followed(several, prepared, allow_code)
    directory = runner.create(job, text)
    with (beside or Beside()).of(directory.path, allow_code):
        return work(directory, prepared, allow_code, several)


def resume(directory: Any, allow_code: bool = False, prepare: Callable[[], None] | None = None) -> Result:
    """Go on with a run, after `prepare()`."""
    several = _joined()
    if not several.first:
        return _followed(several, None, allow_code)
    if prepare is not None:
        prepare()
    return work(directory, None, allow_code, several)


def _joined() -> Any:
    """The processes of this run. Only the first talks."""
    from ..job import workers

    several = workers.join()
    if not several.first:
        console.mute()
    return several


def _followed(several: Any, prepared: Any, allow_code: bool) -> Result:
    """What the other processes of a run do, to its end."""
    from ..job import workers

    workers.follow(several, prepared, allow_code)
    return 0, {"ok": True, "worker": several.rank}


def work(directory: Any, prepared: Any = None, allow_code: bool = False, several: Any = None) -> Result:
    """Run, and write the report whatever happens; the run's own error is the one that is told."""
    from .. import report
    from ..inverse.workers import ALONE
    from ..job import runner

    try:
        outcome = runner.run(directory, Progress(), prepared, allow_code, several or ALONE)
    except BusyError:  # the page is written by whoever is at work
        raise
    except PbdrError as error:
        console.error(f"run directory: {directory.path}")
        with contextlib.suppress(PbdrError):
            report.write(directory)
        raise error
    path = report.write(directory)
    return _told(outcome, path)


def _told(outcome: Outcome, report: Path) -> Result:
    verdict = outcome.metrics.get("verdict", {})
    for goal in outcome.metrics.get("goals", []):
        sign = ">=" if goal["kind"] == "psnr" else "<="
        met = "met" if goal["met"] else "NOT met"
        console.out(f"{goal['label']}: {goal['value']:.4g} (goal {sign} {goal['limit']:g}: {met})")
    for group, label in (("held_out", "held-out PSNR"), ("training", "training PSNR")):
        part = outcome.metrics.get(group)
        if part:
            console.out(
                f"{label}: {part['psnr']:.2f} dB over {counted(part['views'], 'view')} (start: {part['psnr_init']:.2f} dB)"
            )
    console.out(f"report: {report}")
    return outcome.exit_code, {
        "ok": outcome.exit_code == 0,
        "run": str(outcome.run.path),
        "report": str(report),
        "step": outcome.step,
        "verdict": verdict.get("word", "Interrupted"),
        "message": verdict.get("text", ""),
        "held_out": outcome.metrics.get("held_out"),
        "training": outcome.metrics.get("training"),
        "goals": outcome.metrics.get("goals", []),
    }
