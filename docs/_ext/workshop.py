"""Where the pages' cells run: a folder of their own with the examples in it, so that nothing is written into the documentation."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("examples", "scenes")


def enter() -> Path:
    """Make the folder, copy what pages use into it, and go there."""
    folder = Path(tempfile.mkdtemp(prefix="pbdr-page-"))
    fill(folder)
    os.chdir(folder)
    return folder


def fill(folder: Path) -> None:
    """Copy the folders of a clone that commands on the pages name."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "runs"))
