"""The run directory: where each file of a run is, the log, the status and the metrics."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import BusyError, DataError, closest
from . import storage


class RunDirectory:
    """runs/<name>/<YYYYmmdd-HHMMSS>/ and the files in it. Every write is whole or raises a PbdrError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, base: str | Path, name: str, now: datetime.datetime | None = None) -> RunDirectory:
        """Make a new, empty run directory. OptionError when ``base`` cannot be written, DataError on a full disk."""
        stamp = (now or datetime.datetime.now()).strftime("%Y%m%d-%H%M%S")
        parent = Path(base) / name
        with storage.reported(Path(base)):
            parent.mkdir(parents=True, exist_ok=True)
            for number in range(1, 1000):
                path = parent / (stamp if number == 1 else f"{stamp}-{number}")
                with contextlib.suppress(FileExistsError):
                    path.mkdir()
                    break
            storage.fsync_folder(parent)
        run = cls(path)
        # A folder can be made on a disk that has no room for a file: find out now, not after the first hour.
        storage.write_bytes(run.path / "log.txt", b"", durable=True)
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """An existing run; ``path`` may also be runs/<name>, which means its newest run. DataError otherwise."""
        folder = Path(path).expanduser().resolve()
        if folder.is_file():
            what = f"; `pbdr fit {path}` starts a run of a job" if folder.suffix.lower() == ".toml" else ""
            raise DataError(f"{path}: a file, not a run directory{what}")
        if not folder.is_dir():
            there = folder.parent.iterdir() if folder.parent.is_dir() else ()
            near = closest(folder.name, [p.name for p in there if p.is_dir()])
            hint = f" Closest there: '{near[0]}'." if near else ""
            raise DataError(f"{path}: no such run directory.{hint}")
        if not (folder / "job.toml").is_file():
            runs = sorted(p.parent for p in folder.glob("*/job.toml") if re.match(r"\d{8}-\d{6}", p.parent.name))
            if not runs:
                inside = sorted({str(Path(path) / p.parent.parent.name) for p in folder.glob("*/*/job.toml")})
                hint = f"; it holds runs of {', '.join(inside[:4])}: give one of these" if inside else ""
                raise DataError(f"{path}: not a run directory (it holds no job.toml){hint}")
            folder = runs[-1]
        return cls(folder)

    # --- places --------------------------------------------------------------------------------------------------

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """One JSON object per step."""
        return self.path / "metrics.jsonl"

    @property
    def report(self) -> Path:
        """The self-contained report."""
        return self.path / "report.html"

    def images(self, kind: str) -> Path:
        """Folder of the images of ``kind``: target, init, step-000100, final."""
        return self.path / "images" / kind

    def newest_images(self) -> Path | None:
        """Folder of the newest images of the estimate; None while there is none."""
        if self.images("final").is_dir():
            return self.images("final")
        folders = sorted((self.path / "images").glob("step-*"))
        return folders[-1] if folders else None

    # --- lock ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; BusyError when another process works on it. A killed process lets go."""
        try:
            import fcntl
        except ImportError:  # no such locks on this system: the user must not start two
            yield
            return
        with storage.reported(self.path):
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                pid = os.pread(descriptor, 32, 0).decode() or "unknown"
                raise BusyError(f"{self.path}: another process (pid {pid.strip()}) works on this run") from error
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    # --- status and log ------------------------------------------------------------------------------------------

    def write_status(self, state: str, **details: Any) -> None:
        """status.json: state (running, finished, interrupted, failed, diverged) and details such as the step."""
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        storage.write_json(self.path / "status.json", {"state": state, "time": now, "pid": os.getpid(), **details})

    def read_status(self) -> dict[str, Any]:
        """The last written status; {} when there is none."""
        return storage.read_json(self.path / "status.json")

    def log(self, message: str) -> None:
        """Append a line with the time to log.txt. A log that cannot be written never ends a run."""
        now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        with contextlib.suppress(OSError), open(self.path / "log.txt", "a", encoding="utf-8") as file:
            file.write(f"{now} {message}\n")

    # --- metrics -------------------------------------------------------------------------------------------------

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one step's record; it holds "step", counted from 1."""
        line = json.dumps(storage.jsonable(dict(record))) + "\n"
        with storage.reported(self.metrics), open(self.metrics, "a", encoding="utf-8") as file:
            file.write(line)

    def read_metrics(self) -> list[dict[str, Any]]:
        """The whole records, up to the first that a kill or a power cut damaged."""
        records: list[dict[str, Any]] = []
        if not self.metrics.is_file():
            return records
        for line in self.metrics.read_bytes().split(b"\n")[:-1]:  # what follows the last newline is not whole
            try:
                record = json.loads(line)
                record["step"] = int(record["step"])
            except (ValueError, KeyError, TypeError):
                break
            records.append(record)
        return records

    def sync_metrics(self) -> None:
        """Wait until the records are on the disk; done before a checkpoint, which must not know more than they do."""
        if self.metrics.is_file():
            with storage.reported(self.metrics), open(self.metrics, "rb+") as file:
                os.fsync(file.fileno())

    def truncate_metrics(self, step: int) -> None:
        """Keep the records of the first ``step`` steps, so that no step appears twice after a resume."""
        if not self.metrics.is_file():
            return
        kept = [record for record in self.read_metrics() if record["step"] <= step]
        storage.write_text(self.metrics, "".join(json.dumps(record) + "\n" for record in kept), durable=True)

    # --- notebooks -----------------------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        """What the run has found, as far as it has come."""
        from . import summary

        return summary.html(self)


def open_run(path: str | Path) -> RunDirectory:
    """A run of `pbdr fit` by its folder, which notebooks show; runs/<name> means the newest. DataError where there is none."""
    return RunDirectory.open(path)
