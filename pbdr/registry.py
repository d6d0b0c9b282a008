"""Registries of what job files and options choose by name: losses, priors, optimisers, maps.

One entry is one class: a frozen dataclass that states its `name`; its fields are its options, declared by `option` with their
default and what they do. A choice is a name, `"relmse"`, or a table of a name and options, `{ type = "relmse", floor = 0.1 }`.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pbdr.errors import OptionError, closest

T = TypeVar("T")
Choice = str | Mapping[str, Any]


def option(default: bool | int | float | str, text: str) -> Any:
    """Declare a field of an entry as an option: its default, whose type its values must have, and what it does."""
    return dataclasses.field(default=default, metadata={"text": text})


class Registry(Generic[T]):
    """Entries by name, in the order in which they were registered. `what` and `plural` are the words of messages."""

    def __init__(self, what: str, plural: str, entries: Iterable[type[T]] = ()) -> None:
        self.what, self.plural = what, plural
        self._entries: dict[str, type[T]] = {}
        for entry in entries:
            self.register(entry)

    def register(self, entry: type[T]) -> type[T]:
        """Add a class, and return it, so that this may decorate one. Its name must be new.

        Raises OptionError for a class that is no entry, and for a name that another class has.
        """
        name = getattr(entry, "name", None)
        if not isinstance(name, str) or not name.isidentifier() or not dataclasses.is_dataclass(entry):
            raise OptionError(
                f"{entry.__name__} cannot be a {self.what}: it is a frozen dataclass with a name of letters, digits and '_', "
                'for example name: ClassVar[str] = "mine"'
            )
        other = self._entries.get(name)
        same = other is not None and (other.__module__, other.__qualname__) == (entry.__module__, entry.__qualname__)
        if other is not None and not same:  # the same class again: a cell of a notebook that was run twice
            raise OptionError(f"there is a {self.what} {name!r} already ({other.__module__}.{other.__qualname__})")
        self._entries[name] = entry
        return entry

    def forget(self, name: str) -> None:
        """Take an entry out again; nothing happens if there is none."""
        self._entries.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._entries

    def __getitem__(self, name: str) -> type[T]:
        """Return the class `name`; OptionError with the closest names and all names if there is none."""
        if name not in self:
            raise OptionError(
                f"{self.what} {name!r} is unknown.{_closest(name, self)} {self.plural}: {', '.join(self)}"
            )
        return self._entries[name]

    def make(self, choice: Choice) -> T:
        """Return the entry that a name, or a table of `type` and options, means. Raises OptionError."""
        given = {"type": choice} if isinstance(choice, str) else dict(choice)
        name = given.pop("type", None)
        if not isinstance(name, str):
            raise OptionError(
                f'a {self.what} is a name, or a table with its name as type: {{ type = "{next(iter(self))}" }}'
            )
        entry = self[name]
        defaults = {key: default for key, (default, _) in options(entry).items()}
        for key, value in given.items():
            if key not in defaults:
                known = f" Options: {', '.join(defaults)}" if defaults else " It has none"
                raise OptionError(f"{self.what} {name!r} has no option {key!r}.{_closest(key, defaults)}{known}")
            given[key] = _typed(f"{self.what} {name!r}: {key}", value, defaults[key])
        return entry(**given)


def options(entry: Any) -> dict[str, tuple[Any, str]]:
    """Return the options of an entry: name → (default, what it does)."""
    return {
        field.name: (field.default, field.metadata["text"]) for field in dataclasses.fields(entry) if field.metadata
    }


def table(registry: Registry[Any]) -> list[str]:
    """Return the rows of a Markdown table: what it is, its name, the first paragraph of its docstring, its options."""
    rows = []
    for name in registry:
        text = " ".join((inspect.getdoc(registry[name]) or "").split("\n\n")[0].split())
        given = "; ".join(f"`{key} = {default}`: {what}" for key, (default, what) in options(registry[name]).items())
        cells = (cell.replace("|", "\\|") for cell in (text, given))  # absolute values
        rows.append(f"| {registry.what} | `{name}` | {' | '.join(cells)} |")
    return rows


def _closest(name: str, names: Iterable[str]) -> str:
    near = closest(name, names)
    return f" Closest: {', '.join(near)}." if near else ""


def _typed(what: str, value: Any, default: Any) -> Any:
    """`value` in the type of `default`; whole numbers serve as numbers. Raises OptionError."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default) or (isinstance(value, float) and not math.isfinite(value)):
        words = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
        raise OptionError(f"{what} = {value!r}: give {words.get(type(default), type(default).__name__)}")
    return value
