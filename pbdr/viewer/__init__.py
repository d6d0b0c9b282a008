"""`pbdr view`: a run, at work or finished, or a scene, in a browser on this machine (viser, bound to 127.0.0.1).

A run is seen by its files alone: the job runs in a process of its own, whose course the viewer does not touch. `pbdr.job.live`
says how a viewer asks a run to pause and to show its state.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import OptionError

if TYPE_CHECKING:
    from .model import Model

#: Seconds after the last browser has left, and until the first one must have come.
ALONE, FIRST = 10.0, 600.0


@dataclass(frozen=True)
class Ending:
    """When a viewer ends: with the job that it was opened on, or when its last browser has left, unless it is to be kept."""

    keep: bool = False
    alone: float = ALONE
    first: float = FIRST


def check() -> None:
    """Raise OptionError where the viewer's package is missing."""
    if importlib.util.find_spec("viser") is None:
        raise OptionError("the viewer needs another package: pip install 'pbdr[view]'")


def serve(model: Model, port: int, ending: Ending, tell: Callable[[str], None]) -> str:
    """Show a model until it is time to end (`Ending`); returns the address, which `tell` is told at the start."""
    from .session import Session  # needs Mitsuba's variant, as `check` does not

    session = Session(model, port, tell)
    tell(f"viewer: {session.url}")
    session.run(ending)
    return session.url
