"""Audits of gradients: how many of twenty faults they find, and how often they take a right gradient for wrong.

Each problem is fitted with an audit after every step; a job audits in 5 % of its time, and needs more steps for as many audits.
"""

from __future__ import annotations

import argparse
from typing import Any

from validation.faults import FAULTS
from validation.small_problems import audited

from .harness import Result, table

CAUGHT = 18  # of the faults, at least
KINDS = ("colours", "gloss")  # of the clean runs


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--audits", type=int, default=40, help="audits of a problem, over all of its variables")
    parser.add_argument("--clean", type=int, default=50, help="problems without a fault")


def run(options: argparse.Namespace) -> Result:
    """Audit problems with each fault, then problems without."""
    rows: list[dict[str, Any]] = []
    for name, fault in FAULTS.items():
        with fault.made():
            told, count = audited(fault.kind, options.seed, options.audits)
        rows.append({"fault": name, "problem": fault.kind, "audits": count, "told": told})
    alarms = []
    for number in range(options.clean):
        told, _ = audited(KINDS[number % len(KINDS)], options.seed + number, options.audits)
        alarms += [told] if told else []
    caught = sum(bool(row["told"]) for row in rows)
    data = {"caught": caught, "faults": rows, "clean": options.clean, "alarms": alarms}
    lines = [[r["fault"], r["problem"], r["audits"], "found" if r["told"] else "**not found**"] for r in rows]
    text = (
        f"{caught} of {len(rows)} faults found (at least {CAUGHT} required), within {options.audits} audits of all variables; "
        f"{len(alarms)} false alarms in {options.clean} clean runs (none allowed).\n\n"
        f"{table(['fault', 'problem', 'audits', ''], lines)}"
    )
    return Result("warranty", data, text, caught >= CAUGHT and not alarms)
