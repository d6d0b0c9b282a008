"""What a run of the tests cost: seconds by file, and how many kernels had to be compiled."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

SHOWN = 12


def kernels(folder: Path) -> int:
    """Number of kernels in Dr.Jit's cache, which holds one file for each."""
    return sum(1 for _ in folder.glob("*.bin")) if folder.is_dir() else 0


def seconds_by_file(reports: list[pytest.TestReport]) -> Counter[str]:
    """Seconds of set-up, test and clean-up, summed for each file of tests."""
    seconds: Counter[str] = Counter()
    for report in reports:
        seconds[report.nodeid.partition("::")[0]] += report.duration
    return seconds


class SuiteCost:
    """A pytest plugin that counts kernels before and after the tests, and sums up at the end."""

    def __init__(self) -> None:
        self.folder = Path(os.environ.get("DRJIT_CACHE_DIR") or Path.home() / ".drjit")
        self.before = kernels(self.folder)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the slowest files and the number of kernels compiled (by all workers)."""
        reports = [x for found in terminalreporter.stats.values() for x in found if isinstance(x, pytest.TestReport)]
        seconds = seconds_by_file(reports)
        terminalreporter.section("what this run cost")
        compiled = kernels(self.folder) - self.before
        terminalreporter.write_line(f"{compiled} kernels compiled, {self.before} found in {self.folder}")
        for name, spent in seconds.most_common(SHOWN):
            terminalreporter.write_line(f"{spent:7.1f} s  {name}")
