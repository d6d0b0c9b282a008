"""The warp (boundary = 'warp') beside edge sampling: the same totals, its bias with few auxiliary rays, what it costs.

Agreement: every case of the matrix that both support, on the same adjoint image; what the warp refuses is listed with its
reason, and so are cases without a boundary. The matrix lights most shapes by a lamp without size, which the warp refuses: they
are here under an area light, too. A run that was interrupted goes on where it stopped. Bias: a bumpy mesh that shines before
nothing and whose faces are small, against edge sampling, which has none. Cost: gradients in one process, in turn.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from validation.replicas import mean_and_error
from validation.units import TERMS

from . import bumpy
from .harness import Result, interleaved
from .warp_page import (
    AGREES,
    BIAS,
    BIAS_FACES,
    BIAS_SIZE,
    CONCENTRATIONS,
    COST_DEPTH,
    DIFFERS,
    EQUAL,
    LIMIT,
    NOISE,
    NOTHING,
    PARTS,
    RAYS,
    REFUSED,
    SIGMAS,
    UNDECIDED,
    draw,
    markdown,
)

# Noise at the default reach decides nothing here in any reasonable time. Case → (concentration, samples per pixel, times as long).
WIDER = {"indirect: panel-low": (50.0, 1024, 5.0)}
AIM = 0.007  # relative standard error of either estimate at which its replicas end


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--seconds", type=float, default=20.0, help="for the replicas of one estimate")
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds, each of which runs every task once")
    parser.add_argument("--spp", type=int, default=64, help="samples per pixel of the timed gradients")
    parser.add_argument("--only", choices=PARTS, action="append", help="parts to run (all)")
    parser.add_argument("--case", action="append", metavar="GLOB", help="cases of the matrix, by name (all)")
    parser.add_argument("--again", action="store_true", help="measure again what the folder holds")


def run(options: argparse.Namespace) -> Result:
    """The parts asked for, and what the folder holds of the others."""
    from . import harness

    options.out.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {}
    known = options.out / "warp.json"
    if known.is_file():
        data = {part: found for part, found in json.loads(known.read_text(encoding="utf-8")).items() if part in PARTS}
    for part in options.only or PARTS:
        if part == "agreement":
            cases = data.setdefault("agreement", {})
            for name in _chosen(cases, options):
                cases[name] = agreement(name, options)
                print(f"{name}: {cases[name]['verdict']}", file=sys.stderr, flush=True)
                harness.write(Result("warp", data, markdown(data), _met(data)), options.out, 0.0)
        elif part == "bias":
            data["bias"] = bias(options)
        else:
            data["cost"] = {name: cost(*make(options.out / "warp"), options) for name, make in SCENES.items()}
    for folder in [options.out, *([harness.RECORDED] if options.record else [])]:
        if "bias" in data:
            draw(data["bias"], folder / "warp_bias.png")
    return Result("warp", {part: data[part] for part in PARTS if part in data}, markdown(data), _met(data))


def _chosen(known: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """Cases asked for that are not known yet. Cases that edge sampling refuses are of no use here."""
    names = [name for name, case in _cases().items() if not case.refusal]
    names = [name for name in names if any(fnmatch.fnmatch(name, glob) for glob in options.case or ["*"])]
    return [name for name in names if options.again or name not in known]


def _cases() -> dict[str, Any]:
    """The matrix, and its shapes under an area light."""
    from validation.cases import CASES
    from validation.cases.shapes import RED, TILT
    from validation.scenes import meshes, zoo

    shapes = {
        "cube, split vertices": meshes.box(0.8), "rectangle": {"type": "rectangle", "to_world": TILT},
        "disk": {"type": "disk", "to_world": TILT}, "sphere": {"type": "sphere", "center": [0, 0, 0.7], "radius": 0.4},
        "cylinder": {"type": "cylinder", "p0": [-0.4, 0, 0.6], "p1": [0.4, 0.3, 0.9], "radius": 0.25},
    }  # fmt: skip

    def lit(shape: dict[str, Any]) -> Callable[[Path], Any]:
        lamp = {"type": "area", "radiance": zoo.rgb(30.0)}
        return lambda folder: meshes.scene(light=zoo.above(size=0.4, emitter=lamp), thing={"bsdf": RED, **shape})

    more = {
        f"{name}, under an area light": dataclasses.replace(CASES[name], make=lit(shape))
        for name, shape in shapes.items()
    }
    return {**CASES, **more}


def _met(data: dict[str, Any]) -> bool:
    """No case differs, none is undecided, most rays leave less bias than fewest, the unbiased variant has none, and the cost stays
    below its limit."""
    agree = all(case["verdict"] not in (DIFFERS, UNDECIDED) for case in data.get("agreement", {}).values())
    rows = data.get("bias", {}).values()
    shrinks = all(abs(row["rays"][-1]["bias"]) < max(abs(row["rays"][0]["bias"]), BIAS) for row in rows)
    without = all(abs(row["unbiased"]["bias"]) <= max(SIGMAS * row["unbiased"]["error"], BIAS) for row in rows)
    cheap = all(case["warp / interior"] <= LIMIT for case in data.get("cost", {}).values())
    return agree and shrinks and without and cheap


def replicas(estimate: Callable[[int], float], seconds: float, *names: str, least: int = 6, most: int = 200) -> Any:
    """Mean, standard error, seconds of one estimate and their number; the first call warms up."""
    from pbdr.seeds import hashed

    estimate(hashed(0, *names, "warm"))
    samples: list[float] = []
    start = time.perf_counter()
    while len(samples) < most:
        samples.append(estimate(hashed(0, *names, len(samples))))
        if len(samples) >= least:
            mean, error = mean_and_error(samples)
            if error <= AIM * abs(mean) or time.perf_counter() - start > seconds:
                break
    return float(mean), float(error), (time.perf_counter() - start) / len(samples), len(samples)


# ---- agreement -----------------------------------------------------------------------------------------------------


def agreement(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Both estimates of one case of the matrix, and their difference relative to the edge estimate."""
    import tempfile

    import pbdr
    from pbdr.errors import PbdrError
    from pbdr.rendering import derivative
    from pbdr.scene import integrator_of

    case = _cases()[name]
    with tempfile.TemporaryDirectory() as folder:
        scene = case.make(Path(folder))
    tangent = np.asarray(case.tangent(scene, case.parameter), dtype=np.float64)

    try:
        warp = integrator_of(scene, {"type": "pathspace", "max_depth": case.depth, **case.options, "boundary": "warp"})
        derivative(scene, {case.parameter: tangent}, spp=1, integrator=warp, terms=TERMS[:1])
    except PbdrError as error:
        return {"verdict": REFUSED, "reason": str(error).removeprefix("boundary='warp': ")}

    def estimator(boundary: str, spp: int, **extra: Any) -> Callable[[int], Any]:
        chosen = {"type": "pathspace", "max_depth": case.depth, **case.options, "boundary": boundary, **extra}
        integrator, terms = integrator_of(scene, chosen), TERMS if boundary == "edge" else TERMS[:1]

        def estimate(seed: int) -> Any:
            found = pbdr.gradient(
                scene, case.parameter, weights, spp=spp, seed=seed, integrator=integrator, terms=terms
            )
            parts = [getattr(found, term)[case.parameter].astype(np.float64) for term in terms]
            return [float(np.sum(part * tangent)) for part in parts]

        return estimate

    weights = _signs(scene, case, tangent)
    if not any(estimator("edge", case.spp)(0)[1:]):
        return {"verdict": NOTHING}
    found: dict[str, Any] = {}
    concentration, warp_spp, longer = WIDER.get(name, (None, 4 * case.spp, 1.0))
    extra = {} if concentration is None else {"warp_concentration": concentration}
    for boundary, spp in (("edge", case.spp), ("warp", warp_spp)):
        one = estimator(boundary, spp, **extra)
        mean, error, seconds, count = replicas(
            lambda seed, one=one: sum(one(seed)),
            options.seconds * longer,
            name,
            boundary,
            most=64 if boundary == "edge" else 400,
        )
        found[boundary] = {"mean": mean, "error": error, "seconds": seconds, "spp": spp, "replicas": count}
    return {**found, **compared(found["edge"], found["warp"]), "concentration": concentration}


