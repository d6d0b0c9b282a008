"""Views of a report: full images for the browser to compare, thumbnails of errors, and a strip of the images on the way."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..job import storage
from ..job.results import HIGHLIGHTS, pictured
from ..job.rundir import RunDirectory
from ..page import decibel, embedded, png_width

#: Bytes of all full images together: above, all are reduced alike.
LIMIT = 20_000_000
#: Pixels along the width of a full image, at most, and of an image on the strip.
WIDEST, THUMB = 1600, 200
STRIP = 8  # images of a view on the strip, at most
SMALL = 200  # pixels below which an image is enlarged without smoothing

COLUMNS = (
    ("target", "Target"),
    ("init", "Start"),
    ("current", "Estimate"),
    ("error_init", "Error at start"),
    ("error", "Error"),
)
FULL = ("target", "init", "current")


def views(run: RunDirectory) -> tuple[list[dict[str, Any]], float]:
    """The views that have images, those with linear values first; and by how much the widths of full images are reduced."""
    current = run.newest_images()
    folders = {"target": run.images("target"), "init": run.images("init"), "current": current}
    scores = {row["view"]: row for row in per_view(run)}
    names = pictured(run.images("init"))
    files = {
        name: {key: folder / f"{name}.png" for key, folder in folders.items() if folder is not None} for name in names
    }
    scale = _scale([path for own in files.values() for path in own.values()])
    found = []
    for name in names:
        images = {key: _full(files[name].get(key), scale) for key in FULL}
        images["error_init"] = embed(run.images("init") / f"{name}-error.png")
        images["error"] = embed(current / f"{name}-error.png") if current else ""
        high = {key: _full(_high(files[name].get(key)), scale) for key in FULL}
        row = scores.get(name, {})
        found.append(
            {
                "name": name, "note": row.get("set", ""), "psnr": row.get("psnr", ""), "images": images, "high": high,
                "small": width(run.images("init") / f"{name}.png") < SMALL,
                "kept": (run.images("init") / f"{name}.exr").is_file(),
            }
        )  # fmt: skip
    return sorted(found, key=lambda view: (not view["kept"], view["name"])), scale


def _scale(paths: Sequence[Path]) -> float:
    """The factor of widths that brings the files together to LIMIT, about; 1 where they are smaller."""
    total = sum(path.stat().st_size for path in paths if path.is_file())
    return 1.0 if total <= LIMIT else (LIMIT / total) ** 0.5


def _high(path: Path | None) -> Path | None:
    return None if path is None else path.with_name(f"{path.stem}{HIGHLIGHTS}.png")


def _full(path: Path | None, scale: float) -> str:
    if path is None or not path.is_file():
        return ""
    return embed(path, max(16, min(WIDEST, round(scale * width(path)))))


def strip(run: RunDirectory, names: Sequence[str]) -> list[dict[str, Any]]:
    """By view, images on the way: at the start, after some of the steps, now; with their PSNR where it is known."""
    rows = []
    scores = {row["view"]: row for row in per_view(run)}
    for name in names:
        cells = [("start", run.images("init"), scores.get(name, {}).get("psnr_init", ""))]
        cells += [(f"step {step}", folder, decibel(psnr.get(name))) for step, folder, psnr in snapshots(run)]
        if run.images("final").is_dir():
            cells.append(("end", run.images("final"), scores.get(name, {}).get("psnr", "")))
        cells = [cell for cell in cells if (cell[1] / f"{name}.png").is_file()]
        last = len(cells) - 1
        chosen = cells if last < STRIP else [cells[round(i * last / (STRIP - 1))] for i in range(STRIP)]
        images = [
            {"label": label, "psnr": psnr, "src": embed(folder / f"{name}.png", THUMB)}
            for label, folder, psnr in chosen
        ]
        if len(images) > 1:
            rows.append({"name": name, "images": images})
    return rows


def snapshots(run: RunDirectory) -> list[tuple[int, Path, Mapping[str, Any]]]:
    """(step, folder, PSNR by view) of the images that a job has kept on the way."""
    found = []
    for folder in sorted((run.path / "images").glob("step-*")):
        digits = folder.name.removeprefix("step-")
        if digits.isdigit():
            found.append((int(digits), folder, storage.read_json(folder / "scores.json").get("psnr", {})))
    return found


def per_view(run: RunDirectory) -> list[dict[str, str]]:
    """Rows of per_view.csv, with numbers for people."""
    path = run.path / "eval" / "per_view.csv"
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{**row, "psnr": decibel(row["psnr"]), "psnr_init": decibel(row["psnr_init"])} for row in rows]


def embed(path: Path, widest: int = 480) -> str:
    """The PNG as a data address, reduced when it is wider; "" when there is none."""
    return embedded(path.read_bytes(), widest) if path.is_file() else ""


def width(path: Path) -> int:
    """Width in pixels of a PNG; 0 when there is none."""
    return png_width(path.read_bytes()[:24]) if path.is_file() else 0
