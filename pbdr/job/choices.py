"""Types of the job file that ask a registry: what is registered is allowed, and a new entry needs no change to the model."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError, PydanticKnownError

from ..errors import OptionError
from ..registry import Registry


@dataclass(frozen=True)
class Chosen(BeforeValidator):
    """A validator that says what it allows: `names`, and in which `form` (name, entry, entries or keys)."""

    names: Collection[str] = ()
    form: str = "name"

    def words(self) -> str:
        """For a table of the reference."""
        if self.form == "keys":
            return "table of names and weights"
        if self.form == "name":
            return ", ".join(f'`"{name}"`' for name in self.names)
        return f'`"{next(iter(self.names))}"`, …, or a table' + (
            ", or a list of these" if self.form == "entries" else ""
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        names: dict[str, Any] = {"enum": list(self.names)}
        if self.form == "name":
            return names
        if self.form == "keys":
            value = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "object"}]}
            return {"type": "object", "properties": dict.fromkeys(self.names, value), "additionalProperties": False}
        entry = [names, {"type": "object", "properties": {"type": names}, "required": ["type"]}]
        return {"anyOf": entry if self.form == "entry" else [*entry, {"type": "array", "items": {"anyOf": entry}}]}


def one_of(names: Collection[str]) -> BeforeValidator:
    """A text that is one of `names`."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in names:
            raise PydanticKnownError("literal_error", {"expected": ", ".join(map(repr, names))})
        return value

    return Chosen(check, names=names)


def entry_of(registry: Registry[Any]) -> BeforeValidator:
    """An entry of `registry`: its name, or a table of `type` and options."""
    name = one_of(registry)  # type: ignore[arg-type]

    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return name.func(value)  # type: ignore[call-arg]
        try:
            registry.make(value)
        except OptionError as error:
            raise ValueError(str(error)) from error
        return value

    return Chosen(check, names=registry, form="entry")  # type: ignore[arg-type]


def entries_of(registry: Registry[Any]) -> BeforeValidator:
    """What `entry_of` takes, or a list of it, whose tables may have a `weight`."""
    one = entry_of(registry).func

    def check(value: Any) -> Any:
        if not isinstance(value, list):
            return one(value)  # type: ignore[call-arg]
        if not value:
            raise ValueError("the list is empty: name at least one")
        for given in value:
            if isinstance(given, Mapping):
                weighed(given.get("weight", 1.0))
            one({k: v for k, v in given.items() if k != "weight"} if isinstance(given, Mapping) else given)  # type: ignore[call-arg]
        return value

    return Chosen(check, names=registry, form="entries")  # type: ignore[arg-type]


def weighed(weight: Any) -> None:
    """Raise ValueError for a weight that is no finite number of at least 0."""
    if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 <= weight < math.inf:
        raise ValueError(f"weight = {weight!r}: a weight is a number of at least 0")


def keys_of(registry: Registry[Any]) -> BeforeValidator:
    """A table whose keys are names of `registry`; messages.py tells an unknown one as it tells an unknown key of the job."""

    def check(table: Any) -> Any:
        for key, given in table.items() if isinstance(table, Mapping) else ():
            if key not in registry:
                raise PydanticCustomError("unknown_key", "no such key", {"key": key, "known": sorted(registry)})
            try:
                options = {k: v for k, v in given.items() if k != "weight"} if isinstance(given, Mapping) else {}
                registry.make({"type": key, **options})
            except OptionError as error:
                raise ValueError(str(error)) from error
        return table

    return Chosen(check, names=registry, form="keys")  # type: ignore[arg-type]
