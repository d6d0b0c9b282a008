"""Writing that survives: whole files or none, flushed to the disk, and a full disk told in one line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DataError, OptionError

TEMPORARY = ".tmp-"


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn an OSError of the body into one line: DataError for a full disk, OptionError for a path without access."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def explain(error: OSError, path: Path) -> DataError | OptionError:
    """The error to raise for ``error`` while writing ``path``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"{path}: the disk is full ({os.strerror(error.errno)}). What was saved before is intact; "
            "free some space, then run the command again; a fit goes on by `pbdr resume`"
        )
    if error.errno == errno.EFBIG:
        return DataError(
            f"{path}: the file may not grow any more ({os.strerror(error.errno)}). What was saved before is intact; raise the "
            "limit of file sizes (ulimit -f), then continue with `pbdr resume`"
        )
    reason = error.strerror or str(error)
    other = "choose another folder, of a run by --output.dir, of one file by --out"
    return OptionError(f"{path}: cannot be written ({reason}); {other}")


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable; a no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what interrupted writes left below a folder; only for the process that holds the run's lock."""
    for path in folder.rglob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_bytes(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Replace ``path`` by ``content`` at once: readers see the old file or the new one. ``durable`` waits for the disk.

    Raises DataError when the disk is full, OptionError when the folder cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    with reported(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
            if durable:
                fsync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, content: str, *, durable: bool = False) -> None:
    """As write_bytes, in UTF-8."""
    write_bytes(path, content.encode("utf-8"), durable=durable)


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """As write_bytes; NaN and infinity are written as null, since JSON has no word for them."""
    write_text(path, json.dumps(jsonable(value), indent=2) + "\n", durable=durable)


def jsonable(value: Any) -> Any:
    """Plain JSON types: tuples become lists, numpy scalars numbers, non-finite numbers None, paths strings."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file that pbdr wrote; {} when there is none. DataError when it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: damaged or unreadable ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected an object")
    return value
