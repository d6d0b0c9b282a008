"""Jobs that must succeed: each case from five perturbed starts, with default settings.

A case is in one of the files of `MODULES`. Every start runs in a process of its own and leaves a record in <out>/jobs/<case>/. A
start that has a record is not run again without `--again`, so that an interrupted benchmark goes on where it stopped. The table has
what this folder holds and, for the other cases, what benchmarks/results/jobs.json records.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pbdr.errors import OptionError, closest

from .harness import RECORDED, ROOT, Missed, Result, table
from .jobs_case import Case

#: Files of this folder that have a tuple `CASES`.
MODULES: tuple[str, ...] = ("jobs_camera", "jobs_functions", "jobs_material", "jobs_media", "jobs_shape")

STARTS = 5
CORES = 2


def cases() -> dict[str, Case]:
    """Every case by name, in the order of the files."""
    found: dict[str, Case] = {}
    for module in MODULES:
        for case in importlib.import_module(f"benchmarks.{module}").CASES:
            if case.name in found:
                raise OptionError(f"there are two cases {case.name!r}")
            found[case.name] = case
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--only", nargs="+", metavar="NAME", help="cases: names, globs, or beginnings of names")
    parser.add_argument("--starts", type=int, default=STARTS, help="perturbed starts of each case")
    parser.add_argument("--again", action="store_true", help="run starts that have a record, too")
    parser.add_argument("--list", action="store_true", help="name the cases, and run nothing")


def run(options: argparse.Namespace) -> Result:
    """Run the starts that are missing, and judge all that are there."""
    every = cases()
    chosen = selected(every, options.only)
    if options.list:
        return Result("jobs_list", {}, table(["case", "what"], [[case.name, case.text] for case in chosen]))
    folder = (options.out / "jobs").resolve()
    missed = {}
    for case in chosen:
        for start in range(options.starts):
            why = _run(case, start, folder / case.name, options.again)
            if why:
                missed[case.name] = why
                break
    if len(missed) == len(chosen) > 0:
        raise Missed("; ".join(f"{name}: {why}" for name, why in missed.items()))
    records = {**recorded(), **{name: found for name in every if (found := _records(folder / name))}}
    return judged(every, records, missed)


def selected(every: Mapping[str, Case], only: Sequence[str] | None) -> list[Case]:
    """The cases that the words of `--only` name; all without words. Raises OptionError for a word that names none."""
    if not only:
        return list(every.values())
    for word in only:
        if not any(_names(word, name) for name in every):
            near = closest(word, every)
            raise OptionError(
                f"no case is called {word!r}. {'Closest' if near else 'Cases'}: {', '.join(near or every)}"
            )
    return [case for name, case in every.items() if any(_names(word, name) for word in only)]


def _names(word: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, word) or name.startswith(word)


def recorded() -> dict[str, list[dict[str, Any]]]:
    """Records by case that the repository holds."""
    path = RECORDED / "jobs.json"
    if not path.is_file():
        return {}
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))["records"]
    return found


def _records(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("start-*.json"), key=lambda path: int(path.stem.removeprefix("start-")))
    return [json.loads(path.read_text(encoding="utf-8")) for path in files]


def _run(case: Case, start: int, folder: Path, again: bool) -> str:
    """Run one start unless its record is there; why it cannot be, or ""."""
    result, work = folder / f"start-{start}.json", folder / f"start-{start}"
    if result.is_file() and not again:
        return ""
    result.unlink(missing_ok=True)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    command = [sys.executable, "-m", "benchmarks.jobs_child", case.name, str(start), str(work), str(result)]
    done = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 3:
        return done.stderr.strip().splitlines()[-1]
    if not result.is_file():  # a crash is a result, too
        crash = f"the process ended with {done.returncode}: {done.stderr.strip()[-300:]}"
        result.write_text(json.dumps({"case": case.name, "start": start, "error": crash}) + "\n", encoding="utf-8")
    record = json.loads(result.read_text(encoding="utf-8"))
    print(f"{case.name}, start {start}: {_told(case, record)}", file=sys.stderr, flush=True)
    return ""


def minutes(record: Mapping[str, Any]) -> float:
    """Processor time of a start in minutes of two cores: wall time says more about who else was at work."""
    return float(record.get("seconds_processor", float("nan"))) / CORES / 60


def succeeded(case: Case, record: Mapping[str, Any]) -> bool:
    """Whether a start met every limit of its case, that of time included."""
    return (
        "error" not in record
        and all(limit.met(record["figures"]) for limit in case.limits)
        and minutes(record) <= case.minutes
    )


def judged(
    every: Mapping[str, Case],
    records: Mapping[str, Sequence[Mapping[str, Any]]],
    missed: Mapping[str, str] | None = None,
) -> Result:
    """The result: a case is met if it has enough starts and all of them succeed, the benchmark if all cases are.

    A case without a record counts as one that is not met. `missed`: case → why it could not run here. Records of cases that are
    gone are dropped.
    """
    known = {name: list(records.get(name, ())) for name in every}
    verdicts = {
        name: len(found) >= STARTS and all(succeeded(every[name], record) for record in found)
        for name, found in known.items()
    }
    rows = [_row(every[name], found, (missed or {}).get(name, "")) for name, found in known.items()]
    header = ["case", "unknown", "limits", "worst figures", "median minutes (wall)", "starts met"]
    tables = (
        "Every start runs with default settings, in a process of its own. Minutes are processor time divided by "
        f"{CORES} cores, in brackets wall time, which depends on what else the machine did. A case needs {STARTS} starts: "
        f"{sum(verdicts.values())} of {len(every)} cases are met.\n\n{table(header, rows)}"
    )
    kept = {name: found for name, found in known.items() if found}
    return Result("jobs", {"verdicts": verdicts, "records": kept}, tables, all(verdicts.values()))


def _row(case: Case, found: Sequence[Mapping[str, Any]], why: str) -> list[str]:
    """The row of a case: limits, the worst of what its starts reached, and how many of them there are; `why` it could not run."""
    limits = "; ".join([*map(str, case.limits), f"minutes ≤ {case.minutes:g}"])
    if not found:
        return [case.name, case.text, limits, "", "", f"**not run**{why and ': ' + why}"]
    figures = [record["figures"] for record in found if "figures" in record]
    worst = []
    for limit in case.limits:
        values = [one[limit.figure] for one in figures if limit.figure in one]
        if values:
            worst.append(f"{limit.figure} {(min if limit.at_least else max)(values):.3g}")
    failed = sum("error" in record for record in found)
    if failed:
        worst.append(f"**{failed} failed**")
    met = sum(succeeded(case, record) for record in found)
    times = [minutes(record) for record in found if "seconds_processor" in record]
    walls = [record["seconds_wall"] / 60 for record in found if "seconds_wall" in record]
    spent = f"{statistics.median(times):.1f} ({statistics.median(walls):.1f})" if times else ""
    score = f"{met} of {len(found)}"
    if len(found) < STARTS:
        score += f", {STARTS - len(found)} not run"
    if met < len(found) or len(found) < STARTS:
        score = f"**{score}**"
    return [case.name, case.text, limits, "; ".join(worst), spent, score]


def _told(case: Case, record: Mapping[str, Any]) -> str:
    if "error" in record:
        return f"failed: {record['error']}"
    figures = ", ".join(f"{name} {value:.4g}" for name, value in record["figures"].items())
    verdict = "met" if succeeded(case, record) else "NOT met"
    return f"{verdict}: {figures}; {minutes(record):.2f} minutes of {CORES} cores, {record['seconds_wall']:.0f} s wall"
