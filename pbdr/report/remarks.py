"""What a reader of a report must know before anything else, and what became of exports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import counted
from ..job import storage
from ..job.rundir import RunDirectory
from ..page import number

#: Share of the texels that two views must see before it is worth a word.
SEEN = 0.9


def warnings(run: RunDirectory, metrics: Mapping[str, Any]) -> list[str]:
    """Sentences; the verdict says what is not among them."""
    found = []
    guard = metrics.get("guard") or {}
    if guard.get("steps_back"):
        found.append(
            f"The fit diverged {counted(guard['steps_back'], 'time')}, and went on from an earlier state at half the rates."
        )
    if metrics.get("skipped"):
        found.append(f"{counted(metrics['skipped'], 'step')} left out: losses or gradients were not finite.")
    for one in (metrics.get("identification") or {}).get("open", []):
        found.append(f"The images leave open: {one['unknowns']}. Other values would explain them as well.")
    for entry in storage.read_json(run.path / "eval" / "parameters.json").get("parameters", []):
        seen = entry.get("seen")
        if seen is not None and seen < SEEN:
            share = number(100 * (1 - seen), 2)
            found.append(
                f"{entry['name']}: {share} % of the texels are seen by fewer than two training views; there it is a guess."
            )
    found += metrics.get("notes", [])
    exported = storage.read_json(run.path / "export" / "export.json")
    if exported and not exported.get("ok", True):
        found.append("An export was read again and is not what was estimated; see Exports.")
    return found


def exports(run: RunDirectory) -> dict[str, Any]:
    """What `pbdr export` wrote, and whether it was the same when it was read again; {} where it has not run."""
    found = storage.read_json(run.path / "export" / "export.json")
    if not found:
        return {}
    rows = []
    for name, entry in found.get("formats", {}).items():
        check = entry.get("check", {})
        word = entry.get("skipped") or ("the same" if check.get("ok") else "NOT the same")
        lights = check.get("render", {}).get("lights", {})
        told = "; ".join(
            f"{light} {number(e['psnr'], 3)} dB (noise {number(e['psnr_of_noise'], 3)})" for light, e in lights.items()
        )
        if "largest_sigmas" in check:
            told = f"images agree to {number(check['largest_sigmas'], 2)} standard errors"
        rows.append(
            {
                "name": name, "files": ", ".join(entry.get("files", [])[:3]), "ok": bool(check.get("ok")), "word": word,
                "proof": told, "lost": entry.get("lost", []),
            }
        )  # fmt: skip
    return {"rows": rows, "lost": found.get("lost", []), "step": found.get("step", "")}
