"""The table of docs/theory.md, section 9, measured again.

Depth 2: the gradient of a fixed linear functional of the image with respect to a similarity transform of a bumpy,
flat-shaded mesh, term by term, next to central finite differences of Mitsuba's `path`. The derivative of a mesh of facets
jumps whenever one of them turns edge-on, so that differences over an interval need not be close to the derivative at its
middle, however exact both are; they *are* its mean over the interval, which is what is compared. Depth 3: how much the interior
term scatters between seeds at 128 samples per pixel, next to Mitsuba's `prb` on the same scene in the same run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validation.replicas import mean_and_error

from . import bumpy
from .harness import Result, table

FACES = (1280, 5120)
STEPS = (0.02, 0.01)
TERMS = ("interior", "primary", "direct")
AGREEMENT = 0.02  # largest relative difference from the finite differences
PRECISION = 0.007  # relative standard error of a comparison at which its finite difference stops
RATIO = 300.0  # the interior's standard deviation is to be this many times below prb's
FD_SPP = 256
NOISE_SPP = 128

Array = NDArray[np.float64]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--replicas", type=int, default=24, help="gradients averaged, and seeds of the noise figures")
    parser.add_argument("--spp", type=int, default=128, help="samples per pixel of each gradient at depth 2")
    parser.add_argument(
        "--max-replicas", type=int, default=400, help="pairs of images a finite difference may take to become decisive"
    )


def run(options: argparse.Namespace) -> Result:
    """Both parts, for both meshes."""
    cases = {}
    for faces in FACES:
        blob = bumpy.Blob.subdivided(round(np.log(faces / 20) / np.log(4)))
        scene = bumpy.scene(blob, options.out / "theory_table")
        ours = gradients(scene, blob, options)
        means = {str(step): interval_means(scene, blob, step, options) for step in STEPS}
        references = {str(step): differences(scene, blob, step, means[str(step)], options) for step in STEPS}
        cases[str(faces)] = {
            "gradient": ours, "means": means, "finite_differences": references, "verdict": verdicts(means, references),
        }  # fmt: skip
        cases[str(faces)]["noise"] = noise(scene, blob, options)
    agree = all(v["verdict"] == "agrees" for case in cases.values() for v in case["verdict"].values())
    ratios = {faces: case["noise"]["ratio"][0] for faces, case in cases.items()}
    data = {
        "compared": "total gradient at depth 2, its mean over the interval of the finite difference, with central finite "
        "differences of Mitsuba's path, each step apart; "
        f"'agrees': the difference is at most {AGREEMENT:.0%} of the finite difference and twice its standard error is "
        "below that too; 'undecided': the noise is larger than that",
        "cases": cases,
        "noise_ratio_of_d_dx": ratios,
        "agrees": agree,
    }
    return Result("theory_table", data, _markdown(cases, options), agree and min(ratios.values()) >= RATIO)


def gradients(scene: Any, blob: bumpy.Blob, options: argparse.Namespace) -> dict[str, Any]:
    """Mean and standard error of every term at depth 2, by component."""
    import pbdr
    from pbdr.scene import integrator_of
    from pbdr.seeds import hashed

    integrator = integrator_of(scene, {"type": "pathspace", "max_depth": 2})
    samples: dict[str, list[Array]] = {term: [] for term in (*TERMS, "total")}
    for replica in range(options.replicas):
        seed = hashed(options.seed, "gradient", replica)
        found = pbdr.gradient(
            scene, bumpy.POSITIONS, bumpy.adjoint(), spp=options.spp, seed=seed, integrator=integrator
        )
        for term in samples:
            samples[term].append(contracted(blob, getattr(found, term)[bumpy.POSITIONS]))
    result = {}
    for term, values in samples.items():
        mean, error = mean_and_error(values)
        result[term] = {"mean": mean.tolist(), "error": error.tolist()}
    return result


def interval_means(scene: Any, blob: bumpy.Blob, step: float, options: argparse.Namespace) -> dict[str, Any]:
    """By component, mean and standard error of the total over amounts in [-step, step], one stratum a replica."""
    import mitsuba as mi

    import pbdr
    from pbdr.parameters import traverse
    from pbdr.scene import integrator_of
    from pbdr.seeds import hashed

    params = traverse(scene)
    integrator = integrator_of(scene, {"type": "pathspace", "max_depth": 2})
    means, errors = [], []
    for component in bumpy.COMPONENTS:
        samples = []
        for replica in range(options.replicas):
            seed = hashed(options.seed, "interval", component, str(step), replica)
            place = (replica + np.random.default_rng(seed).random()) / options.replicas
            amount = step * (2 * place - 1)
            vertices = blob.moved(component, amount).astype(np.float32)
            params[bumpy.RAW] = mi.Float(np.ascontiguousarray(vertices).ravel())
            params.update()
            found = pbdr.gradient(
                scene, bumpy.POSITIONS, bumpy.adjoint(), spp=options.spp, seed=seed, integrator=integrator
            )
            total = np.asarray(found.total[bumpy.POSITIONS], dtype=np.float64).reshape(-1, 3)
            samples.append((total * blob.tangent(component, amount)).sum())
        mean, error = mean_and_error(samples)
        means.append(float(mean))
        errors.append(float(error))
    params[bumpy.RAW] = mi.Float(np.ascontiguousarray(blob.vertices, dtype=np.float32).ravel())
    params.update()
    return {"mean": means, "error": errors}


def contracted(blob: bumpy.Blob, vertices: NDArray[Any]) -> Array:
    """Gradient with respect to the vertices (N, 3) → (5,) with respect to the components: the chain rule."""
    return np.einsum("cij,ij->c", blob.tangents, np.asarray(vertices, dtype=np.float64).reshape(-1, 3))


def functional(scene: Any, depth: int) -> Callable[[Array, int], float]:
    """Function (vertices, seed) → Σ adjoint · image, the image by Mitsuba's `path`.

    Stratified samples: half the variance of independent ones for the same time.
    """
    import drjit as dr
    import mitsuba as mi

    from pbdr.parameters import traverse

    params = traverse(scene)
    integrator = mi.load_dict({"type": "path", "max_depth": depth})
    sensor = mi.load_dict(bumpy.sensor(sampler="multijitter"))
    weights = bumpy.adjoint().astype(np.float64)

    def value(vertices: Array, seed: int) -> float:
        params[bumpy.RAW] = mi.Float(np.ascontiguousarray(vertices, dtype=np.float32).ravel())
        params.update()
        with dr.suspend_grad():
            image = mi.render(scene.mi, sensor=sensor, integrator=integrator, spp=FD_SPP, seed=seed)
        return float((np.array(image, dtype=np.float64)[..., :3] * weights).sum())

    return value


def differences(
    scene: Any, blob: bumpy.Blob, step: float, ours: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """Central differences with common random numbers: mean, standard error and replicas by component.

    Replicas are added until the standard error of the difference from our total is PRECISION; the rule looks at standard
    errors only, never at the difference itself.
    """
    from pbdr.seeds import hashed

    value = functional(scene, depth=2)
    means, errors, counts = [], [], []
    for index, component in enumerate(bumpy.COMPONENTS):
        ahead, behind = blob.moved(component, step), blob.moved(component, -step)
        samples: list[float] = []
        while len(samples) < options.max_replicas:
            seed = hashed(options.seed, "difference", component, str(step), len(samples))
            samples.append((value(ahead, seed) - value(behind, seed)) / (2 * step))
            if len(samples) >= 16:
                mean, error = mean_and_error(samples)
                if np.hypot(error, ours["error"][index]) <= PRECISION * abs(mean):
                    break
        mean, error = mean_and_error(samples)
        means.append(float(mean))
        errors.append(float(error))
        counts.append(len(samples))
    value(blob.vertices, 0)  # puts the mesh back
    return {"mean": means, "error": errors, "replicas": counts, "spp": FD_SPP}


def verdicts(means: dict[str, Any], references: dict[str, Any]) -> dict[str, Any]:
    """By component: relative difference from every finite difference, its standard error, and what follows."""
    result = {}
    for index, component in enumerate(bumpy.COMPONENTS):
        relative, spread = [], []
        for step, reference in references.items():
            mean, error = means[step]["mean"][index], means[step]["error"][index]
            size = abs(reference["mean"][index])
            relative.append((mean - reference["mean"][index]) / size)
            spread.append(float(np.hypot(error, reference["error"][index])) / size)
        word = "agrees" if max(abs(r) for r in relative) <= AGREEMENT else "differs"
        if 2 * max(spread) > AGREEMENT:
            word = "undecided"
        result[component] = {"verdict": word, "relative": relative, "error": spread}
    return result


def noise(scene: Any, blob: bumpy.Blob, options: argparse.Namespace) -> dict[str, Any]:
    """Standard deviation between seeds of the depth-3 interior and of prb, seed after seed in turn."""
    import mitsuba as mi

    import pbdr
    from pbdr.scene import integrator_of
    from pbdr.seeds import hashed

    integrator = integrator_of(scene, {"type": "pathspace", "max_depth": 3, "boundary": "none"})
    prb = mi.load_dict({"type": "prb", "max_depth": 3})
    samples: dict[str, list[Array]] = {"pathspace": [], "prb": []}
    for replica in range(options.replicas):
        seed = hashed(options.seed, "noise", replica)
        found = pbdr.gradient(
            scene,
            bumpy.POSITIONS,
            bumpy.adjoint(),
            spp=NOISE_SPP,
            seed=seed,
            integrator=integrator,
            terms=("interior",),
        )
        samples["pathspace"].append(contracted(blob, found.interior[bumpy.POSITIONS]))
        samples["prb"].append(contracted(blob, _prb_gradient(scene, prb, seed)))
    result: dict[str, Any] = {"spp": NOISE_SPP, "replicas": options.replicas, "depth": 3}
    deviations = {}
    for name, values in samples.items():
        array = np.asarray(values)
        deviations[name] = array.std(axis=0, ddof=1)
        middle = np.median(array, axis=0)
        result[name] = {
            "mean": array.mean(axis=0).tolist(),
            "std": deviations[name].tolist(),
            "median_absolute_deviation": np.median(np.abs(array - middle), axis=0).tolist(),
        }
    result["ratio"] = (deviations["prb"] / deviations["pathspace"]).tolist()
    return result


def _prb_gradient(scene: Any, integrator: Any, seed: int) -> NDArray[Any]:
    """Gradient of the functional with respect to the vertices by Mitsuba's `prb`, (3 N,)."""
    import drjit as dr
    import mitsuba as mi

    from pbdr.parameters import traverse

    params = traverse(scene)
    leaf = mi.Float(dr.detach(params[bumpy.RAW]))
    dr.enable_grad(leaf)
    params[bumpy.RAW] = leaf
    params.update()
    integrator.render_backward(scene.mi, params, mi.TensorXf(bumpy.adjoint()), 0, seed, NOISE_SPP)
    found = np.array(dr.grad(leaf))
    params[bumpy.RAW] = dr.detach(leaf)
    params.update()
    return found


