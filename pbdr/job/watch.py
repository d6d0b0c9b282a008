"""What watches over the fit of a job: audits of its gradients, and a step back with half the rate where it diverges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import inverse
from ..errors import DivergedError
from ..inverse import Info, Problem, Result, State
from ..inverse.warranty import Warranty

#: Steps back in a job, each of which halves the learning rates.
STEPS_BACK = 3
#: A loss that is this many times that of the start, at the same resolution, has diverged.
RISE = 4.0


class Watch:
    """Runs `inverse.fit`; after `steps_back` steps back the learning rates have the factor 2^−steps_back.

    `audited`: the audits of the gradients, None where they are switched off.
    """

    def __init__(self, problem: Problem, audits: bool, say: Callable[[str], None], steps_back: int = 0) -> None:
        self.say = say
        self.steps_back = steps_back
        self.problem = self._slowed(problem)
        self.plain = problem
        self.audited = Warranty(self.problem) if audits else None
        self._start: dict[float, float] = {}
        self._moved: dict[str, bool] = {}
        self._first: int | None = None

    def _slowed(self, problem: Problem) -> Problem:
        if not self.steps_back:
            return problem
        return problem.at_rate(0.5**self.steps_back)

    def fit(self, callback: Callable[[State, Info], object], state: State, last_good: Callable[[], State]) -> Result:
        """Fit from `state`; where it diverges, go on from `last_good()` with half the rates.

        Raises DivergedError when that does not help, GradientError for a wrong gradient.
        """
        while True:
            try:
                return inverse.fit(self.problem, self._watched(callback), state)
            except DivergedError as error:
                if self.steps_back >= STEPS_BACK:
                    raise DivergedError(
                        f"{error} ({STEPS_BACK} steps back with half the rate did not help). {self._advice()}"
                    ) from None
                self.steps_back += 1
                state = last_good()
                self.say(f"diverged: {error}. Back to step {state.step}, with half the learning rates")
                self.problem = self._slowed(self.plain)
                self._start.clear()

    def _watched(self, callback: Callable[[State, Info], object]) -> Callable[[State, Info], object]:
        def after(state: State, info: Info) -> object:
            first = self._start.setdefault(info.scale, abs(state.progress.smoothed))
            if math.isfinite(first) and state.progress.smoothed > RISE * first > 0:
                raise DivergedError(
                    f"step {state.step}: the loss is {state.progress.smoothed / first:.3g} times that of the start"
                )
            if self.audited is not None and not info.skipped:
                self.audited.after(state, info.seconds)
            self._tell_unmoved(state, info)
            return callback(state, info)

        return after

    def _tell_unmoved(self, state: State, info: Info) -> None:
        """Say, once all views have been seen, which variables none of them depends on: whoever waits can stop."""
        for name, norm in info.gradient_norms.items():
            self._moved[name] = self._moved.get(name, False) or norm != 0
        first = self._first = info.step if self._first is None else self._first
        options = self.plain.options
        if first == 0 and state.step == math.ceil(len(self.plain.views) / options.views_per_step):
            still = [repr(name) for name, moved in self._moved.items() if not moved]
            if still:
                what = "the gradient is 0 in every view; `pbdr check` shows what views see"
                self.say(f"no image depends on {', '.join(still)}: {what}")

    def _advice(self) -> str:
        """What to do about a fit that diverges."""
        rates: dict[str, float] = {}
        for leaf in self.plain.bound.leaves.values():
            rates[leaf.variable] = max(leaf.lr, rates.get(leaf.variable, 0.0))
        told = ", ".join(f"{name} ({rate:g})" for name, rate in sorted(rates.items(), key=lambda pair: -pair[1])[:4])
        return f"Lower the lr of {told}; where that is small, `pbdr check` shows whether images and cameras fit"

    def summary(self) -> dict[str, Any]:
        """What metrics.json holds of it."""
        audits = {} if self.audited is None else {"audits": self.audited.summary()}
        return {"steps_back": self.steps_back, **audits}
