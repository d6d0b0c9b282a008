"""When a fit ends before its last step, and the smoothed loss that says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pbdr.inverse.least_squares import seen
from pbdr.inverse.problem import Options, Problem
from pbdr.inverse.state import Progress, State

#: Weight of the past in the smoothed loss that `patience` looks at.
SMOOTHING = 0.9


def progressed(options: Options, state: State, loss: float) -> Progress:
    """Return the smoothed loss after a step that began at `state`, and its best value so far."""
    last = state.progress
    # A change of resolution changes the loss: compare only within one.
    fresh = any(start == state.step for start, _ in options.resolution) or not np.isfinite(last.smoothed)
    smoothed = loss if fresh else SMOOTHING * last.smoothed + (1 - SMOOTHING) * loss
    if fresh or smoothed < last.best:
        return Progress(smoothed, smoothed, state.step)
    return replace(last, smoothed=smoothed)


def reason(problem: Problem, state: State) -> str:
    """Return why no step follows `state`: settled, patience, max_minutes, or "" if one does."""
    options = problem.options
    if problem.optimiser.settled(
        state.memory, seen(problem, problem.at(state), state.latents, range(len(problem.views)))
    ):
        return "settled"
    if options.patience is not None and state.step - 1 - state.progress.best_step >= options.patience:
        return "patience"
    return "max_minutes" if options.max_minutes is not None and state.seconds > 60 * options.max_minutes else ""
