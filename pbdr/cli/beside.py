"""The viewer beside a job: a process of its own, so that the job's neither waits for it nor shares anything with it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from . import console

KeepViewer = Annotated[bool, tyro.conf.arg(help="Leave the viewer open when the job has ended; Ctrl-C ends it.")]
SECONDS = 10.0  # for the viewer to end


@dataclass(frozen=True)
class Beside:
    """Whether a job runs with the viewer, whether the viewer stays, and its port."""

    wanted: bool = False
    keep: bool = False
    port: int = 8080

    def check(self) -> None:
        """Raise OptionError where the viewer cannot be opened, before anything has run."""
        from ..errors import OptionError

        if self.keep and not self.wanted:
            raise OptionError("--keep-viewer: there is no viewer to keep; add --view")
        if self.wanted:
            from .. import viewer

            viewer.check()

    @contextlib.contextmanager
    def of(self, run: Path, allow_code: bool) -> Iterator[None]:
        """Open the viewer on a run directory for the time of the block."""
        if not self.wanted:
            yield
            return
        command = [sys.executable, "-m", "pbdr", "view", str(run), "--port", str(self.port)]
        command += ["--keep-viewer"] * self.keep + ["--allow-code"] * allow_code
        # Ctrl-C is meant for the job, which saves its state and then ends the viewer.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), start_new_session=True
        )
        try:
            yield
            if self.keep:
                with contextlib.suppress(KeyboardInterrupt):  # the result is that of the job
                    console.error("the job has ended; the viewer stays until Ctrl-C")
                    process.wait()
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
