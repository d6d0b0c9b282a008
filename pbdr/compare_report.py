"""The page of `pbdr compare`: runs side by side, one self-contained HTML file."""

from __future__ import annotations

import csv
import itertools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import page
from .errors import OptionError
from .figures import Series, color_of, figure
from .job import storage
from .job.results import pictured
from .job.rundir import RunDirectory
from .page import decibel, duration, embedded, number

VIEWS, VALUES = 8, 12  # most views and most values with a curve of their own
SOFTWARE = ("python", "packages", "backend", "machine")  # of env.json, what runs may differ by
#: Settings that differ between any two runs and say nothing.
UNTOLD = frozenset(("output.dir",))


@dataclass(frozen=True)
class Run:
    """A run with what is known of it; `label` is what tells it from the others."""

    directory: RunDirectory
    label: str
    color: str
    status: dict[str, Any]
    metrics: dict[str, Any]
    parameters: list[dict[str, Any]]
    scores: dict[str, Any]
    records: list[dict[str, Any]]

    @property
    def seconds(self) -> list[float]:
        """Seconds of fitting after each record."""
        return list(itertools.accumulate(float(r.get("seconds") or 0.0) for r in self.records))


def read(directories: Sequence[RunDirectory], names: Sequence[str] = ()) -> list[Run]:
    """Read runs, finished or not; `names` are their labels where they are given. OptionError for fewer than two, or one twice."""
    paths = [directory.path.resolve() for directory in directories]
    if len(paths) < 2:
        raise OptionError("give at least two runs to compare: pbdr compare RUN RUN …")
    for path in paths:
        if paths.count(path) > 1:
            raise OptionError(f"{path} is given twice")
    runs = []
    for index, (directory, label) in enumerate(zip(directories, names or labels(paths), strict=True)):
        folder = directory.path / "eval"
        found = storage.read_json(folder / "parameters.json").get("parameters", [])
        scores = storage.read_json(folder / "scores" / "scores.json")
        metrics = storage.read_json(folder / "metrics.json")
        status, records = directory.read_status(), directory.read_metrics()
        runs.append(Run(directory, label, color_of(index), status, metrics, found, scores, records))
    return runs


def labels(paths: Sequence[Path]) -> list[str]:
    """Names of runs: the time where that tells them apart and all are of one job, else job and time, else as much as it takes."""
    same_job = len({path.parent.name for path in paths}) == 1
    for depth in range(1 if same_job else 2, max(len(path.parts) for path in paths)):
        found = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(found)) == len(found):
            return found
    return [str(path) for path in paths]


def write(runs: Sequence[Run], path: Path) -> Path:
    """Write the page; returns its path."""
    with storage.reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_text(path, build(runs))
    return path


def build(runs: Sequence[Run]) -> str:
    """The page as a string. What runs lack is left out."""
    return page.template("compare.html.j2").render(
        runs=[{"label": run.label, "color": run.color, "path": str(run.directory.path)} for run in runs],
        results=results(runs),
        differences=differences(runs),
        curves=_curves(runs),
        views=_views(runs),
        maps=_maps(runs),
    )


# ---------------------------------------------------------------------- tables


