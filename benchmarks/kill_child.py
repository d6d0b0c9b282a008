"""One life of `pbdr` in a forked process, with what is to go wrong in it.

Forked, since loading Mitsuba takes longer than the job: the parent has loaded everything and launched nothing.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 120.0  # seconds of a life
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
OPERATIONS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree")
CAPABILITY_VERSION = 0x20080522
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2


@dataclass(frozen=True)
class Ended:
    """Exit code (negative: the signal), seconds, number of file operations and the last of them, where they were counted."""

    code: int
    seconds: float
    operations: int
    last: str


def live(
    words: Sequence[str], log: Path, *, kill_after: float | None = None, counted: Path | None = None, kill_at: int | None = None,
    largest: int | None = None, deadly: bool = False, powerless: bool = False,
    then: tuple[int, Callable[[int], None]] | None = None,
) -> Ended:  # fmt: skip
    """Run `pbdr` with these words; its output is added to `log`.

    kill_after  seconds after which it gets SIGKILL
    counted     folder whose file operations are counted, which `kill_at` and `then` need
    kill_at     number of the file operation at which the process kills itself
    largest     bytes that a file may have; with `deadly`, the write that goes beyond is cut off and kills the process
    powerless   permissions of files hold, even for root
    then        (number of a file operation, what the parent does, given the id of the process, while the process waits there)
    """
    read, write = os.pipe()
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = 1
        try:
            code = _life(words, log, write, counted, (kill_at, then[0] if then else None), largest, deadly, powerless)
        finally:
            os._exit(code)
    os.close(write)
    code = _watch(child, start, kill_after, then[1] if then else None)
    with os.fdopen(read, encoding="utf-8", errors="replace") as pipe:
        lines = [line for line in pipe.read().split("\n") if line]
    return Ended(code, time.perf_counter() - start, len(lines), lines[-1] if lines else "")


def _watch(child: int, start: float, kill_after: float | None, then: Callable[[int], None] | None) -> int:
    """Wait for the end of the process, which the parent may bring about; where the process waits, act and let it go on."""
    while True:
        found, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if found and os.WIFSTOPPED(status):
            if then is not None:
                then(child)
            os.kill(child, signal.SIGCONT)
        elif found:
            return os.waitstatus_to_exitcode(status)
        spent = time.perf_counter() - start
        if spent > (LIMIT if kill_after is None else min(kill_after, LIMIT)):
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.005)


def _life(
    words: Sequence[str], log: Path, pipe: int, counted: Path | None, moments: tuple[int | None, int | None], largest: int | None,
    deadly: bool, powerless: bool,
) -> int:  # fmt: skip
    """In the child: what is to go wrong, then the command."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if powerless:
        _drop_power()
    if counted is not None:
        _count(str(counted), pipe, *moments)
    if largest is not None:
        if deadly:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # After the log was opened: it is a file, too, and small.
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    from pbdr.cli import main

    _quick_steps()
    code = main(list(words))
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code)


def _quick_steps() -> None:
    """Steps follow a polynomial, and images are noise: files are what this is about."""
    import drjit as dr
    import numpy as np

    from pbdr.inverse.warranty import Warranty
    from pbdr.job import bars, views

    loop = importlib.import_module("pbdr.inverse.fit")  # `pbdr.inverse.fit` is the function of that name

    def picture(scene: Any, sensor: Any, integrator: Any, spp: int, seed: int) -> Any:
        width, height = sensor.film().crop_size()
        return np.random.default_rng(seed).uniform(0, 1, (height, width, 3)).astype(np.float32)

    views.render = picture

    def loss(_: Any, params: Any, latents: Any, index: int, step: int) -> Any:
        value = params[next(key for key in params.keys() if key.endswith("reflectance.value"))]
        return loop.mi.TensorXf(dr.mean(dr.square(value - (0.7 + 0.01 * index))))

    loop.view_loss = loss  # type: ignore[attr-defined]
    Warranty.after = lambda *_: None  # type: ignore[method-assign]
    bars.find = lambda *_: None


def _count(folder: str, pipe: int, kill_at: int | None, wait_at: int | None) -> None:
    """Tell the parent every file operation below a folder; die at one of them, or wait there for the parent."""
    number = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal number
        if event == "open":
            path, _, flags = args
            if not isinstance(flags, int) or not flags & WRITES:
                return
        elif event in OPERATIONS:
            path = args[0]
        else:
            return
        if not isinstance(path, str | os.PathLike) or not os.fspath(path).startswith(folder):
            return
        number += 1
        os.write(pipe, f"{event} {Path(path).name}\n".encode())
        if number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == wait_at:
            os.kill(os.getpid(), signal.SIGSTOP)

    sys.addaudithook(hook)


def _drop_power() -> None:
    """Give up the right of root to write where permissions forbid it."""
    if os.getuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    data = (ctypes.c_uint32 * 6)()
    if libc.capget(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    for k in (0, 1):  # effective, permitted
        data[k] &= ~((1 << DAC_OVERRIDE) | (1 << DAC_READ_SEARCH))
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")
