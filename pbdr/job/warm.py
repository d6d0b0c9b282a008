"""The warm start of a job: [warm_start] in the words of `inverse.soft`, before the first step of a run."""

from __future__ import annotations

from collections.abc import Callable

from ..inverse import Problem, State, soft
from ..inverse.soft import WarmStart
from ..scene import Scene
from .config import Job


def options(job: Job) -> WarmStart | None:
    """Return how the job starts; None: where the scene is."""
    section = job.warm_start
    if section is None:
        return None
    return WarmStart(section.steps, section.shape, section.sigma, section.lr, section.resolution, section.tries)


def check(job: Job, scene: Scene, problem: Problem | None = None) -> None:
    """Raise OptionError where the scene has no silhouettes to draw, and DataError where views of a problem have no masks."""
    chosen = options(job)
    if chosen is not None and problem is not None:
        soft.check(problem, chosen)
    elif chosen is not None:
        soft.meshes(scene, chosen)


def started(job: Job, problem: Problem, first: State, say: Callable[[str], None]) -> State:
    """Return the state that the fit starts from. Raises OptionError, DataError where silhouettes cannot be drawn or compared."""
    chosen = options(job)
    return first if chosen is None else soft.warm_start(problem, chosen, say)
