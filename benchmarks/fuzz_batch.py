"""Batches of random scenes in a process of their own, and the shrinking of those that fail."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from validation.random_problems import FAILED, SIDES, confirmed, examine, one_side
from validation.random_scenes import NAMES, Numbers, Structure

from .apart import put


def shrunk(structure: Structure, seed: int, seconds: float) -> tuple[list[str], dict[str, Any]]:
    """Names of the numbers that a failing scene does not need: plain, it fails all the same. And its record then."""
    begin, plain = time.perf_counter(), frozenset[str]()
    last: dict[str, Any] = {}
    for name in NAMES:
        if time.perf_counter() - begin > seconds:
            break
        found = examine(structure, Numbers(seed, plain=plain | {name}), 1.0, shorter=2.0)
        if found["verdict"] == FAILED:
            plain, last = plain | {name}, found
    return sorted(plain), last


def batch(number: int, seeds: list[int], seconds: float, out: Path) -> Mapping[int, Any]:
    """Records of several scenes of one structure; the one that has begun is written first, so that a crash has a name."""
    structure, records = Structure.of(number), dict[str, Any]()
    begin = time.perf_counter()
    for seed in seeds:
        if records and time.perf_counter() - begin > seconds:
            break
        put({"begun": seed, "scenes": records}, out)
        record = examine(structure, Numbers(seed))
        if record["verdict"] == FAILED:
            record = confirmed(structure, Numbers(seed), record)
        records[str(seed)] = record
        put({"begun": seed, "scenes": records}, out)
    put({"begun": None, "scenes": records}, out)
    return {int(k): v for k, v in records.items()}


def main() -> None:
    """Called by `fuzz` in a process of its own."""
    words = argparse.ArgumentParser()
    words.add_argument("structure", type=int)
    words.add_argument("seeds")
    words.add_argument("seconds", type=float)
    words.add_argument("task", choices=("batch", "shrink", *SIDES))
    words.add_argument("out", type=Path)
    given = words.parse_args()
    seeds = [int(s) for s in given.seeds.split(",")]
    if given.task == "batch":
        batch(given.structure, seeds, given.seconds, given.out)
    elif given.task in SIDES:
        one_side(Structure.of(given.structure), Numbers(seeds[0]), given.task)
        put({"ended": True}, given.out)
    else:
        plain, record = shrunk(Structure.of(given.structure), seeds[0], given.seconds)
        put({"plain": plain, "record": record}, given.out)


if __name__ == "__main__":
    sys.exit(main())
