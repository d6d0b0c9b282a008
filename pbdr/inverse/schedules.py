"""What changes over the steps: learning rates, resolution, views. All are functions of the step alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from pbdr.errors import OptionError, closest
from pbdr.seeds import hashed

#: Fraction of the learning rate that cosine decay ends at.
FINAL = 0.01

#: Decays of the learning rate: from the fraction of all steps that is done to the factor.
DECAYS: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: FINAL + (1 - FINAL) * 0.5 * (1 + math.cos(math.pi * done)),
    "none": lambda done: 1.0,
}


def decay(name: str, step: int, steps: int) -> float:
    """Return the factor of the learning rate at `step` of `steps`."""
    return DECAYS[name](min(step / max(steps, 1), 1.0))


def check_decay(name: str) -> None:
    """Raise OptionError unless `name` is a decay."""
    if name not in DECAYS:
        near = closest(name, DECAYS)
        hint = f" Closest: {', '.join(near)}." if near else ""
        raise OptionError(f"lr_decay {name!r} is unknown.{hint} Decays: {', '.join(DECAYS)}")


def check_resolution(schedule: Sequence[tuple[int, float]]) -> None:
    """Raise OptionError unless `schedule` starts at step 0 and has growing steps and scales in (0, 1]."""
    steps = [step for step, _ in schedule]
    if not steps or steps[0] != 0 or any(b <= a for a, b in itertools.pairwise(steps)):
        raise OptionError(f"resolution {list(schedule)}: the first step is 0 and the steps grow")
    if any(not 0 < scale <= 1 for _, scale in schedule):
        raise OptionError(f"resolution {list(schedule)}: a scale is above 0 and at most 1")


def resolution(schedule: Sequence[tuple[int, float]], step: int) -> float:
    """Return the film scale at `step`."""
    return [scale for start, scale in schedule if start <= step][-1]


def views(count: int, per_step: int, step: int, seed: int) -> list[int]:
    """Return the indices of the views of `step`: every epoch is a fresh random order, without replacement.

    The last step of an epoch takes what is left, so it may have fewer than `per_step`.
    """
    per_epoch = -(-count // per_step)
    order = np.random.default_rng(hashed(seed, "views", step // per_epoch)).permutation(count)
    first = (step % per_epoch) * per_step
    return [int(i) for i in order[first : first + per_step]]
