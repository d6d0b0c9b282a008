"""Checkpoints: arrays and JSON, written beside their place, flushed, then renamed. A reader never sees half of one."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .storage import TEMPORARY, fsync_folder, jsonable, reported

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The state after ``step`` steps: named arrays, and what JSON can hold."""

    step: int
    arrays: dict[str, NDArray[Any]]
    meta: dict[str, Any]


def save(folder: Path, step: int, arrays: Arrays, meta: Mapping[str, Any], keep: int = 3) -> Path:
    """Write ``folder``/step-XXXXXX and forget all but the newest ``keep`` checkpoints.

    Whatever goes wrong (DataError for a full disk), the checkpoints that were there stay as they were.
    """
    final = folder / f"step-{step:06d}"
    if _read(final) is not None:
        return final
    temporary = folder / f"{TEMPORARY}{os.getpid()}-{final.name}"
    names = sorted(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **{f"a{i}": np.asarray(arrays[name]) for i, name in enumerate(names)})  # type: ignore[arg-type]
    content = buffer.getvalue()
    record = {
        "version": 1,
        "step": step,
        "arrays": names,
        "sha256": hashlib.sha256(content).hexdigest(),
        "meta": jsonable(dict(meta)),
    }
    with reported(final):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            _write(temporary / "arrays.npz", content)
            _write(temporary / "state.json", json.dumps(record, indent=1).encode("utf-8"))
            fsync_folder(temporary)
            if final.exists():  # damaged, or it would have been returned above
                shutil.rmtree(final)
            os.rename(temporary, final)
            fsync_folder(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    _prune(folder, keep)
    return final


def load(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None. Remains of interrupted writes are skipped."""
    for step in reversed(steps(folder)):
        found = _read(folder / f"step-{step:06d}")
        if found is not None:
            return found
    return None


def steps(folder: Path) -> list[int]:
    """Steps that have a checkpoint folder, in increasing order."""
    if not folder.is_dir():
        return []
    matches = [re.fullmatch(r"step-(\d{6,})", entry.name) for entry in folder.iterdir()]
    return sorted(int(match.group(1)) for match in matches if match)


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(folder: Path) -> Checkpoint | None:
    try:
        record = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        content = (folder / "arrays.npz").read_bytes()
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as data:
            arrays = {name: data[f"a{i}"] for i, name in enumerate(record["arrays"])}
        return Checkpoint(int(record["step"]), arrays, dict(record["meta"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _prune(folder: Path, keep: int) -> None:
    with contextlib.suppress(OSError):
        for step in steps(folder)[:-keep]:
            shutil.rmtree(folder / f"step-{step:06d}", ignore_errors=True)
