"""`pbdr check`: a dry run of a job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from ...errors import OptionError, counted
from .. import console
from ..progress import quiet
from ..shared import Code, Json, Result, activate


@dataclass
class Check:
    """Dry run of a job: names, data and cameras, one gradient against finite differences, time and memory. Fits nothing.

    Exit code 0: nothing looks wrong; 3: cameras or images do; 5: the gradient is wrong. Settings of the job may be overridden."""

    job: Annotated[Positional[Path], tyro.conf.arg(metavar="JOB.toml", help="The job file.")]
    out: Annotated[
        Path, tyro.conf.arg(aliases=["-o"], help="The page, one .html file; a contact sheet, .png, lies beside it.")
    ] = Path("check.html")
    no_gradient: Annotated[bool, tyro.conf.arg(help="Compare no gradient with finite differences.")] = False
    no_timing: Annotated[bool, tyro.conf.arg(help="Take no steps to measure their time.")] = False
    allow_code: Code = False
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Check, print a line for each thing found, write the page."""
        from ...job.overrides import parse_overrides, wanted_variant

        if self.out.suffix.lower() != ".html":
            raise OptionError(f"--out {self.out}: the name must end in .html")
        overrides = parse_overrides(rest)
        activate(wanted_variant(self.job, overrides))
        from ... import check_report
        from ...job import check, preflight
        from ...job.config import load_job

        job, _ = load_job(self.job, overrides)
        with quiet():
            prepared = preflight.check(job, self.allow_code)
            for line in prepared.told:
                console.error(line)
            found = check.check(
                job,
                prepared,
                console.error,
                gradient=not self.no_gradient,
                timing=not self.no_timing,
                allow_code=self.allow_code,
            )
        header = ["variable", "parameter", "shape", "map", "range", "lr"]
        rows = [
            [v["variable"], v["parameter"], "x".join(map(str, v["shape"])), v["map"],
             f"[{v['bounds'][0]:g}, {v['bounds'][1]:g}]", f"{v['lr']:g}"]
            for v in found.variables
        ]  # fmt: skip
        console.out(console.table(header, rows))
        training = sum(picture.group == "training" for picture in found.pictures)
        console.out(f"{counted(training, 'training view')}, {len(found.pictures) - training} held out")
        for finding in found.findings:
            console.out(f"{finding.level}, {finding.check}: {finding.text}")
        if found.gradient is not None:
            console.out(f"gradient of {check_report.gradient_line(found)}")
        for line in check_report.cost_lines(found):
            console.out(line)
        page, sheet = check_report.write(found, job.name, self.out)
        console.out(f"page: {page}; all views: {sheet}")
        code = found.exit_code
        return code, {"ok": code == 0, "page": str(page.resolve()), "sheet": str(sheet.resolve()), **found.to_dict()}
