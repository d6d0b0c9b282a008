"""A run as a notebook shows it: its verdict, its scores, and views beside what was seen."""

from __future__ import annotations

import math
from typing import Any

from .. import shown
from ..page import decibel, number
from . import storage
from .results import is_picture
from .rundir import RunDirectory

VIEWS = 2  # shown, three pictures each
SCORES = (("held_out", "held-out PSNR"), ("training", "training PSNR"))


def html(run: RunDirectory) -> str:
    """HTML of a finished, interrupted or running run; what it has not written yet is left out."""
    status, metrics = run.read_status(), storage.read_json(run.path / "eval" / "metrics.json")
    verdict = metrics.get("verdict") or {}
    facts = [f"{verdict['word']}. {verdict['text']}"] if verdict else []
    steps = f"{status.get('step', 0)} of {status.get('steps', '?')} steps"
    return shown.fragment(
        f"Run {run.path.parent.name}/{run.path.name}", [f"{status.get('state', 'unknown')}, {steps}", *facts],
        pictures(run), ["", "start", "end", "goal"], rows(run, metrics),
    )  # fmt: skip


def pictures(run: RunDirectory) -> list[list[tuple[str, bytes]]]:
    """Target, start and newest estimate of the first views, a row for each."""
    folders = {"target": run.images("target"), "start": run.images("init"), "estimate": run.newest_images()}
    names = sorted(p.name for p in run.images("init").glob("view-*.png") if not p.stem.endswith("-error"))[:VIEWS]
    return [
        [
            (f"{name[:-4]}, {key}", (folder / name).read_bytes())
            for key, folder in folders.items()
            if folder and (folder / name).is_file()
        ]
        for name in names
    ]


def rows(run: RunDirectory, metrics: dict[str, Any]) -> list[list[str]]:
    """Scores and short values: name, start, end, goal."""
    found = []
    limits = {goal["label"]: _limit(goal) for goal in metrics.get("goals", [])}
    for key, label in SCORES:
        if part := metrics.get(key):
            found.append(
                [label, f"{decibel(part['psnr_init'])} dB", f"{decibel(part['psnr'])} dB", limits.get(label, "")]
            )
    for goal in (goal for goal in metrics.get("goals", []) if goal["kind"] != "psnr"):
        found.append([goal["label"], number(goal.get("initial"), 3), number(goal["value"], 3), limits[goal["label"]]])
    entries = storage.read_json(run.path / "eval" / "parameters.json").get("parameters", [])
    # The mean of a texture says something; that of coordinates or of a matrix does not.
    told = (e for e in entries if is_picture(tuple(e["shape"])) or math.prod(e["shape"]) <= 4)
    for entry in told:
        target = f"truth {number(entry['target'])}" if entry.get("target") is not None else ""
        found.append([entry["name"], number(entry["init"]), number(entry["estimate"]), target])
    return found


def _limit(goal: dict[str, Any]) -> str:
    sign = "at least" if goal["kind"] == "psnr" else "at most"
    return f"{sign} {number(goal['limit'])}{'' if goal['met'] else ', not met'}"
