"""`pbdr fit`: run a job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from ..beside import Beside, KeepViewer
from ..shared import Code, Json, Result, activate
from ..work import start


@dataclass
class Fit:
    """Run an inverse-rendering job.

    Settings of the job file may be overridden: --optim.steps 100 --vars.albedo.lr 1e-4."""

    job: Annotated[Positional[Path], tyro.conf.arg(metavar="JOB.toml", help="The job file.")]
    allow_code: Code = False
    view: Annotated[bool, tyro.conf.arg(help="Open the viewer on the run (pip install 'pbdr[view]').")] = False
    keep_viewer: KeepViewer = False
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Check, then fit."""
        from ...job.overrides import parse_overrides, wanted_variant

        beside = Beside(self.view, self.keep_viewer)
        beside.check()
        overrides = parse_overrides(rest)
        activate(wanted_variant(self.job, overrides))
        from ...job.config import load_job

        return start(*load_job(self.job, overrides), allow_code=self.allow_code, beside=beside)
