"""What gradients of media cost: processor seconds of a warm gradient of a grid in primal images, and `prbvolpath` beside it.

Processor seconds, since wall time says more about who else is at work. The variance of the peer counts where it is right: for a
homogeneous medium. Efficiency is 1 / (variance · seconds), ours over the peer's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .harness import Result, table

GOAL, EFFICIENCY = 6.0, 2.0  # primals a gradient; ours over the peer's
WARM = 2  # calls before any that is measured


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--cells", type=int, default=64, help="cells of the grid a side")
    parser.add_argument("--spp", type=int, default=16)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=6, help="warm calls of each, one after the other in turn")


def _scene(medium: dict[str, Any], size: int) -> Any:
    from pbdr.scene import load_scene
    from validation.scenes import media, zoo

    return load_scene(
        {**media.scene(medium, sky=media.SKY), "camera": zoo.camera(film=zoo.film(width=size, height=size))}
    )


def _gradient(scene: Any, tracer: Any, name: str, spp: int) -> Callable[[int], Any]:
    """A function of the seed: the derivative of the mean image by the parameter, all of its entries moving together."""
    import drjit as dr
    import mitsuba as mi

    from pbdr.parameters import list_parameters, traverse

    key = next(p.raw for p in list_parameters(scene) if p.name == name)
    params = traverse(scene)

    def estimate(seed: int) -> float:
        leaf = type(params[key])(params[key])
        dr.enable_grad(leaf)
        params[key] = leaf
        params.update()
        image = mi.render(scene.mi, params, integrator=tracer, spp=spp, seed=seed)
        dr.backward(dr.mean(image, axis=None))
        found = float(np.sum(np.array(dr.grad(leaf))))
        params[key] = dr.detach(leaf)
        params.update()
        return found

    return estimate


def _seconds(calls: dict[str, Callable[[int], Any]], rounds: int) -> dict[str, tuple[float, list[float]]]:
    """Median processor seconds and results of each call, by rounds in turn."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    values: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(-WARM, rounds):
        for name, call in calls.items():
            start = time.process_time()
            value = float(np.sum(np.array(call(number + WARM))))
            if number >= 0:
                spent[name].append(time.process_time() - start)
                values[name].append(value)
    return {name: (float(np.median(spent[name])), values[name]) for name in calls}


def run(options: argparse.Namespace) -> Result:
    """A grid: primals a gradient. A homogeneous medium: efficiency against the peer."""
    import mitsuba as mi

    from validation.scenes import media

    path = {"max_depth": options.depth}
    ours, peer = mi.load_dict({"type": "pathspace", **path}), mi.load_dict({"type": "prbvolpath", **path})
    density = np.random.default_rng(1).uniform(0, 3, (options.cells,) * 3)
    cloud = _scene(media.cloud(values=density), options.size)
    found = _seconds(
        {
            "primal": lambda seed: mi.render(cloud.mi, integrator=ours, spp=options.spp, seed=seed),
            "gradient": _gradient(cloud, ours, "thing/sigma_t", options.spp),
        },
        options.rounds,
    )
    primals = found["gradient"][0] / found["primal"][0]
    even = _scene(media.fog(1.5, 0.7), options.size)
    both = _seconds(
        {
            name: _gradient(even, tracer, "thing/sigma_t", options.spp)
            for name, tracer in (("pathspace", ours), ("prbvolpath", peer))
        },
        options.rounds,
    )
    costs = {name: float(np.var(values, ddof=1)) * seconds for name, (seconds, values) in both.items()}
    efficiency = costs["prbvolpath"] / costs["pathspace"]
    rows = [["gradient of a grid, in primals", f"{primals:.2f}", f"≤ {GOAL:g}"],
            ["efficiency on a homogeneous medium, over prbvolpath", f"{efficiency:.2f}", f"≥ {EFFICIENCY:g}"]]  # fmt: skip
    data = {
        "size": options.size, "cells": options.cells, "spp": options.spp, "depth": options.depth, "rounds": options.rounds,
        "primals": primals, "efficiency": efficiency, "seconds": {name: value for name, (value, _) in (found | both).items()},
        "values": {name: values for name, (_, values) in both.items()},
    }  # fmt: skip
    return Result(
        "media_cost", data, table(["what", "found", "goal"], rows), primals <= GOAL and efficiency >= EFFICIENCY
    )
