"""The split of a list of views into training and held-out ones."""

from __future__ import annotations

from typing import TypeVar

from ..errors import OptionError

T = TypeVar("T")


def holdout_rule(rule: str | None) -> tuple[str, int]:
    """(kind, count) of a rule: ("every", 8), ("last", 4) or ("none", 0). Raises OptionError for what is no rule."""
    if rule is None or rule == "none":
        return "none", 0
    kind, _, number = rule.partition(":")
    digits = number.isascii() and number.isdigit() and len(number) < 10
    if kind not in ("every", "last") or not digits or int(number) < 1:
        raise OptionError(f"[data] holdout = {rule!r} is not a rule; use 'every:8', 'last:4' or 'none'")
    return kind, int(number)


def split_holdout(items: list[T], rule: str | None) -> tuple[list[T], list[T]]:
    """(training, held out). ``"every:8"`` holds out items 0, 8, 16, …; ``"none"`` or None holds out nothing;
    ``"last:4"`` the last four."""
    kind, count = holdout_rule(rule)
    if kind == "none":
        return list(items), []
    if kind == "every":
        held = set(range(0, len(items), count))
    else:
        held = set(range(max(0, len(items) - count), len(items)))
    if len(held) >= len(items):
        raise OptionError(
            f"[data] holdout = {rule!r} leaves no training view of {len(items)}; hold out fewer, or use 'none'"
        )
    training = [item for i, item in enumerate(items) if i not in held]
    return training, [items[i] for i in sorted(held)]
