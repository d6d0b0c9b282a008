"""The commands. Each parses nothing itself, imports what it needs late, and returns (exit code, result for --json)."""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import Positional

from ..errors import BusyError, OptionError, PbdrError
from . import console
from .bench import Bench
from .shared import Defines, Json, Result
from .shared import activate as _activate
from .shared import load as _scene
from .shared import no_more as _no_more
from .verification import Gradient, Verify

if TYPE_CHECKING:
    from ..job.runner import Outcome


@dataclass
class Demo:
    """Generate a scene, estimate its material and light, write a run directory and a report. Needs no file.

    Settings of the job may follow, for instance --optim.steps 100 or --output.dir FOLDER."""

    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Write the demo's files beside the runs, then fit."""
        from ..job.overrides import parse_overrides

        overrides = parse_overrides(rest)
        _activate("auto")
        from .. import demo
        from ..job.config import load_job

        base = Path(str(overrides.get("output.dir", "runs")))
        path = demo.write(base / demo.NAME / datetime.datetime.now().strftime("scene-%Y%m%d-%H%M%S"))
        job, text = load_job(path, {"output.dir": str(base), **overrides})
        return _start(job, text)


@dataclass
class Fit:
    """Run an inverse-rendering job.

    Settings of the job file may be overridden: --optim.steps 100 --vars.albedo.lr 1e-4."""

    job: Annotated[Positional[Path], tyro.conf.arg(metavar="JOB.toml", help="The job file.")]
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Check, then fit."""
        from ..job.overrides import parse_overrides, wanted_variant

        overrides = parse_overrides(rest)
        _activate(wanted_variant(self.job, overrides))
        from ..job.config import load_job

        return _start(*load_job(self.job, overrides))


@dataclass
class Resume:
    """Continue a run where it stopped, with the same optimiser, random and schedule state."""

    folder: Annotated[
        Positional[Path], tyro.conf.arg(metavar="RUN", help="runs/NAME/TIME, or runs/NAME for its newest.")
    ]
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Continue."""
        _no_more(rest)
        from ..job.overrides import wanted_variant
        from ..job.rundir import RunDirectory

        directory = RunDirectory.open(self.folder)
        _activate(wanted_variant(directory.path / "job.toml", {}))
        return _work(directory, None)


@dataclass
class Render:
    """Render a scene to an EXR (linear) or PNG (sRGB) file."""

    scene: Annotated[Positional[Path], tyro.conf.arg(metavar="SCENE", help="Mitsuba XML file.")]
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], help="Output file, .exr or .png.")] = Path("render.exr")
    spp: Annotated[int, tyro.conf.arg(help="Samples per pixel.")] = 64
    sensor: Annotated[int, tyro.conf.arg(help="Number of the sensor, from 0.")] = 0
    seed: Annotated[int, tyro.conf.arg(help="Random seed.")] = 0
    integrator: Annotated[str, tyro.conf.arg(help="pathspace, or any Mitsuba integrator.")] = "pathspace"
    max_depth: Annotated[int, tyro.conf.arg(help="Longest path; -1 is without limit.")] = 6
    define: Defines = tyro.MISSING_NONPROP
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Render and write."""
        _no_more(rest)
        if self.out.suffix.lower() not in (".exr", ".png"):
            raise OptionError(f"--out {self.out}: the name must end in .exr or .png")
        if self.spp < 1:
            raise OptionError(f"--spp {self.spp}: at least 1 sample per pixel is needed")
        _activate("auto")
        import numpy as np

        from ..data import encode_exr, encode_png
        from ..job import storage, views
        from ..scene import integrator_of, sensor_of

        scene = _scene(self.scene, self.define)
        integrator = integrator_of(scene, {"type": self.integrator, "max_depth": self.max_depth})
        image = views.render(scene, sensor_of(scene, self.sensor), integrator, self.spp, self.seed)
        bad = int((~np.isfinite(image)).any(axis=2).sum())
        if bad:
            console.error(f"warning: {bad} pixels are not finite")
        exr = self.out.suffix.lower() == ".exr"
        storage.write_bytes(self.out, encode_exr(image) if exr else encode_png(image[..., :3]))
        height, width = image.shape[:2]
        console.out(f"{self.out}: {width} x {height} pixels")
        return 0, {"ok": True, "file": str(self.out.resolve()), "width": width, "height": height, "nonfinite": bad}


@dataclass
class Params:
    """List every parameter of a scene: name, role, shape, range, whether a gradient was measured, Mitsuba's key."""

    scene: Annotated[Positional[Path], tyro.conf.arg(metavar="SCENE", help="Mitsuba XML file.")]
    match: Annotated[str | None, tyro.conf.arg(help="Only names that match this glob.")] = None
    no_probe: Annotated[bool, tyro.conf.arg(help="Do not render to find out which parameters have a gradient.")] = False
    integrator: Annotated[str, tyro.conf.arg(help="The integrator whose gradients are probed.")] = "pathspace"
    define: Defines = tyro.MISSING_NONPROP
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """List."""
        _no_more(rest)
        _activate("auto")
        from ..parameters import list_parameters, resolve
        from ..parameters.probing import probe_all

        scene = _scene(self.scene, self.define)
        found = list_parameters(scene) if self.match is None else resolve(scene, self.match)
        probed = {} if self.no_probe else probe_all(scene, found, integrator={"type": self.integrator})
        words = {True: "yes", False: "no", None: "not probed"}
        rows = [
            [
                p.name,
                p.role,
                "x".join(map(str, p.shape)),
                f"[{p.bounds[0]:g}, {p.bounds[1]:g}]",
                words[probed.get(p.name)],
                p.raw,
            ]
            for p in found
        ]
        console.out(console.table(["name", "role", "shape", "range", "gradient", "key"], rows))
        entries = [
            {"name": p.name, "role": p.role, "kind": p.kind, "shape": p.shape, "bounds": p.bounds,
             "gradient": probed.get(p.name), "raw": p.raw}
            for p in found
        ]  # fmt: skip
        return 0, {"ok": True, "scene": str(self.scene), "parameters": entries}


