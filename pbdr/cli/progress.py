"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from . import console

PLAIN_SECONDS = 5.0  # between two lines where there is no terminal


class Progress:
    """Events of a job on stderr: a bar with the remaining time on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._steps = 0
        self._first = 0
        self._begin = 0.0
        self._last = 0.0

    def message(self, text: str) -> None:
        """A line; above the bar when there is one."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            console.error(text)

    def started(self, done: int, steps: int) -> None:
        """Show the bar, or remember when we began."""
        self._steps, self._first, self._begin, self._last = steps, done, time.monotonic(), time.monotonic()
        if not sys.stderr.isatty():
            return
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("fitting"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("loss {task.fields[loss]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        self._task = self._bar.add_task("fit", total=steps, completed=done, loss="…")

    def stepped(self, record: Mapping[str, Any]) -> None:
        """Advance."""
        step, loss = int(record["step"]), f"{record['loss']:.4g}"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, loss=loss)
            return
        now = time.monotonic()
        if now - self._last >= PLAIN_SECONDS or step == self._steps:
            self._last = now
            left = (now - self._begin) / max(1, step - self._first) * (self._steps - step)
            console.error(f"step {step} of {self._steps}, loss {loss}, {left:.0f} s left")

    def ended(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class quiet:
    """Mitsuba's own log lines stay out of the way inside the block; its errors are raised and told anyway."""

    def __enter__(self) -> None:
        import mitsuba as mi

        self.before = mi.logger().log_level()
        mi.set_log_level(mi.LogLevel.Error)

    def __exit__(self, *_: object) -> None:
        import mitsuba as mi

        mi.set_log_level(self.before)


class Bar:
    """Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, what: str) -> None:
        self.what, self.told = what, time.monotonic()
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> Bar:
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            columns = (
                progress.TextColumn(self.what), progress.BarColumn(), progress.TextColumn("{task.description}"),
                progress.TimeElapsedColumn(),
            )  # fmt: skip
            self.bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
            self.task = self.bar.add_task("", total=1.0)
        return self

    def at(self, text: str, fraction: float) -> None:
        """Show where we are."""
        if self.bar is not None:
            self.bar.update(self.task, completed=fraction, description=text)
        elif time.monotonic() - self.told >= PLAIN_SECONDS:
            self.told = time.monotonic()
            console.error(f"{self.what}: {100 * fraction:.0f} %, {text}")

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
