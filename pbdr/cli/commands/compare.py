"""`pbdr compare`: runs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from ...errors import OptionError
from .. import console
from ..shared import Json, Result, no_more


@dataclass
class Compare:
    """One page of several runs: results, differences of settings, curves over steps and seconds, images side by side."""

    folders: Annotated[
        Positional[list[Path]],
        tyro.conf.arg(metavar="RUN", help="runs/NAME/TIME, or runs/NAME for its newest; two or more."),
    ]
    out: Annotated[
        Path | None,
        tyro.conf.arg(aliases=["-o"], help="The page; compare.html in the folder that all runs are below by default."),
    ] = None
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Read, print the table of results, write the page."""
        no_more(rest)
        if self.out is not None and self.out.suffix.lower() != ".html":
            raise OptionError(f"--out {self.out}: the name must end in .html")
        from ... import compare_report
        from ...job.rundir import RunDirectory

        runs = compare_report.read([RunDirectory.open(folder) for folder in self.folders])
        path = compare_report.write(runs, compare_report.default_path(runs) if self.out is None else self.out)
        rows = compare_report.results(runs)
        console.out(
            console.table(
                ["", *(run.label for run in runs)], [[r["name"], *(c["text"] for c in r["cells"])] for r in rows]
            )
        )
        different = compare_report.differences(runs)
        for row in different:
            console.out(f"{row['key']}: {' | '.join(row['values'])}")
        console.out(f"page: {path}")
        found = {row["name"]: [cell["text"] for cell in row["cells"]] for row in rows}
        return 0, {"ok": True, "page": str(path.resolve()), "runs": [str(run.directory.path) for run in runs], "results": found,
                   "differences": {row["key"]: row["values"] for row in different}}  # fmt: skip
