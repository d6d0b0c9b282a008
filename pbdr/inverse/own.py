"""Problems that take their steps themselves, since these are no renderings of a scene by an integrator of Mitsuba."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pbdr.inverse.problem import Problem
from pbdr.inverse.state import State

if TYPE_CHECKING:
    from pbdr.inverse.fit import Info


class OwnProblem(Problem):
    """`init`, `step` and `fit` ask it; loop, reasons to end, checkpoints and all that a job does besides are those of any problem.

    `bound`, `integrator` and `at` are those of a `Problem`: with the latents applied, the integrator renders the estimate.
    """

    @abstractmethod
    def first(self) -> State:
        """Return the state before the first step."""

    @abstractmethod
    def advanced(self, state: State) -> tuple[State, Info]:
        """Return the state after one more step, and what it did; raise DivergedError as `fit.step` does."""
