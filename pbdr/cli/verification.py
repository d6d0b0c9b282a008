"""`pbdr verify` and `pbdr gradient`: derivatives of a scene's image, and whether they can be believed."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional

from ..errors import OptionError
from . import console
from .shared import Defines, Json, Result, activate, load, no_more

Scene = Annotated[Positional[Path], tyro.conf.arg(metavar="SCENE", help="Mitsuba XML file.")]
Param = Annotated[
    str, tyro.conf.arg(metavar="NAME", help="The parameter, by name or raw key; `pbdr params SCENE` lists them.")
]
Directions = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(
        metavar="DIRECTION",
        help="How the parameter moves: x, y, z (translations), smooth (waves over the vertices), all (every entry by 1), or "
        "numbers such as 1,0.5,0; may be repeated. By default what suits the parameter.",
    ),
]
Options = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(metavar="NAME=VALUE", help="An option of the integrator, such as guiding=none; may be repeated."),
]


@dataclass
class Verify:
    """Can the gradient of one parameter be believed? Compare it with finite differences, and write a page.

    Exit code 0: it agrees. 5: it is wrong, or too noisy to decide."""

    scene: Scene
    param: Param
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], help="The page, one .html file.")] = Path("verify.html")
    integrator: Annotated[str, tyro.conf.arg(help="Whose gradient: pathspace, or any of Mitsuba's, such as prb.")] = (
        "pathspace"
    )
    option: Options = tyro.MISSING_NONPROP
    direction: Directions = tyro.MISSING_NONPROP
    budget: Annotated[
        float, tyro.conf.arg(help="Seconds of measuring, besides compilation; it ends early when decided.")
    ] = 20.0
    tolerance: Annotated[float, tyro.conf.arg(help="Relative error below which a gradient counts as right.")] = 0.02
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
        tyro.conf.arg(
            help="A first answer, in under a second of work: one direction, 16 pixels a side, 10 %, no page."
        ),
    ] = False
    define: Defines = tyro.MISSING_NONPROP
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Verify, print a line for each direction, write the page."""
        no_more(rest)
        if self.out.suffix.lower() != ".html":
            raise OptionError(f"--out {self.out}: the name must end in .html")
        activate("auto")
        from ..verify import verify

        scene = load(self.scene, self.define)
        with Bar("verifying") as bar, quiet():
            found = verify(
                scene, self.param, integrator={"type": self.integrator, **parsed(self.option)}, directions=tuple(self.direction),
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
        from .. import verify_report

        path = verify_report.write(found, self.out)
        console.out(f"{found.verdict} ({found.seconds:.1f} s); page: {path}")
        record = {"ok": found.ok, "page": str(path.resolve()), **found.to_dict()}
        return (0 if found.ok else 5), record


@dataclass
class Gradient:
    """Derivative images for a change of one parameter, term by term: signed colour maps (PNG) and linear EXR files."""

    scene: Scene
    param: Param
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], help="Folder of the images.")] = Path("gradient")
    direction: Directions = tyro.MISSING_NONPROP
    option: Options = tyro.MISSING_NONPROP
    spp: Annotated[int, tyro.conf.arg(help="Samples per pixel.")] = 256
    resolution: Annotated[int, tyro.conf.arg(help="Longest side of the image in pixels; 0 keeps the film's.")] = 0
    sensor: Annotated[int, tyro.conf.arg(help="Number of the sensor, from 0.")] = 0
    seed: Annotated[int, tyro.conf.arg(help="Random seed.")] = 0
    define: Defines = tyro.MISSING_NONPROP
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Differentiate and write."""
        no_more(rest)
        if self.spp < 1:
            raise OptionError(f"--spp {self.spp}: at least 1 sample per pixel is needed")
        activate("auto")
        from .. import verify_report
        from ..verify.images import derivative_images

        scene = load(self.scene, self.define)
        with Bar("differentiating") as bar, quiet():
            found = derivative_images(
                scene, self.param, options=parsed(self.option), directions=tuple(self.direction), sensor=self.sensor,
                spp=self.spp, seed=self.seed, resolution=self.resolution or None, progress=bar.at,
            )  # fmt: skip
        entries = []
        for name, images in found.items():
            for entry in verify_report.write_images(self.out, name, images, many=len(found) > 1):
                console.out(
                    f"{entry['png']}: {self.param} along {name}, {entry['term']}, largest {entry['largest']:.4g}"
                )
                entries.append(entry)
        return 0, {"ok": True, "scene": str(self.scene), "parameter": self.param, "images": entries}


def parsed(pairs: list[str]) -> dict[str, Any]:
    """NAME=VALUE words as an integrator's options: whole numbers, numbers, true and false, else text."""
    result: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or name == "type":
            raise OptionError(f"--option {pair}: expected NAME=VALUE (the type is --integrator)")
        if re.fullmatch(r"[+-]?\d+", value):
            result[name] = int(value)
        elif value in ("true", "false"):
            result[name] = value == "true"
        else:
            try:
                result[name] = float(value)
            except ValueError:
                result[name] = value
    return result


class quiet:
    """Mitsuba's own log lines stay out of the way inside the block; its errors are raised and told anyway."""

    def __enter__(self) -> None:
        import mitsuba as mi

        self.before = mi.logger().log_level()
        mi.set_log_level(mi.LogLevel.Error)

    def __exit__(self, *_: object) -> None:
        import mitsuba as mi

        mi.set_log_level(self.before)


class Bar:
    """Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, what: str) -> None:
        self.what, self.told = what, time.monotonic()
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> Bar:
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            columns = (
                progress.TextColumn(self.what), progress.BarColumn(), progress.TextColumn("{task.description}"),
                progress.TimeElapsedColumn(),
            )  # fmt: skip
            self.bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
            self.task = self.bar.add_task("", total=1.0)
        return self

    def at(self, text: str, fraction: float) -> None:
        """Show where we are."""
        if self.bar is not None:
            self.bar.update(self.task, completed=fraction, description=text)
        elif time.monotonic() - self.told >= console.PLAIN_SECONDS:
            self.told = time.monotonic()
            console.error(f"{self.what}: {100 * fraction:.0f} %, {text}")

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
