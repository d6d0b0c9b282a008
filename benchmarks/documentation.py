"""The scenes of Mitsuba's documentation, made by others: loaded, a gradient of a material and one of geometry, against differences.

Each scene runs in a process of its own and is written as soon as it is done; a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from . import harness
from .apart import apart, by_and_by
from .documentation_scene import (
    ABSENT,
    ACCEPTED,
    BIAS,
    DEPTH,
    KINDS,
    NOISE,
    NOISY,
    REFUSED,
    RIGHT,
    SIDE,
    SIGMAS,
    SLOW,
    TRACEBACK,
    WRONG,
)
from .harness import ROOT, Missed, Result, table

SCENES = ROOT.parent / "shared" / "data" / "mitsuba-docs" / "docs" / "scenes"
LIMIT = 420.0  # seconds of a scene's process
SECONDS = 5.0  # of replicas of one side
GEOMETRY_REFUSED = 0.1  # of the scenes that are complete, at most
VERDICTS = (RIGHT, ACCEPTED, REFUSED, NOISY, WRONG, SLOW, TRACEBACK, ABSENT)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--scenes", type=Path, default=SCENES, help="folder of the scenes")
    parser.add_argument("--only", action="append", metavar="GLOB", help="scenes to run; may be given repeatedly")
    parser.add_argument("--again", action="store_true", help="run scenes that have a result, too")
    parser.add_argument("--look", action="store_true", help="load and check only: nothing is rendered")
    parser.add_argument("--depth", type=int, default=DEPTH, help="longest path, where the scene's own is longer")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for the replicas of each side of a comparison")
    parser.add_argument("--jobs", type=int, default=1, help="scenes at a time: compilers keep one core each busy")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds after which a scene is stopped")


def run(options: argparse.Namespace) -> Result:
    """All scenes that have no result yet; what is found is in the file after every scene."""
    files = sorted(options.scenes.glob("*.xml"))
    if not files:
        raise Missed(f"no scene in {options.scenes}")
    name = "documentation"
    records = load(options.out / f"{name}.json") or (load(harness.RECORDED / f"{name}.json") if options.record else {})
    patterns = options.only or ["*"]
    wanted = [f for f in files if any(fnmatch.fnmatch(f.stem, p) for p in patterns)]
    waiting = [f for f in wanted if options.again or not done(records.get(f.stem), options.look)]
    for file, record in by_and_by(lambda item: one(item, options), waiting, options.jobs):
        records[file.stem] = record
        records = {f.stem: records[f.stem] for f in files if f.stem in records}
        number = files.index(file) + 1
        print(f"{number:3}/{len(files)} {line(file.stem, records[file.stem])}", file=sys.stderr, flush=True)
        harness.write(result(records, len(files)), options.out, sum(r["seconds"] for r in records.values()))
    return result(records, len(files))


def load(path: Path) -> dict[str, Any]:
    """Scene → record of an earlier run; empty without one."""
    return json.loads(path.read_text(encoding="utf-8"))["scenes"] if path.is_file() else {}


def done(record: dict[str, Any] | None, look: bool) -> bool:
    """Whether a scene has what is asked for: without `look`, an accepted gradient has not been compared yet."""
    return record is not None and (look or ACCEPTED not in [verdict(record, kind) for kind in KINDS])


def one(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The record of a scene. What its process had no time for is too slow; what it crashed in is a traceback."""
    start = time.perf_counter()
    words = [str(file), str(options.depth), str(options.seconds), "look" if options.look else "compare"]
    settings = {"PBDR_VARIANT": "llvm_ad_spectral"} if "spectral" in file.stem else {}
    record, failure = apart("benchmarks.documentation_scene", words, options.limit, settings)
    if failure:
        missing = next((part for part in ("load", *KINDS) if part not in record), KINDS[-1])
        record[missing] = {"verdict": SLOW if failure.startswith("no end") else TRACEBACK, "message": failure}
    seconds = round(time.perf_counter() - start, 1)
    record = json.loads(json.dumps(record).replace(f"{file.parent.resolve()}/", ""))  # paths of no other machine
    return {**record, "seconds": seconds, "commit": harness.machine()["commit"]}


def verdict(record: dict[str, Any], kind: str) -> str:
    """Of a gradient; that of loading where the scene did not load."""
    if record["load"]["verdict"] != ACCEPTED:
        return str(record["load"]["verdict"])
    return str(record[kind]["verdict"]) if kind in record else SLOW


# ---------------------------------------------------------------------- the page


