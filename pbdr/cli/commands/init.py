"""`pbdr init`: a first job file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from ...errors import OptionError
from .. import console
from ..progress import quiet
from ..shared import Json, Result, activate, no_more


@dataclass
class Init:
    """Write a commented job file for a scene, a transforms.json, or a folder that holds them, a COLMAP model or images.

    Without images the scene itself is the target, which tries whether a job can find its values again."""

    source: Annotated[
        Positional[Path | None],
        tyro.conf.arg(
            metavar="SOURCE",
            help="scene.xml, transforms.json, or the folder that holds them (and images, or sparse/0).",
        ),
    ] = None
    estimate: Annotated[
        Literal["material", "light", "shape", "camera", "all"], tyro.conf.arg(help="What the job estimates.")
    ] = "material"
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], help="The job file.")] = Path("job.toml")
    scene: Annotated[Path | None, tyro.conf.arg(help="The scene, where SOURCE does not say which.")] = None
    images: Annotated[
        str | None, tyro.conf.arg(help="Images of the scene's sensors: a folder, or a pattern in quotes.")
    ] = None
    target: Annotated[Path | None, tyro.conf.arg(help="A scene whose images are the target.")] = None
    no_probe: Annotated[bool, tyro.conf.arg(help="Do not render to find out which parameters have a gradient.")] = False
    force: Annotated[bool, tyro.conf.arg(help="Replace a job file that is there.")] = False
    schema: Annotated[bool, tyro.conf.arg(help="Write the JSON schema of job files instead, to job.schema.json.")] = (
        False
    )
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Look at the scene, write the file."""
        no_more(rest)
        out = Path("job.schema.json") if self.schema and self.out == Path("job.toml") else self.out
        if out.exists() and not self.force:
            raise OptionError(f"{out} is there already: choose another name by --out, or replace it by --force")
        if not self.schema and self.source is None:
            raise OptionError("pbdr init needs a SOURCE: scene.xml, transforms.json, or the folder that holds them")
        activate("auto")
        from ...job import reference, starter, storage
        from ...job.config import parse_job

        if self.schema or self.source is None:
            storage.write_text(out, reference.schema())
            console.out(f"{out}: the JSON schema of job files")
            return 0, {"ok": True, "file": str(out.resolve())}
        wanted = starter.KINDS if self.estimate == "all" else (self.estimate,)
        with quiet():
            sources = starter.find_sources(self.source, self.scene, self.images, self.target)
            text, notes = starter.write(sources, wanted, out, probe=not self.no_probe)
        job = parse_job(text, str(out))
        storage.write_text(out, text)
        for note in notes:
            console.error(f"note: {note}")
        console.out(f"{out}: estimates {', '.join(job.vars)}; next: pbdr check {out}")
        return 0, {"ok": True, "file": str(out.resolve()), "variables": list(job.vars), "notes": notes}
