"""Many runs of one job: every combination of settings, with several seeds; each in a process of its own, and resumable.

A sweep's folder has `sweep.json`, what was asked for and what came of it, and a folder for each run, named after its settings.
Asked again, it goes on where it stopped: runs that are finished stay, those that were interrupted are resumed.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import OptionError
from .job import storage
from .job.checkpoint import steps
from .job.results import slug
from .job.rundir import RunDirectory

INTERRUPTED = 130
#: Exit codes of runs that came to an end: goals met or not.
ENDED = (0, 5)


@dataclass(frozen=True)
class Point:
    """One run: settings as the command line has them, in order, and the seed."""

    settings: tuple[tuple[str, str], ...]
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        words = [f"{key}={value}" for key, value in self.settings]
        return slug("_".join([*words, f"seed={self.seed}"]))


@dataclass(frozen=True)
class Result:
    """What came of a point: exit code, folder of the run if there is one, and its numbers by name."""

    point: Point
    code: int | None
    run: str = ""
    numbers: tuple[tuple[str, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        settings = dict(self.point.settings)
        return {
            "settings": settings,
            "seed": self.point.seed,
            "exit_code": self.code,
            "run": self.run,
            **dict(self.numbers),
        }


def parse_grid(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """KEY=VALUE,VALUE words as (key, values); commas inside of brackets, braces and quotes separate nothing. Raises OptionError."""
    found: list[tuple[str, list[str]]] = []
    for word in words:
        key, equals, text = word.partition("=")
        values = _split(text)
        if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)+", key) or not all(values):
            raise OptionError(f"--grid {word}: expected KEY=VALUE,VALUE such as vars.albedo.lr=1e-2,3e-2")
        if len(set(values)) != len(values):
            raise OptionError(f"--grid {word}: a value is given twice")
        if key in [other for other, _ in found]:
            raise OptionError(f"--grid {key} is given twice: give all its values in one")
        if key in ("optim.seed", "output.dir"):
            raise OptionError(f"--grid {key}: the sweep itself sets this; see --seeds and --out")
        found.append((key, values))
    return found


def _split(text: str) -> list[str]:
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += (letter in "[{(") - (letter in "]})") if not quoted else 0
        if letter == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def points(grid: Sequence[tuple[str, Sequence[str]]], first_seed: int, seeds: int) -> list[Point]:
    """Every combination with every seed; all seeds of a combination follow each other."""
    combined = itertools.product(*([(key, value) for value in values] for key, values in grid))
    return [Point(settings, first_seed + seed) for settings in combined for seed in range(seeds)]


class Sweep:
    """A folder of runs of one job. `fixed`: settings that all runs share, as words of the command line."""

    def __init__(self, folder: Path, job: Path, fixed: Sequence[str], allow_code: bool = False) -> None:
        self.folder, self.job, self.fixed, self.allow_code = folder, job, list(fixed), allow_code

    def prepare(self, text: str, planned: Sequence[Point]) -> None:
        """Write down what is asked for. OptionError where the folder holds a sweep of another job, or two points share a name."""
        if len({point.name for point in planned}) < len(planned):
            raise OptionError("two combinations of --grid differ in punctuation only, and would share a folder")
        path = self.folder / "sweep.json"
        before = storage.read_json(path)
        given = {"job": str(self.job), "text": text, "fixed": self.fixed}
        differ = [key for key in given if before and before.get(key) != given[key]]
        if differ:
            what = {"job": "of another file", "text": "whose job file was another", "fixed": "with other settings"}
            raise OptionError(
                f"{self.folder} holds a sweep {what[differ[0]]}: give another folder with --out, or remove it"
            )
        storage.write_json(path, {**given, "points": len(planned)})

    def run(self, point: Point, tell: Callable[[str], None]) -> Result:
        """Run a point, or go on with it, or read what came of it before."""
        folder = self.folder / point.name
        known = self.result(point)
        if known.code in ENDED:
            return known
        words = ["fit", str(self.job), *self.fixed]
        for key, value in (*point.settings, ("optim.seed", str(point.seed)), ("output.dir", str(folder))):
            words.append(f"--{key}={value}")
        found = _newest(folder)
        if found is not None and steps(found.checkpoints):
            words = ["resume", str(found.path)]
            tell(f"going on with {point.name}")
        code = _called([*words, *(["--allow-code"] if self.allow_code else [])], folder)
        result = self.result(point)
        return replace(result, code=code if result.code is None else result.code)

    def result(self, point: Point) -> Result:
        """What has come of a point so far; its code is None where it has not ended."""
        directory = _newest(self.folder / point.name)
        if directory is None:
            return Result(point, None)
        status = directory.read_status()
        code = int(status.get("exit_code", 0)) if status.get("state") in ("finished", "failed", "diverged") else None
        return Result(point, code, str(directory.path), tuple(_numbers(directory).items()))


def _newest(folder: Path) -> RunDirectory | None:
    found = sorted(path.parent for path in folder.glob("*/*/job.toml"))
    return RunDirectory(found[-1]) if found else None


def _called(words: Sequence[str], folder: Path) -> int:
    """Exit code of a `pbdr` of its own; an interruption is handed on, and waited for until it has saved."""
    with storage.reported(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "output.txt", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pbdr.cli", *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=os.name != "nt",
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            return INTERRUPTED


def _numbers(directory: RunDirectory) -> dict[str, float]:
    """What a table of runs compares."""
    metrics = storage.read_json(directory.path / "eval" / "metrics.json")
    found: dict[str, Any] = {}
    for group in ("held_out", "training"):
        found[f"{group} PSNR"] = (metrics.get(group) or {}).get("psnr")
    for entry in storage.read_json(directory.path / "eval" / "parameters.json").get("parameters", []):
        found[f"RMSE {entry['name']}"] = entry.get("rmse")
    found["seconds"] = metrics.get("seconds")
    return {name: float(value) for name, value in found.items() if value is not None}


def table(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Header and rows, one for each combination: runs that ended, goals met, and mean ± standard deviation over the seeds of every
    number; the best held-out PSNR first (training PSNR where no view is held out)."""
    names = list(dict.fromkeys(name for result in results for name, _ in result.numbers))
    keys = [key for key, _ in results[0].point.settings] if results else []
    first = next((name for name in names if name.endswith("PSNR")), "")
    rows: list[tuple[float, list[str]]] = []
    for settings in dict.fromkeys(result.point.settings for result in results):
        own = [result for result in results if result.point.settings == settings]
        ended = [result for result in own if result.code in ENDED]
        row = [value for _, value in settings]
        row += [f"{len(ended)}/{len(own)}", f"{sum(result.code == 0 for result in ended)}/{len(own)}"]
        best = -np.inf
        for name in names:
            values = [dict(result.numbers)[name] for result in ended if name in dict(result.numbers)]
            row.append(_spread(values))
            if name == first and values:
                best = float(np.mean(values))
        rows.append((best, row))
    rows.sort(key=lambda item: -item[0])
    return [*keys, "ended", "met", *names], [row for _, row in rows]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean = f"{np.mean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.2g}"


def write(folder: Path, results: Sequence[Result]) -> Path:
    """Write sweep.csv, a line for each run, and add the results to sweep.json; returns the path of the first."""
    names = list(dict.fromkeys(name for result in results for name, _ in result.numbers))
    keys = [key for key, _ in results[0].point.settings] if results else []
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*keys, "seed", "exit_code", "run", *names])
    for result in results:
        numbers = dict(result.numbers)
        values = [value for _, value in result.point.settings]
        code = "" if result.code is None else result.code
        lines.writerow([*values, result.point.seed, code, result.run, *(numbers.get(name, "") for name in names)])
    storage.write_text(folder / "sweep.csv", text.getvalue())
    known = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    storage.write_json(folder / "sweep.json", {**known, "results": [result.to_dict() for result in results]})
    return folder / "sweep.csv"
