"""`pbdr report`: the page of a run."""

from __future__ import annotations

from dataclasses import dataclass

from .. import console
from ..shared import Json, Result, Run, no_more


@dataclass
class Report:
    """Write report.html of a run again, also of one that has not finished."""

    folder: Run
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Write it."""
        no_more(rest)
        from ... import report
        from ...job.rundir import RunDirectory

        directory = RunDirectory.open(self.folder)
        path = report.write(directory)
        console.out(f"report: {path}")
        return 0, {"ok": True, "run": str(directory.path), "report": str(path)}
