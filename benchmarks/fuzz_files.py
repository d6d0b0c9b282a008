"""Random files, whole and damaged: each is refused by one clear line, or what was made of it is right.

Files are tried in processes of their own, in batches, so that a file that ends or hangs the process is a failure like any
other, and the run goes on. Hypothesis shrinks what fails. The state is kept in the output folder: a later run goes on from it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from .harness import ROOT, Result, table

BATCH = 1000
PATIENCE = 600.0  # seconds for a batch

#: What earlier runs found, and how it was mended.
MENDED = (
    (
        "images",
        "a JPEG file whose damaged header claims 100 million pixels took 10 GB",
        "sizes are compared with the file's length",
    ),
    ("images", "a PFM file without the numbers of its header hung the decoder", "PFM and PPM headers are read first"),
    ("images", "an EXR file without attributes raised UnboundLocalError", "refused as damaged"),
    (
        "images",
        "JPEG and EXR files that were cut off were read, grey and black where pixels were missing",
        "ends are looked for",
    ),
    ("images", "PNG files with wrong sums in some chunks were read", "every sum is checked"),
    ("images", "X, Y, Z channels were read as grey", "refused by name"),
    ("images", "an HDR file that was cut off ended the process in the decoder", "its lines are walked through first"),
    ("job files", "holdout = 'every:²' raised ValueError", "only the digits 0 to 9 are a number"),
    (
        "camera files",
        "a matrix whose rows differ in length raised ValueError, one of large whole numbers OverflowError",
        "refused",
    ),
    ("camera files", "numbers in quotes were taken for numbers in matrices", "refused"),
    ("job files", "a key with a line break made a message of two lines", "messages of errors are one line"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to go on")
    parser.add_argument("--files", type=int, default=0, help="stop after as many files in all; 0: no such limit")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs in the output folder tried")


def run(options: argparse.Namespace) -> Result:
    """Try batches of every kind in turn until the time is up."""
    from validation.files import KINDS

    folder = options.out / "fuzz_files"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "state.json"
    state: dict[str, Any] = {"batches": 0, "seconds": 0.0, "kinds": {}, "failures": []}
    if path.is_file() and not options.fresh:
        state = json.loads(path.read_text(encoding="utf-8"))
    _retry(state, folder)
    end = time.monotonic() + 60.0 * options.minutes
    while time.monotonic() < end and not (options.files and _tried(state) >= options.files):
        for kind in KINDS:
            start = time.monotonic()
            _batch(state, kind, 1_000_003 * options.seed + state["batches"], folder)
            state["batches"] += 1
            state["seconds"] += time.monotonic() - start
            _save(path, state)
    data = {**state, "tried": _tried(state), "mended": [list(entry) for entry in MENDED]}
    return Result("fuzz_files", data, _markdown(data), not state["failures"])


def _retry(state: dict[str, Any], folder: Path) -> None:
    """Batches that failed earlier are tried again; what fails no more is not open."""
    failures, state["failures"] = state["failures"], []
    for failure in failures:
        state["kinds"][failure["kind"]]["failed"] -= 1
        _batch(state, failure["kind"], failure["seed"], folder)


def _tried(state: dict[str, Any]) -> int:
    return sum(sum(counts.values()) for counts in state["kinds"].values())


def _save(path: Path, state: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _batch(state: dict[str, Any], kind: str, seed: int, folder: Path) -> None:
    """One batch in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.fuzz_files", kind, str(seed), str(folder)]
    report = folder / "batch.json"
    report.unlink(missing_ok=True)
    try:
        code = subprocess.run(
            words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False
        ).returncode
        how = f"the process ended with code {code}"
    except subprocess.TimeoutExpired:
        how = f"the process hung for {PATIENCE:.0f} s"
    found = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {"refused": 0, "decided": 0}
    if not found.get("done"):
        current = (folder / "current.txt").read_text(encoding="utf-8") if (folder / "current.txt").is_file() else ""
        found["failure"] = {"error": how, "case": current}
    counts = state["kinds"].setdefault(kind, {"refused": 0, "decided": 0, "failed": 0})
    counts["refused"] += found["refused"]
    counts["decided"] += found["decided"]
    if "failure" in found:
        counts["failed"] += 1
        state["failures"].append({"kind": kind, "seed": seed, **found["failure"]})


def work(kind: str, seed: int, folder: Path) -> None:
    """Try BATCH files of one kind; writes batch.json."""
    from pbdr import backend

    backend.activate()
    from hypothesis import HealthCheck, given, settings
    from hypothesis import seed as seeded

    from validation.files import KINDS, prepare

    strategy, check = KINDS[kind]
    counts: dict[str, Any] = {"refused": 0, "decided": 0}
    last = [""]

    def note() -> None:
        (folder / "batch.json").write_text(json.dumps(counts), encoding="utf-8")

    with tempfile.TemporaryDirectory() as place:
        prepare(Path(place))

        @seeded(seed)
        @settings(
            max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False
        )
        @given(strategy)
        def tried(case: Any) -> None:
            last[0] = repr(case)
            (folder / "current.txt").write_text(last[0], encoding="utf-8")
            counts["decided" if check(case, Path(place)) else "refused"] += 1
            note()

        try:
            tried()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            # Hypothesis ends with the smallest case it found.
            counts["failure"] = {"error": "".join(traceback.format_exception(error))[-3000:], "case": last[0][:3000]}
        counts["done"] = True
        note()


def _markdown(data: dict[str, Any]) -> str:
    rows = [
        [kind, counts["refused"] + counts["decided"] + counts["failed"], counts["refused"], counts["decided"], counts["failed"]]
        for kind, counts in data["kinds"].items()
    ]  # fmt: skip
    text = (
        f"{data['tried']} files, {data['batches']} batches, {data['seconds'] / 60:.0f} minutes. *Refused*: by one line. *Decided*: "
        "accepted, and what was read compared with what was written. *Failed*: anything else (once a batch, which ends there). "
        "Counts are of all runs since the state was begun; what failed is tried again at the start of each run.\n\n"
    )
    text += table(["kind", "tried", "refused", "decided", "failed"], rows)
    text += "\n\nFound by such runs, and mended:\n\n" + table(
        ["kind", "fault", "now"], [list(entry) for entry in MENDED]
    )
    for failure in data["failures"]:
        text += f"\n\nOpen: {failure['kind']}, seed {failure['seed']}\n\n"
        text += f"```\n{failure['case'][:800]}\n{failure['error'][-800:]}\n```"
    return text


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