def result(records: dict[str, Any], total: int) -> Result:
    """Figures, page, and whether the requirements are met."""
    counts = {k: Counter(verdict(record, k) for record in records.values()) for k in KINDS}
    complete = sum(r["load"]["verdict"] != ABSENT for r in records.values())
    bad = sum(counts[k][v] for k in KINDS for v in (WRONG, TRACEBACK))
    refused = counts["geometry"][REFUSED]
    waiting = sum(counts[k][ACCEPTED] for k in KINDS)
    met = not bad and refused <= GEOMETRY_REFUSED * complete and len(records) == total and not waiting
    told = {k: {v: counts[k][v] for v in VERDICTS if counts[k][v]} for k in KINDS}
    reasons = {k: refusals(records, k) for k in KINDS}
    data = {"counts": told, "refusals": reasons, "scenes": records}
    parts = [_summary(told, len(records), total, complete, refused), _reasons(reasons)]
    header = ["scene", "of", "parameter", "differences, long step", "half of it", "pathspace", "bias", "s", "verdict"]
    rows = [cells(name, kind, record) for name, record in records.items() for kind in KINDS]
    parts.append(table(header, [r for r in rows if r]))
    return Result("documentation", data, "\n\n".join(parts), met)


def _summary(told: dict[str, Any], tried: int, total: int, complete: int, refused: int) -> str:
    words = {k: "; ".join(f"{n} {v}" for v, n in told[k].items()) for k in KINDS}
    return (
        f"{tried} of {total} scenes, {complete} of them complete (the files that the others name are absent).\n\n"
        f"Materials: {words['material']}.\n\nGeometry: {words['geometry']} "
        f"({refused / max(complete, 1):.0%} of the complete scenes refused; at most {GEOMETRY_REFUSED:.0%} are allowed).\n\n"
        f"Films of {SIDE} pixels; the scene's own integrator, no deeper than {DEPTH}. Differences: of Mitsuba's `path` at two "
        "steps (the second is half of the first), common random numbers; the comparison is with their extrapolation. A cell "
        "is a mean ± its standard error; seconds are those of one warm gradient, all terms. Right: standard error at most "
        f"{NOISE:.0%}, bias within {SIGMAS:.0f} standard errors or {BIAS:.0%}. Wrong: the bias is more, however large the noise. "
        "Noisy: the standard error is too large to tell. Geometry: the main shape moves to the right, as the camera sees it."
    )


def refusals(records: dict[str, Any], kind: str) -> dict[str, list[str]]:
    """Reason → the scenes that it stops, most first."""
    found: dict[str, list[str]] = {}
    for name, record in records.items():
        if verdict(record, kind) == REFUSED:
            part = record["load"] if record["load"]["verdict"] == REFUSED else record[kind]
            found.setdefault(reason(part["message"]), []).append(name)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def reason(message: str) -> str:
    """A message without the names in it, so that the same reason reads the same in all scenes."""
    text = re.sub(r"(At )?\S*/docs/scenes/\S+:? (\(line \d+, col \d+\): )?", "", message)
    text = re.sub(r"'[^']*'", "'…'", text)
    text = re.sub(r"[\w.-]+\.(vertex_positions|vertex_normals|to_world|control_points)(, )?", "", text)
    return " ".join(text.split())[:220]


def _reasons(reasons: dict[str, dict[str, list[str]]]) -> str:
    rows = [
        [k, len(names), why.replace("|", "/"), ", ".join(names)] for k in KINDS for why, names in reasons[k].items()
    ]
    return "Refusals, by the number of scenes that they stop:\n\n" + table(["of", "scenes", "reason", "which"], rows)


def cells(name: str, kind: str, record: dict[str, Any]) -> list[str]:
    """One line of the table; none of geometry for a scene that did not load."""
    found = verdict(record, kind)
    shown = found if found in (RIGHT, REFUSED, ACCEPTED) else f"**{found}**"
    part = record.get(kind, {}) if record["load"]["verdict"] == ACCEPTED else record["load"]
    if part is record["load"] and kind != KINDS[0]:
        return []
    if "ours" not in part:
        words = " ".join(str(part.get("message", "")).replace("|", "/").split())[-160:] if found != REFUSED else ""
        return [name, kind, part.get("parameter", ""), words, "", "", "", "", shown]
    both = [f"{x['mean']:.4g} ± {x['error']:.2g}" for x in (*part["steps"], part["ours"])]
    bias = f"{part['bias']:+.1%} ± {part['bias_error']:.1%}"
    return [name, kind, part["parameter"], *both, bias, f"{part['ours']['seconds']:.2f}", shown]


def line(name: str, record: dict[str, Any]) -> str:
    """Progress."""
    words = [f"{k} {verdict(record, k)}" + _bias(record.get(k, {})) for k in KINDS]
    return f"{name}: {', '.join(words)}, {record['seconds']:.0f} s"


def _bias(part: dict[str, Any]) -> str:
    return f" {part['bias']:+.1%} ± {part['bias_error']:.1%}" if "bias" in part else ""
