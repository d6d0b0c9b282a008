"""Gaussians: derivatives of every attribute against differences, Spot from 20 views, and compositing beside a loop in torch.

Derivatives are those of a weighted sum of an image of random Gaussians; differences are central ones of the definition in double
precision and without a cut-off, along random directions. Spot is lit evenly; PSNR is of codes of sRGB, clipped to [0, 1], of four
views held out, over white. Times are processor times of this process: two idle cores have two seconds of them in one of the clock.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from .harness import Missed, Result, table
from .spot_scene import DATA

VIEWS, HELD_OUT = 24, (5, 11, 17, 23)
FOV, DISTANCE = 35.0, 3.2  # degrees, units
ENOUGH = 24.0  # dB
MINUTES = 6.0  # of the processor: three on two cores
WITHIN = 0.02  # of derivatives
SMOOTH = 1e-5  # a cut-off whose jump cannot be measured
STEPS = (3e-3, 1e-3)  # of differences; larger ones exchange Gaussians in depth


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--count", type=int, default=2000, help="Gaussians")
    parser.add_argument("--size", type=int, default=64, help="pixels along a side of the views")
    parser.add_argument("--peer-steps", type=int, default=10, help="steps of the loop in torch; 0: none")


def run(options: argparse.Namespace) -> Result:
    """Measure all of it."""
    derivatives = [row for cutoff in (SMOOTH, 1 / 255) for row in gradients(cutoff, options.seed)]
    fitted = spot(options)
    peer = beside_torch(options) if options.peer_steps else None
    right = all(row["error"] <= WITHIN for row in derivatives if row["cutoff"] < 1e-3)
    met = right and fitted["psnr"] >= ENOUGH and fitted["minutes_until_enough"] <= MINUTES
    rows = [
        (f"{row['cutoff']:.0e}", row["name"], *(f"{100 * row[k]:.2f} %" for k in ("error", "apart", "control")))
        for row in derivatives
    ]
    text = "Largest error along eight directions, relative to a typical derivative; how far differences by steps of 0.003 and "
    text += "0.001 are apart; and, as a control, the error of the derivatives of a neighbouring scene.\n\n"
    text += table(("cut-off", "of", "error", "steps apart", "control"), rows) + "\n\n"
    text += table(("Spot", ""), [(key.replace("_", " "), f"{value:.4g}") for key, value in fitted.items()]) + "\n"
    if peer:
        text += "\n" + table(("seconds a step", ""), [(key, f"{value:.3g}") for key, value in peer.items()]) + "\n"
    return Result("gaussians", {"derivatives": derivatives, "spot": fitted, "torch": peer}, text, met)


# ---------------------------------------------------------------------- derivatives


def gradients(cutoff: float, seed: int) -> list[dict[str, Any]]:
    """One row an attribute."""
    from pbdr.data.cameras import Camera
    from pbdr.fields.gaussians.model import SHAPES
    from validation.gaussians import composited, some

    made, camera = some(12, 3, seed), Camera.look_at([0.3, 0.4, -3], [0, 0, 0], [0, 1, 0], 48, 48, 0.7)
    weights = np.random.default_rng(seed).random((48, 48, 3))
    found, other = (_derivatives(scene, camera, weights, cutoff) for scene in (made, some(12, 3, seed + 1)))
    random, rows = np.random.default_rng(seed + 1), []
    for name in SHAPES:

        def value(direction: Any, step: float, name: str = name) -> float:
            moved = {**made.arrays(), name: getattr(made, name).astype(np.float64) + step * direction}
            return float((composited(moved, camera, cutoff=SMOOTH)[0] * weights).sum())

        scale = float(np.linalg.norm(found[name]))
        errors, apart, control = [], [], []
        for _ in range(8):
            direction = random.normal(size=getattr(made, name).shape)
            coarse, fine = ((value(direction, h) - value(direction, -h)) / (2 * h) for h in STEPS)
            errors.append(abs((found[name] * direction).sum() - fine) / scale)
            control.append(abs((other[name] * direction).sum() - fine) / scale)
            apart.append(abs(coarse - fine) / scale)
        rows.append(
            {"cutoff": cutoff, "name": name, "error": max(errors), "apart": max(apart), "control": max(control)}
        )
    return rows


def _derivatives(made: Any, camera: Any, weights: Any, cutoff: float) -> dict[str, Any]:
    import drjit as dr
    import mitsuba as mi

    from pbdr.fields.gaussians.project import on_device
    from pbdr.fields.gaussians.rendering import Cameras, Compositing, images

    latents = on_device(made)
    dr.enable_grad(latents)
    sums, _ = images(latents, Cameras([camera]), [0], Compositing(cutoff=cutoff))
    dr.backward(dr.sum(sums * mi.TensorXf(weights[None].astype(np.float32)), axis=None))
    found = {name: dr.grad(value).numpy().astype(np.float64) for name, value in latents.items()}
    return {**found, "harmonics": np.concatenate([found["dc"], found["rest"]], axis=1)}


# ---------------------------------------------------------------------- Spot


def views(size: int, spp: int = 64) -> list[Any]:
    """Photographs of Spot from all around."""
    import mitsuba as mi

    from pbdr import load_scene
    from pbdr.data.cameras import Camera
    from pbdr.fields.gaussians import View
    from pbdr.scene import load_object

    mesh, texture = DATA / "spot" / "spot.obj", DATA / "spot" / "spot_texture.png"
    if not mesh.is_file() or not texture.is_file():
        raise Missed(f"{mesh} and {texture.name} beside it are not there")
    color = {"type": "diffuse", "reflectance": {"type": "bitmap", "filename": str(texture)}}
    shape = {"type": "obj", "filename": str(mesh), "bsdf": {"type": "twosided", "color": color}}
    scene = load_scene({"type": "scene", "sky": {"type": "constant"}, "spot": shape}, sensor_required=False)
    path = load_object({"type": "path", "max_depth": 3, "hide_emitters": True})
    found = []
    for k in range(VIEWS):
        z, angle = 1 - 2 * (k + 0.5) / VIEWS, 2.39996 * k
        eye = DISTANCE * np.array([np.sqrt(1 - z * z) * np.cos(angle), z, np.sqrt(1 - z * z) * np.sin(angle)])
        camera = Camera.look_at(eye, [0, 0, 0], [0, 1, 0], size, size, np.radians(FOV))
        sensor = load_object(camera.to_dict(pixel_format="rgba"))
        image = np.array(mi.render(scene.mi, sensor=sensor, integrator=path, spp=spp, seed=k))
        found.append(View(camera, image[..., :3], np.clip(image[..., 3], 0, 1)))
    return found


def _setup(options: argparse.Namespace) -> tuple[Any, list[Any], Any]:
    from pbdr.fields.gaussians import TrainingOptions, at_random
    from pbdr.fields.gaussians.training import Training

    seen = views(options.size)
    start = at_random(options.count, [-0.9] * 3, [0.9] * 3, opacity=0.3, size=0.3, degree=1, seed=options.seed)
    train = [view for k, view in enumerate(seen) if k not in HELD_OUT]
    how = TrainingOptions(steps=options.steps, seed=options.seed)
    return Training(train, start, how), [seen[k] for k in HELD_OUT], how


def _psnr(training: Any, state: Any, held_out: list[Any], background: float) -> float:
    from pbdr.fields.gaussians import render
    from pbdr.fields.gaussians.project import from_device

    made, errors = from_device(state.latents), []
    for view in held_out:
        image = np.clip(render(made, view.camera, background=(background,) * 3), 0, 1)
        target = training.coded(view.target, view.alpha) + background * (1 - view.alpha[..., None])
        errors.append(np.mean((image - target) ** 2))
    return float(-10 * np.log10(np.mean(errors)))


def spot(options: argparse.Namespace) -> dict[str, float]:
    """Fit, looking at the held-out views now and then, which is no part of the time."""
    training, held_out, _ = _setup(options)
    state, used, enough, clock = training.first(), 0.0, float("inf"), 0.0
    while state.step < options.steps:
        begin, wall = time.process_time(), time.perf_counter()
        state = training.advanced(state)
        used += time.process_time() - begin
        clock += time.perf_counter() - wall
        if state.step % 100 == 0 and enough == float("inf") and _psnr(training, state, held_out, 1.0) >= ENOUGH:
            enough = used / 60
    return {
        "psnr": _psnr(training, state, held_out, 1.0), "psnr_over_black": _psnr(training, state, held_out, 0.0),
        "steps": state.step, "gaussians": options.count, "processor_minutes": used / 60, "minutes_by_the_clock": clock / 60,
        "minutes_until_enough": enough, "processor_seconds_a_step": used / state.step,
    }  # fmt: skip


# ---------------------------------------------------------------------- torch


def beside_torch(options: argparse.Namespace) -> dict[str, float]:
    """Processor seconds of an image and its derivatives, here and by torch's autograd over lists of the same tiles."""
    import drjit as dr
    import mitsuba as mi
    import torch

    from pbdr.fields.gaussians.rendering import images

    torch.set_num_threads(2)
    training, _, how = _setup(options)
    state = training.first()
    for _ in range(5):
        state = training.advanced(state)
    spent: dict[str, list[float]] = {"Dr.Jit": [], "torch": []}
    for number in range(options.peer_steps):
        latents = {name: mi.TensorXf(dr.detach(value)) for name, value in state.latents.items()}
        dr.enable_grad(latents)
        begin = time.process_time()
        sums, _ = images(latents, training.cameras, [number % 20], how.compositing)
        dr.backward(dr.sum(dr.square(sums), axis=None))
        dr.eval([dr.grad(value) for value in latents.values()])
        dr.sync_thread()
        spent["Dr.Jit"].append(time.process_time() - begin)
        spent["torch"].append(_torch_step(training, latents, number % 20, how, sums.numpy()))
    ours, theirs = (float(np.median(spent[name])) for name in ("Dr.Jit", "torch"))
    return {"Dr.Jit": ours, "torch, compositing alone": theirs, "ratio": theirs / ours}


