"""What a step of an optimisation costs: image, gradient of all terms, at default budgets, with vertices that move.

Time against primal renders of the same samples; kernels compiled, memory and time over hundreds of steps; growth of the time with
samples, pixels and triangles. A step is what users run: `mi.render`, a loss, `dr.backward`. What Mitsuba takes to update the scene,
mostly to build its ray-tracing structure, is given apart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from validation.units import TERMS

from . import bumpy, large_mesh
from .harness import ROOT, Result, table

DEPTH = 3
LIMIT = 6.0  # primal renders that the gradient of all terms may cost
WARM = 5  # steps after which no kernel may be compiled
SLOPE = (0.9, 1.1)  # of log time against log samples or pixels
FLAT = 0.1  # drift of the step time over all steps, relative to its median
GROWTH = 16 << 20  # bytes that the process may grow by over the steps: noise of the allocators, below 50 kB a step
SMALL = {"size": 16, "spp": 1}  # where hardly anything but the host's work is left
REPLAY = 5e-3  # seconds that a replayed pass may take there
PARTS = ("time", "replay", "many", "growth")
Task = Callable[[], Any]


def uncompared() -> Any:
    """Replays are not compared with traced passes: that happens a dozen times in thousands of steps."""
    from pbdr.pathspace.replay import Recording

    return mock.patch.object(Recording, "due", lambda self: False)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 512], help="width of the square film, pixels")
    parser.add_argument("--spp", type=int, nargs="+", default=[16, 64])
    parser.add_argument(
        "--rounds", type=int, default=7, help="timed rounds of the smallest case; larger ones take fewer"
    )
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--faces", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)


def run(options: argparse.Namespace) -> Result:
    """The parts asked for."""
    data: dict[str, Any] = {"depth": DEPTH}
    text, met = [], []
    for part, measure in zip(PARTS, (_times, _replays, _many, _growth), strict=True):
        if part in options.parts:
            found, page, passed = measure(options)
            data |= found
            text.append(page)
            met.append(passed)
    return Result("steps", data, "\n\n".join(text), all(met))


# ---- the scene and a step of it ------------------------------------------------------------------------------------


@dataclass
class Case:
    """A bumpy mesh of 5,120 faces over a floor under an area light, whose vertices move at every step."""

    folder: Path
    size: int
    spp: int
    options: Mapping[str, Any] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        import mitsuba as mi

        from pbdr.parameters import traverse
        from pbdr.scene import integrator_of

        self.scene = bumpy.scene(bumpy.Blob.subdivided(4), self.folder, self.size)
        self.integrator, self.replaying = (
            integrator_of(self.scene, {"type": "pathspace", "max_depth": DEPTH, "replay": replay, **self.options})
            for replay in (False, True)
        )
        self.params = traverse(self.scene)
        self.start = mi.Float(self.params[bumpy.RAW]) + 0
        self.adjoint = mi.TensorXf(bumpy.adjoint(self.size))
        self.leaf: Any = None

    def seed(self) -> int:
        """Another one at every call."""
        from pbdr.seeds import hashed

        self.count += 1
        return hashed(0, "steps", self.count)

    def update(self) -> None:
        """Vertices somewhere else, on the device, as leaves of the gradient; Mitsuba's scene follows."""
        import drjit as dr
        import mitsuba as mi

        self.count += 1
        points = dr.unravel(mi.Point3f, self.start)
        shift, bend = (dr.opaque(mi.Float, 0.02 * f(0.1 * self.count)) for f in (np.sin, np.cos))
        points.x += shift
        points.z += bend * dr.sin(5 * points.y)
        points *= 1 + shift  # so that the size of the shape changes, too
        self.leaf = dr.ravel(points)
        dr.eval(self.leaf)
        dr.enable_grad(self.leaf)
        self.params[bumpy.RAW] = self.leaf
        self.params.update()

    def primal(self) -> None:
        """An image without derivatives."""
        import drjit as dr
        import mitsuba as mi

        with dr.suspend_grad():
            dr.eval(mi.render(self.scene.mi, integrator=self.integrator, spp=self.spp, seed=self.seed()))

    def gradient(self, terms: Sequence[str] = TERMS) -> None:
        """The gradient alone, all terms in one call."""
        import drjit as dr

        self.integrator.backward_terms(self.scene.mi, self.adjoint, 0, self.seed(), self.spp, tuple(terms))
        dr.eval(dr.grad(self.leaf))

    def replayed(self) -> None:
        """The same gradient, from a recording after the first call."""
        import drjit as dr

        self.replaying.backward_terms(self.scene.mi, self.adjoint, 0, self.seed(), self.spp)
        dr.eval(dr.grad(self.leaf))

    def step(self) -> None:
        """Image, loss, gradient: what users run between two updates of the scene."""
        import drjit as dr
        import mitsuba as mi

        seed = self.seed()
        image = mi.render(
            self.scene.mi, self.params, integrator=self.integrator, spp=self.spp, seed=seed, seed_grad=seed ^ 1
        )
        dr.backward(dr.sum(image.array * self.adjoint.array))
        dr.eval(dr.grad(self.leaf))


