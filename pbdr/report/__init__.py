"""report.html of a run: one self-contained file, made from what the run directory holds and from nothing else."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import page
from ..job import storage
from ..job.results import ERROR_COLORS, ERROR_LIMIT, HIGH, loss_name
from ..job.rundir import RunDirectory
from ..page import decibel, duration, number
from . import curves, meshes, parameters, pictures, remarks

__all__ = ["build", "curves", "decibel", "duration", "meshes", "number", "parameters", "pictures", "remarks", "write"]


def write(run: RunDirectory) -> Path:
    """Write report.html for whatever the run holds so far (also an interrupted or failed one); returns its path."""
    storage.write_text(run.report, build(run))
    return run.report


def build(run: RunDirectory) -> str:
    """The page as a string. Missing parts are left out."""
    status, metrics = run.read_status(), storage.read_json(run.path / "eval" / "metrics.json")
    records = run.read_metrics()
    job = _text(run.path / "job.toml")
    loss = _loss(job)
    views, scale = pictures.views(run)
    estimated = parameters.parameters(run, metrics)
    return page.template("report.html.j2").render(
        title=run.path.parent.name,
        stamp=run.path.name,
        verdict=_verdict(status, metrics),
        warnings=remarks.warnings(run, metrics),
        cards=_cards(status, metrics, records, loss),
        goals=[_goal(goal) for goal in metrics.get("goals", [])],
        columns=[
            {"key": key, "label": label} for key, label in pictures.COLUMNS if any(v["images"][key] for v in views)
        ],
        views=views,
        pixelated=any(view["small"] for view in views),
        scale=number(100 * scale, 2) if scale < 1 else "",
        high=HIGH,
        strip=pictures.strip(run, [view["name"] for view in views if view["kept"]]),
        error_limit=ERROR_LIMIT,
        error_colors=", ".join(f"rgb({r}, {g}, {b})" for r, g, b in ERROR_COLORS),
        error_table=[list(color) for color in ERROR_COLORS],
        parameters=estimated,
        bars=parameters.bars(metrics),
        open=parameters.directions(metrics),
        with_target=any(p["target"] != "" or p["rmse"] != "" for p in estimated),
        with_bar=any(p["bar"] for p in estimated),
        curves=curves.curves(run, records, loss),
        per_view=pictures.per_view(run),
        protocol=metrics.get("protocol", {}).get("psnr", ""),
        eval_spp=metrics.get("protocol", {}).get("spp", ""),
        exports=remarks.exports(run),
        job=job,
        environment=json.dumps(storage.read_json(run.path / "env.json"), indent=2),
        log=_text(run.path / "log.txt"),
        path=str(run.path),
    )


def _loss(job: str) -> str:
    """What the job minimises, in words; "" where its file does not say."""
    try:
        return loss_name(tomllib.loads(job).get("loss", {}))
    except (tomllib.TOMLDecodeError, AttributeError, TypeError, ValueError):
        return ""


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


def _cards(
    status: dict[str, Any], metrics: dict[str, Any], records: Sequence[dict[str, Any]], loss: str
) -> list[dict[str, str]]:
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
                "label": f"Loss ({loss}), last 5 %" if loss else "Loss, last 5 %",
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


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
