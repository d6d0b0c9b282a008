"""Shapes where a scene shows them, and what is kept of them between calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pbdr.geometry import poses
from pbdr.parameters import traverse


@dataclass
class Placed:
    """A shape where the scene shows it: `index` in the scene; for shapes of a group that of the instance, `member` and `frame`.

    `kind`: the object of its kind (kind.py).
    """

    shape: Any
    index: int
    member: int
    frame: Any
    kind: Any = None

    @property
    def key(self) -> str:
        """Name of the shape in caches; the same for all instances of a group."""
        return f"{self.index}:{self.shape.id()}" if self.frame is None else f"group:{self.shape.id()}"

    def outer(self) -> Any:
        """Detached pose (4, 4) of the instance that shows it; the identity without one."""
        return np.eye(4) if self.frame is None else poses.on_host(self.frame.matrix)

    def matrix(self) -> Any:
        """Detached pose (4, 4): the shape's own, taken to the world."""
        return np.asarray(self.outer() @ poses.on_host(traverse(self.shape)["to_world"].matrix))


class Kept:
    """What is kept of shapes between calls, by `Placed.key`, as long as it holds."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.made = 0  # so far: rows may mean other edges than before when it has changed

    def get(self, key: str, holds: Callable[[Any], bool], make: Callable[[], Any]) -> Any:
        """What is known by this name: made anew where it does not hold any more."""
        if key not in self.found or not holds(self.found[key]):
            self.found[key] = make()
            self.made += 1
        return self.found[key]
