"""What a run directory tells, by its files alone: status, curves, values with error bars, the images that the job has written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PbdrError
from ..job import checkpoint, live, storage
from ..job.rundir import RunDirectory


@dataclass(frozen=True)
class Value:
    """A number of the estimate, or (without `value`) a direction in which many of them move together, such as "scale of red".

    Standard deviation and 95 % interval are None where no error bar has been found; those of directions are about 0.
    """

    name: str
    value: float | None
    sd: float | None = None
    interval: tuple[float, float] | None = None


class Files:
    """The files of a run. `read` reads again what has changed; what a job is writing at that moment is left for the next time."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.status: dict[str, Any] = {}
        self.records: list[dict[str, Any]] = []
        self.metrics: dict[str, Any] = {}
        self.groups: dict[str, str] = {}
        self._known: dict[Path, tuple[int, int]] = {}

    def read(self) -> bool:
        """Whether anything has changed since the last time."""
        run, changed = self.run, False
        if self._new(run.metrics):
            self.records, changed = run.read_metrics(), True
        for path, name in (
            (run.path / "status.json", "status"), (run.path / "views.json", "groups"),
            (run.path / "eval" / "metrics.json", "metrics"),
        ):  # fmt: skip
            if self._new(path):
                try:
                    found = storage.read_json(path)
                except PbdrError:  # it is being replaced on a system that cannot do so at once
                    self._known.pop(path, None)
                    continue
                changed = True
                setattr(self, name, _groups(found) if name == "groups" else found)
        return changed

    def _new(self, path: Path) -> bool:
        try:
            found = os.stat(path)
        except OSError:
            return False
        stamp = (found.st_mtime_ns, found.st_size)
        if self._known.get(path) == stamp:
            return False
        self._known[path] = stamp
        return True

    @property
    def at_work(self) -> bool:
        """Whether a process works on the run."""
        return live.at_work(self.run)

    @property
    def step(self) -> int:
        """Steps done, as far as the records say."""
        return int(self.records[-1]["step"]) if self.records else int(self.status.get("step", 0))

    @property
    def state_step(self) -> int:
        """Steps of the newest state that can be looked at; −1 without one."""
        return max([-1, *checkpoint.steps(self.run.checkpoints), *checkpoint.steps(live.folder(self.run))])

    def picture(self, view: str, step: int) -> Path | None:
        """The linear image of a view that the job has written after exactly these steps."""
        last = self.status.get("state") == "finished" and step == self.status.get("step")
        folders = ["init"] if step <= 0 else ["final"] * last + [f"step-{step:06d}"]
        return next((p for p in (self.run.images(f) / f"{view}.exr" for f in folders) if p.is_file()), None)

    def values(self) -> list[Value]:
        """Numbers of the newest step, with the error bars that the end of a run finds."""
        bars = (self.metrics.get("identification") or {}).get("bars", [])
        known = {bar["name"]: bar for bar in bars if bar["value"] is not None}
        numbers = self.records[-1].get("values") or {} if self.records else {}
        found = [Value(name, float(number), *_bar(known.get(name))) for name, number in numbers.items()]
        return found + [
            Value(f"{bar['name']}: {bar['what']}", None, *_bar(bar)) for bar in bars if bar["value"] is None
        ]

    def line(self) -> str:
        """Where the run is, in a line."""
        state = str(self.status.get("state", "not begun"))
        if state == "running":
            state = "paused" if self.status.get("paused") else "running" if self.at_work else "not at work"
        return f"{state}, step {self.step} of {self.status.get('steps', '?')}"


def _bar(bar: Any) -> tuple[float | None, tuple[float, float] | None]:
    """Standard deviation and 95 % interval of an error bar of metrics.json."""
    if bar is None or bar["sd"] is None:
        return None, None
    low, high = bar["interval_95"]
    return float(bar["sd"]), (float(low), float(high))


def _groups(found: dict[str, Any]) -> dict[str, str]:
    entries: Sequence[Any] = found.get("views", [])
    return {str(entry["view"]): str(entry["set"]) for entry in entries}
