"""`pbdr view`: a run, a job or a scene in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional

from ...errors import OptionError
from .. import console
from ..beside import Beside, KeepViewer
from ..shared import Code, Defines, Json, Result, activate, no_more


@dataclass
class View:
    """Show a run, also one at work, or a scene in the browser; a job is run, and shown meanwhile.

    It ends with the job. On what is not at work it ends when its last browser has left. Only this machine can reach it."""

    what: Annotated[
        Positional[Path],
        tyro.conf.arg(metavar="RUN|JOB|SCENE", help="A run directory, a job file (.toml), or a scene (.xml)."),
    ]
    port: Annotated[int, tyro.conf.arg(help="Port; the next free one if it is taken.")] = 8080
    keep_viewer: KeepViewer = False
    define: Defines = tyro.MISSING_NONPROP
    allow_code: Code = False
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Open it, and wait until it ends."""
        from ... import viewer

        viewer.check()
        if not 0 < self.port < 65536:
            raise OptionError(f"--port {self.port}: a port is a number from 1 to 65535")
        if self.what.suffix.lower() == ".toml":
            return self._job(rest)
        no_more(rest)
        from ..progress import quiet

        model = self._model()
        ending = viewer.Ending(self.keep_viewer)
        try:
            with quiet():
                url = viewer.serve(model, self.port, ending, console.error)
        except KeyboardInterrupt:
            console.error("viewer ended")
            url = ""
        return 0, {"ok": True, "shown": str(self.what), "url": url}

    def _model(self) -> Any:
        from ...job.overrides import wanted_variant
        from ...job.rundir import RunDirectory

        if self.what.suffix.lower() == ".xml":
            activate("auto")
            from ...viewer.model import Model
            from ..shared import load

            return Model(load(self.what, self.define), {"type": "pathspace", "max_depth": 6})
        directory = RunDirectory.open(self.what)
        activate(wanted_variant(directory.path / "job.toml", {}))
        from ...viewer.model import RunModel

        return RunModel(directory, self.allow_code, console.error)

    def _job(self, rest: list[str]) -> Result:
        """As `pbdr fit JOB.toml --view`."""
        from ...job.overrides import parse_overrides, wanted_variant

        overrides = parse_overrides(rest)
        activate(wanted_variant(self.what, overrides))
        from ...job.config import load_job
        from ..work import start

        beside = Beside(True, self.keep_viewer, self.port)
        return start(*load_job(self.what, overrides), allow_code=self.allow_code, beside=beside)
