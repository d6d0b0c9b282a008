"""report.html of a run: one self-contained file, made from what the run directory holds and from nothing else."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import page
from .figures import Series, figure
from .job import storage
from .job.results import ERROR_COLORS, ERROR_LIMIT
from .job.rundir import RunDirectory
from .page import decibel, duration, embedded, number, png_width

COLUMNS = (
    ("target", "Target"),
    ("init", "Start"),
    ("current", "Estimate"),
    ("error_init", "Error at start"),
    ("error", "Error"),
)


def write(run: RunDirectory) -> Path:
    """Write report.html for whatever the run holds so far (also an interrupted or failed one); returns its path."""
    storage.write_text(run.report, build(run))
    return run.report


def build(run: RunDirectory) -> str:
    """The page as a string. Missing parts are left out."""
    status, metrics = run.read_status(), storage.read_json(run.path / "eval" / "metrics.json")
    records = run.read_metrics()
    views = _views(run)
    parameters = _parameters(run, metrics)
    return page.template("report.html.j2").render(
        title=run.path.parent.name,
        stamp=run.path.name,
        verdict=_verdict(status, metrics),
        cards=_cards(status, metrics, records),
        goals=[_goal(goal) for goal in metrics.get("goals", [])],
        columns=[{"key": key, "label": label} for key, label in COLUMNS if any(v["images"][key] for v in views)],
        views=views,
        pixelated=any(view["small"] for view in views),
        error_limit=ERROR_LIMIT,
        error_colors=", ".join(f"rgb({r}, {g}, {b})" for r, g, b in ERROR_COLORS),
        parameters=parameters,
        bars=_bars(metrics),
        with_target=any(p["target"] != "" for p in parameters),
        curves=_curves(records),
        per_view=_per_view(run),
        protocol=metrics.get("protocol", {}).get("psnr", ""),
        eval_spp=metrics.get("protocol", {}).get("spp", ""),
        job=_text(run.path / "job.toml"),
        environment=json.dumps(storage.read_json(run.path / "env.json"), indent=2),
        log=_text(run.path / "log.txt"),
        path=str(run.path),
    )


def _verdict(status: dict[str, Any], metrics: dict[str, Any]) -> dict[str, str]:
    state = str(status.get("state", "unknown"))
    step = status.get("step", 0)
    if state != "finished" or "verdict" not in metrics:
        words = {"running": "Running", "interrupted": "Interrupted", "failed": "Failed", "diverged": "Diverged"}
        text = str(status.get("message", "")) or f"{step} of {status.get('steps', '?')} steps are done."
        level = "bad" if state in ("failed", "diverged") else "warn"
        return {"level": level, "word": words.get(state, "Not finished"), "text": text}
    verdict = metrics["verdict"]
    return {"level": str(verdict["level"]), "word": str(verdict["word"]), "text": str(verdict["text"])}


def _cards(status: dict[str, Any], metrics: dict[str, Any], records: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    cards = []
    for key, label in (("held_out", "Held-out PSNR"), ("training", "Training PSNR")):
        part = metrics.get(key)
        if part:
            cards.append(
                {
                    "label": label,
                    "value": f"{decibel(part['psnr'])} dB",
                    "note": f"{part['views']} views; {decibel(part['psnr_init'])} dB at start",
                }
            )
    losses = [r["loss"] for r in records if r.get("loss") is not None]
    if losses:
        tail = losses[-max(1, len(losses) // 20) :]
        cards.append(
            {
                "label": "Loss, last 5 %",
                "value": number(sum(tail) / len(tail), 3),
                "note": f"{number(losses[0], 3)} at the first step",
            }
        )
    if records:
        seconds = sum(float(r.get("seconds") or 0.0) for r in records)
        cards.append(
            {
                "label": "Steps",
                "value": str(records[-1]["step"]),
                "note": f"of {status.get('steps', '?')}; {duration(seconds)} of fitting",
            }
        )
    return cards


def _goal(goal: dict[str, Any]) -> dict[str, Any]:
    unit, shown = (" dB", decibel) if goal["kind"] == "psnr" else ("", number)
    sign = "at least" if goal["kind"] == "psnr" else "at most"
    return {
        "label": goal["label"],
        "initial": shown(goal.get("initial")) + unit,
        "value": (shown(goal["value"]) or "not finite") + unit,
        "limit": f"{sign} {number(goal['limit'])}{unit}",
        "met": bool(goal["met"]),
    }


def _views(run: RunDirectory) -> list[dict[str, Any]]:
    current = run.newest_images()
    held_out = {v["view"]: v["set"] for v in _per_view(run)}
    result = []
    names = sorted(p.stem for p in run.images("init").glob("view-*.png") if not p.stem.endswith("-error"))
    for name in names:
        images = {
            "target": _embed(run.images("target") / f"{name}.png"),
            "init": _embed(run.images("init") / f"{name}.png"),
            "current": _embed(current / f"{name}.png") if current else "",
            "error_init": _embed(run.images("init") / f"{name}-error.png"),
            "error": _embed(current / f"{name}-error.png") if current else "",
        }
        small = _width(run.images("init") / f"{name}.png") < 200
        result.append({"name": name, "note": held_out.get(name, ""), "images": images, "small": small})
    return result


def _bars(metrics: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of error bars; numbers and factors in the units of the parameter."""
    rows = []
    for bar in (metrics.get("identification") or {}).get("bars", []):
        value, what = bar["value"], bar["what"]
        rows.append(
            {
                "name": bar["name"],
                "what": what,
                "value": number(value) if value is not None else "",
                "middle": number((value or 0.0) + bar["offset"], 3),
                "sd": number(bar["sd"], 2),
                "interval": " to ".join(number(x, 3) for x in bar["interval_95"]),
            }
        )
    return rows


