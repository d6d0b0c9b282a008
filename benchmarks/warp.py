"""The warp (boundary = 'warp') beside edge sampling: the same totals, its bias with few auxiliary rays, what it costs.

Agreement: cases of the matrix that both support, on the same adjoint image. Bias: a bumpy mesh that shines before nothing and whose
faces are small, against edge sampling, which has none. Cost: gradients in one process, in turn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import bumpy
from .harness import Result, interleaved, mean_and_error, table

CASES = (
    "shadow of a moving block, area", "shadow of a moving block, area-sphere", "shadow of a moving block, sky", "area: pose",
    "area-sphere: pose", "receiver moves under a box at rest", "receiver and occluder move together",
    "opencv_fisheye: block moves", "indirect: panel-low",
)  # fmt: skip
LIMIT = 6.0  # interior passes that a gradient with the warp may cost
SIGMAS, BIAS, NOISE = 3.0, 0.02, 0.03  # as in the matrix: bias in standard errors, relative bias, noise of a decision
RAYS = (4, 8, 16, 32, 64)
CONCENTRATIONS = (300.0, 3000.0)
BIAS_SIZE, BIAS_FACES = 16, 2  # pixels a side; subdivisions of an icosahedron: 320 faces
COST_DEPTH = 4


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--seconds", type=float, default=20.0, help="for the replicas of one estimate")
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds, each of which runs every task once")
    parser.add_argument("--spp", type=int, default=16, help="samples per pixel of the timed gradients")
    parser.add_argument("--only", choices=("agreement", "bias", "cost"), action="append", help="parts to run (all)")


def run(options: argparse.Namespace) -> Result:
    """The parts asked for."""
    parts = options.only or ["agreement", "bias", "cost"]
    data: dict[str, Any] = {}
    if "agreement" in parts:
        data["agreement"] = {name: agreement(name, options) for name in CASES}
    if "bias" in parts:
        data["bias"] = bias(options)
        options.out.mkdir(parents=True, exist_ok=True)
        draw(data["bias"], options.out / "warp_bias.png")
    if "cost" in parts:
        data["cost"] = {name: cost(*make(options.out / "warp"), options) for name, make in SCENES.items()}
    return Result("warp", data, _markdown(data), _met(data))


def _met(data: dict[str, Any]) -> bool:
    """No case differs, none is undecided, most rays leave less bias than fewest, and the cost stays below its limit."""
    agree = all(case["verdict"] == "agrees" for case in data.get("agreement", {}).values())
    shrinks = all(abs(row[-1]["bias"]) < max(abs(row[0]["bias"]), BIAS) for row in data.get("bias", {}).values())
    cheap = all(case["warp / interior"] <= LIMIT for case in data.get("cost", {}).values())
    return agree and shrinks and cheap


def replicas(estimate: Callable[[int], float], seconds: float, *names: str, least: int = 6, most: int = 200) -> Any:
    """Mean, standard error and seconds of one estimate; the first call warms up."""
    from pbdr.seeds import hashed

    estimate(hashed(0, *names, "warm"))
    samples: list[float] = []
    start = time.perf_counter()
    while len(samples) < least or (len(samples) < most and time.perf_counter() - start < seconds):
        samples.append(estimate(hashed(0, *names, len(samples))))
    mean, error = mean_and_error(samples)
    return float(mean), float(error), (time.perf_counter() - start) / len(samples)


# ---- agreement -----------------------------------------------------------------------------------------------------


def agreement(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Both estimates of one case of the matrix, and their difference relative to the edge estimate."""
    import tempfile

    import pbdr
    from pbdr.scene import integrator_of

    from .matrix_cases import CASES as MATRIX

    case = MATRIX[name]
    with tempfile.TemporaryDirectory() as folder:
        scene = case.make(Path(folder))
    tangent = np.asarray(case.tangent(scene, case.parameter), dtype=np.float64)
    weights = _signs(scene, case, tangent)
    found = {}
    for boundary in ("edge", "warp"):
        kept = case.options if boundary == "edge" else {}
        integrator = integrator_of(scene, {"type": "pathspace", "max_depth": case.depth, **kept, "boundary": boundary})
        spp = case.spp if boundary == "edge" else 4 * case.spp

        def estimate(seed: int, integrator: Any = integrator, spp: int = spp) -> float:
            total = pbdr.gradient(scene, case.parameter, weights, spp=spp, seed=seed, integrator=integrator).total
            return float(np.sum(total[case.parameter].astype(np.float64) * tangent))

        mean, error, seconds = replicas(estimate, options.seconds, name, boundary)
        found[boundary] = {"mean": mean, "error": error, "seconds": seconds, "spp": spp}
    edge, warp = found["edge"], found["warp"]
    difference = (warp["mean"] - edge["mean"]) / abs(edge["mean"])
    noise = float(np.hypot(edge["error"], warp["error"])) / abs(edge["mean"])
    near = abs(difference) <= max(SIGMAS * noise, BIAS)
    verdict = "differs" if not near else "agrees" if noise <= NOISE else "undecided"
    # Error after the same time, both without bias: standard deviation times the root of seconds.
    equal = [x["error"] * np.sqrt(x["seconds"]) for x in (warp, edge)]
    return {
        **found,
        "difference": difference,
        "noise": noise,
        "verdict": verdict,
        "equal-time error": equal[0] / equal[1],
    }


