"""`pbdr export`: the estimate of a run for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from .. import console
from ..shared import Code, Json, Result, Run, activate, no_more

Formats = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(
        aliases=["-f"], metavar="FORMAT",
        help="mitsuba, gltf, obj, ply, usd, environment, transforms, colmap or volumes; may be repeated. All of them by default.",
    ),
]  # fmt: skip


@dataclass
class Export:
    """Write the estimate of a run in formats that other programs read; each is read again and compared.

    Exit code 0: what was read again is what was written; 5: it is not. export.json says what a format cannot hold."""

    folder: Run
    format: Formats = tyro.MISSING_NONPROP
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], help="Folder to write to; RUN/export by default.")] = None
    allow_code: Code = False
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Export, and tell what each format holds."""
        no_more(rest)
        from ...job.overrides import wanted_variant
        from ...job.rundir import RunDirectory

        directory = RunDirectory.open(self.folder)
        activate(wanted_variant(directory.path / "job.toml", {}))
        from ... import export
        from ...job import estimate
        from ..progress import quiet

        formats = export.chosen(self.format)
        folder = (directory.path / "export" if self.out is None else self.out).expanduser().resolve()
        with quiet():
            result = export.export(estimate.load(directory, self.allow_code), formats, folder, console.error)
        for line in result["lost"]:
            console.out(f"not written: {line}")
        for name, entry in result["formats"].items():
            console.out(f"{name}: {_line(entry)}")
            for line in entry.get("lost", []):
                console.out(f"  not in it: {line}")
        console.out(f"{folder}")
        return (0 if result["ok"] else 5), {"folder": str(folder), **result}


def _line(entry: dict) -> str:
    """What became of one format, in a line."""
    if "skipped" in entry:
        return f"left out, {entry['skipped']}"
    check = entry["check"]
    word = "read again, the same" if check["ok"] else f"READ AGAIN, NOT THE SAME: {check}"
    if "psnr" in check.get("render", {}):
        word += f"; its PBR materials under five lights: {check['render']['psnr']:.1f} dB"
    first = entry["files"][0] if entry["files"] else "no file"
    more = f" and {len(entry['files']) - 1} more" if len(entry["files"]) > 1 else ""
    return f"{first}{more}, {word}"
