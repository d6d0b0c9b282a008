"""`pbdr resume`: go on with a run."""

from __future__ import annotations

from dataclasses import dataclass

from ..shared import Json, Result, Run, activate, no_more
from ..work import work


@dataclass
class Resume:
    """Continue a run where it stopped, with the same optimiser, random and schedule state."""

    folder: Run
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Continue."""
        no_more(rest)
        from ...job.overrides import wanted_variant
        from ...job.rundir import RunDirectory

        directory = RunDirectory.open(self.folder)
        activate(wanted_variant(directory.path / "job.toml", {}))
        return work(directory)
