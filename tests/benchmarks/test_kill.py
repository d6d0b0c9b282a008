"""A few events of `python -m benchmarks kill`, one of each kind, and its way to tell whole files from broken ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import kill_files
from pbdr.job import checkpoint, results, storage


@pytest.mark.slow  # test_resume.py kills a job that renders, and test_cli_errors.py fills its disk
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_nothing_breaks(root: Path, tmp_path: Path) -> None:
    """In a process of its own: what has threads cannot fork."""
    words = [
        sys.executable,
        "-m",
        "benchmarks",
        "kill",
        "--events",
        "7",
        "--minutes",
        "15",
        "--out",
        str(tmp_path),
        "--json",
    ]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    events = json.loads((tmp_path / "kill.json").read_text())["events"]
    assert len({event["kind"] for event in events}) == 7 and all(event["lost"] <= 4 for event in events)


def test_broken_files_are_found(tmp_path: Path) -> None:
    """Negative control: cut short, each kind of file counts as broken."""
    image = np.full((12, 12, 3), 0.5, np.float32)
    results.write_view(tmp_path, "view", image, image)
    storage.write_json(tmp_path / "a.json", {"a": [1, 2]})
    storage.write_text(tmp_path / "a.html", "<html></html>\n")
    storage.write_text(tmp_path / "a.toml", "a = [1, 2]\n")
    storage.write_text(tmp_path / "a.jsonl", '{"step": 1}\n{"step": 2}\n')
    checkpoint.save(tmp_path / "checkpoints", 4, {"x": np.zeros(3)}, {})
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".png", ".exr", ".json", ".html", ".toml", ".jsonl", ".npz"}
    for path in files:
        content = path.read_bytes()
        assert kill_files.whole(path), path
        path.write_bytes(content[: len(content) - 4] if path.suffix != ".jsonl" else content[:4] + content[8:])
        assert not kill_files.whole(path), path
        path.write_bytes(content)
