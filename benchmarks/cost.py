"""What a gradient costs: time against primal renders of the same samples, memory against parameters and depth."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import bumpy
from .harness import ROOT, Result, interleaved, table

DEPTH = 4
LIMIT = 5.0  # primal renders that a warm interior gradient may cost
TEXELS = (16, 64, 256, 1024, 2048)
DEPTHS = (2, 4, 8, 16, 32)
INTERIOR = {"type": "pathspace", "max_depth": DEPTH, "boundary": "none"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds, each of which runs every task once")
    parser.add_argument("--spp", type=int, default=16)


def run(options: argparse.Namespace) -> Result:
    """Time on three scenes, then memory, each figure in a process of its own."""
    times = {name: _times(make(options.out / "cost"), options) for name, make in SCENES.items()}
    by_texels = {texels: _measure(texels, DEPTH) for texels in TEXELS}
    by_depth = {depth: _measure(64, depth) for depth in DEPTHS}
    worst = max(case["interior / primal"] for case in times.values())
    data = {
        "depth": DEPTH,
        "spp": options.spp,
        "times": times,
        "memory_by_texels": by_texels,
        "memory_by_depth": by_depth,
    }
    flat, linear = _growth(by_texels, by_depth)
    data |= {"worst_ratio": worst, "bytes_per_parameter": flat, "bytes_per_lane_and_depth": linear}
    return Result("cost", data, _markdown(data, options), worst <= LIMIT)


# ---- time ----------------------------------------------------------------------------------------------------------

Case = tuple[Any, list[str], np.ndarray]


def _cornell(_: Path) -> Case:
    import pbdr

    scene = pbdr.load_scene(ROOT / "scenes" / "cornell" / "scene.xml")
    return scene, ["*/base_color"], _weights(scene)


def _bumpy(folder: Path) -> Case:
    return bumpy.scene(bumpy.Blob.subdivided(4), folder), [bumpy.POSITIONS], bumpy.adjoint()


def _demo(folder: Path) -> Case:
    import pbdr
    from pbdr import demo

    demo.write(folder)
    scene = pbdr.load_scene(folder / "truth.xml")
    return scene, ["object/base_color", "object/roughness", "sky/radiance"], _weights(scene)


SCENES: dict[str, Callable[[Path], Case]] = {
    "box of diffuse walls, their colours": _cornell,
    "bumpy mesh of 5,120 faces, its vertices": _bumpy,
    "principled object under an environment, texture, roughness, environment": _demo,
}


def _weights(scene: Any) -> np.ndarray:
    width, height = (int(n) for n in scene.sensors[0].film().crop_size())
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    return np.repeat(np.sin(6 * x + 2 * y)[..., None], 3, axis=2).astype(np.float32) / (width * height)


def _times(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of every task, and the ratios that the requirement is about."""
    import drjit as dr
    import mitsuba as mi

    import pbdr
    from pbdr.scene import integrator_of
    from pbdr.seeds import hashed

    scene, names, adjoint = case
    channels = int(scene.sensors[0].film().base_channels_count())
    adjoint = np.concatenate([adjoint, np.zeros((*adjoint.shape[:2], channels - 3), np.float32)], axis=2)
    interior, whole = integrator_of(scene, INTERIOR), integrator_of(scene, {"type": "pathspace", "max_depth": DEPTH})
    path = mi.load_dict({"type": "path", "max_depth": DEPTH})
    count = iter(range(10**9))

    def primal(integrator: Any) -> Callable[[], Any]:
        def task() -> None:
            with dr.suspend_grad():
                dr.eval(
                    mi.render(scene.mi, integrator=integrator, spp=options.spp, seed=hashed(0, "time", next(count)))
                )

        return task

    def reverse(integrator: Any, terms: tuple[str, ...]) -> Callable[[], Any]:
        def task() -> None:
            seed = hashed(0, "time", next(count))
            pbdr.gradient(scene, names, adjoint, spp=options.spp, seed=seed, integrator=integrator, terms=terms)

        return task

    tasks = {
        "primal": primal(interior),
        "Mitsuba's path": primal(path),
        "interior": reverse(interior, ("interior",)),
        "all terms": reverse(whole, ("interior", "primary", "direct")),
    }
    seconds = interleaved(tasks, options.rounds)
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    ratios = np.array(seconds["interior"]) / np.array(seconds["primal"])
    return {
        "seconds": median,
        "interior / primal": median["interior"] / median["primal"],
        "interior / primal, quartiles": [float(q) for q in np.percentile(ratios, [25, 75])],
        "interior / Mitsuba's path": median["interior"] / median["Mitsuba's path"],
        "all terms / primal": median["all terms"] / median["primal"],
    }


# ---- memory --------------------------------------------------------------------------------------------------------


def _measure(texels: int, depth: int) -> dict[str, int]:
    """One probe in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory_probe", str(texels), str(depth)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def _growth(by_texels: dict[int, Any], by_depth: dict[int, Any]) -> tuple[float, float]:
    """Slopes of least-squares lines: device bytes per parameter, and per lane and bounce."""
    texels, depths = list(by_texels.values()), list(by_depth)
    flat = np.polyfit([c["parameters"] for c in texels], [c["device"] for c in texels], 1)[0]
    lanes = texels[0]["lanes"]
    return float(flat), float(np.polyfit(depths, [c["device"] for c in by_depth.values()], 1)[0] / lanes)


# ---- the page ------------------------------------------------------------------------------------------------------


def _markdown(data: dict[str, Any], options: argparse.Namespace) -> str:
    rows = []
    for name, case in data["times"].items():
        low, high = case["interior / primal, quartiles"]
        rows.append([name, *(f"{1000 * seconds:.0f}" for seconds in case["seconds"].values())])
        rows[-1] += [f"{case['interior / primal']:.2f} ({low:.2f}–{high:.2f})"]
        rows[-1] += [f"{case[key]:.2f}" for key in ("interior / Mitsuba's path", "all terms / primal")]
    header = ["scene and parameters", "primal", "Mitsuba's path", "interior", "all terms"]
    header += ["interior / primal (quartiles)", "interior / path", "all terms / primal"]
    lanes = data["memory_by_texels"][TEXELS[0]]["lanes"]
    memory = [
        [
            f"{texels}²",
            f"{found['parameters']:,}",
            DEPTH,
            f"{found['device'] / 2**20:.1f}",
            f"{found['resident'] / 2**20:.0f}",
        ]
        for texels, found in data["memory_by_texels"].items()
    ] + [
        ["64²", f"{found['parameters']:,}", depth, f"{found['device'] / 2**20:.1f}", f"{found['resident'] / 2**20:.0f}"]
        for depth, found in data["memory_by_depth"].items()
    ]
    return (
        f"## Time\n\nMedians of {options.rounds} interleaved warm rounds in milliseconds, depth {DEPTH}, {options.spp} spp; "
        f"required: an interior gradient of at most {LIMIT:g} primal renders, here at most {data['worst_ratio']:.2f}.\n\n"
        f"{table(header, rows)}\n\n## Memory\n\nOne reverse pass, interior, {lanes:,} lanes: high-water mark of Dr.Jit's "
        "allocations above what the scene holds, and the process's largest resident set. Least squares: "
        f"{data['bytes_per_parameter']:.1f} bytes per parameter (the gradient itself takes 4), "
        f"{round(data['bytes_per_lane_and_depth'])} bytes per lane and bounce: what a path keeps of its vertices is local memory "
        "of the kernel, on the stacks of the threads, and shows in the resident set alone.\n\n"
        + table(["texture", "parameters", "depth", "pass, MiB", "resident, MiB"], memory)
    )
