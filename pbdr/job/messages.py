"""One clear line for what pydantic found: where, which key, what is wrong, the closest name."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import closest

#: Kinds of errors about keys that do not exist: of the model, and of tables whose keys a registry knows (choices.py).
UNKNOWN = ("extra_forbidden", "unknown_key")


def missing_file(path: Path, what: str, suffix: str) -> str:
    """Message for a file that is not there, with the closest name in its folder."""
    near: list[str] = []
    if path.parent.is_dir():
        near = closest(path.name, [p.name for p in path.parent.iterdir() if p.suffix == suffix])
    hint = f" Closest there: '{near[0]}'." if near else ""
    return f"{path}: no such {what}.{hint}"


def first(error: ValidationError, model: type[BaseModel], source: str, text: str, overrides: Mapping[str, Any]) -> str:
    """The message of the error's most useful entry: unknown keys before everything else."""
    entries = error.errors()
    entry = next((e for e in entries if e["type"] in UNKNOWN), entries[0])
    # Entries of unions carry their branch's name ("str", "list[str]") at the end: not a part of the location.
    location = [part for part in entry["loc"] if not _is_branch(part)]
    if entry["type"] == "unknown_key":
        location.append(entry["ctx"]["key"])
    dotted = ".".join(str(part) for part in location if not isinstance(part, int))
    place = _place(location, source, text, dotted, overrides)
    key = str(location[-1]) if location else "the job"
    section = ".".join(str(p) for p in location[:-1])
    where = f"[{section}] {key}" if section else key
    if entry["type"] in UNKNOWN:
        candidates = entry["ctx"]["known"] if entry["type"] == "unknown_key" else _keys(model, location[:-1])
        near = closest(key, candidates)
        hint = f"Closest: '{near[0]}'." if near else f"Known: {', '.join(candidates)}."
        what = f"[{section}] has no key '{key}'" if section else f"there is no section or key '{key}'"
        return f"{place}: {what}. {hint}"
    if entry["type"] == "missing":
        return f"{place}: {where} is missing"
    return f"{place}: {where}{_given(entry)}: {_what(entry)}"


def _given(entry: Any) -> str:
    value = entry.get("input")
    if isinstance(value, dict | BaseModel):
        return ""
    shown = repr(value)
    return f" = {shown if len(shown) <= 60 else shown[:57] + '...'}"


def _what(entry: Any) -> str:
    message = str(entry["msg"]).removeprefix("Value error, ")
    context = entry.get("ctx", {})
    if entry["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context.get("expected", ""))) or [str(context.get("expected"))]
        near = closest(str(entry["input"]), choices)
        hint = f"Closest: '{near[0]}'. " if near else ""
        return f"not one of the choices. {hint}Choices: {', '.join(choices)}"
    if entry["type"] == "string_pattern_mismatch":
        return "may hold letters, digits, '.', '-' and '_', and starts with a letter or digit"
    return message[:1].lower() + message[1:]


def _is_branch(part: int | str) -> bool:
    return isinstance(part, str) and bool(
        re.fullmatch(r"(str|int|float|bool|(list|tuple|dict)\[.*\]|constrained-.*)", part)
    )


def _place(location: list[int | str], source: str, text: str, dotted: str, overrides: Mapping[str, Any]) -> str:
    for key in overrides:
        if dotted and (dotted == key or dotted.startswith(key + ".")):
            return f"command line, --{key}"
    line = _line(text, [str(part) for part in location if not isinstance(part, int)])
    return f"{source}:{line}" if line else source


def _line(text: str, keys: list[str]) -> int | None:
    """1-based line of the key, or of the section it belongs to; None when neither is written in the text."""
    section: list[str] = []
    best: tuple[int, int] | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        header = re.match(r"\[\[?\s*([^\]]+?)\s*\]\]?", line)
        path: list[str]
        if header:
            section = [part.strip().strip("\"'") for part in header.group(1).split(".")]
            path = section
        else:
            assignment = re.match(r"([A-Za-z0-9_\-.\"']+)\s*=", line)
            if not assignment:
                continue
            path = section + [part.strip("\"'") for part in assignment.group(1).split(".")]
        if path == keys[: len(path)] and (best is None or len(path) > best[0]):
            best = (len(path), number)
    return best[1] if best else None


def _keys(model: Any, location: list[int | str]) -> list[str]:
    """The keys that may stand at ``location``, following the model's annotations."""
    current = model
    for part in location:
        current = _child(current, part)
        if current is None:
            return []
    return sorted(current.model_fields)


def _child(model: Any, part: int | str) -> Any:
    field = model.model_fields.get(part) if isinstance(part, str) else None
    if field is not None:
        return _model_of(field.annotation)
    return model  # the name of a table of [vars], or the number of a list's entry: the model is the value's


def _model_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (dict, list, typing.Union, types.UnionType, typing.Annotated):
        for argument in typing.get_args(annotation):
            found = _model_of(argument)
            if found is not None:
                return found
    return None
