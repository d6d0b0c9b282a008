"""`pbdr resume`: go on with a run."""

from __future__ import annotations

from dataclasses import dataclass

from .. import console
from ..shared import Code, Json, Result, Run, activate
from ..work import resume


@dataclass
class Resume:
    """Continue a run where it stopped, with the same optimiser, random and schedule state.

    With --optim.steps N it goes on to step N, also if it is finished; --stop.*, --goal.psnr and how often --output writes may
    change, too."""

    folder: Run
    allow_code: Code = False
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Continue."""
        from ...job.overrides import parse_overrides, wanted_variant
        from ...job.rundir import RunDirectory

        directory = RunDirectory.open(self.folder)
        changes = parse_overrides(rest)
        activate(wanted_variant(directory.path / "job.toml", {}))


        def changed() -> None:
            if changes:
                from ...job.extend import extend

                console.error(extend(directory, changes))

        return resume(directory, self.allow_code, changed)
