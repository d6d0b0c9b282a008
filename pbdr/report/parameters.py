"""What was estimated, for a report: numbers with error bars, textures with what was not seen, environments with their error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..job import storage
from ..job.results import ERROR_LIMIT, colored, slug
from ..job.rundir import RunDirectory
from ..page import embedded, number, png
from . import meshes

#: Pixels along the width of a texture on the page, at least: texels are repeated.
LEAST = 256
LABELS = (("target", "Target"), ("init", "Start"), ("estimate", "Estimate"))
SEEN = "Seen: by two views or more (white), one (grey)"
UNCERTAIN = "Standard deviation, other unknowns held; white is the largest"


def parameters(run: RunDirectory, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry for each parameter that was estimated."""
    known = metrics.get("identification") or {}
    entries = storage.read_json(run.path / "eval" / "parameters.json").get("parameters", [])
    return [_entry(run, entry, known) for entry in entries]


def _entry(run: RunDirectory, entry: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    name = entry["name"]
    found = {
        "variable": entry["variable"], "name": name, "kind": entry["kind"],
        "shape": " × ".join(str(n) for n in entry["shape"]),
        "initial": number(entry["init"]), "estimate": number(entry["estimate"]), "target": number(entry.get("target")),
        "rmse_initial": number(entry.get("rmse_init"), 3), "rmse": number(entry.get("rmse"), 3),
        "scale": number(entry.get("best_scale"), 3), "maps": maps(run, entry, known.get("maps", {})), "mesh": None,
        "bar": _bars_of(name, known.get("bars", [])),
    }  # fmt: skip
    folder = run.path / "eval" / "parameters" / slug(name)
    if (folder / "estimate.ply").is_file():
        # The mean of coordinates says nothing about a surface.
        found |= dict.fromkeys(("initial", "estimate", "target", "scale"), "")
        found["mesh"] = meshes.figures(folder, entry)
        found["estimate"] = found["mesh"]["size"]
        if "distance" in entry:
            found |= {"rmse_initial": _percent(entry["distance_init"]), "rmse": _percent(entry["distance"])}
    return found


def _percent(value: float) -> str:
    return f"{number(100 * value, 3)} % of its size"


def _bars_of(name: str, bars: Sequence[Mapping[str, Any]]) -> str:
    """Standard deviations of the numbers of a parameter, "" where there are none."""
    own = [b for b in bars if b["value"] is not None and (b["name"] == name or b["name"].startswith(f"{name}["))]
    return ", ".join(f"± {number(bar['sd'], 2)}" for bar in own) if len(own) <= 4 else ""


def maps(run: RunDirectory, entry: Mapping[str, Any], uncertain: Mapping[str, str]) -> list[dict[str, str]]:
    """Images of a texture or an environment: what was true, found, seen, uncertain, and wrong."""
    paths = {key: run.path / path for key, path in entry.get("images", {}).items()}
    if entry["name"] in uncertain:
        paths["uncertainty"] = run.path / uncertain[entry["name"]]
    images = {key: _read(path) for key, path in paths.items() if path.is_file()}
    found = [{"label": label, "src": _shown(images[key])} for key, label in LABELS if key in images]
    if "seen" in images and "estimate" in images and bool((images["seen"] == 0).any()):
        label = "Estimate; hatched where no training view sees it"
        hatched_one = hatched(images["estimate"], images["seen"][..., 0] == 0)
        found = [{"label": label, "src": _shown(hatched_one)} if one["label"] == "Estimate" else one for one in found]
    if "target" in images and "estimate" in images and images["target"].shape == images["estimate"].shape:
        found.append(
            {"label": f"Error of what is shown, 0 (black) to {ERROR_LIMIT} and more", "src": _shown(error(images))}
        )
    for key, label in (("seen", SEEN), ("uncertainty", UNCERTAIN)):
        if key in images:
            found.append({"label": label, "src": _shown(images[key])})
    return found


def error(images: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """(H, W, 3) colours of the mean absolute difference of the encoded images "estimate" and "target"."""
    off = np.abs(images["estimate"].astype(np.float64) - images["target"]).mean(axis=2) / 255
    return colored(off / ERROR_LIMIT)


def hatched(image: NDArray[np.uint8], where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The image with its texels repeated, and slanted lines over those `where` (H, W)."""
    large, over = enlarged(image), enlarged(where)
    y, x = np.mgrid[: over.shape[0], : over.shape[1]]
    period = max(6, over.shape[1] // 40)
    line = (x + y) % period
    large = large.copy()
    large[over & (line < period // 3)] = (20, 20, 20)
    large[over & (line >= period // 3) & (line < 2 * period // 3)] = (235, 235, 235)
    return large


def enlarged(image: NDArray[Any]) -> NDArray[Any]:
    """Texels repeated until there are LEAST along the width, or as they are."""
    factor = -(-LEAST // image.shape[1])
    return np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)


def _read(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _shown(image: NDArray[np.uint8]) -> str:
    return embedded(png(image))


def bars(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of error bars; numbers and factors in the units of the parameter."""
    rows = []
    for bar in (metrics.get("identification") or {}).get("bars", []):
        value = bar["value"]
        rows.append(
            {
                "name": bar["name"], "what": bar["what"],
                "value": number(value) if value is not None else "",
                "middle": number((value or 0.0) + bar["offset"], 3),
                "sd": number(bar["sd"], 2),
                "interval": " to ".join(number(x, 3) for x in bar["interval_95"]),
            }
        )  # fmt: skip
    return rows


def directions(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Directions in which images leave the unknowns open."""
    found = []
    for one in (metrics.get("identification") or {}).get("open", []):
        shares = sorted(one.get("shares", {}).items(), key=lambda item: -abs(item[1]))
        told = ", ".join(f"{name} {number(share, 2)}" for name, share in shares[:6])
        found.append({"unknowns": one["unknowns"], "sd": number(one["sd"], 2), "shares": told})
    return found