# ---- the page ------------------------------------------------------------------------------------------------------


def _cell(mean: float, error: float) -> str:
    return f"{mean:.5f} ± {error:.5f}"


def _markdown(cases: dict[str, Any], options: argparse.Namespace) -> str:
    parts = [
        f"Bumpy mesh, depth 2, 128², {options.replicas} × {options.spp} spp; a cell is a mean ± its standard error. The last "
        f"row compares both finite differences with the mean of the total over their interval; required: within {AGREEMENT:.0%}."
    ]
    for faces, case in cases.items():
        rows = [
            [
                term,
                *(
                    _cell(m, e)
                    for m, e in zip(case["gradient"][term]["mean"], case["gradient"][term]["error"], strict=True)
                ),
            ]
            for term in (*TERMS, "total")
        ]
        for step, reference in case["finite_differences"].items():
            ours = zip(case["means"][step]["mean"], case["means"][step]["error"], strict=True)
            rows.append([f"total, mean over ± {step}", *(_cell(m, e) for m, e in ours)])
            cells = [_cell(m, e) for m, e in zip(reference["mean"], reference["error"], strict=True)]
            rows.append([f"finite differences, step {step}", *cells])
        words = []
        for v in case["verdict"].values():
            shifts = ", ".join(f"{r:+.1%}" for r in v["relative"])
            words.append(f"{v['verdict']} ({shifts}, each ± {max(v['error']):.1%})")
        rows.append(["verdict", *words])
        parts.append(f"## {faces} faces\n\n{table(['term', *bumpy.COMPONENTS], rows)}")
        parts.append(_noise_table(case["noise"]))
    return "\n\n".join(parts)


def _noise_table(found: dict[str, Any]) -> str:
    rows = [
        ["pathspace, interior", *(f"{v:.2e}" for v in found["pathspace"]["std"])],
        ["Mitsuba's prb", *(f"{v:.2e}" for v in found["prb"]["std"])],
        ["ratio", *(f"{v:.0f}" for v in found["ratio"])],
    ]
    title = (
        f"Standard deviation between {found['replicas']} seeds at depth {found['depth']}, {found['spp']} spp, interior "
        f"term; required: ratio of x at least {RATIO:.0f}."
    )
    return f"{title}\n\n{table(['', *bumpy.COMPONENTS], rows)}"
