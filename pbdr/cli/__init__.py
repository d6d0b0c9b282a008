"""The `pbdr` command: parse, call, print.

`--json` prints exactly one object on stdout. Exit codes: 0 ok, 1 bug, 2 usage or configuration, 3 data or scene,
4 diverged, 5 target not met, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from ..errors import PbdrError, meant
from ..job.signals import Interruption
from . import console

DESCRIPTION = "Physically based differentiable rendering: estimate materials and lights of a scene from its images."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    with console.only_json(as_json) as emit, console.plain_warnings(), Interruption():
        try:
            code, payload = _run(words)
        except KeyboardInterrupt:
            code, payload = 130, {"ok": False, "error": "Interrupted", "message": "interrupted"}
            console.error("interrupted")
        except BrokenPipeError:  # the reader of our output has gone, for instance `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 0
        except SystemExit as stop:  # tyro has printed help or a usage message
            code = stop.code if isinstance(stop.code, int) else (0 if stop.code is None else 2)
            payload = {"ok": code == 0, "error": "Usage", "message": "see stderr"}
        except Exception as raised:
            error = meant(raised)
            payload = _failure(error)
            if isinstance(error, PbdrError):
                code = error.exit_code
                for one in error.all:
                    console.error(f"{type(one).__name__}: {one}")
            else:
                code = 1
                traceback.print_exc()
                console.error(f"This is a bug in pbdr ({type(error).__name__}). Please report it with the lines above.")
        emit({**payload, "exit_code": code})
    return code


def _run(words: list[str]) -> tuple[int, dict[str, Any]]:
    if not words:
        words = ["--help"]
    if words[0] in ("--version", "-V"):
        from .. import __version__

        console.out(f"pbdr {__version__}")
        return 0, {"ok": True, "version": __version__}
    from .usage import parse

    command, rest = parse(words, DESCRIPTION)
    return command.run(rest)


def _failure(error: BaseException) -> dict[str, Any]:
    found = error.all if isinstance(error, PbdrError) else [error]
    mistakes = [{"error": type(one).__name__, "message": str(one)} for one in found]
    return {"ok": False, "error": type(error).__name__, "message": str(error), "mistakes": mistakes}
