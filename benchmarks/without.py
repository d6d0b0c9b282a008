"""The correctness suite with everything on, and with each part of the sampling switched off (`pytest --without NAME`).

Each run is a process of its own and is written as soon as it is done; a benchmark that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import fnmatch
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from validation.switches import FULL, SWITCHES

from . import harness
from .harness import ROOT, Result, table
from .matrix import commits, load

NAMES = (FULL, *SWITCHES)
#: Closed forms, finite differences, invariances and forward against reverse mode: what all parts of the sampling have a share in.
FILES = (
    "test_closed_*.py", "test_indirect.py", "test_depth.py", "test_dot_product.py", "test_invariances.py",
    "test_silhouettes.py",
)  # fmt: skip
NOISY = "too noisy to decide"  # validation/agreement.py, of a mean that is within its interval


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--only", action="append", metavar="GLOB", help=f"of {', '.join(NAMES)}; may be repeated")
    parser.add_argument("--again", action="store_true", help="run switches that have a result, too")
    parser.add_argument("--jobs", type=int, default=2, help="workers of pytest-xdist")


def run(options: argparse.Namespace) -> Result:
    """All switches that have no result yet; what is found is in the file after each."""
    records = load(options.out / "without.json") or (load(harness.RECORDED / "without.json") if options.record else {})
    records = {name: records[name] for name in NAMES if name in records}
    for name in NAMES:
        chosen = any(fnmatch.fnmatch(name, pattern) for pattern in options.only or ["*"])
        if not chosen or (name in records and not options.again):
            continue
        records[name] = suite(name, options.jobs)
        records = {n: records[n] for n in NAMES if n in records}
        print(
            f"{NAMES.index(name) + 1:2}/{len(NAMES)} {' | '.join(row(name, records[name]))}",
            file=sys.stderr,
            flush=True,
        )
        harness.write(result(records), options.out, sum(record["seconds"] for record in records.values()))
    return result(records)


def suite(name: str, jobs: int) -> dict[str, Any]:
    """Record of one run of the suite."""
    folder = ROOT / "tests" / "gradient"
    files = [str(file.relative_to(ROOT)) for pattern in FILES for file in sorted(folder.glob(pattern))]
    words = ["-m", "not slow", "-n", str(jobs), "--dist", "loadfile", "-p", "no:cacheprovider"]
    words += [] if name == FULL else ["--without", name]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as made:
        report = Path(made) / "report.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *files, *words, f"--junitxml={report}"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        record = outcome(report.read_text(encoding="utf-8")) if report.is_file() else outcome("<testsuites/>")
    if done.returncode not in (0, 1):  # neither passed nor failed: tests are missing
        record["error"] = f"exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}"
    return {**record, "seconds": round(time.perf_counter() - start, 1), "commit": harness.machine()["commit"]}


def outcome(report: str) -> dict[str, Any]:
    """Number of tests passed and skipped, and names of those that failed or were too noisy, from a report in JUnit's format."""
    record: dict[str, Any] = {"passed": 0, "skipped": 0, "failed": [], "noisy": []}
    for case in ElementTree.fromstring(report).iter("testcase"):
        module = case.get("classname", "").rpartition(".")[2]
        name = f"{module}.py::{case.get('name')}"
        wrong = [x for kind in ("failure", "error") for x in case.findall(kind)]
        if wrong:
            noisy = all(x.tag == "failure" and NOISY in x.get("message", "") for x in wrong)
            record["noisy" if noisy else "failed"].append(name)
        else:
            record["passed" if case.find("skipped") is None else "skipped"] += 1
    return record


def result(records: dict[str, Any]) -> Result:
    """Figures, page, and whether all tests passed in every run."""
    met = len(records) == len(NAMES) and all(passes(record) for record in records.values())
    text = (
        f"{len(records)} of {len(NAMES)} runs. Tests of tests/gradient: {', '.join(FILES)}, without the slow ones. A test is "
        "skipped if it is about what is off. Too noisy: the mean agrees within its interval, but its standard error exceeds the "
        "bound that the test states, which is made for all parts together.\n\n"
        f"Runs by commit: {commits(records)}.\n\n"
    )
    header = ["without", "that is", "passed", "failed", "too noisy", "skipped", "s", "which"]
    return Result("without", {"cases": records}, text + table(header, [row(n, r) for n, r in records.items()]), met)


def passes(record: dict[str, Any]) -> bool:
    """Whether there were tests, and nothing else than tests that passed or were skipped."""
    return record["passed"] > 0 and not (record["failed"] or record["noisy"] or "error" in record)


def row(name: str, record: dict[str, Any]) -> list[str]:
    """One line of the table."""
    failed, noisy = record["failed"], record["noisy"]
    which = [*(f"`{test}`" for test in failed), *(f"`{test}` (noisy)" for test in noisy)]
    which += [f"**{record['error']}**"] if "error" in record else []
    words = ", ".join(which).replace("|", "/").replace("\n", " ")
    first = ("—", FULL) if name == FULL else (name, SWITCHES[name].label)
    return [
        *first,
        *(str(n) for n in (record["passed"], len(failed), len(noisy), record["skipped"])),
        f"{record['seconds']:.0f}",
        words,
    ]