def _torch_step(training: Any, latents: Any, number: int, how: Any, expected: Any) -> float:
    """Seconds of compositing and its derivatives alone: the same image of the same splats, lists padded to the longest."""
    import drjit as dr
    import mitsuba as mi
    import torch

    from pbdr.aligned import aligned
    from pbdr.fields.gaussians import tiles
    from pbdr.fields.gaussians.project import project

    c = how.compositing
    which = mi.UInt32(aligned([number], np.uint32))
    made = project(latents, training.cameras.table, which, near=c.near, cutoff=c.cutoff, low_pass=c.low_pass)
    host = lambda v: np.array(dr.detach(v).numpy())  # noqa: E731
    grid, x, y, lanes = training.cameras.grid(1)
    lists = tiles.sort(grid, host(made.x), host(made.y), (host(made.reach[0]), host(made.reach[1])), host(made.depth))
    begin = time.process_time()
    counts = np.diff(lists.starts.astype(np.int64))
    row = np.arange(counts.max())
    index = np.minimum(lists.starts[:-1, None] + row, len(lists.splats) - 1)
    index, valid = torch.from_numpy(lists.splats.astype(np.int64)[index]), torch.from_numpy(row < counts[:, None])
    leaves = [
        torch.from_numpy(host(v)).requires_grad_() for v in (made.x, made.y, *made.conic, made.opacity, *made.channels)
    ]
    cx, cy, a, b, cc, opacity, *colors = (leaf[index] for leaf in leaves)
    px, py = (torch.from_numpy(host(v)).reshape(len(counts), 1, -1) for v in (x, y))
    dx, dy = cx[..., None] - px, cy[..., None] - py
    power = -0.5 * (a[..., None] * dx**2 + cc[..., None] * dy**2) - b[..., None] * dx * dy
    alpha = torch.clamp(opacity[..., None] * torch.exp(power), max=0.99)
    alpha = torch.where(valid[..., None] & (alpha >= c.cutoff), alpha, torch.zeros(()))
    left = torch.cumprod(1 - alpha, dim=1)
    weight = alpha * torch.cat([torch.ones_like(left[:, :1]), left[:, :-1]], dim=1)
    image = torch.stack([(weight * color[..., None]).sum(dim=1) for color in colors], dim=-1)
    (image**2).sum().backward()
    seconds = time.process_time() - begin
    same = image.detach().reshape(-1, 3).numpy()[np.array(lanes)].reshape(expected[0].shape)
    if np.abs(same - expected[0]).max() > 1e-3:
        raise AssertionError(f"torch composites another image: {np.abs(same - expected[0]).max():g}")
    return seconds
