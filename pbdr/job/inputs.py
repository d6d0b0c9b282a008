"""What a run began with: the files that its job names, of which one that goes on tells which have changed; software and machine."""

from __future__ import annotations

import hashlib
import platform
import sys
from pathlib import Path
from typing import Any

from .. import backend
from ..errors import DataError
from . import storage
from .config import Job


def digests(job: Job) -> dict[str, str]:
    """Return SHA-256 sums of the job's scene, target and camera files by path; what these name in turn is not looked at."""
    given = [job.scene.file, job.data.target, job.data.cameras]
    return {str(path): _digest(Path(path)) for path in given if path is not None and Path(path).is_file()}


def changed(job: Job, software: Path) -> list[str]:
    """Return a line for each file of the job that is not what it was; `software`: env.json of the run, which holds `digests`."""
    try:
        known = storage.read_json(software).get("inputs", {})
    except DataError:  # what is unknown does not keep a run from going on
        return []
    now = digests(job)
    return [
        f"{path} has changed since the run began: what was estimated before belongs to the file as it was"
        for path, digest in known.items()
        if now.get(path, digest) != digest
    ]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def environment() -> dict[str, Any]:
    """Software and machine, for env.json."""
    found = backend.report()
    kept = {key: found[key] for key in ("python", "packages", "backend", "environment")}
    return {**kept, "platform": platform.platform(), "machine": platform.machine(), "command": sys.argv}
