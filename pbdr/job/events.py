"""What a running job tells whoever watches: a terminal, a log, a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Events(Protocol):
    """Callbacks of a running job."""

    def message(self, text: str) -> None:
        """A line worth reading."""

    def started(self, done: int, steps: int) -> None:
        """The loop begins at step ``done`` of ``steps``."""

    def stepped(self, record: Mapping[str, Any]) -> None:
        """One step is done; ``record`` is its line of metrics.jsonl."""

    def ended(self) -> None:
        """The loop is over, for whatever reason."""


class Silent:
    """Events that nobody watches."""

    def message(self, text: str) -> None:
        """Nothing."""

    def started(self, done: int, steps: int) -> None:
        """Nothing."""

    def stepped(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def ended(self) -> None:
        """Nothing."""
