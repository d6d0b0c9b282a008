"""The command line, called as a function."""

from __future__ import annotations

import pytest

from pbdr import cli


def run(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command, in this process."""
    capfd.readouterr()
    code = cli.main(list(words))
    out, err = capfd.readouterr()
    return code, out, err


def assert_one_line(err: str, message: str) -> None:
    """Of all that was written, one line has the message, and there is no traceback."""
    lines = [line for line in err.splitlines() if message in line]
    assert len(lines) == 1, err
    assert "Traceback" not in err
