"""The estimate of a run of Gaussians: the PLY file of 3DGS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..fields.gaussians.model import Gaussians
from ..fields.gaussians.ply import read_ply, write_ply
from ..fields.gaussians.project import from_device
from ..job import storage
from ..job.estimate import Estimate

FILE = "gaussians.ply"


def export_gaussians(estimate: Estimate, folder: Path) -> dict[str, Any]:
    """Write gaussians.ply below `folder`, read it again, and write export.json; returns what that holds."""
    made = from_device({name: estimate.latents[name] for name in estimate.variables.init()})
    again = read_ply(write_ply(folder / FILE, made))
    check = {"reader": "pbdr", "count": len(again), "ok": _same(made, again)}
    entry = {"text": "PLY, as 3DGS and its viewers read it", "files": [FILE], "lost": [], "check": check}
    result = {
        "run": str(estimate.run.path),
        "step": estimate.step,
        "lost": [],
        "formats": {"gaussians": entry},
        "ok": check["ok"],
    }
    storage.write_json(folder / "export.json", result)
    return result


def _same(first: Gaussians, second: Gaussians) -> bool:
    """Whether all numbers are equal bit by bit."""
    pairs = zip(first.arrays().values(), second.arrays().values(), strict=True)
    return all(a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)
