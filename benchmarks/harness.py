"""What every benchmark shares: its result, the machine it ran on, timing, and how results are written."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Result:
    """Outcome of a benchmark.

    data     figures, as JSON can hold them
    tables   Markdown text shown after the title
    met      whether every requirement the benchmark states was met; None when it states none or could not run
    skipped  why it could not run, or ""
    """

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    tables: str = ""
    met: bool | None = None
    skipped: str = ""


class Missed(Exception):
    """The input a benchmark needs is not on this machine; the message says what, and where it was looked for."""


def write_page(page: Path, text: str) -> int:
    """Write a generated page of the documentation and say which; an exit code."""
    page.write_text(text, encoding="utf-8")
    print(page.relative_to(ROOT))
    return 0


def machine() -> dict[str, Any]:
    """Processor, cores, versions and commit: without them a time means nothing."""
    import drjit
    import mitsuba as mi

    def git(*words: str) -> str:
        try:
            found = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        except OSError:  # no git here
            return ""
        return found.stdout.strip()

    changed = [
        line
        for line in git("status", "--porcelain").splitlines()
        if "benchmarks/results/" not in line and not line.endswith(" README.md")  # recording changes these itself
    ]
    # A copy of the tree without its history is told its commit by PBDR_COMMIT.
    commit = os.environ.get("PBDR_COMMIT") or git("rev-parse", "--short=12", "HEAD") + (
        " with changes" if changed else ""
    )
    return {
        "cpu": _cpu_model(),
        "gpu": _gpu_model() if mi.variant().startswith("cuda") else "",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "mitsuba": mi.__version__,
        "drjit": drjit.__version__,
        "variant": mi.variant(),
        "llvm": Path(os.environ.get("DRJIT_LIBLLVM_PATH", "")).name,
        "commit": commit,
        "load_average": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpu_model() -> str:
    """Name and driver of the first GPU."""
    words = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()
    except OSError:
        found = []
    return found[0].replace(", ", ", driver ") if found else "a GPU"


def interleaved(tasks: Mapping[str, Callable[[], Any]], rounds: int, warm: int = 2) -> dict[str, list[float]]:
    """Seconds of every task: `warm` unmeasured rounds, then `rounds` in which each task runs once in turn.

    Taking turns makes what else the machine does hit all of them alike, so that ratios of medians are fair.
    """
    import drjit as dr

    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(warm + rounds):
        for name, task in tasks.items():
            dr.sync_thread()
            start = time.perf_counter()
            task()
            dr.sync_thread()
            if number >= warm:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def peak_memory() -> int:
    """Largest resident set of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # the other source below counts what the parent held at the fork as well
        line = next(x for x in status.read_text(encoding="ascii").splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def write(result: Result, folder: Path, seconds: float) -> dict[str, Any]:
    """Write <folder>/<name>.json and .md; returns what the JSON holds."""
    facts = machine()
    record = {"name": result.name, "met": result.met, "seconds": round(seconds, 1), "machine": facts, **result.data}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, default=_plain) + "\n"
    (folder / f"{result.name}.json").write_text(text, encoding="utf-8")
    (folder / f"{result.name}.md").write_text(markdown(result, facts, seconds), encoding="utf-8")
    return json.loads(text)


def markdown(result: Result, facts: Mapping[str, Any], seconds: float) -> str:
    """The result as a page."""
    verdict = {True: "met", False: "**not met**", None: "none stated"}[result.met]
    device = f"{facts['gpu']}; " if facts["gpu"] else ""
    where = (
        f"{device}{facts['cpu']}, {facts['cores']} cores, {facts['system']}; Mitsuba {facts['mitsuba']}, Dr.Jit {facts['drjit']}, "
        f"{facts['variant']}{'' if device else ', ' + facts['llvm']}; commit {facts['commit']}; {seconds:.0f} s in all"
    )
    return f"# {result.name}\n\nRequirements: {verdict}.\n\n{result.tables.strip()}\n\nMeasured on {where}.\n"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)
