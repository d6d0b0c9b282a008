"""Radiance fields of spot: how well 20 and 5 images of 64² pixels are seen from elsewhere, and what a step costs.

Held-out images are compared as in papers about fields: over white, PSNR of encoded colours. Times are of the processor (all
threads together): on a machine that others use, seconds of the wall say nothing. Beside it stands the same hash grid with the
same network in PyTorch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .harness import Result, table
from .spot_scene import DATA, Missed

SIZE, VIEWS, DISTANCE, FOV = 64, 24, 3.2, 35.0
HELD_OUT = (5, 11, 17, 23)
FEW = (1, 6, 10, 14, 19)  # from all sides
BOX = ((-0.55, -0.8, -0.75), (0.55, 1.02, 1.12))
WHITE = (1.0, 1.0, 1.0)
GOAL, GAIN, STEP, RATIO = 26.0, 4.0, 0.060, 3.0  # dB; dB; seconds, on one core or more; times PyTorch
RAYS, SAMPLES, WARM, COUNT = 2048, 32, 60, 12
PRIORS = {"entropy": 1e-3, "distortion": 5e-2, "tv": {"weight": 2e-2, "colour": 0.1}}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--steps", type=int, default=300, help="steps of a fit")
    parser.add_argument("--only", nargs="*", default=["fits", "few", "cost"], help="parts: fits, few, cost")


def spot() -> tuple[list[Any], list[Any]]:
    """(views over white with alpha, sensors) of spot under an even sky, spread evenly over all directions."""
    import mitsuba as mi

    from pbdr.inverse import View
    from pbdr.scene import load_scene

    folder = DATA / "spot"
    if not folder.is_dir():
        raise Missed(f"there is no {folder}, which holds the mesh and its texture")
    texture = {"type": "bitmap", "filename": str(folder / "spot_texture.png")}
    paint = {"type": "twosided", "paint": {"type": "diffuse", "reflectance": texture}}
    mesh = {"type": "obj", "filename": str(folder / "spot.obj"), "bsdf": paint}
    scene = load_scene({"type": "scene", "sky": {"type": "constant"}, "mesh": mesh}, sensor_required=False)
    path = mi.load_dict({"type": "path", "max_depth": 3, "hide_emitters": True})
    views, sensors = [], []
    for number in range(VIEWS):
        height, angle = 1 - 2 * (number + 0.5) / VIEWS, np.pi * (3 - 5**0.5) * number
        ring = (1 - height**2) ** 0.5
        eye = [DISTANCE * x for x in (ring * np.cos(angle), height, ring * np.sin(angle))]
        film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "pixel_format": "rgba", "rfilter": {"type": "box"}}
        to_world = mi.ScalarTransform4f().look_at(eye, [0, 0, 0], [0, 1, 0])
        sensors.append(mi.load_dict({"type": "perspective", "fov": FOV, "to_world": to_world, "film": film}))
        image = np.array(mi.render(scene.mi, sensor=sensors[-1], integrator=path, spp=64, seed=number))
        over_white = image[..., :3] + (1 - image[..., 3:])
        views.append(View(over_white, sensors[-1], planes={"silhouette": image[..., 3]}, name=f"view-{number:03d}"))
    return views, sensors


def fitted(views: Sequence[Any], chosen: Sequence[int], kind: Any, steps: int, seed: int, **how: Any) -> dict[str, Any]:
    """Fit a field to the chosen views: PSNR of those held out and of the fitted ones, and seconds of the processor a step."""
    from pbdr.fields.problem import FieldOptions, fit
    from pbdr.inverse import Options
    from pbdr.job.metrics import psnr

    options = FieldOptions(**{"kind": kind, "box": BOX, "rays": RAYS, "samples": 64, "colour": WHITE, **how})
    begin, cpu = time.perf_counter(), time.process_time()
    found = fit([views[k] for k in chosen], options, Options(loss="auto", steps=steps, seed=seed))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
    scores = {
        name: float(np.mean([psnr(found.render(views[k].sensor, seed=k), views[k].target) for k in group]))
        for name, group in (("held_out", HELD_OUT), ("training", list(chosen)[:4]))
    }
    return {**scores, "cpu_seconds": cpu, "wall_seconds": wall, "cpu_step": cpu / steps}


def cost(views: Sequence[Any], kind: Any, seed: int, skip: bool) -> float:
    """Median seconds of the processor for a step of RAYS rays with SAMPLES samples, compiled; `skip`: after WARM steps."""
    from pbdr import inverse
    from pbdr.fields.problem import FieldOptions, FieldProblem
    from pbdr.inverse import Options
    from pbdr.scene import load_scene

    how = FieldOptions(kind=kind, box=BOX, rays=RAYS, samples=SAMPLES, colour=WHITE, skip=skip, coarse=0.0)
    empty = load_scene({"type": "scene"}, sensor_required=False, emitter_required=False)
    problem = FieldProblem(empty, views, {}, Options(loss="auto", steps=1000, seed=seed), how=how)
    state = inverse.init(problem)
    for _ in range(WARM if skip else 3):
        state, _ = inverse.step(problem, state)
    times = []
    for _ in range(COUNT):
        begin = time.process_time()
        state, _ = inverse.step(problem, state)
        times.append(time.process_time() - begin)
    return float(np.median(times))


def run(options: argparse.Namespace) -> Result:
    """Fit, then time."""
    views, _ = spot()
    training = [k for k in range(VIEWS) if k not in HELD_OUT]
    data: dict[str, Any] = {}
    parts, met = [], []
    if "fits" in options.only:
        data["fits"] = {kind: fitted(views, training, kind, options.steps, options.seed) for kind in ("voxels", "hash")}
        rows = [[k, *_row(x)] for k, x in data["fits"].items()]
        parts.append(table(["20 views", "held out, dB", "fitted, dB", "CPU s", "CPU ms a step"], rows))
        met.append(max(x["held_out"] for x in data["fits"].values()) >= GOAL)
    if "few" in options.only:
        arms = {
            "white background, no prior": {"background": "known"}, "random background": {},
            "random background, priors": {"prior": PRIORS},
        }  # fmt: skip
        few = {name: fitted(views, FEW, "voxels", options.steps, options.seed, **how) for name, how in arms.items()}
        gain = few["random background, priors"]["held_out"] - few["white background, no prior"]["held_out"]
        data |= {"few": few, "gain": gain}
        rows = [[k, *_row(x)] for k, x in few.items()]
        parts.append(table(["5 views, voxels", "held out, dB", "fitted, dB", "CPU s", "CPU ms a step"], rows))
        parts.append(f"Priors and a random background are worth {gain:.1f} dB (at least {GAIN:g} required).")
        met.append(gain >= GAIN)
    if "cost" in options.only:
        from .fields_torch import cost as torch_cost

        seen = [views[k] for k in training]
        peer = torch_cost(seen, BOX, RAYS, SAMPLES)
        ours = {
            f"{kind}{', empty cells skipped' if skip else ''}": cost(seen, kind, options.seed, skip)
            for kind in ("hash", "voxels")
            for skip in (False, True)
        }
        data["cost"] = {"pytorch": peer, **ours}
        parts.append("PyTorch has one thread, so that it is not charged for threads that wait.")
        rows = [[name, 1000 * x, peer / x] for name, x in data["cost"].items()]
        parts.append(
            table([f"{RAYS} rays, {SAMPLES} samples", "CPU ms a step", "steps per second beside PyTorch's"], rows)
        )
        met += [ours["hash"] <= STEP, peer / ours["hash"] >= RATIO]
    return Result("fields", data, "\n\n".join(parts), all(met))


def _row(found: dict[str, Any]) -> list[float]:
    return [found["held_out"], found["training"], found["cpu_seconds"], 1000 * found["cpu_step"]]
