"""Scenes that others wrote: what loading, the first and the later gradients of a main shape cost, by part.

Each scene runs in a process of its own and is written as soon as it is done; a run that was interrupted goes on where it stopped.
Beside scenes of Mitsuba's documentation there is a generated one of 400 bricks side by side.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import harness
from .apart import apart, by_and_by
from .documentation import SCENES, load
from .harness import Result, table
from .parts import PARTS, REST

BRICKS = "bricks"
#: Run unless others are asked for: a mesh that stands about another one under an environment, plain, with a texture, of glass; an
#: open scan; a room; and the bricks.
CHOSEN = (
    BRICKS,
    "bsdf_diffuse_plain",
    "bsdf_diffuse_textured",
    "bsdf_dielectric_glass",
    "shape_ply_bunny",
    "variants_cbox_rgb",
)
REQUIRED = (BRICKS, "bsdf_diffuse_plain")  # which the requirements are about
PRIMALS, HOST = 6.0, 0.3  # what a warm gradient may cost: primal renders; seconds of the host beside its kernels
CALLS = ("still", "moved", "replayed")
REQUIRED_OF = ("still", "moved")
LIMIT = 900.0  # seconds of a scene's process


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--scenes", type=Path, default=SCENES, help="folder of the scenes")
    parser.add_argument("--only", action="append", metavar="GLOB", help="scenes to run; may be given repeatedly")
    parser.add_argument("--all", action="store_true", help="all scenes, in place of a chosen few")
    parser.add_argument("--again", action="store_true", help="run scenes that have a result, too")
    parser.add_argument("--side", type=int, default=128, help="pixels of the longer side of the film")
    parser.add_argument("--spp", type=int, default=16)
    parser.add_argument("--depth", type=int, default=4, help="longest path, where the scene's own is longer")
    parser.add_argument("--rounds", type=int, default=3, help="warm calls of each sort")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds after which a scene is stopped")


def run(options: argparse.Namespace) -> Result:
    """All scenes asked for that have no result yet; what is found is in the file after every scene."""
    files = {BRICKS: Path(BRICKS), **{file.stem: file for file in sorted(options.scenes.glob("*.xml"))}}
    patterns = options.only or (["*"] if options.all else CHOSEN)
    wanted = [name for name in files if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    records = load(options.out / "real_scenes.json") or (
        load(harness.RECORDED / "real_scenes.json") if options.record else {}
    )
    records = {name: record for name, record in records.items() if record.get("setting") == _setting(options)}
    waiting = [name for name in wanted if options.again or not {CALLS[-1], "refused"} & records.get(name, {}).keys()]
    for name, record in by_and_by(lambda item: _one(files[item], options), waiting, 1):
        records[name] = record
        records = {known: records[known] for known in files if known in records}
        print(f"{name}: {_line(record)}", file=sys.stderr, flush=True)
        harness.write(result(records, options), options.out, sum(r["seconds"] for r in records.values()))
    return result(records, options)


def _setting(options: argparse.Namespace) -> list[int]:
    return [options.side, options.spp, options.depth]


def _one(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    start = time.perf_counter()
    words = [str(file), *map(str, (options.side, options.spp, options.depth, options.rounds)), str(options.out)]
    settings = {"PBDR_VARIANT": "llvm_ad_spectral"} if "spectral" in file.stem else {}
    record, failure = apart("benchmarks.real_scene", words, options.limit, settings)
    if failure:
        record["message"] = failure
    record = json.loads(json.dumps(record).replace(f"{file.parent.resolve()}/", ""))  # paths of no other machine
    facts = {"seconds": round(time.perf_counter() - start, 1), "commit": harness.machine()["commit"]}
    return {**record, "setting": _setting(options), **facts}


# ---------------------------------------------------------------------- the page


def met(record: Mapping[str, Any]) -> bool:
    """Whether warm gradients of a scene, with vertices that stay or move, cost no more than is allowed."""
    calls = [record.get(name) for name in REQUIRED_OF]
    return all(c is not None and c["primals"] <= PRIMALS and c["host"] <= HOST for c in calls)


def result(records: Mapping[str, Any], options: argparse.Namespace) -> Result:
    """Figures, page, and whether the requirements are met."""
    fine = all(name in records and met(records[name]) for name in REQUIRED)
    text = (
        f"Films of {options.side} pixels, {options.spp} samples a pixel, the scene's own integrator no deeper than "
        f"{options.depth}; `pbdr.gradient` of all terms, of the vertices of the main shape and of what lies in it. Processor "
        "seconds, wall seconds in brackets. Warm: medians; *still*: nothing has moved since the last call, *moved*: the shape has, "
        "by a hair's breadth, as in a fit; *replayed*: so it has, with `replay = 'auto'`, where the scene can be replayed. "
        "Primals: processor seconds over those of an image with as many samples. Host: wall seconds beside the kernels, every "
        "launch waited for, the least of the rounds; what else the machine does lengthens it. Allowed: "
        f"{PRIMALS:g} primals and {HOST:g} s of the host, still and moved, in {' and '.join(REQUIRED)}."
    )
    header = [
        "scene",
        "shapes",
        "faces",
        "load",
        "primal",
        "first",
        *(f"{c}, primals, host" for c in CALLS),
        "memory, MiB",
    ]
    return Result(
        "real_scenes",
        {"scenes": dict(records)},
        "\n\n".join([text, table(header, [_row(n, r) for n, r in records.items()]), *_by_part(records)]),
        fine,
    )


def _row(name: str, record: Mapping[str, Any]) -> list[Any]:
    if CALLS[-1] not in record:
        message = " ".join(str(record.get("refused", record.get("message", ""))).replace("|", "/").split())
        return [name, record.get("shapes", ""), record.get("faces", ""), message[:200], *[""] * (3 + len(CALLS))]
    both = lambda x: f"{x['cpu']:.2f} ({x['wall']:.2f})"  # noqa: E731
    calls = [f"{both(record[c])}, {record[c]['primals']:.1f}, {record[c]['host']:.2f}" for c in CALLS]
    parts = [both(record[x]) for x in ("load", "primal", "first")]
    return [name, record["shapes"], f"{record['faces']:,}", *parts, *calls, f"{record['memory'] / 2**20:.0f}"]


def _by_part(records: Mapping[str, Any]) -> list[str]:
    """Milliseconds of the host by part."""
    found = []
    for call in CALLS:
        names = [*PARTS, REST]
        rows = []
        for name, record in records.items():
            if call in record:
                parts = record[call]["parts"]
                rows.append([name, *(f"{1e3 * parts.get(part, {'host': 0})['host']:.0f}" for part in names)])
        title = f"Milliseconds of the host by part, beside the kernels: {call}."
        found.append(f"{title}\n\n" + table(["scene", *names], rows))
    return found


def _line(record: Mapping[str, Any]) -> str:
    if CALLS[-1] not in record:
        return str(record.get("refused", record.get("message", "no record")))[-200:]
    return ", ".join(f"{c}: {record[c]['primals']:.1f} primals, host {record[c]['host']:.2f} s" for c in CALLS)
