"""Jobs whose unknowns are arguments of functions: the joint angles of a skinned mesh, the parameters of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from validation import examples

from .jobs_case import Case, Limit


def skinned(start: int, folder: Path) -> Mapping[str, float]:
    """Relative errors of the angles in percent, from starts up to 0.4 radians off."""
    module = examples.load("skinned_mesh")
    off = np.random.default_rng([start, 1]).uniform(-0.4, 0.4, len(module.TRUTH))
    found = module.estimate({name: angle + x for (name, angle), x in zip(module.TRUTH.items(), off, strict=True)})
    return {name: 100 * abs(found[name] / angle - 1) for name, angle in module.TRUTH.items()}


def simulated(start: int, folder: Path) -> Mapping[str, float]:
    """Relative errors of velocity and stiffness in percent, from starts up to 30 % off."""
    module, rng = examples.load("simulation"), np.random.default_rng([start, 2])
    first = {name: list(np.array(x) * rng.uniform(0.7, 1.3, len(x))) for name, x in module.TRUTH.items()}
    found = module.estimate(first)
    return {
        name: 100 * float(np.linalg.norm(found[name] - np.array(x)) / np.linalg.norm(x))
        for name, x in module.TRUTH.items()
    }


CASES = (
    Case(
        "function-skinned",
        "joint angles of a skinned mesh, up to 0.4 radians off",
        (Limit("shoulder", 1, "%"), Limit("elbow", 1, "%")),
        3,
        skinned,
    ),
    Case(
        "function-simulation",
        "launch velocity and spring stiffness from six images of a sequence, up to 30 % off",
        (Limit("velocity", 1, "%"), Limit("stiffness", 1, "%")),
        3,
        simulated,
    ),
)