def compared(edge: dict[str, Any], warp: dict[str, Any]) -> dict[str, Any]:
    """Difference relative to the edge estimate, verdict, variance × seconds relative to that of edge sampling, and root mean square
    errors of both after the same time. What bias the difference shows beyond its noise counts as the warp's."""
    scale = abs(edge["mean"])
    difference, noise = (warp["mean"] - edge["mean"]) / scale, float(np.hypot(edge["error"], warp["error"])) / scale
    near = abs(difference) <= max(SIGMAS * noise, BIAS)
    work = {b: (x["error"] / scale) ** 2 * x["replicas"] * x["seconds"] for b, x in (("edge", edge), ("warp", warp))}
    excess = max(difference**2 - noise**2, 0.0)
    return {
        "difference": difference, "noise": noise, "verdict": DIFFERS if not near else AGREES if noise <= NOISE else UNDECIDED,
        "variance × seconds, warp / edge": work["warp"] / work["edge"],
        "error": {"edge": float(np.sqrt(work["edge"] / EQUAL)), "warp": float(np.sqrt(work["warp"] / EQUAL + excess))},
    }  # fmt: skip


def _signs(scene: Any, case: Any, tangent: Any) -> Any:
    """Adjoint image that lets nothing cancel: signs of a derivative image of its own seed."""
    from pbdr.rendering import derivative
    from pbdr.scene import integrator_of

    integrator = integrator_of(scene, {"type": "pathspace", "max_depth": case.depth, **case.options})
    images = derivative(scene, {case.parameter: tangent}, spp=case.spp, seed=1, integrator=integrator)
    image = np.sum(list(images.values()), axis=0)
    weights = np.zeros_like(image)
    chosen = list(case.channels or range(image.shape[-1]))
    weights[..., chosen] = np.sign(image[..., chosen]) / image[..., 0].size
    return weights.astype(np.float32)


