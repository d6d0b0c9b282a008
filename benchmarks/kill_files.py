"""What a run has left on the disk: whether every file is whole, and how far it had come. And disks that fill up."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import struct
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NEW_NAMESPACE, PRIVATE = 0x00020000, (1 << 14) | (1 << 18)
DISK = 4 << 20  # bytes of the small disk
TEMPORARY = ".tmp-"


def newest(runs: Path) -> Path | None:
    """The newest run that a resume would find."""
    found = sorted(path.parent for path in runs.glob("*/*/job.toml"))
    return found[-1] if found else None


def status(run: Path) -> str:
    """What status.json says."""
    path = run / "status.json"
    return str(json.loads(path.read_text(encoding="utf-8"))["state"]) if path.is_file() else ""


def losses(run: Path | None) -> dict[int, float]:
    """Loss of every recorded step, in the order of the file; RuntimeError if one is there twice."""
    found: dict[int, float] = {}
    for record in records(run):
        if record["step"] in found:
            raise RuntimeError(f"step {record['step']} is recorded twice")
        found[record["step"]] = record["loss"]
    return found


def records(run: Path | None) -> list[dict[str, Any]]:
    """Whole lines of metrics.jsonl."""
    if run is None or not (run / "metrics.jsonl").is_file():
        return []
    return [json.loads(line) for line in (run / "metrics.jsonl").read_bytes().split(b"\n")[:-1]]


def state(runs: Path) -> dict[str, Any]:
    """Of the newest run: last step recorded, step of the newest whole checkpoint; broken files; remains of writes."""
    from pbdr.job import checkpoint

    run = newest(runs)
    broken, remains = [], []
    for path in sorted(runs.rglob("*")) if runs.is_dir() else []:
        name = str(path.relative_to(runs))
        if TEMPORARY in name:
            remains.append(name)
        elif path.is_file() and not whole(path):
            broken.append(f"{name} is broken")
    found = None if run is None else checkpoint.load(run / "checkpoints")
    recorded = 0
    with contextlib.suppress(ValueError):
        recorded = max((record["step"] for record in records(run)), default=0)
    return {"recorded": recorded, "saved": 0 if found is None else found.step, "broken": broken, "remains": remains}


def whole(path: Path) -> bool:
    """Whether a file that is in its place can be read to its end."""
    content = path.read_bytes()
    try:
        if path.suffix == ".json":
            json.loads(content)
        elif path.suffix == ".toml":
            tomllib.loads(content.decode())
        elif path.suffix == ".png":
            return content.startswith(b"\x89PNG") and content.rstrip(b"\0").endswith(b"IEND\xaeB`\x82")
        elif path.suffix == ".exr":
            return _whole_exr(content)
        elif path.suffix == ".html":
            return content.rstrip().endswith(b"</html>")
        elif path.suffix == ".npz":
            from pbdr.job import checkpoint

            return checkpoint._read(path.parent) is not None
        elif path.suffix == ".jsonl":
            for line in content.split(b"\n")[:-1]:
                json.loads(line)
    except Exception:
        return False
    return True


def _whole_exr(content: bytes) -> bool:
    """Whether all chunks of an image of one part are there. By hand: Mitsuba would start threads, which forked processes lack."""
    if not content.startswith(b"\x76\x2f\x31\x01"):
        return False
    at = 8
    while content[at] != 0:  # attributes: name, type, size, value
        at = content.index(b"\0", content.index(b"\0", at) + 1) + 1
        at += 4 + struct.unpack_from("<i", content, at)[0]
    first = struct.unpack_from("<Q", content, at + 1)[0]
    offsets = struct.unpack_from(f"<{(first - at - 1) // 8}Q", content, at + 1)
    ends = [offset + 8 + struct.unpack_from("<i", content, offset + 4)[0] for offset in offsets]
    return max(ends) == len(content)


def allow(folder: Path, writing: bool) -> None:
    """Give or take the permission to write in all folders and files below."""
    for path in sorted(folder.rglob("*"), reverse=not writing) if folder.is_dir() else []:
        with contextlib.suppress(FileNotFoundError):
            path.chmod((0o755 if writing else 0o555) if path.is_dir() else (0o644 if writing else 0o444))


def mount(folder: Path) -> bool:
    """A small file system of its own at `folder`, which only this process and its children see; False where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or libc.unshare(NEW_NAMESPACE) != 0:
        return False
    if libc.mount(None, b"/", None, PRIVATE, None) != 0:
        return False
    return bool(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={DISK}".encode()) == 0)


@contextlib.contextmanager
def filled(disk: Path, room: int) -> Iterator[None]:
    """All but about `room` bytes of the disk are taken."""
    filler = disk / "filler"
    usage = os.statvfs(disk)
    try:
        with contextlib.suppress(OSError), open(filler, "wb") as file:
            file.write(b"x" * max(usage.f_bavail * usage.f_frsize - room, 0))
        yield
    finally:
        filler.unlink(missing_ok=True)
