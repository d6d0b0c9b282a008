"""One clear line for each mistake that pydantic found: where, which key, what is wrong, the closest name."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import closest
from . import hints

#: Kinds of errors about keys that do not exist: of the model, and of tables whose keys a registry knows (choices.py).
UNKNOWN = ("extra_forbidden", "unknown_key")


def missing_file(path: Path, what: str, suffix: str) -> str:
    """Message for a file that is not there, with the closest name in its folder."""
    near: list[str] = []
    if path.parent.is_dir():
        near = closest(path.name, [p.name for p in path.parent.iterdir() if p.suffix == suffix])
    hint = f" Closest there: '{near[0]}'." if near else ""
    return f"{path}: no such {what}.{hint}"


def every(
    error: ValidationError, model: type[BaseModel], source: str, text: str, overrides: Mapping[str, Any]
) -> list[str]:
    """One message for each mistake, in the order of the file; what only follows from another one is left out."""
    found: dict[tuple[Any, ...], tuple[int, str]] = {}
    guessed: set[tuple[Any, ...]] = set()  # keys that are probably meant by unknown ones
    entries = sorted(error.errors(), key=lambda entry: entry["type"] not in UNKNOWN)
    for entry in entries:
        # Entries of unions carry their branch's name ("str", "list[str]") at the end: not a part of the location.
        location = [part for part in entry["loc"] if not _is_branch(part)]
        if entry["type"] == "unknown_key":
            location.append(entry["ctx"]["key"])
        if tuple(location) in found or (entry["type"] == "missing" and tuple(location) in guessed):
            continue
        if entry["type"] in UNKNOWN:
            what, near = _unknown(entry, model, location)
            guessed |= {(*location[:-1], name) for name in near[:1]}
        else:
            what = _wrong(entry, location)
        line, place = _place(location, source, text, overrides)
        found[tuple(location)] = line, f"{place}: {what}"
    return [message for _, message in sorted(found.values(), key=lambda pair: pair[0])]


def _named(location: list[int | str]) -> tuple[str, str]:
    """(section, key) of a location."""
    return ".".join(str(p) for p in location[:-1]), str(location[-1]) if location else "the job"


def _unknown(entry: Any, model: type[BaseModel], location: list[int | str]) -> tuple[str, list[str]]:
    """What to say of a key that does not exist, and the closest ones that do."""
    section, key = _named(location)
    what = f"[{section}] has no key '{key}'" if section else f"there is no section or key '{key}'"
    known = entry["ctx"]["known"] if entry["type"] == "unknown_key" else _keys(model, location[:-1])
    near, elsewhere = closest(key, known), hints.homes(_sections(model), key)
    if hints.foreign(key) and not any(key.lower() == name.lower() for name in near):
        return f"{what}. Here {hints.foreign(key)}.", near
    if elsewhere:
        return f"{what}. It belongs to {' or '.join(f'[{name}]' for name in elsewhere)}.", []
    hint = f"Closest: '{near[0]}'." if near else f"Known: {', '.join(known)}."
    return f"{what}. {hint}", near


def _wrong(entry: Any, location: list[int | str]) -> str:
    """What to say of a value."""
    section, key = _named(location)
    where, dotted = f"[{section}] {key}" if section else key, ".".join(map(str, location))
    if entry["type"] == "missing":
        hint = hints.MISSING.get(dotted)
        return f"{where} is missing" + (f": {hint}" if hint else "")
    if entry["type"] in ("model_type", "model_attributes_type"):
        return f"{where}{_given(entry)}: this is a section, [{dotted}], with keys of its own below it"
    if dotted == "vars" and entry["type"] in ("dict_type", "too_short"):
        return f"{where}: {hints.MISSING['vars']}"
    return f"{where}{_given(entry)}: {_what(entry)}" if location else _what(entry)


def _sections(model: type[BaseModel]) -> Iterator[tuple[str, list[str]]]:
    """Names of the sections with their keys; that of a variable is NAME."""
    for name, field in model.model_fields.items():
        child = _model_of(field.annotation)
        if child is not None:
            yield (f"{name}.NAME" if typing.get_origin(field.annotation) is dict else name), list(child.model_fields)


def _given(entry: Any) -> str:
    value = entry.get("input")
    if isinstance(value, dict | BaseModel):
        return ""
    shown = repr(value)
    return f" = {shown if len(shown) <= 60 else shown[:57] + '...'}"


def _what(entry: Any) -> str:
    message = str(entry["msg"]).removeprefix("Value error, ")
    if entry["type"] == "dict_type":
        example = hints.TABLES.get(str(entry["loc"][-1]) if entry["loc"] else "", "{ key = value }")
        return f"it is a table, such as {example}"
    context = entry.get("ctx", {})
    if entry["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context.get("expected", ""))) or [str(context.get("expected"))]
        near = hints.meant(str(entry["input"]), choices)
        hint = f"Closest: '{near[0]}'. " if near else ""
        return f"not one of the choices. {hint}Choices: {', '.join(choices)}"
    if entry["type"] == "string_pattern_mismatch":
        return "may hold letters, digits, '.', '-' and '_', and starts with a letter or digit"
    return message[:1].lower() + message[1:]


def _is_branch(part: int | str) -> bool:
    return isinstance(part, str) and bool(
        re.fullmatch(r"(str|int|float|bool|(list|tuple|dict)\[.*\]|constrained-.*)", part)
    )


def _place(location: list[int | str], source: str, text: str, overrides: Mapping[str, Any]) -> tuple[int, str]:
    """(line, words); line 0 where there is none, and a last one for the command line."""
    parts = [str(part) for part in location if not isinstance(part, int)]
    dotted = ".".join(parts)
    for key in overrides:
        if dotted and (dotted == key or dotted.startswith(key + ".")):
            return 1 << 30, f"command line, --{key}"
    line = _line(text, parts)
    return (line, f"{source}:{line}") if line else (0, source)


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
