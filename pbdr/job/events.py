"""What a running job tells whoever watches: a terminal, a log, a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..inverse import Info, Problem, State


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


def record(problem: Problem, state: State, info: Info) -> dict[str, Any]:
    """The line of metrics.jsonl of a step; values of at most four numbers are in it."""
    values: dict[str, float] = {}
    bound = problem.at(state)
    tensors = bound.values(state.latents)
    told = {x.parameter.name: (x.parameter.shape, tensors[key]) for key, x in bound.latents.items()}
    told |= {p.name: (p.shape, state.latents[p.raw]) for f in bound.functions.values() for p in f.arguments}
    for name, (shape, tensor) in told.items():
        if int(np.prod(shape)) > 4:
            continue
        numbers = np.array(tensor).reshape(-1)
        for i, number in enumerate(numbers):
            values[name + (f"[{i}]" if len(numbers) > 1 else "")] = float(number)
    return {
        "step": state.step,
        "loss": info.loss,
        "prior": info.prior,
        "gradient": info.gradient_norms,
        "lr": info.learning_rates,
        "values": values,
        "views": info.views,
        "scale": info.scale,
        "seconds": info.seconds,
        "skipped": info.skipped,
        "notes": info.notes,
    }
