"""`pbdr sweep`: many runs of one job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from ...errors import OptionError
from .. import console
from ..shared import Code, Json, Result, activate

Grid = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(
        metavar="KEY=VALUE,VALUE", help="Values of a setting of the job; may be repeated: every combination is run."
    ),
]
COMPARED = 8  # most runs of the page


@dataclass
class Sweep:
    """Run a job with every combination of settings and several seeds, each in a process of its own; a table at the end.

    Interrupted, the same command goes on where it stopped. Other settings, as of `pbdr fit`, are those of all runs.
    Exit code 0: all runs ended, goals met or not."""

    job: Annotated[Positional[Path], tyro.conf.arg(metavar="JOB.toml", help="The job file.")]
    grid: Grid = tyro.MISSING_NONPROP
    seeds: Annotated[int, tyro.conf.arg(help="Runs of each combination, with seeds from the job's on.")] = 1
    out: Annotated[
        Path | None, tyro.conf.arg(aliases=["-o"], help="Folder of the sweep; runs/NAME-sweep by default.")
    ] = None
    allow_code: Code = False
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Check every combination, then run them one after the other."""
        from ...job.overrides import parse_overrides, wanted_variant

        if self.seeds < 1:
            raise OptionError(f"--seeds {self.seeds}: at least 1 is needed")
        fixed = parse_overrides(rest)
        from ... import sweep
        from ...errors import Mistakes

        activate(wanted_variant(self.job, fixed))
        from ...job.config import load_job

        grid = sweep.parse_grid(self.grid or [])
        job, text = load_job(self.job, fixed)
        planned = sweep.points(grid, job.optim.seed, self.seeds)
        mistakes = Mistakes()
        for point in planned:
            with mistakes.collected():
                load_job(self.job, fixed | parse_overrides([f"--{key}={value}" for key, value in point.settings]))
        mistakes.raise_any()
        folder = (Path(job.output.dir) / f"{job.name}-sweep" if self.out is None else self.out).expanduser().resolve()
        made = sweep.Sweep(folder, self.job.resolve(), rest, self.allow_code)
        made.prepare(text, planned)
        results = []
        for number, point in enumerate(planned, start=1):
            ended = " has ended already" if made.result(point).code in sweep.ENDED else ""
            console.error(f"run {number} of {len(planned)}: {point.name}{ended}")
            results.append(made.run(point, console.error))
            if results[-1].code == sweep.INTERRUPTED:
                console.error(f"interrupted; the same command goes on with {folder}")
                return sweep.INTERRUPTED, {"ok": False, "folder": str(folder), "done": number - 1, "runs": len(planned)}
            if results[-1].code not in sweep.ENDED:
                console.error(f"  it did not end (exit code {results[-1].code}): {folder / point.name / 'output.txt'}")
        return self._told(folder, results)

    def _told(self, folder: Path, results: list) -> Result:
        from ... import compare_report, sweep
        from ...job.rundir import RunDirectory

        path = sweep.write(folder, results)
        console.out(console.table(*sweep.table(results)))
        console.out(f"all runs: {path}")
        shown = [result for result in results if result.run and result.point.seed == results[0].point.seed][:COMPARED]
        page = ""
        if len(shown) > 1:
            names = [", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in r.point.settings) for r in shown]
            runs = compare_report.read(
                [RunDirectory(Path(r.run)) for r in shown], names if len(set(names)) == len(names) else ()
            )
            page = str(compare_report.write(runs, folder / "compare.html"))
            console.out(f"page: {page}")
        failed = [r.code for r in results if r.code not in sweep.ENDED]
        header, rows = sweep.table(results)
        return max((code or 1 for code in failed), default=0), {
            "ok": not failed, "folder": str(folder), "csv": str(path), "page": page, "table": [header, *rows],
            "runs": [result.to_dict() for result in results],
        }  # fmt: skip
