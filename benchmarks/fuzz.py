"""Random scenes by the hundred: refused by name, or equal to finite differences; forward equals reverse; finite; no crash.

Batches of scenes of one structure share their kernels and run in a process of their own, so that a crash is a record. A run that
was interrupted goes on where it stopped. What fails is run again with four times the effort and shorter steps, and shrunk.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from validation.random_problems import FAILED, NO_REFERENCE, NOISE, NOISY, REFUSED, RIGHT, SIDES, SIGMAS, ZERO
from validation.random_scenes import Structure

from . import harness
from .apart import apart
from .documentation import reason
from .harness import Result, table

SCENES, DECIDED = 500, 0.6  # that must have been tried; share of them that must be decided
BATCH = 24  # scenes of a structure in one process
STRUCTURES = 44  # in one round
LIMIT = 1500.0  # seconds of a batch's process; it stops by itself well before
Records = dict[str, dict[str, Any]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--minutes", type=float, default=10.0, help="after which no batch is started any more")
    parser.add_argument("--structures", type=int, default=STRUCTURES, help="different structures in one round")
    parser.add_argument("--first", type=int, default=0, help="the first structure of a round")
    parser.add_argument("--batch", type=int, default=BATCH, help="scenes of a structure in one round")
    parser.add_argument("--retry", action="store_true", help="run only what has failed, or was too noisy to tell")
    parser.add_argument("--no-shrink", action="store_true", help="leave failing scenes as they are")


def run(options: argparse.Namespace) -> Result:
    """Batches until the time is up; what is found is in the file after every batch."""
    records = load(options.out / "fuzz.json") or (load(harness.RECORDED / "fuzz.json") if options.record else {})
    end = time.perf_counter() + 60 * options.minutes
    for structure, seeds in work(records, options):
        if time.perf_counter() > end:
            break
        begin = time.perf_counter()
        found = one_batch(structure, seeds, options)
        for name, record in found.items():
            before = records.get(name, {})
            if before.get("verdict") == FAILED and record["verdict"] != FAILED:
                record["was"] = before.get("why", "")
            elif before.get("was"):
                record.setdefault("was", before["was"])
            records[name] = record
        counts = Counter(record["verdict"] for record in found.values())
        spent = time.perf_counter() - begin
        print(
            f"{Structure.of(structure).words()}: {dict(counts)} in {spent:.0f} s; {len(records)} scenes",
            file=sys.stderr,
            flush=True,
        )
        harness.write(result(records), options.out, sum(r["seconds"] for r in records.values()))
    return result(records)


def work(records: Records, options: argparse.Namespace) -> Any:
    """(structure, seeds) of batches that wait: rounds over the structures, each with new seeds; or all that failed or was noisy."""
    if options.retry:
        failed = [name for name, record in records.items() if record["verdict"] in (FAILED, NOISY)]
        for structure in sorted({int(name.split("-")[0]) for name in failed}):
            yield structure, [int(name.split("-")[1]) for name in failed if int(name.split("-")[0]) == structure]
        return
    turn = 0
    while True:
        for structure in range(options.first, options.first + options.structures):
            seeds = range(options.seed + turn * options.batch, options.seed + (turn + 1) * options.batch)
            waiting = [seed for seed in seeds if f"{structure}-{seed}" not in records]
            if waiting:
                yield structure, waiting
        turn += 1


def load(path: Path) -> Records:
    """Scene → record of an earlier run; empty without one."""
    return json.loads(path.read_text(encoding="utf-8"))["scenes"] if path.is_file() else {}


def one_batch(structure: int, seeds: list[int], options: argparse.Namespace) -> Records:
    """Records of scenes of one structure; a crash is the record of the scene that had begun, and the others go on."""
    commit, records = harness.machine()["commit"], dict[str, dict[str, Any]]()
    waiting = list(seeds)
    while waiting:
        words = [str(structure), ",".join(map(str, waiting)), str(0.6 * LIMIT), "batch"]
        found, failure = apart("benchmarks.fuzz_batch", words, LIMIT)
        scenes = dict(found.get("scenes", {}))
        if failure:
            begun = str(found.get("begun", waiting[0]))
            scenes[begun] = whose(structure, int(begun), failure)
        for seed, record in scenes.items():
            if record["verdict"] == FAILED and not options.no_shrink and not failure:
                record |= shrink(structure, int(seed))
            records[f"{structure}-{seed}"] = {**record, "commit": commit}
        waiting = [seed for seed in waiting if str(seed) not in scenes] if failure else []
    return records


def whose(structure: int, seed: int, failure: str) -> dict[str, Any]:
    """The record of a scene whose process crashed or did not end: either side is run again in a process of its own.

    It counts as failed unless the reference alone fails again, and the gradient alone does not.
    """
    ends = {side: apart("benchmarks.fuzz_batch", [str(structure), str(seed), "0", side], LIMIT)[1] for side in SIDES}
    if ends["reference"] and not ends["ours"]:
        words = ends["reference"].split(":")[0]
        return {"verdict": NO_REFERENCE, "why": f"Mitsuba's path alone: {words}; the gradient ends", "seconds": 0.0}
    said = "; ".join(f"{side} alone: {end.split(':')[0] or 'ends'}" for side, end in ends.items())
    return {"verdict": FAILED, "why": f"crashed: {failure} ({said})", "seconds": 0.0}


def shrink(structure: int, seed: int) -> dict[str, Any]:
    """The names of the numbers that a failing scene does not need."""
    found, failure = apart("benchmarks.fuzz_batch", [str(structure), str(seed), "120", "shrink"], 400.0)
    return {"plain": found.get("plain", [])} if not failure else {"plain": [], "shrinking": failure}


# ---------------------------------------------------------------------- the page


def result(records: Records) -> Result:
    """Figures, page, and whether the requirements are met."""
    counts = Counter(record["verdict"] for record in records.values())
    tried, decided = len(records), counts[RIGHT] + counts[FAILED]
    open_, mended = counts[FAILED], [name for name, r in records.items() if r.get("was") and r["verdict"] != FAILED]
    crashed = unexplained(records)
    met = tried >= SCENES and decided >= DECIDED * tried and not open_ and not crashed
    errors = sorted(r["bias_error"] for r in records.values() if r["verdict"] == RIGHT and "bias_error" in r)
    zero = sum(r["verdict"] == RIGHT and r.get("why") == ZERO for r in records.values())
    figures = {
        "tried": tried, "refused": counts[REFUSED], "decided": decided, "right": counts[RIGHT], "noisy": counts[NOISY],
        "zero": zero, "no_reference": counts[NO_REFERENCE],
        "failed": open_, "mended": len(mended), "crashed_once": crashed,
        "median_error": errors[len(errors) // 2] if errors else None,
    }  # fmt: skip
    text = [
        f"{tried} scenes tried, {decided} decided ({decided / max(tried, 1):.0%}; at least {DECIDED:.0%} of {SCENES} are asked "
        f"for): {counts[RIGHT]} right ({zero} of them {ZERO}), {open_} failed; {counts[REFUSED]} refused by name; "
        f"{counts[NOISY]} too noisy to tell; in {counts[NO_REFERENCE]} the reference itself crashed. "
        f"{len(mended)} that had failed do so no more"
        + (f"; {', '.join(crashed)} of these crashed once, and not again, which is unexplained." if crashed else "."),
        f"Right: the gradient along a random direction lies within {SIGMAS:.0f} standard errors of central differences of "
        f"Mitsuba's `path` (two steps, extrapolated), whose standard error together is at most {NOISE:.0%} of the derivative "
        + (f"(the median is {figures['median_error']:.1%})" if errors else "")
        + "; forward mode equals reverse mode on the same samples; everything is finite. A third of the scenes have other units "
        "(10⁻³ to 10³), a third another origin (up to 30 sizes away).",
        by_structure(records),
        failures(records, mended),
        refusals(records),
    ]
    return Result("fuzz", {"figures": figures, "scenes": records}, "\n\n".join(text), met)


def unexplained(records: Records) -> list[str]:
    """Scenes that crashed once and not again: nothing has mended them. Where the reference alone crashes, it was not ours."""
    ended = [n for n, record in records.items() if record["verdict"] not in (FAILED, NO_REFERENCE)]
    return [n for n in ended if records[n].get("was", "").startswith("crashed")]


def by_structure(records: Records) -> str:
    """How many scenes of every structure have which verdict, and their biases together, weighed by their precision."""
    rows = []
    for number in sorted({int(name.split("-")[0]) for name in records}):
        own = [r for name, r in records.items() if name.split("-")[0] == str(number)]
        found = Counter(r["verdict"] for r in own)
        parameter = next((r["parameter"] for r in own if "parameter" in r), "")
        counts = [found[v] or "" for v in (RIGHT, REFUSED, NOISY, FAILED)]
        rows.append([number, Structure.of(number).words(), parameter, *counts, together(own)])
    return table(
        ["structure", "plugins: what moves", "parameter", RIGHT, REFUSED, NOISY, FAILED, "bias together"], rows
    )


def together(records: list[dict[str, Any]]) -> str:
    """The mean of the biases of scenes that are not refused, with its standard error: it shows what single scenes hide."""
    pairs = [(r["bias"], max(r["bias_error"], 2e-3)) for r in records if "bias_error" in r and r["bias_error"] > 0]
    if len(pairs) < 3:
        return ""
    weights = [1 / error**2 for _, error in pairs]
    mean = sum(w * bias for w, (bias, _) in zip(weights, pairs, strict=True)) / sum(weights)
    return f"{mean:+.1%} ± {sum(weights) ** -0.5:.1%}"


def failures(records: Records, mended: list[str]) -> str:
    """What fails, with the numbers that it does not need; and what failed once."""
    rows = [
        [name, " ".join(str(r["why"]).replace("|", "/").split())[-260:], ", ".join(r.get("plain", [])), r["commit"]]
        for name, r in records.items()
        if r["verdict"] == FAILED
    ]
    text = (
        "Failures:\n\n" + table(["scene", "what", "fails with these plain, too", "commit"], rows)
        if rows
        else "No failure is open."
    )
    past = [
        [n, " ".join(records[n]["was"].replace("|", "/").split())[-200:], records[n]["verdict"], records[n]["commit"]]
        for n in mended
    ]
    return text + ("\n\nFailed once:\n\n" + table(["scene", "what", "now", "commit"], past) if past else "")


def refusals(records: Records) -> str:
    """Reasons of refusals, by how many scenes they stop."""
    found = Counter(reason(r["why"]).replace("|", "/") for r in records.values() if r["verdict"] == REFUSED)
    return "Refusals:\n\n" + table(["scenes", "reason"], [[n, why] for why, n in found.most_common()])
