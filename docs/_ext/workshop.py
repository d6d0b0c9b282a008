"""Where the pages' cells run: a folder of their own with the examples in it, so that nothing is written into the documentation."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("examples", "scenes")


def enter() -> Path:
    """Make the folder, copy what pages use into it, and go there."""
    folder = Path(tempfile.mkdtemp(prefix="pbdr-page-"))
    fill(folder)
    os.chdir(folder)
    get_ipython().system = lambda line: shell(line, folder)  # type: ignore[name-defined]  # noqa: F821
    return folder


def shell(line: str, folder: Path) -> None:
    """What a line with an exclamation mark does: run a command.

    Its output comes through a pipe, so that no bar of progress moves, and names files as they are seen from the folder.
    """
    with subprocess.Popen(line, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            print(text.replace(f"{folder}/", ""), end="", flush=True)


def fill(folder: Path) -> None:
    """Copy the folders of a clone that commands on the pages name."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "runs"))