def _parameters(run: RunDirectory, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    result = []
    uncertain = (metrics.get("identification") or {}).get("maps", {})
    for entry in storage.read_json(run.path / "eval" / "parameters.json").get("parameters", []):
        maps = []
        for key, label in (
            ("target", "Target"),
            ("init", "Start"),
            ("estimate", "Estimate"),
            ("seen", "Seen: by two views or more (white), one (grey)"),
            ("uncertainty", "Standard deviation, other unknowns held; white is the largest"),
        ):
            path = entry.get("images", {}).get(key, uncertain.get(entry["name"]) if key == "uncertainty" else None)
            if path and (run.path / path).is_file():
                maps.append({"label": label, "src": _embed(run.path / path)})
        result.append(
            {
                "variable": entry["variable"],
                "name": entry["name"],
                "kind": entry["kind"],
                "shape": " × ".join(str(n) for n in entry["shape"]),
                "initial": number(entry["init"]),
                "estimate": number(entry["estimate"]),
                "target": number(entry.get("target")),
                "rmse_initial": number(entry.get("rmse_init"), 3),
                "rmse": number(entry.get("rmse"), 3),
                "scale": number(entry.get("best_scale"), 3),
                "maps": maps,
            }
        )
    return result


def _per_view(run: RunDirectory) -> list[dict[str, str]]:
    path = run.path / "eval" / "per_view.csv"
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [
            {**row, "psnr": decibel(row["psnr"]), "psnr_init": decibel(row["psnr_init"])}
            for row in csv.DictReader(file)
        ]


def _curves(records: Sequence[dict[str, Any]]) -> list[str]:
    """SVG figures: loss, gradient norms, small values, learning rates."""
    if len(records) < 2:
        return []
    steps = [r["step"] for r in records]
    loss = Series("loss", steps, [r.get("loss") for r in records])
    found = [figure("Loss", [loss], log=True, smooth=True, legend=False)]
    for key, title, log in (
        ("gradient", "Gradient norm", True),
        ("values", "Estimated values", False),
        ("lr", "Learning rate", True),
    ):
        names = sorted({name for r in records for name in r.get(key, {})})
        if names:
            series = [Series(name, steps, [r.get(key, {}).get(name) for r in records], i) for i, name in enumerate(names)]
            found.append(figure(title, series, log=log, smooth=key == "gradient", legend=True))
    return found


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _embed(path: Path) -> str:
    """The PNG as a data address, reduced when it is large; "" when there is none."""
    return embedded(path.read_bytes()) if path.is_file() else ""


def _width(path: Path) -> int:
    return png_width(path.read_bytes()) if path.is_file() else 0
