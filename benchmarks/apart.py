"""A piece of work in a process of its own: what crashes or hangs there is a record, and ends nothing else."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

from .harness import ROOT

Item, Found = TypeVar("Item"), TypeVar("Found")
TOO_SLOW = "no end within {limit:.0f} s"


def by_and_by(work: Callable[[Item], Found], items: Sequence[Item], jobs: int) -> Iterator[tuple[Item, Found]]:
    """Items and what `work` found for them, as it ends, `jobs` at a time; an interruption starts none of those that wait."""
    pool = ThreadPoolExecutor(jobs)
    try:
        started = {pool.submit(work, item): item for item in items}
        for job in as_completed(started):
            yield started[job], job.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def apart(
    module: str, words: Sequence[str], limit: float, settings: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    """Run `python -m module *words OUT`; returns what it had written to OUT as JSON, and why it failed, or "".

    `limit`: seconds until it is killed, with all that it started; `settings`: of its environment.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder) / "record.json", Path(folder) / "stderr"
        with errors.open("wb") as told:
            process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", module, *words, str(out)],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=told,
                env={**os.environ, **(settings or {})},
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
            try:
                code = process.wait(timeout=limit)
                failure = ""
            except subprocess.TimeoutExpired:
                failure = TOO_SLOW.format(limit=limit)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if not failure and code:
            failure = f"exit code {code}: {told_last(errors.read_text(encoding='utf-8', errors='replace'))}"
        return (json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}), failure


def told_last(text: str, length: int = 600) -> str:
    """The end of what a process has said; of Python's report of a crash its beginning, with what was said just before it."""
    text, crash, report = text.partition("Fatal Python error")
    if not crash:
        return text.strip()[-length:]
    return f"{text.strip()[-length // 3 :]}\n{crash}{report}".strip()[:length]


def _end_with_parent() -> None:
    """In the new process: it is killed when the one that started it dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def put(record: Mapping[str, Any], out: Path) -> None:
    """Write a record so that a reader, or a kill, never meets half of it."""
    part = out.with_suffix(".part")
    part.write_text(json.dumps(record, default=float), encoding="utf-8")
    part.replace(out)
