"""Sample counts of the terms of a gradient, from a cheap pilot: n ∝ √(V/t) (docs/theory.md, section 8).

V is the variance that one sample of a term brings to the gradient asked for, t what it costs. The defaults of `passes.SHARES` are
the best for nine scenes together; a scene of its own often wants others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pbdr.errors import OptionError
from pbdr.pathspace.passes import SHARES, TERMS
from pbdr.rendering import gradient, pathspace_of
from pbdr.scene import mitsuba_scene, sensor_of
from pbdr.seeds import hashed
from pbdr.transport import camera

WITHIN = 16.0  # counts stay within this factor of the pilot's: a pilot sees little of a heavy tail
SMALL = 0.25  # second size of the pilot: the difference tells what a sample costs beyond the call


@dataclass(frozen=True)
class Allocation:
    """What to ask for.

    spp      samples per pixel of the gradient pass
    options  `n_primary`, … of the integrator
    gain     predicted variance · seconds of the pilot's counts over that of these
    variance, seconds  of each term at the pilot's counts: variance relative to the squared size of the gradient, summed over the
             parameters asked for
    """

    spp: int
    options: dict[str, int]
    gain: float
    variance: dict[str, float]
    seconds: dict[str, float]


def allocate(
    scene: Any, names: str | Iterable[str], adjoint: Any, *, sensor: Any = 0, spp: int = 16, seed: int = 0, integrator: Any = None,
    replicas: int = 6,
) -> Allocation:  # fmt: skip
    """Sample counts that take as long as `spp` samples per pixel with the integrator's own counts, and leave the least variance.

    Arguments as for `pbdr.gradient`; the pilot makes 2 · `replicas` gradients. Terms that are zero keep one sample. Raises
    OptionError for fewer than 3 replicas.
    """
    if replicas < 3:
        raise OptionError(f"replicas = {replicas}; a variance needs at least 3.")
    target = mitsuba_scene(scene)
    film = sensor_of(target, sensor).film()
    tracer = pathspace_of(target, integrator)
    sizes = (max(1, round(SMALL * spp)), spp)
    pixels = int(np.prod(camera.film_size(film)))
    counts = {term: [tracer.samples(film, term, n) if term in SHARES else pixels * n for n in sizes] for term in TERMS}
    values: dict[str, list[Any]] = {term: [] for term in TERMS}
    took = {term: [np.inf, np.inf] for term in TERMS}
    for number in range(-1, replicas):  # the first one compiles
        for term in TERMS:
            for which, samples in enumerate(sizes):
                start = time.perf_counter()
                found = gradient(
                    scene, names, adjoint, sensor=sensor, spp=samples, seed=hashed(seed, "pilot", term, number, which),
                    integrator=integrator, terms=(term,),
                )  # fmt: skip
                if number >= 0:
                    took[term][which] = min(took[term][which], time.perf_counter() - start)
            if number >= 0:
                values[term].append(found.total)
    variance = _variances(values)
    whole = {term: counts[term][1] for term in TERMS}
    chosen = shares(
        {term: v * whole[term] for term, v in variance.items() if v > 0},
        {term: _rate(took[term], counts[term]) for term in TERMS}, whole,
    )  # fmt: skip
    after = sum(variance[term] * whole[term] / n for term, n in chosen.items())
    return Allocation(
        spp=max(1, round(chosen.get("interior", whole["interior"]) / pixels)),
        options={f"n_{term}": max(1, round(chosen.get(term, 1))) for term in SHARES},
        gain=sum(variance.values()) / after if after > 0 else 1.0,
        variance=variance, seconds={term: took[term][1] for term in TERMS},
    )  # fmt: skip


def shares(variance: dict[str, float], rate: dict[str, float], counts: dict[str, int]) -> dict[str, float]:
    """n ∝ √(V/t), within WITHIN of `counts` and as costly as they are. `variance`: of one sample; `rate`: seconds of one."""
    budget = sum(rate[term] * counts[term] for term in variance)
    low, high = 1e-30, 1e30
    result: dict[str, float] = {}
    for _ in range(100 if variance else 0):  # the factor in front: costs grow with it
        factor = float(np.sqrt(low * high))
        result = {
            term: float(np.clip(factor * np.sqrt(v / rate[term]), counts[term] / WITHIN, counts[term] * WITHIN))
            for term, v in variance.items()
        }
        low, high = (factor, high) if sum(rate[term] * n for term, n in result.items()) < budget else (low, factor)
    return result


def _variances(values: dict[str, list[Any]]) -> dict[str, float]:
    """Of every term: its variance relative to the squared size of the whole gradient, summed over parameters."""
    names = sorted({name for found in values.values() for name in found[0]})
    means = {name: sum(np.mean([v[name] for v in found], axis=0) for found in values.values()) for name in names}
    squared = {name: float(np.square(mean).sum()) for name, mean in means.items()}
    return {
        term: sum(
            float(np.var([v[name] for v in found], axis=0, ddof=1).sum()) / squared[name]
            for name in names
            if squared[name] > 0
        )
        for term, found in values.items()
    }


def _rate(seconds: list[float], counts: list[int]) -> float:
    """Seconds of one more sample, from two sizes; at least a twentieth of the mean."""
    mean = seconds[1] / counts[1]
    if counts[1] == counts[0]:
        return mean
    return max((seconds[1] - seconds[0]) / (counts[1] - counts[0]), 0.05 * mean)
