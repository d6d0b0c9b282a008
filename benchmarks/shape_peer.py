"""A shape by pbdr's defaults beside Mitsuba's own loop (`prb_projective`, its Large Steps), in one process, step by step in turn.

Both start from the same ball of 5,120 faces, see the same images with as many samples in the same order of views, and move by
the same rate. Mitsuba's loop samples the primary boundary alone (`sppi = 0`) and minimises the squared error. pbdr samples all
boundaries, and renders twice for a squared error without noise bias, as jobs do by default. Times are processor times of this
process, which others on the machine change less than wall time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from .harness import Result, table
from .jobs_shape import DEPTH, PEANUT, SIZE, SPOT, SPP, VIEWS, Thing

#: Distances, as parts of the one at the start, whose times are compared.
PARTS = (5, 10, 20, 40)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--thing", choices=("peanut", "spot"), default="peanut")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--every", type=int, default=5, help="steps between two looks at the distance")


class Run:
    """One contender: `step(number)` moves its mesh by one step; `mesh()` is its estimate; `seconds` what the steps took."""

    def __init__(self, step: Callable[[int], None], mesh: Callable[[], trimesh.Trimesh]) -> None:
        self.step, self.mesh, self.seconds = step, mesh, 0.0
        self.found: list[tuple[int, float, float]] = []

    def go(self, number: int) -> None:
        """Take a step, and count its time."""
        start = time.process_time()
        self.step(number)
        self.seconds += time.process_time() - start

    def look(self, number: int, truth: trimesh.Trimesh) -> None:
        """Note the distance to the truth."""
        from validation import shapes

        self.found.append((number, self.seconds, shapes.chamfer(self.mesh(), truth)))

    def reached(self, distance: float) -> float | None:
        """Seconds after which the distance was at most this."""
        return next((seconds for _, seconds, found in self.found if found <= distance), None)


def _ours(scene: Any, views: list[Any], options: argparse.Namespace) -> Run:
    from pbdr.inverse import Options, Problem, init, step
    from pbdr.inverse.problem import JOB
    from pbdr.parameters import VariableSpec

    given = Options(steps=options.steps, views_per_step=JOB.views_per_step, spp=SPP, loss=JOB.loss, seed=options.seed,
                    integrator={"type": "pathspace", "max_depth": DEPTH})  # fmt: skip
    problem = Problem(scene, views, {"shape": VariableSpec("object/positions")}, given)
    state = [init(problem)]
    (key,) = problem.bound.latents

    def one(number: int) -> None:
        state[0], _ = step(problem, state[0])

    def mesh() -> trimesh.Trimesh:
        return trimesh.Trimesh(problem.bound.numpy(state[0].latents)["object/positions"], problem.bound.faces(key), process=False)

    return Run(one, mesh)


def _peer(scene: Any, views: list[Any], rate: float, options: argparse.Namespace) -> Run:
    import drjit as dr
    import mitsuba as mi

    from pbdr.inverse import schedules
    from pbdr.inverse.problem import JOB
    from pbdr.parameters import traverse

    params = traverse(scene)
    name, faces = "object.vertex_positions", np.array(params["object.faces"]).reshape(-1, 3)
    large = mi.ad.LargeSteps(params[name], params["object.faces"])
    adam = mi.ad.Adam(lr=rate, uniform=True)
    adam["u"] = large.to_differential(params[name])
    tracer = mi.load_dict({"type": "prb_projective", "max_depth": DEPTH, "sppc": SPP, "sppp": SPP, "sppi": 0})

    def one(number: int) -> None:
        chosen = schedules.views(len(views), JOB.views_per_step, number, options.seed)
        adam.set_learning_rate(rate * schedules.decay(JOB.lr_decay, number, options.steps))
        params[name] = large.from_differential(adam["u"])
        params.update()
        loss = mi.Float(0)
        for k in chosen:
            image = mi.render(scene.mi, params, sensor=k, integrator=tracer, seed=1000 * number + k, spp=SPP)
            loss += dr.mean(dr.square(image - mi.TensorXf(views[k].target)), axis=None).array / len(chosen)
        dr.backward(loss)
        adam.step()
        dr.eval(adam["u"])

    def mesh() -> trimesh.Trimesh:
        value = np.array(dr.detach(large.from_differential(adam["u"]))).reshape(-1, 3)
        return trimesh.Trimesh(value, faces, process=False)

    return Run(one, mesh)


def run(options: argparse.Namespace) -> Result:
    """Both, and what they found."""
    import mitsuba as mi

    import pbdr
    from pbdr.inverse import View
    from pbdr.parameters import roles
    from validation import shapes
    from validation.scenes import surfaces

    thing: Thing = {"peanut": PEANUT, "spot": SPOT}[options.thing]
    folder = Path(options.out) / "shape_peer"
    folder.mkdir(parents=True, exist_ok=True)
    truth, start = thing.truth(), surfaces.ball(4, seed=options.seed)
    scenes = []
    for name, mesh in (("truth", truth), ("ours", start), ("peer", start)):
        mesh.export(folder / f"{name}.ply")
        scenes.append(pbdr.load_scene(surfaces.seen(str(folder / f"{name}.ply"), VIEWS, SIZE)))
    path = mi.load_dict({"type": "path", "max_depth": DEPTH})
    views = [View(np.array(mi.render(scenes[0].mi, sensor=k, integrator=path, spp=128, seed=k)), k) for k in range(VIEWS)]
    rate = roles.find("positions").lr * float(np.ptp(start.vertices, axis=0).max())
    runs = {"pbdr": _ours(scenes[1], views, options), "Mitsuba": _peer(scenes[2], views, rate, options)}
    first = shapes.chamfer(start, truth)
    for number in range(options.steps):
        for one in runs.values():
            one.go(number)
            if (number + 1) % options.every == 0:
                one.look(number + 1, truth)
    return _result(thing, runs, first, truth)


def _result(thing: Thing, runs: dict[str, Run], first: float, truth: trimesh.Trimesh) -> Result:
    from validation import shapes

    rows, data = [], {}
    for name, one in runs.items():
        mesh = one.mesh()
        steps = one.found[-1][0]
        times = [one.reached(first / part) for part in PARTS]
        data[name] = {
            "seconds_per_step": one.seconds / steps, "distance_ratio": first / one.found[-1][2], "found": one.found,
            "folded": shapes.inverted(mesh), "bend": shapes.bend(mesh),
            "seconds_to": dict(zip(map(str, PARTS), times, strict=True)),
        }  # fmt: skip
        rows.append([
            name, f"{one.seconds / steps:.2f}", *("not" if t is None else f"{t:.0f}" for t in times),
            f"{first / one.found[-1][2]:.0f}", str(shapes.inverted(mesh)), f"{shapes.bend(mesh):.1f}°",
        ])  # fmt: skip
    header = ["", "s a step", *(f"s to 1/{part}" for part in PARTS), "distance ÷ at the end", "folded edges", "bend"]
    text = f"{thing.name}, {runs['pbdr'].found[-1][0]} steps of both.\n\n{table(header, rows)}"
    return Result("shape_peer", {"thing": thing.name, **data}, text)
