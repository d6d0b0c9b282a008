"""Names of the classes of Mitsuba's objects, and whether they are of Mitsuba or of pbdr at all."""

from __future__ import annotations

from typing import Any


def name_of(node: Any) -> str:
    """Name of the class of a Mitsuba object."""
    return type(node).__name__ if is_foreign(node) else str(node.class_name()).partition("[")[0]


def is_foreign(node: Any) -> bool:
    """Whether a plugin was written in Python, by whoever uses the package."""
    return type(node).__module__.partition(".")[0] not in ("mitsuba", "pbdr")
