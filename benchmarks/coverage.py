"""Error bars: how often intervals of 68 and 95 % hold the truth, over generated problems of three kinds with noisy images."""

from __future__ import annotations

import argparse

import numpy as np

from validation.small_problems import KINDS, scores

from .harness import Result, table


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--problems", type=int, default=100, help="problems of each kind")
    parser.add_argument("--steps", type=int, default=60, help="steps of each fit")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))


def run(options: argparse.Namespace) -> Result:
    """Fit, and compare errors with error bars."""
    data, rows, met = {}, [], True
    for kind in options.kinds:
        found = [dict(scores(kind, options.seed + n, options.steps)) for n in range(options.problems)]
        errors = np.array([list(one.values()) for one in found])
        inside = {level: float((np.abs(errors) < sigmas).mean()) for level, sigmas in (("68", 1.0), ("95", 1.96))}
        good = abs(inside["68"] - 0.68) <= 0.10 and inside["95"] >= 0.88
        met = met and good
        data[kind] = {"unknowns": list(found[0]), "inside": inside, "spread": errors.std(axis=0).tolist()}
        rows.append([kind, len(found), f"{inside['68']:.1%}", f"{inside['95']:.1%}", "yes" if good else "**no**"])
    header = ["problems", "number", "68 % intervals that hold the truth", "95 %", "68 ± 10 % and ≥ 88 %"]
    return Result("coverage", {"kinds": data, "steps": options.steps}, table(header, rows), met)
