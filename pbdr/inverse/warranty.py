"""Gradients watched while fitting: now and then one is compared with finite differences, in a sequential test over the whole job.

An audit takes one variable and one view. Its latents move along a random direction; the loss is that of the job, against a target
of its own, the present image under a random pattern, so that there is something to be seen however near the fit is to its end.
Both sides of a difference have the same random numbers. There are a derivative x and two differences, y and z, whose noise is
independent of each other, so that the regression of x on the true derivative is not pulled down by noise: the ratio is Σ x z / Σ
y z. Over all audits of a variable, (x − y) z has the mean 0 when the gradient is right, and a job is stopped when it differs from
it by more than TOLERANCE · Σ y z at a level that is spent over the audits, α / (n (n + 1)) at the n-th: all looks together have a
false alarm with a probability of at most α.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pbdr.errors import GradientError
from pbdr.inverse import gauge
from pbdr.inverse.fit import render_view, view_loss
from pbdr.inverse.problem import Problem
from pbdr.inverse.state import State
from pbdr.inverse.workers import Task
from pbdr.parameters import FunctionSpec
from pbdr.parameters.variables import Latent
from pbdr.seeds import hashed

#: Part of the job's time that audits may take.
BUDGET = 0.05
#: Difference that is let pass, relative to the derivative; probability of a false alarm in a job, for each variable.
TOLERANCE, LEVEL = 0.05, 1e-3
#: Audits before which nothing is decided.
LEAST = 4
#: Half of the step of a difference, in learning rates; it doubles where two differences disagree by more than a fifth, up to so
#: many times: of what moves nothing, and of what moves edges, whose differences are noisier.
STEP, LARGER, LARGER_MOVING = 0.25, 8, 64


@dataclass
class Record:
    """Audits of one variable: rows of the derivative along the direction and two differences, (x, y, z)."""

    rows: list[tuple[float, float, float]] = field(default_factory=list)
    step: float = STEP

    @property
    def ratio(self) -> float:
        """Derivative over difference; infinite while there is none."""
        if not self.rows:
            return math.inf
        x, y, z = np.array(self.rows).T
        below = float((y * z).sum())
        return 0.5 * float((x * (y + z)).sum()) / below if below else math.inf

    def wrong(self) -> bool:
        """Return whether the derivatives are certainly off by more than TOLERANCE, after the last audit."""
        count = len(self.rows)
        if count < LEAST:
            return False
        x, y, z = np.array(self.rows).T
        off, size = 0.5 * ((x - y) * z + (x - z) * y), y * z
        if not size.sum() > 0:
            return False  # too noisy to see anything
        ratio = off.sum() / size.sum()
        level = LEVEL / (count * (count + 1))
        # The error of a ratio of sums: only what does not grow with the size of an audit.
        error = math.sqrt(count / (count - 1) * float(np.square(off - ratio * size).sum())) / float(size.sum())
        return bool(abs(ratio) - error * float(stats.t.ppf(1 - level / 2, count - 1)) > TOLERANCE)


class Warranty:
    """Audits of a problem's gradients; call `after` after every step. Nothing that the fit depends on is changed."""

    def __init__(self, problem: Problem, budget: float = BUDGET) -> None:
        self.problem, self.budget = problem, budget
        self.records: dict[str, Record] = {}
        self.spent = self.fitting = self.last = 0.0
        self.count = 0

    def after(self, state: State, seconds: float) -> None:
        """Audit once if there is time for it. `seconds`: what the step took.

        Raises GradientError, naming variable and parameters, when a gradient is certainly wrong.
        """
        self.fitting += seconds
        # What the next one costs: as much as the last; the first, about a step.
        if self.spent + (self.last or seconds) > self.budget * self.fitting:
            return
        start = time.perf_counter()
        self.audit(state)
        self.last = time.perf_counter() - start
        self.spent += self.last

    def audit(self, state: State) -> None:
        """Audit the variable whose turn it is."""
        bound = self.problem.at(state)
        names = [
            n for n, spec in bound.specs.items() if spec.start <= state.step and not isinstance(spec, FunctionSpec)
        ]
        if not names:
            return
        name = names[self.count % len(names)]
        chance = np.random.default_rng(hashed(self.problem.options.seed, "audit", self.count))
        record = self.records.setdefault(name, Record())
        keys = bound.names(name)
        row = self._row(state, keys, record.step, chance)
        self.count += 1
        if not all(map(math.isfinite, row)):
            return  # the fit itself counts and refuses it
        record.rows.append(row)
        still = all(bound.latents[k].parameter.row.moves_nothing(bound.latents[k].parameter.raw) for k in keys)
        if abs(row[1] - row[2]) > 0.2 * (abs(row[1]) + abs(row[2])):
            record.step = min(2 * record.step, STEP * (LARGER if still else LARGER_MOVING))
        if record.wrong():
            parameters = ", ".join(bound.latents[key].parameter.name for key in bound.names(name))
            raise GradientError(
                f"the gradient of variable {name!r} ({parameters}) is wrong: over {len(record.rows)} audits it is "
                f"{record.ratio:.3g} times the finite difference of the loss. `pbdr verify` says which term of it is wrong"
            )

    def summary(self) -> dict[str, Any]:
        """Return what metrics.json holds of it: by variable the number of audits and the ratio of derivative to difference."""
        return {
            "share_of_time": self.spent / self.fitting if self.fitting else 0.0,
            "variables": {
                name: {"audits": len(one.rows), "ratio": one.ratio if math.isfinite(one.ratio) else None}
                for name, one in self.records.items()
            },
        }

    def _row(
        self, state: State, keys: list[str], step: float, chance: np.random.Generator
    ) -> tuple[float, float, float]:
        """Return the derivative of a loss along a random direction of the latents `keys`, and two finite differences."""
        problem, bound, number = (
            self.problem,
            self.problem.at(state),
            hashed(self.problem.options.seed, "audit", self.count),
        )
        index = int(chance.integers(len(problem.views)))
        latents = {key: value for key, value in state.latents.items() if key != gauge.TINT}
        direction = {key: self._direction(bound.latents[key], latents[key], step, chance) for key in keys}
        aimed: Any = _Aimed(problem, self._pattern(replace(state, latents=latents), index, number, chance))

        def loss(sign: float, seed: int) -> float:
            moved = {k: mi.TensorXf(v + sign * direction[k]) if k in direction else v for k, v in latents.items()}
            with dr.suspend_grad():
                params = bound.apply(moved, time=problem.views[index].time)
                return float(view_loss(aimed, params, moved, Task(index), seed).array[0])

        y, z = (0.5 * (loss(1, seed) - loss(-1, seed)) for seed in (number + 1, number + 2))
        leaves = {k: mi.TensorXf(v) for k, v in latents.items()}
        dr.enable_grad(*[leaves[k] for k in keys])
        params = bound.apply(leaves, time=problem.views[index].time)
        dr.backward(view_loss(aimed, params, leaves, Task(index), number))
        x = sum(float(dr.sum(dr.grad(leaves[k]).array * direction[k].array)[0]) for k in keys)
        bound.apply(state.latents)
        return x, y, z

    @staticmethod
    def _direction(one: Latent, latent: Any, step: float, chance: np.random.Generator) -> Any:
        """Return half of a difference: steps upwards, of about `step` learning rates; none where a bound would stop them.

        All upwards: what many numbers do together is seen better than what each does alone. The numbers of a pose do different
        things.
        """
        signs = chance.choice((-1.0, 1.0), latent.shape) if one.map.poses else 1.0
        size = step * one.lr * chance.uniform(0.8, 1.2, latent.shape) * signs
        at = np.array(latent, dtype=np.float32)
        for sign in (1, -1):
            there = (at + sign * size).astype(np.float32)
            kept = np.array(one.map.project(mi.TensorXf(there), one.place))
            size = np.where(np.abs(kept - there) > 0, 0.0, size)
        return mi.TensorXf(size.astype(np.float32))

    def _pattern(self, state: State, index: int, number: int, chance: np.random.Generator) -> NDArray[np.float32]:
        """Return a target: the image of view `index`, darker by a random wave, which breaks every symmetry."""
        image = render_view(self.problem, state, index, spp=self.problem.options.spp, seed=number)
        v, u = np.indices(image.shape[:2]) / np.array(image.shape[:2]).reshape(2, 1, 1)
        angle, phase = chance.uniform(0, 2 * math.pi, 2)
        wave = np.cos(2 * math.pi * (u * math.cos(angle) + v * math.sin(angle)) + phase)
        return np.asarray(image * (0.5 + 0.3 * wave[..., None]), dtype=np.float32)


class _Aimed:
    """A problem with another target, whatever the view; it is its own `targets`."""

    def __init__(self, problem: Problem, target: NDArray[np.float32]) -> None:
        self._problem, self._target = problem, mi.TensorXf(target)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    @property
    def targets(self) -> _Aimed:
        """What `Problem.targets` is."""
        return self

    def radiance(self, index: int, shape: Any) -> tuple[Any, Any]:
        """Return (target, mask or None)."""
        return self._target, self._problem.targets.radiance(index, shape)[1]

    def plane(self, index: int, *words: Any) -> tuple[Any, Any]:
        """Return the planes of the problem."""
        return self._problem.targets.plane(index, *words)
