"""The warm start of a job: [warm_start] in the words of `inverse.soft`, before the first step of a run."""

from __future__ import annotations

from collections.abc import Callable

from ..inverse import Problem, State
from ..inverse.soft import WarmStart, warm_start
from .config import Job


def options(job: Job) -> WarmStart | None:
    """Return how the job starts; None: where the scene is."""
    section = job.warm_start
    if section is None:
        return None
    return WarmStart(section.steps, section.shape, section.sigma, section.lr, section.resolution, section.tries)


def started(job: Job, problem: Problem, first: State, say: Callable[[str], None]) -> State:
    """Return the state that the fit starts from. Raises OptionError, DataError where silhouettes cannot be drawn or compared."""
    chosen = options(job)
    return first if chosen is None else warm_start(problem, chosen, say)
