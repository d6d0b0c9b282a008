"""`pbdr verify`: can a gradient be believed?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ...errors import OptionError
from .. import console
from ..derivatives import Directions, IntegratorOptions, Param, integrator_options
from ..progress import Bar, quiet
from ..shared import Defines, Json, Result, SceneFile, activate, load, no_more


@dataclass
class Verify:
    """Can the gradient of one parameter be believed? Compare it with finite differences, and write a page.

    Exit code 0: it agrees. 5: it is wrong, or too noisy to decide."""

    scene: SceneFile
    param: Param
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], help="The page, one .html file.")] = Path("verify.html")
    integrator: Annotated[str, tyro.conf.arg(help="Whose gradient: pathspace, or any of Mitsuba's, such as prb.")] = (
        "pathspace"
    )
    option: IntegratorOptions = tyro.MISSING_NONPROP
    direction: Directions = tyro.MISSING_NONPROP
    budget: Annotated[
        float | None,
        tyro.conf.arg(
            help="Seconds of measuring, besides compilation; it ends early when decided. 20, with --quick 0.5."
        ),
    ] = None
    tolerance: Annotated[
        float | None,
        tyro.conf.arg(help="Relative error below which a gradient counts as right. 0.02, with --quick 0.1."),
    ] = None
    resolution: Annotated[int, tyro.conf.arg(help="Longest side of the image in pixels; 0 keeps the film's.")] = 64
    step: Annotated[
        float | None, tyro.conf.arg(help="Longest step of the differences; by default from the object's size.")
    ] = None
    primal: Annotated[str, tyro.conf.arg(help="Mitsuba's integrator whose images are differenced.")] = "path"
    sensor: Annotated[int, tyro.conf.arg(help="Number of the sensor, from 0.")] = 0
    seed: Annotated[int, tyro.conf.arg(help="Random seed.")] = 0
    no_other: Annotated[bool, tyro.conf.arg(help="Do not compare with the other estimator of the boundary.")] = False
    no_reverse: Annotated[bool, tyro.conf.arg(help="Do not compare reverse with forward mode.")] = False
    quick: Annotated[
        bool,
        tyro.conf.arg(help="A first answer in seconds: one direction, 16 pixels a side, 10 %, no page."),
    ] = False
    define: Defines = tyro.MISSING_NONPROP
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Verify, print a line for each direction, write the page."""
        no_more(rest)
        if self.out.suffix.lower() != ".html":
            raise OptionError(f"--out {self.out}: the name must end in .html")
        activate("auto")
        from ...verify import verify

        scene = load(self.scene, self.define)
        with Bar("verifying") as bar, quiet():
            found = verify(
                scene, self.param, integrator={"type": self.integrator, **integrator_options(self.option)},
                directions=tuple(self.direction),
                sensor=self.sensor, budget=self.budget, tolerance=self.tolerance, resolution=self.resolution or None,
                step=self.step, primal=self.primal, seed=self.seed, other=not self.no_other, reverse=not self.no_reverse,
                quick=self.quick, progress=bar.at,
            )  # fmt: skip
        for one in found.along:
            console.out(f"{found.parameter} along {one.name}: {one.text}")
        if self.quick:
            console.out(
                f"{found.verdict} ({found.seconds:.1f} s), at a first look; without --quick: everything, and a page"
            )
            return (0 if found.ok else 5), {"ok": found.ok, "page": None, **found.to_dict()}
        from ... import verify_report

        path = verify_report.write(found, self.out)
        console.out(f"{found.verdict} ({found.seconds:.1f} s); page: {path}")
        record = {"ok": found.ok, "page": str(path.resolve()), **found.to_dict()}
        return (0 if found.ok else 5), record
