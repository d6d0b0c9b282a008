"""Writing TOML: the job file as it was understood. The standard library only reads it."""

from __future__ import annotations

import json
import re
from typing import Any


def dumps(document: dict[str, Any]) -> str:
    """A nested dictionary of strings, numbers, booleans, lists and dictionaries → TOML. None is left out."""
    lines: list[str] = []
    _table(document, [], lines)
    return "\n".join(lines).strip() + "\n"


def _table(table: dict[str, Any], path: list[str], lines: list[str]) -> None:
    # Tables below the third level are written inline: [vars.albedo] prior = { tv = 0.1 }.
    inline_below = len(path) >= 2 or (bool(path) and path[0] != "vars")
    nested = {k: v for k, v in table.items() if isinstance(v, dict) and not inline_below}
    plain = {k: v for k, v in table.items() if v is not None and k not in nested}
    if path and (plain or not nested):
        lines.extend(["", f"[{'.'.join(_key(p) for p in path)}]"])
    lines.extend(f"{_key(k)} = {inline(v)}" for k, v in plain.items())
    for key, value in nested.items():
        _table(value, [*path, key], lines)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def inline(value: Any) -> str:
    """A value on one line, as it stands behind `=`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(k)} = {inline(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(inline(v) for v in value)}]"
    raise TypeError(f"{type(value).__name__} cannot be written as TOML")