# ---- bias ----------------------------------------------------------------------------------------------------------


def bias(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """κ → relative difference from edge sampling by number of auxiliary rays, and that of the unbiased variant."""
    import pbdr
    from pbdr.scene import integrator_of

    scene, parameter, tangent, adjoint = _glowing(options.out / "warp")

    def measured(**extra: Any) -> Any:
        integrator = integrator_of(scene, {"type": "pathspace", "max_depth": 1, **extra})
        warped = extra["boundary"] == "warp"

        def estimate(seed: int) -> float:
            found = pbdr.gradient(
                scene, parameter, adjoint, spp=1024 if warped else 16, seed=seed, integrator=integrator,
                terms=TERMS[:1] if warped else TERMS,
            )  # fmt: skip
            return float(np.sum(found.total[parameter].astype(np.float64) * tangent))

        return replicas(estimate, options.seconds, "bias", *(str(x) for x in extra.values()))

    exact, exact_error, *_ = measured(boundary="edge", n_primary=2**16)

    def point(**extra: Any) -> dict[str, Any]:
        mean, error, seconds, count = measured(boundary="warp", **extra)
        noise = float(np.hypot(error, exact_error)) / abs(exact)
        work = (error / exact) ** 2 * count * seconds
        return {"bias": (mean - exact) / abs(exact), "error": noise, "seconds": seconds, "variance × seconds": work}

    result: dict[str, dict[str, Any]] = {}
    for concentration in CONCENTRATIONS:
        row = [{"rays": n, **point(warp_concentration=concentration, warp_rays=n)} for n in RAYS]
        unbiased = point(warp_concentration=concentration, warp_unbiased=True)
        result[f"{concentration:g}"] = {"rays": row, "unbiased": unbiased}
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


# ---- cost ----------------------------------------------------------------------------------------------------------


def _block(folder: Path) -> tuple[Any, str, Any]:
    from validation.cases import CASES as MATRIX

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
        terms = TERMS if boundary == "edge" else TERMS[:1]

        def go() -> None:
            seed = hashed(0, "cost", next(count))
            pbdr.gradient(scene, name, adjoint, spp=options.spp, seed=seed, integrator=integrator, terms=terms)

        return go

    tasks = {"interior": task("none"), "warp": task("warp"), "edge": task("edge")}
    seconds = interleaved(tasks, options.rounds)
    median = {label: float(np.median(values)) for label, values in seconds.items()}
    ratios = {f"{label} / interior": median[label] / median["interior"] for label in ("warp", "edge")}
    return {"seconds": median, **ratios}
