"""What the user sees: lines and a progress bar on stderr, results on stdout, or one JSON object there."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

PLAIN_SECONDS = 5.0  # between two progress lines where there is no terminal

_json_mode = False


@contextlib.contextmanager
def only_json(active: bool) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """With ``active``, everything but the yielded function's one object goes to stderr, also what libraries print."""
    global _json_mode
    if not active:
        yield lambda payload: None
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    _json_mode = True

    def emit(payload: Mapping[str, Any]) -> None:
        from ..job.storage import jsonable

        text = json.dumps(jsonable(dict(payload))) + "\n"
        with contextlib.suppress(BrokenPipeError):
            os.write(kept, text.encode("utf-8"))

    try:
        yield emit
    finally:
        sys.stdout.flush()
        _json_mode = False
        os.dup2(kept, 1)
        os.close(kept)


def out(text: str) -> None:
    """A line of the result; nothing with --json, where the object says it."""
    if not _json_mode:
        print(text, flush=True)


def error(text: str) -> None:
    """A line on stderr."""
    print(" ".join(text.split("\n")), file=sys.stderr, flush=True)


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Warnings as lines on stderr, without the place in the code that gave them."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        error(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned with two spaces between them; never cut, so that other programs can read them."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [[*header], ["-" * width for width in widths], *[[*row] for row in rows]]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


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
            error(text)

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
            error(f"step {step} of {self._steps}, loss {loss}, {left:.0f} s left")

    def ended(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
