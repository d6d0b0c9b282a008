"""The reference of job files, made from their model: docs/reference/job.md and its JSON schema."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Collection, Iterator
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from . import toml
from .choices import Chosen
from .config import Job, Section

SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def schema() -> str:
    """The JSON schema of job files, for editors: what they may hold, with the descriptions of the keys."""
    found = _without_null(Job.model_json_schema())
    return json.dumps({"$schema": SCHEMA, **found, "title": "pbdr job"}, indent=2, ensure_ascii=False) + "\n"


def _without_null(node: Any) -> Any:
    """A schema for TOML, which has no null: what is absent is left out. Titles only repeat the names of keys."""
    if isinstance(node, list):
        return [_without_null(one) for one in node if one != {"type": "null"}]
    if not isinstance(node, dict):
        return node
    kept = {k: _without_null(v) for k, v in node.items() if not (k == "default" and v is None)}
    if isinstance(kept.get("title"), str):
        del kept["title"]
    if len(kept.get("anyOf", ())) == 1:
        kept = {**kept.pop("anyOf")[0], **kept}
    return kept


def page() -> list[str]:
    """Lines of Markdown: a table for each section, in the order of the model."""
    lines = ["## The file itself", "", *_table(Job, top=True), ""]
    for name, model, several in _sections(Job):
        lines += [f"## [{name}{'.NAME' if several else ''}]", "", _text(model), "", *_table(model), ""]
        for key, inner in _inner(model):
            lines += [f"An entry of `{key}`: {_text(inner)}", "", *_table(inner), ""]
    return lines


def _sections(model: type[BaseModel]) -> Iterator[tuple[str, type[Section], bool]]:
    for name, field in model.model_fields.items():
        for child in _models(field.annotation):
            yield name, child, typing.get_origin(field.annotation) is dict


def _inner(model: type[BaseModel]) -> Iterator[tuple[str, type[Section]]]:
    for name, field in model.model_fields.items():
        for child in _models(field.annotation):
            yield name, child


def _models(annotation: Any) -> Iterator[type[Section]]:
    """Models that a type holds."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _table(model: type[BaseModel], top: bool = False) -> list[str]:
    rows = ["| key | values | default | what it is |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if top and any(_models(field.annotation)):
            continue
        cells = (f"`{name}`", _values(field), _default(field), " ".join((field.description or "").split()))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def _text(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True) if field.default is PydanticUndefined else field.default
    if value is None:
        return ""
    return f"`{toml.inline(value)}`" if not isinstance(value, BaseModel) else ""


def _values(field: FieldInfo) -> str:
    words = _type(field.annotation)
    for part in field.metadata:
        words = part.words() if isinstance(part, Chosen) else words + _limit(part)
    return words


def _limit(part: Any) -> str:
    limits = {Ge: ("ge", " ≥ "), Gt: ("gt", " > "), Le: ("le", " ≤ "), Lt: ("lt", " < ")}
    for kind, (name, sign) in limits.items():
        if isinstance(part, kind):
            return f"{sign}{getattr(part, name)}"
    nested = getattr(part, "metadata", None)  # Field(ge=1) inside Annotated
    if nested:
        return "".join(_limit(one) for one in nested if not isinstance(one, MinLen | MaxLen))
    return ""


def _type(annotation: Any) -> str:
    plain = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`", Any: "anything"}
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in plain:
        return plain[annotation]
    if origin is typing.Annotated:
        chosen = [one.words() for one in arguments[1:] if isinstance(one, Chosen)]
        return (chosen or [_type(arguments[0]) + "".join(_limit(one) for one in arguments[1:])])[0]
    if origin is typing.Literal:
        return _quoted(arguments)
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(dict.fromkeys(_type(one) for one in arguments if one is not type(None)))
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is tuple:
        return f"{len(arguments)} numbers"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "tables, see below"
    return "table"


def _quoted(names: Collection[Any]) -> str:
    return ", ".join(f"`{json.dumps(name)}`" for name in names)
