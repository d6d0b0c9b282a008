"""What the user sees: lines on stderr, results on stdout, or one JSON object there."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_json_mode = False
_silent = False


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

        text = "" if _silent else json.dumps(jsonable(dict(payload))) + "\n"
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
    if not (_json_mode or _silent):
        print(text, flush=True)


def error(text: str) -> None:
    """A line on stderr."""
    if not _silent:
        print(" ".join(text.split("\n")), file=sys.stderr, flush=True)


def mute() -> None:
    """Say nothing from now on: another process of the same run says it."""
    global _silent
    _silent = True


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Warnings as lines on stderr, each once, without the place in the code that gave them."""
    told: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if str(message) not in told:  # a scene that is also the target is loaded several times
            told.add(str(message))
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
