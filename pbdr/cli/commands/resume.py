"""`pbdr resume`: go on with a run."""

from __future__ import annotations

from dataclasses import dataclass

from ..shared import Code, Json, Result, Run, activate, no_more
from ..work import work


@dataclass
class Resume:
    """Continue a run where it stopped, with the same optimiser, random and schedule state."""

    folder: Run
    allow_code: Code = False
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Continue."""
        no_more(rest)
        from ...job.overrides import wanted_variant
        from ...job.rundir import RunDirectory

        directory = RunDirectory.open(self.folder)
        activate(wanted_variant(directory.path / "job.toml", {}))
        return work(directory, allow_code=self.allow_code)
