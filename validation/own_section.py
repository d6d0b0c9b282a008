"""The tiny job with a section of its own in place of variables, as radiance fields and Gaussians have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pbdr.job.events import Silent

Tiny = Callable[..., Path]


def job(tiny: Tiny, section: str, steps: int, psnr: int, changes: dict[str, str] | None = None) -> Path:
    """With `section` in place of its variable, and images with alpha; `changes` are made in what comes out of that."""
    path: Path = tiny(
        {
            'type = "prb", max_depth = 3 }\nspp = 4': 'type = "pathspace", max_depth = 3, hide_emitters = true }',
            "views_per_step = 2\n": "",
            '[vars.albedo]\nmatch = "mat/base_color"\ninit = 0.5\nbounds = [0.0, 1.0]\nlr = 0.05\n': section,
            "rmse = { albedo = 0.05 }": f"psnr = {psnr}",
            "steps = 12": f"steps = {steps}",
        }
    )
    for name in ("scene.xml", "truth.xml"):
        scene = path.with_name(name)
        scene.write_text(scene.read_text().replace('value="rgb"', 'value="rgba"'))
    for old, new in (changes or {}).items():
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    return path


class Stops(Silent):
    """Interrupts a run after a step, between two checkpoints."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, record: Any) -> None:
        if record["step"] == self.step:
            raise KeyboardInterrupt


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
