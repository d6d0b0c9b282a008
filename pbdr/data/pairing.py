"""Which image belongs to which sensor of the scene, decided once and shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .files import natural_key

SHOWN = 8  # pairs in a message; the run directory has all


def pair(sensors: Sequence[str], files: Sequence[Path]) -> tuple[list[Path], str]:
    """Files in the order of the sensors (of which there are as many), and by what they were paired.

    By equal names; else by the last numbers of the names, where these are the same on both sides; else files in natural
    order, sensors as the scene lists them.
    """
    by_name = _matched(list(sensors), {f: f.stem for f in files})
    if by_name is not None:
        return by_name, "name"
    by_number = _matched([_number(s) for s in sensors], {f: _number(f.stem) for f in files})
    if by_number is not None:
        return by_number, "number"
    return sorted(files, key=lambda f: natural_key(str(f))), "order"


def match_names(first: Sequence[str], second: Sequence[str]) -> list[int]:
    """For each of `first` the index of its partner in `second`, equally long: by name where all have one, else by order."""
    if len(set(first)) == len(first) and set(first) == set(second):
        return [list(second).index(name) for name in first]
    return list(range(len(first)))


def described(pairs: Sequence[tuple[str, str]], limit: int | None = SHOWN) -> str:
    """`cam_0 <- r_0.png, …`"""
    shown = [f"{sensor} <- {file}" for sensor, file in pairs[:limit]]
    return ", ".join(shown) + (", ..." if limit is not None and len(pairs) > limit else "")


def _number(name: str) -> str | None:
    found = re.findall(r"[0-9]+", name)
    return found[-1].lstrip("0") or "0" if found else None


def _matched(wanted: Sequence[str | None], files: dict[Path, str] | dict[Path, str | None]) -> list[Path] | None:
    by_key = {key: file for file, key in files.items()}
    if None in by_key or len(by_key) != len(files) or set(by_key) != set(wanted) or len(set(wanted)) != len(wanted):
        return None
    return [by_key[key] for key in wanted]
