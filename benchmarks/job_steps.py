"""What the host does in a step of a job with several views: seconds beside the kernels, every launch waited for.

Two problems, at the size of the demo: its colour, roughness and sky, which move nothing; and every vertex of its object, which
moves edges. Targets are renders from the start, so that nothing diverges; what a step costs does not depend on them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .harness import Result, table
from .parts import parts
from .real_scene import clock
from .steps import uncompared

VIEWS, SIZE, SPP = 4, 64, 16
LIMIT = 0.015  # seconds of the host in a step
WARM = 6  # steps before anything is measured
PROBLEMS = ("materials and sky", "vertices")
WAYS: dict[str, dict[str, Any]] = {"traced": {"replay": False}, "replayed": {"replay": "auto"}}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--steps", type=int, default=6, help="that are measured")
    parser.add_argument("--only", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help="how gradients are made")


def problem(name: str, folder: Path, given: dict[str, Any]) -> Any:
    """The demo's scene, four of its views, and what is unknown."""
    import pbdr
    from pbdr import demo
    from pbdr.inverse import Options, Problem, View
    from pbdr.parameters import VariableSpec

    scene = pbdr.load_scene(demo.write(folder).parent / "scene.xml")
    target = np.full((SIZE, SIZE, 3), 0.3, np.float32)
    views = [View(target, sensor=5 * k, name=f"view-{k}") for k in range(VIEWS)]
    integrator = {"type": "pathspace", "max_depth": 4, **given}
    if name == PROBLEMS[0]:
        unknown = {
            "albedo": VariableSpec("object/base_color", texture=demo.TEXELS, init=0.5),
            "roughness": VariableSpec("object/roughness", init=0.6),
            "sky": VariableSpec("sky/radiance", texture=demo.SKY_ROWS, map="softplus", init=1.0),
        }
    else:
        unknown = {"shape": VariableSpec("shape-object/positions")}
    options = Options(steps=1000, views_per_step=VIEWS, spp=SPP, loss="relmse", integrator=integrator)
    return Problem(scene, views, unknown, options)


def measure(name: str, steps: int, given: dict[str, Any]) -> dict[str, Any]:
    """Medians over warm steps: processor and wall seconds; of the quietest step, what the host and kernels took, by part."""
    from pbdr.inverse.fit import init, step

    with tempfile.TemporaryDirectory() as folder, uncompared():
        made = problem(name, Path(folder), given)
        states, plain, split = [init(made)], [], []
        take = lambda: states.append(step(made, states.pop())[0])  # noqa: E731
        for _ in range(WARM):
            take()
        for _ in range(steps):
            plain.append(clock(take))
            with parts() as spent:
                take()
            split.append(spent)
    least = min(split, key=lambda spent: spent.total().host)
    total = least.total()
    return {
        "cpu": float(np.median([x["cpu"] for x in plain])), "wall": float(np.median([x["wall"] for x in plain])),
        "host": total.host, "kernels": total.kernels, "launches": total.launches,
        "parts": {k: {"host": v.host, "cpu": v.cpu} for k, v in least.spent.items()},
    }  # fmt: skip


def run(options: argparse.Namespace) -> Result:
    """Both problems, with every value of `replay` asked for."""
    found = {f"{name}, {way}": measure(name, options.steps, WAYS[way]) for name in options.only for way in options.ways}
    rows = [
        [name, *(f"{1e3 * one[key]:.0f}" for key in ("host", "kernels", "cpu", "wall")), one["launches"],
         ", ".join(f"{k} {1e3 * v['host']:.0f}" for k, v in sorted(one["parts"].items(), key=lambda x: -x[1]["host"])[:6])]
        for name, one in found.items()
    ]  # fmt: skip
    text = (
        f"A step of {VIEWS} views of {SIZE}², {SPP} spp, depth 4, after {WARM} steps. Milliseconds: of the host beside the "
        "kernels, every launch waited for, in the quietest step, and of its kernels; of the processor and by the wall in steps "
        "left alone, medians. Replays are not compared with traced passes here. The rest of the host's work, where passes are "
        f"replayed, is mostly Dr.Jit's. Required: {1e3 * LIMIT:.0f} ms of the host.\n\n"
        + table(["unknown", "host", "kernels", "processor", "wall", "launches", "of the host"], rows)
    )
    return Result("job_steps", {"problems": found}, text, all(one["host"] <= LIMIT for one in found.values()))
