"""`pbdr demo`: a generated job."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from ..shared import Json, Result, activate
from ..work import start


@dataclass
class Demo:
    """Generate a scene, estimate its material and light, write a run directory and a report. Needs no file.

    Settings of the job may follow, for instance --optim.steps 100 or --output.dir FOLDER."""

    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Write the demo's files beside the runs, then fit."""
        from ...job.overrides import parse_overrides

        overrides = parse_overrides(rest)
        activate("auto")
        from ... import demo
        from ...job.config import load_job

        base = Path(str(overrides.get("output.dir", "runs")))
        path = demo.write(base / demo.NAME / datetime.datetime.now().strftime("scene-%Y%m%d-%H%M%S"))
        job, text = load_job(path, {"output.dir": str(base), **overrides})
        return start(job, text)
