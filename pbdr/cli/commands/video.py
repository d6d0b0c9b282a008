"""`pbdr video`: the estimate of a run from all sides, or under turning light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .. import console
from ..shared import Code, Json, Result, Run, activate, no_more


@dataclass
class Video:
    """Write a video of the estimate of a run: the camera turns around it, or the environment turns about it."""

    folder: Run
    kind: Annotated[Literal["turntable", "relight"], tyro.conf.arg(help="What turns: the camera, or the light.")] = (
        "turntable"
    )
    hdri: Annotated[
        Path | None,
        tyro.conf.arg(help="Environment map in place of all lights; for relight, the estimate's own by default."),
    ] = None
    view: Annotated[
        str, tyro.conf.arg(help="View of the job whose camera is taken, such as view-003; the first by default.")
    ] = ""
    frames: Annotated[int, tyro.conf.arg(help="Frames of one turn.")] = 48
    fps: Annotated[int, tyro.conf.arg(help="Frames a second.")] = 24
    size: Annotated[int, tyro.conf.arg(help="Pixels along the longer side.")] = 256
    spp: Annotated[int, tyro.conf.arg(help="Samples per pixel.")] = 32
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], help="The .mp4 file; RUN/video/KIND.mp4 by default.")] = (
        None
    )
    allow_code: Code = False
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Render the frames and encode them."""
        no_more(rest)
        from ...errors import OptionError
        from ...job.overrides import wanted_variant
        from ...job.rundir import RunDirectory

        if self.out is not None and self.out.suffix.lower() != ".mp4":
            raise OptionError(f"--out {self.out}: the name must end in .mp4")
        directory = RunDirectory.open(self.folder)
        activate(wanted_variant(directory.path / "job.toml", {}))
        from ... import video
        from ...job import estimate
        from ..progress import quiet

        film = video.Film(self.frames, self.fps, self.size, self.spp)
        film.check()
        path = directory.path / "video" / f"{self.kind}.mp4" if self.out is None else self.out
        with quiet():
            loaded = estimate.load(directory, self.allow_code)
            video.make(loaded, self.kind, film, self.hdri, path, console.error, self.view)
        console.out(f"video: {path}")
        return 0, {"ok": True, "video": str(path.resolve()), "frames": film.frames}
