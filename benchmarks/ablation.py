"""What each part of the sampling is worth: variance · seconds of a gradient with the part switched off, over that with all of them.

The switched-off estimators have the same expectation (tests/gradient/test_invariances.py and others); they are interleaved in one
process. Variance is that of the whole gradient, summed over its entries.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from validation.switches import FULL, SWITCHES

from .harness import Result, table

SECONDS = 30.0  # of interleaved rounds of a case
ROUNDS = (8, 48)
LEARNING = 5  # calls before the rounds: what guiding learns is kept from call to call
MASKED = ", loss on a tenth of the film"  # ending of cases whose adjoint image is zero elsewhere
CASES = (
    "area light, few triangles", "64 small lights", "glossy indirect light", "bumpy mesh, global illumination",
    "primary visibility, 20,480 triangles", "camera pose", f"area light, few triangles{MASKED}", f"camera pose{MASKED}",
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--only", action="append", metavar="GLOB", help="cases, by name; may be given repeatedly")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of interleaved rounds of a case")


def run(options: argparse.Namespace) -> Result:
    """All cases; a table of ratios."""
    from .speed_cases import CASES as known

    found = {}
    for name in CASES:
        if any(fnmatch.fnmatch(name, pattern) for pattern in options.only or ["*"]):
            masked = name.endswith(MASKED)
            found[name] = measure(known[name.removesuffix(MASKED)], options.seed, options.seconds, masked)
            print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return summary(found)


def switches(scene: Any, speed: Any, adjoint: Any) -> dict[str, tuple[dict[str, Any], Callable[[], Any]]]:
    """Label → (options of `pathspace`, context in which the gradient is computed)."""
    import pbdr

    settings = {"type": "pathspace", "max_depth": speed.case.depth}
    pilot = pbdr.allocate(scene, speed.case.parameter, adjoint, spp=speed.spp, integrator=settings)
    nothing = contextlib.nullcontext
    result: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
        FULL: ({}, nothing),
        "sample counts of a pilot (pbdr.allocate)": ({"spp": pilot.spp, **pilot.options}, nothing),
    }
    for switch in SWITCHES.values():
        if switch.row and (speed.case.depth > 2 or not switch.deep):
            result[switch.label] = (dict(switch.options), switch.patched)
    return result


def measure(speed: Any, seed: int, seconds: float, masked: bool) -> dict[str, Any]:
    """Ratios to FULL with their intervals, by label; `masked`: for an adjoint on a tenth of the film."""
    from dataclasses import replace

    from pbdr.seeds import hashed

    from .run import estimator

    with tempfile.TemporaryDirectory() as folder:
        scene = speed.case.make(Path(folder))
        size = scene.mi.sensors()[0].film().crop_size()
        x, y = np.meshgrid(np.linspace(0, 5, int(size[0])), np.linspace(0, 4, int(size[1])))
        adjoint = np.repeat(np.sin(x + 1.3 * y + 0.4)[..., None], 3, axis=2).astype(np.float32) / x.size
        if masked:  # the middle third of either side
            inside = [(np.arange(n) >= n // 3) & (np.arange(n) < 2 * n // 3) for n in x.shape]
            adjoint *= np.outer(*inside)[..., None]
        estimators: dict[str, Callable[[int], Any]] = {}
        for label, (changed, context) in switches(scene, speed, adjoint).items():
            own = replace(speed, spp=changed.pop("spp", speed.spp))
            settings = {"type": "pathspace", "max_depth": speed.case.depth, **changed}
            estimators[label] = _within(context, estimator(scene, own, settings, adjoint))
            for number in range(LEARNING):
                estimators[label](hashed(seed, "warm", label, number))
        values: dict[str, list[Any]] = {label: [] for label in estimators}
        took: dict[str, list[float]] = {label: [] for label in estimators}
        begin = time.perf_counter()
        for number in range(ROUNDS[1]):
            for label, estimate in estimators.items():
                start = time.perf_counter()
                values[label].append(np.ravel(estimate(hashed(seed, label, number))))
                took[label].append(time.perf_counter() - start)
            if number + 1 >= ROUNDS[0] and time.perf_counter() - begin > seconds:
                break
    return {label: ratio(values[label], took[label], values[FULL], took[FULL]) for label in estimators}


def _within(context: Callable[[], Any], estimate: Callable[[int], Any]) -> Callable[[int], Any]:
    def inside(seed: int) -> Any:
        with context():
            return estimate(seed)

    return inside


def ratio(values: list[Any], took: list[float], full: list[Any], full_took: list[float]) -> dict[str, float]:
    """Variance and seconds over those of FULL, and their product with the 5 % and 95 % quantiles of a bootstrap over rounds."""
    rng, products = np.random.default_rng(0), []
    parts = [(np.array(v), np.array(t)) for v, t in ((values, took), (full, full_took))]
    n = len(values)
    cost = [lambda k, v=v, t=t: (v[k].var(0, ddof=1).sum(), np.median(t[k])) for v, t in parts]
    for _ in range(200):
        # A resample repeats rounds, which lowers its variance alike on both sides.
        (a, s), (b, r) = (c(rng.integers(0, n, n)) for c in cost)
        products.append(a * s / (b * r))
    (a, s), (b, r) = (c(np.arange(n)) for c in cost)
    low, high = np.percentile(products, [5, 95])
    return {
        "variance": float(a / b),
        "seconds": float(s / r),
        "cost": float(a * s / (b * r)),
        "low": float(low),
        "high": float(high),
    }


def summary(found: dict[str, Any]) -> Result:
    """One row a part, one column a case."""
    labels = dict.fromkeys(label for case in found.values() for label in case if label != FULL)
    cells = {label: [case.get(label) for case in found.values()] for label in labels}
    rows = [[label, *map(_cell, ones), _mean([one["cost"] for one in ones if one])] for label, ones in cells.items()]
    text = (
        "Variance · seconds of one gradient with one part of the sampling changed, over that with all as they are: above 1, "
        "the part is worth having. In brackets the 5 % and 95 % quantiles of a bootstrap.\n\n"
        + table(["changed", *found, "geometric mean"], rows)
    )
    return Result("ablation", {"cases": found}, text, None)


def _cell(one: dict[str, float] | None) -> str:
    return "—" if one is None else f"{one['cost']:.2g} ({one['low']:.2g}–{one['high']:.2g})"


def _mean(costs: list[float]) -> str:
    return f"{np.exp(np.mean(np.log(costs))):.2g}"
