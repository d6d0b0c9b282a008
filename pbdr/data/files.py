"""Names of files: natural order, and patterns in which only what does not exist by that name is a pattern."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from .images import SUFFIXES

_MAGIC = re.compile(r"[*?[]")


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sorting key by which `r_2` comes before `r_10`; letter case counts last."""
    parts = re.split(r"([0-9]+)", name)
    key = tuple((0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p.casefold()) for p in parts if p)
    return key, name


def find_images(pattern: str) -> list[Path]:
    """Files that an absolute pattern names, in natural order of their paths; of a folder, all images in it.

    A part of the path that exists by its name is taken by its name, whatever `[`, `?` or `*` it holds. Other parts are
    patterns: `*`, `?`, `[…]`, and `**` for any number of folders. Hidden files need a pattern that begins with a dot.
    """
    path = Path(pattern)
    if path.is_dir():
        found = [p for p in path.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES and p.name[0] != "."]
    else:
        found = [p for p in _expand(Path(path.anchor), list(path.parts[1 if path.anchor else 0 :])) if p.is_file()]
    return sorted(dict.fromkeys(found), key=lambda p: natural_key(str(p)))


def named(folder: Path, name: str) -> Path | None:
    """The entry of `folder` with this name, however its accents are composed; None without."""
    direct = folder / name
    if _exists(direct):
        return direct
    if not name.isascii() and folder.is_dir():
        wanted = unicodedata.normalize("NFC", name)
        return next((p for p in folder.iterdir() if unicodedata.normalize("NFC", p.name) == wanted), None)
    return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have: too long, or with a NUL
        return False


def _expand(folder: Path, parts: list[str]) -> Iterator[Path]:
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    direct = folder / part if part in ("..", ".") else named(folder, part)
    if direct is not None:
        yield from _expand(direct, rest)
    elif _MAGIC.search(part):
        entries = _entries(folder)
        if part == "**":
            yield from _expand(folder, rest)
            for entry in entries:
                if entry.is_dir() and not entry.is_symlink() and entry.name[0] != ".":
                    yield from _expand(entry, parts)
            return
        for entry in entries:
            if fnmatch.fnmatchcase(entry.name, part) and (entry.name[0] != "." or part[0] == "."):
                yield from _expand(entry, rest)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