@dataclass
class Report:
    """Write report.html of a run again, also of one that has not finished."""

    folder: Annotated[
        Positional[Path], tyro.conf.arg(metavar="RUN", help="runs/NAME/TIME, or runs/NAME for its newest.")
    ]
    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Write it."""
        _no_more(rest)
        from .. import report
        from ..job.rundir import RunDirectory

        directory = RunDirectory.open(self.folder)
        path = report.write(directory)
        console.out(f"report: {path}")
        return 0, {"ok": True, "run": str(directory.path), "report": str(path)}


@dataclass
class Doctor:
    """Show versions, LLVM, GPU, and what is missing and how to install it."""

    json: Json = False

    def run(self, rest: list[str]) -> Result:
        """Look."""
        _no_more(rest)
        from .. import backend

        found = backend.report()
        for line in _doctor_lines(found):
            console.out(line)
        return (0 if found["ok"] else 3), dict(found)


COMMANDS = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[Fit, tyro.conf.subcommand("fit")]
    | Annotated[Resume, tyro.conf.subcommand("resume")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Gradient, tyro.conf.subcommand("gradient")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Params, tyro.conf.subcommand("params")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)
NAMES = ("demo", "fit", "resume", "render", "gradient", "verify", "params", "report", "bench", "doctor")


def _start(job: Any, text: str) -> Result:
    from ..job import runner

    scene = runner.preflight(job)
    return _work(runner.create(job, text), scene)


def _work(directory: Any, scene: Any) -> Result:
    """Run, and write the report whatever happens; the run's own error is the one that is told."""
    from .. import report
    from ..job import runner

    try:
        outcome = runner.run(directory, console.Progress(), scene)
    except BusyError:  # the page is written by whoever is at work
        raise
    except PbdrError as error:
        console.error(f"run directory: {directory.path}")
        with contextlib.suppress(PbdrError):
            report.write(directory)
        raise error
    path = report.write(directory)
    return _told(outcome, path)


def _told(outcome: Outcome, report: Path) -> Result:
    verdict = outcome.metrics.get("verdict", {})
    for goal in outcome.metrics.get("goals", []):
        sign = ">=" if goal["kind"] == "psnr" else "<="
        met = "met" if goal["met"] else "NOT met"
        console.out(f"{goal['label']}: {goal['value']:.4g} (goal {sign} {goal['limit']:g}: {met})")
    for group, label in (("held_out", "held-out PSNR"), ("training", "training PSNR")):
        part = outcome.metrics.get(group)
        if part:
            console.out(
                f"{label}: {part['psnr']:.2f} dB over {part['views']} views (start: {part['psnr_init']:.2f} dB)"
            )
    console.out(f"report: {report}")
    return outcome.exit_code, {
        "ok": outcome.exit_code == 0,
        "run": str(outcome.run.path),
        "report": str(report),
        "step": outcome.step,
        "verdict": verdict.get("word", "Interrupted"),
        "message": verdict.get("text", ""),
        "held_out": outcome.metrics.get("held_out"),
        "training": outcome.metrics.get("training"),
        "goals": outcome.metrics.get("goals", []),
    }


def _doctor_lines(found: dict[str, Any]) -> list[str]:
    lines = [f"python      {found['python']}"]
    lines += [f"{name:<11} {version or 'not installed'}" for name, version in found["packages"].items()]
    chosen = found["backend"]
    if chosen:
        lines.append(f"backend     {chosen['kind']}, Mitsuba variant {chosen['variant']}")
    lines.append(f"cuda        {found['cuda']}")
    for library in found["llvm"]:
        note = f": {library['rejected']}" if library["rejected"] else ""
        used = " (used)" if chosen and library["path"] == chosen["library"] else note
        lines.append(f"llvm {library['version']:<6} {library['path']}{used}")
    missing = [name for name, there in found["extras"].items() if not there]
    lines.append(f"extras      {', '.join(n for n, there in found['extras'].items() if there) or 'none'}")
    if missing:
        lines.append(f"            not installed: {', '.join(missing)} (pip install 'pbdr[{missing[0]}]')")
    folder = found["folder"]
    lines.append(f"folder      {folder['path']} ({'writable' if folder['writable'] else 'NOT writable'})")
    if found["ok"]:
        return [*lines, "Everything that is needed is here."]
    commands = [f"  {system}: {command}" for system, command in found["install"].items()]
    return [*lines, f"Problem: {found['problem']}", *commands]
