"""`python -m benchmarks compare`: efficiency of `pathspace` in two records of `run`, made on the same machine."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from . import run as bench
from .harness import RECORDED, Result, table


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--before", type=Path, default=RECORDED / "run.json", help="run.json of the earlier commit")
    parser.add_argument("--after", type=Path, help="run.json of the later one; default: the one in --out")


def run(options: argparse.Namespace) -> Result:
    """Ratios by case and contender that both records have."""
    both = []
    for path in (options.before, options.after or options.out / "run.json"):
        if not path.is_file():
            return Result("compare", tables=f"There is no {path}.", met=False)
        both.append(json.loads(path.read_text(encoding="utf-8")))
    names = [name for name in both[0]["cases"] if name in both[1]["cases"]]
    rows, ratios = [], []
    for name in names:
        before, after = (bench.rivals(record["cases"][name]) for record in both)
        for label in bench.OURS:
            if label in before and label in after:
                change = after[label]["efficiency"] / before[label]["efficiency"]
                ratios.append(change)
                seconds = after[label]["seconds"] / before[label]["seconds"]
                rows.append([name, label, f"{change:.3g}", f"{seconds:.3g}", f"{change * seconds:.3g}"])
    mean = float(np.exp(np.mean(np.log(ratios)))) if ratios else None
    machines = [f"{r['machine']['cpu']}, commit {r['machine']['commit']}" for r in both]
    text = f"Before: {machines[0]}. After: {machines[1]}. Geometric mean of the ratio of efficiencies: {mean}.\n\n"
    header = [
        "case",
        "contender",
        "efficiency, after / before",
        "seconds, after / before",
        "1 / error², before / after",
    ]
    return Result("compare", {"ratios": ratios, "geometric_mean": mean}, text + table(header, rows))
