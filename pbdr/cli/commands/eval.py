"""`pbdr eval`: how good the estimate of a run is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ...errors import OptionError
from .. import console
from ..shared import Code, Json, Result, Run, activate, no_more

Hdris = Annotated[
    tyro.conf.UseAppendAction[list[Path]],
    tyro.conf.arg(metavar="HDRI", help="Compare both scenes under this environment map, too; may be repeated."),
]


@dataclass
class Eval:
    """Score the estimate of a run: images, and with a target scene albedo, roughness, normals, depth, shapes and environment.

    Every number is given raw and, where scale may be unobservable, aligned; eval/scores/scores.json has the protocol of each."""

    folder: Run
    target: Annotated[Path | None, tyro.conf.arg(help="Scene file of the truth; the job's by default.")] = None
    views: Annotated[
        str | None,
        tyro.conf.arg(help="Other cameras: a transforms.json, or 'target' for the sensors of the target scene."),
    ] = None
    relight: Hdris = tyro.MISSING_NONPROP
    spp: Annotated[int | None, tyro.conf.arg(help="Samples per pixel; the job's [output] eval_spp by default.")] = None
    allow_code: Code = False
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Score, print tables, write eval/scores."""
        no_more(rest)
        if self.spp is not None and self.spp < 1:
            raise OptionError(f"--spp {self.spp}: at least 1 sample per pixel is needed")
        from ...job.overrides import wanted_variant
        from ...job.rundir import RunDirectory

        directory = RunDirectory.open(self.folder)
        activate(wanted_variant(directory.path / "job.toml", {}))
        from ... import evaluation
        from ...job import estimate
        from ..progress import quiet

        with quiet():
            loaded = estimate.load(directory, self.allow_code)
            spp = loaded.job.output.eval_spp if self.spp is None else self.spp
            request = evaluation.Request(self.target, self.views, self.relight or (), spp)
            result = evaluation.evaluate_run(loaded, request, console.error)
        _print(result)
        path = directory.path / "eval" / "scores" / "scores.json"
        console.out(f"scores: {path}")
        return 0, {"ok": True, "scores": str(path), **result}


def _print(result: dict[str, Any]) -> None:
    from ...evaluation.images import flat

    rows = [[*row[:2], f"{row[2]:.4g}", f"{row[3]:.4g}"] for row in flat(result["images"])]
    for name, entry in result.get("relight", {}).items():
        if "groups" in entry:
            rows += [[f"{name}, {row[0]}", row[1], f"{row[2]:.4g}", f"{row[3]:.4g}"] for row in flat(entry)]
    console.out(console.table(["images", "measure", "raw", "aligned"], rows))
    rows = []
    for what in ("surfaces", "environment"):
        for name, entry in _numbers(result.get(what, {})):
            rows.append([what, name, entry])
    for shape, found in result.get("shapes", {}).get("shapes", {}).items():
        rows.append([f"shape {shape}", "chamfer / size", f"{found['chamfer_relative']:.4g}"])
        rows.append([f"shape {shape}", "F-score", f"{found['f_score']:.4g}"])
    if rows:
        console.out(console.table(["truth", "measure", "value"], rows))


def _numbers(entry: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Every number of a nested table, with the path to it."""
    found = []
    for key, value in entry.items():
        if isinstance(value, dict):
            found += _numbers(value, f"{prefix}{key} ")
        elif isinstance(value, int | float):
            found.append((f"{prefix}{key}", f"{value:.4g}"))
    return found