def launches(task: Task) -> list[dict[str, Any]]:
    """Every operation that a task sends to the device."""
    import drjit as dr

    dr.sync_thread()
    dr.kernel_history_clear()
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        task()
        dr.sync_thread()
    history: list[dict[str, Any]] = dr.kernel_history()
    return history


def _kernels(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those operations that are compiled."""
    import drjit as dr

    return [entry for entry in history if entry["type"] == dr.KernelType.JIT]


# ---- time ----------------------------------------------------------------------------------------------------------


def _times(options: argparse.Namespace) -> tuple[dict[str, Any], str, bool]:
    """Seconds of steps and of their terms beside primal renders, all of them taking turns in one process."""
    cases = {}
    for size in options.sizes:
        for spp in options.spp:
            work = size * size * spp / (min(options.sizes) ** 2 * min(options.spp))
            rounds = max(round(options.rounds / work**0.5), 2)
            with uncompared():
                cases[f"{size}², {spp} spp"] = _time(Case(options.out / "steps", size, spp), rounds)
    worst = max(case["ratios"]["replayed"] for case in cases.values())
    names = ("primal", "update", "step", "gradient", "replayed", *TERMS)
    rows = [
        [name, *(f"{case['wall'][n] * 1e3:.0f}" for n in names), f"{case['ratios']['gradient']:.2f} "
         f"({case['processor ratios']['gradient']:.2f})",
         f"{case['ratios']['replayed']:.2f} ({case['processor ratios']['replayed']:.2f})",
         f"{case['ratios']['step']:.2f} ({case['processor ratios']['step']:.2f})",
         case["kernels"], case["operations"]]
        for name, case in cases.items()
    ]  # fmt: skip
    header = ["film", "primal", "scene update", "step", "gradient", "replayed", *TERMS, "gradient / primal", "replayed / primal",
              "step / primal", "kernels", "operations"]  # fmt: skip
    text = (
        f"## Time of a step\n\nMedians of interleaved warm rounds in milliseconds; depth {DEPTH}, 5,120 faces, default budgets. A "
        "step is image, loss and gradient; the gradient is interior and all boundary terms in one call; terms by themselves each "
        "build what they would share. Ratios are medians over rounds, in brackets those of processor time, which other work on the "
        f"machine disturbs less. Replayed: the gradient with `replay = true`. Kernels: launches of compiled kernels in a step; "
        f"operations: every launch. Required: replayed gradient ≤ {LIMIT:g} primals; worst here {worst:.2f}.\n\n"
        + table(header, rows)
    )
    return {"time": cases, "worst_ratio": worst}, text, worst <= LIMIT


def _time(case: Case, rounds: int) -> dict[str, Any]:
    tasks: dict[str, Task] = {
        "primal": case.primal, "step": case.step, "gradient": case.gradient, "replayed": case.replayed,
    }  # fmt: skip
    tasks |= {term: (lambda term=term: case.gradient((term,))) for term in TERMS}
    wall: dict[str, list[float]] = {name: [] for name in ("update", *tasks)}
    processor: dict[str, list[float]] = {name: [] for name in wall}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            for label, act in (("update", case.update), (name, task)):
                seconds, work = _clock(act)
                if number:
                    wall[label].append(seconds)
                    processor[label].append(work)
    case.update()
    history = launches(case.step)

    def ratios(seconds: dict[str, list[float]]) -> dict[str, float]:
        one = np.array(seconds["primal"])
        return {name: float(np.median(np.array(seconds[name]) / one)) for name in tasks}

    return {
        "rounds": rounds,
        "wall": {name: float(np.median(values)) for name, values in wall.items()},
        "processor": {name: float(np.median(values)) for name, values in processor.items()},
        "ratios": ratios(wall), "processor ratios": ratios(processor),
        "kernels": len(_kernels(history)), "operations": len(history),
    }  # fmt: skip


def _clock(task: Task) -> tuple[float, float]:
    """Seconds by the wall and of processor time, until the device is done."""
    import drjit as dr

    dr.sync_thread()
    start, work = time.perf_counter(), time.process_time()
    task()
    dr.sync_thread()
    return time.perf_counter() - start, time.process_time() - work


# ---- replays -------------------------------------------------------------------------------------------------------


def _replays(options: argparse.Namespace) -> tuple[dict[str, Any], str, bool]:
    """Milliseconds of a gradient of a small film: traced, replayed, and what of the latter is preparation and what the pass."""
    import drjit as dr

    from pbdr.pathspace.replay import Recordings

    case, passes = Case(options.out / "steps", **SMALL), []
    original = Recordings.backward

    def timed(*given: Any) -> Any:
        dr.eval(given[-1].table, given[-1].outlines)
        dr.sync_thread()
        start = time.perf_counter()
        nonfinite = original(*given)
        dr.eval(nonfinite)
        dr.sync_thread()
        passes.append(time.perf_counter() - start)
        return nonfinite

    rounds = 41
    seconds: dict[str, list[float]] = {"update": [], "traced": [], "replayed": []}
    with mock.patch.object(Recordings, "backward", timed), uncompared():
        for number in range(rounds):
            for name, act in (("update", case.update), ("traced", case.gradient), ("replayed", case.replayed)):
                took = _clock(act)[0]
                if number >= WARM:
                    seconds[name].append(took)
    found = {name: float(np.median(values)) for name, values in seconds.items()}
    found["pass"] = float(np.median(passes[WARM:]))
    recordings = sum(r.frozen.n_recordings for r in case.replaying.recordings.known.values())
    text = (
        f"## Replays\n\n{SMALL['size']}², {SMALL['spp']} spp, depth {DEPTH}, moving vertices; medians in milliseconds. The "
        "pass: what is recorded; the rest of a replayed gradient prepares it (edge table, possible silhouettes, light points). "
        f"Required: pass ≤ {1e3 * REPLAY:g} ms.\n\n"
        + table(
            ["gradient, traced", "gradient, replayed", "of it the pass", "scene update", "recordings"],
            [[*(f"{1e3 * found[name]:.1f}" for name in ("traced", "replayed", "pass", "update")), recordings]],
        )
    )
    return {"replay": found}, text, found["pass"] <= REPLAY


# ---- many steps ----------------------------------------------------------------------------------------------------

MANY = {"size": 64, "spp": 4}


def _many(options: argparse.Namespace) -> tuple[dict[str, Any], str, bool]:
    """Hundreds of steps in a process of their own."""
    found = _alone("many", str(options.steps), str(options.out / "steps"))
    own = (1 + found["drift"]) / (1 + found["drift of primal renders"]) - 1
    limits = found["compiled"] == 0 and found["growth"] <= GROWTH and abs(own) <= FLAT
    text = (
        f"## Many steps\n\n{options.steps} steps with moving vertices, {MANY['size']}², {MANY['spp']} spp. Required: no kernel "
        f"compiled after the first {WARM}, no growth of memory, processor time of a step that drifts within ±{FLAT:.0%} of that of "
        "primal renders in between: what these drift is the machine's doing.\n\n"
        + table(
            ["kernels compiled after warm-up", "in steps", "resident growth, MiB", "Dr.Jit growth, MiB", "step, ms", "drift",
             "of primal renders"],
            [[found["compiled"], len(found["late"]), f"{found['growth'] / 2**20:.1f}", f"{found['device'] / 2**20:.2f}",
              f"{found['median'] * 1e3:.0f}", f"{found['drift']:+.1%}", f"{found['drift of primal renders']:+.1%}"]],
        )
    )  # fmt: skip
    return {"many": found}, text, limits


def many(steps: int, folder: Path) -> dict[str, Any]:
    """Kernels compiled in every step, growth of memory after the first tenth of them, step time and its drift."""
    import drjit as dr

    case = Case(folder, **MANY)
    compiled, seconds, primals = [], [], []
    resident = device = 0
    early = max(steps // 10, WARM)
    for step in range(steps):
        if step == early:
            resident, device = _resident(), _allocated()
        start = time.process_time()
        history = launches(lambda: (case.update(), case.step()))
        middle = time.process_time()
        case.primal()
        dr.sync_thread()
        seconds.append(middle - start)
        primals.append(time.process_time() - middle)
        compiled.append(sum(kernel["cache_disk"] or not kernel["cache_hit"] for kernel in _kernels(history)))
    drift, machine = (_drift(np.array(x[early:])) for x in (seconds, primals))
    late = {str(step): count for step, count in enumerate(compiled) if step >= WARM and count}
    return {
        "steps": steps, "compiled at first": sum(compiled[:WARM]), "compiled": sum(late.values()), "late": late,
        "growth": _resident() - resident, "device": _allocated() - device,
        "median": float(np.median(seconds[early:])), "drift": drift, "drift of primal renders": machine,
    }  # fmt: skip


def _drift(seconds: Any) -> float:
    """Change from the first half to the second, of medians, which single slow steps leave alone."""
    half = len(seconds) // 2
    return float(np.median(seconds[half:]) / np.median(seconds[:half]) - 1)


def _resident() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


def _allocated() -> int:
    """High-water mark of Dr.Jit's allocations."""
    import drjit as dr
    import mitsuba as mi

    return int(dr.detail.malloc_watermark(dr.backend_v(mi.Float)))


# ---- growth --------------------------------------------------------------------------------------------------------


def _growth(options: argparse.Namespace) -> tuple[dict[str, Any], str, bool]:
    """Time against samples, pixels and triangles."""
    folder = options.out / "steps"
    with uncompared():
        by_spp = {spp: _median(Case(folder, 128, spp)) for spp in (32, 64, 128, 256)}
        by_pixels = {size * size: _median(Case(folder, size, 16)) for size in (192, 256, 384, 512)}
    meshes = {faces: large_mesh._measure(faces, _Mesh(options.out)) for faces in options.faces}  # type: ignore[arg-type]
    by_faces = {faces: found["step"] - found["update"] for faces, found in meshes.items()}
    slopes = {"spp": _slope(by_spp), "pixels": _slope(by_pixels), "triangles": _slope(by_faces)}
    met = all(SLOPE[0] <= slopes[name] <= SLOPE[1] for name in ("spp", "pixels")) and slopes["triangles"] < 1
    rows = [["spp at 128²", _list(by_spp), f"{slopes['spp']:.2f}"],
            ["pixels at 16 spp", _list(by_pixels), f"{slopes['pixels']:.2f}"],
            ["triangles, 128², 16 spp", _list(by_faces), f"{slopes['triangles']:.2f}"],
            ["their scene update", _list({k: m["update"] for k, m in meshes.items()}), ""]]  # fmt: skip
    text = (
        f"## Growth\n\nSeconds of a step, and the slope of its logarithm. Required: {SLOPE[0]} to {SLOPE[1]} in samples and in "
        f"pixels, below 1 in triangles. With samples and pixels gradients are replayed: the host's tracing, which nothing of this "
        f"changes, would make slopes flatter.\n\n" + table(["against", "seconds", "slope"], rows)
    )
    data = {"by_spp": by_spp, "by_pixels": by_pixels, "by_triangles": by_faces, "meshes": meshes, "slopes": slopes}
    return {"growth": data}, text, met


@dataclass
class _Mesh:
    """What `large_mesh` reads of its options."""

    out: Path
    spp: int = 16
    depth: int = DEPTH


def _median(case: Case, rounds: int = 3) -> float:
    """Median seconds of a warm image and its gradient, replayed."""

    def seconds() -> Iterator[float]:
        for _ in range(rounds + 1):
            case.update()
            yield _clock(lambda: (case.primal(), case.replayed()))[0]

    return float(np.median(list(seconds())[1:]))


def _slope(times: Mapping[int, float]) -> float:
    return float(np.polyfit(np.log(list(times)), np.log(list(times.values())), 1)[0])


def _list(times: Mapping[int, float]) -> str:
    return ", ".join(f"{key:,}: {value:.2f}" for key, value in times.items())


def _alone(*words: str) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.steps", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(many(int(sys.argv[2]), Path(sys.argv[3]))))