def _signs(scene: Any, case: Any, tangent: Any) -> Any:
    """Adjoint image that lets nothing cancel: signs of a derivative image of its own seed."""
    from pbdr.rendering import derivative
    from pbdr.scene import integrator_of

    integrator = integrator_of(scene, {"type": "pathspace", "max_depth": case.depth, **case.options})
    images = derivative(scene, {case.parameter: tangent}, spp=case.spp, seed=1, integrator=integrator)
    image = np.sum(list(images.values()), axis=0)
    return (np.sign(image) / image[..., 0].size).astype(np.float32)


# ---- bias ----------------------------------------------------------------------------------------------------------


def bias(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """κ → relative difference from edge sampling by number of auxiliary rays, and its standard error."""
    import pbdr
    from pbdr.scene import integrator_of

    scene, parameter, tangent, adjoint = _glowing(options.out / "warp")

    def measured(**extra: Any) -> Any:
        integrator = integrator_of(scene, {"type": "pathspace", "max_depth": 1, **extra})
        spp = 16 if extra["boundary"] == "edge" else 256

        def estimate(seed: int) -> float:
            total = pbdr.gradient(scene, parameter, adjoint, spp=spp, seed=seed, integrator=integrator).total[parameter]
            return float(np.sum(total.astype(np.float64) * tangent))

        return replicas(estimate, options.seconds, "bias", *(str(x) for x in extra.values()))

    exact, exact_error, _ = measured(boundary="edge", n_primary=2**16)
    result: dict[str, list[dict[str, Any]]] = {}
    for concentration in CONCENTRATIONS:
        row = result.setdefault(f"{concentration:g}", [])
        for rays in RAYS:
            mean, error, seconds = measured(boundary="warp", warp_rays=rays, warp_concentration=concentration)
            noise = float(np.hypot(error, exact_error)) / abs(exact)
            row.append({"rays": rays, "bias": (mean - exact) / abs(exact), "error": noise, "seconds": seconds})
    return result


def _glowing(folder: Path) -> tuple[Any, str, Any, Any]:
    """A bumpy mesh of constant radiance before nothing, its growth, and an adjoint that is the integral of the film."""
    import mitsuba as mi

    import pbdr

    blob = bumpy.Blob.subdivided(BIAS_FACES)
    folder.mkdir(parents=True, exist_ok=True)
    blob.write_ply(folder / "glowing.ply")
    light = {"type": "area", "radiance": {"type": "rgb", "value": 1.0}}
    mesh = {"type": "ply", "filename": str(folder / "glowing.ply"), "face_normals": True, "emitter": light}
    far = 1.2 * float(np.ptp(blob.vertices, axis=0).max())
    centre = blob.vertices.mean(axis=0)
    view = mi.ScalarTransform4f().look_at(list(centre - [0, 2.2 * far, 0]), list(centre), [0, 0, 1])
    film = {
        "type": "hdrfilm",
        "width": BIAS_SIZE,
        "height": BIAS_SIZE,
        "rfilter": {"type": "box"},
        "pixel_format": "rgb",
    }
    scene = pbdr.load_scene(
        {"type": "scene", "camera": {"type": "perspective", "fov": 40, "to_world": view, "film": film}, "blob": mesh}
    )
    adjoint = np.full((BIAS_SIZE, BIAS_SIZE, 3), 1 / (3 * BIAS_SIZE**2), np.float32)
    return scene, "blob/positions", np.asarray(blob.vertices - centre, dtype=np.float64), adjoint


def draw(found: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Bias against the number of auxiliary rays, with intervals of two standard errors."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    axes.axhline(0, color="0.6", linewidth=1)
    for concentration, row in found.items():
        rays = [point["rays"] for point in row]
        label = f"κ = {concentration}: reach {np.degrees(float(concentration) ** -0.5):.1f}°"
        axes.errorbar(
            rays, [100 * p["bias"] for p in row], [200 * p["error"] for p in row], marker="o", capsize=3, label=label
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(RAYS), [str(n) for n in RAYS])
    axes.set_xlabel("auxiliary rays per segment")
    axes.set_ylabel("difference from edge sampling, %")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


# ---- cost ----------------------------------------------------------------------------------------------------------


def _block(folder: Path) -> tuple[Any, str, Any]:
    from .matrix_cases import CASES as MATRIX

    scene = MATRIX["shadow of a moving block, area"].make(folder)
    width, height = (int(n) for n in scene.sensors[0].film().crop_size())
    return scene, "block/positions", np.ones((height, width, 3), np.float32) / (width * height)


def _bumpy(folder: Path) -> tuple[Any, str, Any]:
    return bumpy.scene(bumpy.Blob.subdivided(4), folder), bumpy.POSITIONS, bumpy.adjoint()


SCENES: dict[str, Callable[[Path], tuple[Any, str, Any]]] = {
    "block before an area light": _block, "bumpy mesh of 5,120 faces moves": _bumpy,
}  # fmt: skip


def cost(scene: Any, name: str, adjoint: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of the interior alone, of edge sampling and of the warp, and the ratio that the requirement is about."""
    import pbdr
    from pbdr.scene import integrator_of
    from pbdr.seeds import hashed

    count = iter(range(10**9))

    def task(boundary: str) -> Callable[[], Any]:
        integrator = integrator_of(scene, {"type": "pathspace", "max_depth": COST_DEPTH, "boundary": boundary})
        terms = ("interior", "primary", "direct", "indirect") if boundary == "edge" else ("interior",)

        def go() -> None:
            seed = hashed(0, "cost", next(count))
            pbdr.gradient(scene, name, adjoint, spp=options.spp, seed=seed, integrator=integrator, terms=terms)

        return go

    tasks = {"interior": task("none"), "warp": task("warp"), "edge": task("edge")}
    seconds = interleaved(tasks, options.rounds)
    median = {label: float(np.median(values)) for label, values in seconds.items()}
    ratios = {f"{label} / interior": median[label] / median["interior"] for label in ("warp", "edge")}
    return {"seconds": median, **ratios}


# ---- the page ------------------------------------------------------------------------------------------------------


def _markdown(data: dict[str, Any]) -> str:
    parts = []
    if "agreement" in data:
        rows = [
            [
                name, *(f"{1e3 * case[b]['mean']:.4f} ± {1e3 * case[b]['error']:.4f}" for b in ("edge", "warp")),
                f"{case['difference']:+.1%} ± {case['noise']:.1%}", case["verdict"], f"{case['equal-time error']:.1f}",
            ]
            for name, case in data["agreement"].items()
        ]  # fmt: skip
        header = ["case", "edge, 10⁻³", "warp, 10⁻³", "difference", "verdict", "equal-time error, warp / edge"]
        parts.append(f"## Agreement\n\n{table(header, rows)}")
    if "bias" in data:
        rows = [[name, *(f"{p['bias']:+.2%} ± {p['error']:.2%}" for p in row)] for name, row in data["bias"].items()]
        header = ["κ", *(f"{n} rays" for n in RAYS)]
        parts.append(
            f"## Bias\n\nA mesh of 320 small faces, {BIAS_SIZE}²; difference from edge sampling (warp_bias.png).\n\n"
            + table(header, rows)
        )
    if "cost" in data:
        rows = [
            [name, *(f"{1e3 * s:.0f}" for s in case["seconds"].values()), f"{case['warp / interior']:.2f}",
             f"{case['edge / interior']:.2f}"]
            for name, case in data["cost"].items()
        ]  # fmt: skip
        header = ["scene", "interior, ms", "warp, ms", "edge, ms", "warp / interior", "edge / interior"]
        parts.append(
            f"## Cost\n\nDepth {COST_DEPTH}; at most {LIMIT:g} interior passes are allowed.\n\n{table(header, rows)}"
        )
    return "\n\n".join(parts)