def results(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Rows of the table of results: what it is, and of each run the text and whether it is the best."""
    rows: list[dict[str, Any]] = []

    def row(
        name: str, values: Sequence[Any], shown: Callable[[Any], str], best: Callable[..., Any] | None = None
    ) -> None:
        known = [float(v) for v in values if v is not None and math.isfinite(float(v))] if best is not None else []
        top = best(known) if best is not None and len(set(known)) > 1 else None
        cells = [
            {"text": "" if v is None else shown(v), "best": top is not None and v is not None and float(v) == top}
            for v in values
        ]
        if any(cell["text"] for cell in cells):
            rows.append({"name": name, "cells": cells})

    row("State", [_state(run) for run in runs], str)
    row("Steps", [run.status.get("step") for run in runs], str)
    row("Time of fitting", [run.seconds[-1] if run.records else None for run in runs], duration, min)
    for key, label in (("held_out", "Held-out"), ("training", "Training")):
        row(f"{label} PSNR (dB)", [(run.metrics.get(key) or {}).get("psnr") for run in runs], decibel, max)
        row(f"{label} SSIM", [(run.metrics.get(key) or {}).get("ssim") for run in runs], number, max)
        row(f"{label} FLIP", [(run.metrics.get(key) or {}).get("flip") for run in runs], number, min)
    row("Loss, last 5 %", [_tail(run) for run in runs], lambda v: number(v, 3), min)
    names = list(dict.fromkeys(entry["name"] for run in runs for entry in run.parameters))
    for name in names:
        row(f"RMSE of {name}", [_entry(run, name).get("rmse") for run in runs], lambda v: number(v, 3), min)
    for name in names:
        row(f"{name}, estimate", [_short(_entry(run, name).get("estimate")) for run in runs], str)
    _scored(runs, row)
    return rows


def _scored(runs: Sequence[Run], row: Callable[..., None]) -> None:
    """Rows of `pbdr eval`, of the runs that it was called for."""
    for key, label, best in (
        ("surfaces.albedo.rmse_aligned", "Scores: albedo RMSE, aligned", min),
        ("surfaces.roughness.rmse", "Scores: roughness RMSE", min),
        ("surfaces.normal.mean", "Scores: angle of normals (°)", min),
        ("surfaces.depth.relative", "Scores: relative depth", min),
        ("environment.relative_aligned", "Scores: relative environment, aligned", min),
    ):
        row(label, [_dig(run.scores, key) for run in runs], lambda v: number(v, 3), best)
    for light in dict.fromkeys(name for run in runs for name in run.scores.get("relight", {})):
        values = []
        for run in runs:
            groups = _dig(run.scores, f"relight.{light}.groups") or {}
            first: dict[str, Any] = next(iter(groups.values()), {})
            values.append(_dig(first, "aligned.psnr"))
        row(f"Scores: PSNR under {light}, aligned (dB)", values, decibel, max)


def _state(run: Run) -> str:
    state = str(run.status.get("state", "unknown"))
    word = (run.metrics.get("verdict") or {}).get("word")
    return str(word) if state == "finished" and word else state


def _tail(run: Run) -> float | None:
    losses = [float(r["loss"]) for r in run.records if r.get("loss") is not None]
    tail = losses[-max(1, len(losses) // 20) :]
    return sum(tail) / len(tail) if tail else None


def _entry(run: Run, name: str) -> dict[str, Any]:
    return next((entry for entry in run.parameters if entry["name"] == name), {})


def _short(value: Any) -> str | None:
    return None if value is None else number(value)


def _dig(table: dict[str, Any], path: str) -> Any:
    found: Any = table
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def differences(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Settings and software in which the runs differ: the key, and the value of each run ("" where it has none)."""
    tables = [_settings(run.directory) for run in runs]
    rows = []
    for key in dict.fromkeys(key for table in tables for key in table):
        values = [table.get(key, "") for table in tables]
        if len(set(values)) > 1 and key not in UNTOLD:
            rows.append({"key": key, "values": values})
    return rows


def _settings(directory: RunDirectory) -> dict[str, str]:
    import tomllib

    job: dict[str, Any] = {}
    path = directory.path / "job.toml"
    if path.is_file():
        job = tomllib.loads(path.read_text(encoding="utf-8"))
    software = storage.read_json(directory.path / "env.json")
    job |= {"software": {key: software[key] for key in SOFTWARE if key in software}}
    found: dict[str, str] = {}
    _flatten(job, "", found)
    return found


def _flatten(value: Any, prefix: str, found: dict[str, str]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(inner, f"{prefix}.{key}" if prefix else str(key), found)
    else:
        found[prefix] = str(value)


# ---------------------------------------------------------------------- pictures


def _curves(runs: Sequence[Run]) -> list[str]:
    """Loss over steps and over seconds, and every value that has few enough entries to be recorded."""
    some = [(index, run) for index, run in enumerate(runs) if len(run.records) > 1]
    if not some:
        return []

    def steps(run: Run) -> list[float]:
        return [float(r["step"]) for r in run.records]

    made = []
    for label, place in (("step", steps), ("seconds of fitting", lambda run: run.seconds)):
        series = [Series(run.label, place(run), [r.get("loss") for r in run.records], index) for index, run in some]
        made.append(figure("Loss", series, x_label=label, log=True, smooth=True, legend=True))
    names = list(dict.fromkeys(name for _, run in some for r in run.records for name in r.get("values", {})))
    for name in names[:VALUES]:
        series = [
            Series(run.label, steps(run), [r.get("values", {}).get(name) for r in run.records], index)
            for index, run in some
        ]
        made.append(figure(name, series, log=False, smooth=False, legend=True))
    return made


def _views(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Views that more than one run has images of: the target, and of each run the newest image and its error."""
    folders = [_newest(run.directory) for run in runs]
    found = []
    for folder in folders:
        found += [] if folder is None else pictured(folder)
    names = [name for name in dict.fromkeys(sorted(found)) if found.count(name) > 1]
    rows = []
    for name in names[:VIEWS]:
        target = next((src for run in runs if (src := _embed(run.directory.images("target") / f"{name}.png"))), "")
        images = []
        for run, folder in zip(runs, folders, strict=True):
            image = "" if folder is None else _embed(folder / f"{name}.png")
            error = "" if folder is None else _embed(folder / f"{name}-error.png")
            note = decibel(_psnr(run.directory, name))
            images.append(
                {"label": run.label, "color": run.color, "image": image, "error": error, "note": note and f"{note} dB"}
            )
        rows.append({"name": name, "target": target, "images": images})
    return rows


def _maps(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Textures of every parameter: the truth, and the estimate of each run."""
    rows = []
    for name in dict.fromkeys(entry["name"] for run in runs for entry in run.parameters):
        images: list[dict[str, str]] = []
        for run in runs:
            pictures = _entry(run, name).get("images", {})
            if not images and pictures.get("target"):
                images.append({"label": "Target", "color": "", "src": _embed(run.directory.path / pictures["target"])})
            if pictures.get("estimate"):
                images.append(
                    {"label": run.label, "color": run.color, "src": _embed(run.directory.path / pictures["estimate"])}
                )
        if any(image["color"] for image in images):
            rows.append({"name": name, "images": [image for image in images if image["src"]]})
    return rows


def _newest(directory: RunDirectory) -> Path | None:
    if directory.images("final").is_dir():
        return directory.images("final")
    folders = sorted((directory.path / "images").glob("step-*"))
    return folders[-1] if folders else None


def _psnr(directory: RunDirectory, view: str) -> str | None:
    path = directory.path / "eval" / "per_view.csv"
    if not path.is_file():
        return None
    with open(path, encoding="utf-8", newline="") as file:
        return next((row["psnr"] for row in csv.DictReader(file) if row["view"] == view), None)


def _embed(path: Path) -> str:
    return embedded(path.read_bytes()) if path.is_file() else ""


def default_path(runs: Sequence[Run]) -> Path:
    """compare.html in the folder that all runs are below."""
    return Path(os.path.commonpath([run.directory.path.resolve() for run in runs])) / "compare.html"
