"""The property of random scenes: refused by name, or equal to finite differences.

Also: forward mode equals reverse mode on the same samples, everything is finite, nothing crashes.
"""

from __future__ import annotations

import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from validation import random_scenes
from validation.random_scenes import Numbers, Structure, frame
from validation.replicas import block_signs, mean_and_error

SIGMAS = 4.0
NOISE = 0.08  # largest standard error of a comparison that decides, relative to the derivative
ROUNDING = 0.01  # relative difference that is right in any case
TRANSPOSED = 2e-3  # largest difference of forward and reverse mode, relative to the size of what is summed
AIM = 0.03
LEAST, MOST, SECONDS = 6, 40, 1.2  # replicas; seconds of processor time for those of one side
PATIENCE = 4.0
EFFORT = 4.0  # of the second look at what has failed, in units of that of the first
TRUNCATED = 3.0  # standard errors by which references with other steps differ where they are truncated
SPP, FD_SPP = 256, 256
STEP = 0.02  # of motions, in units of the unit scene
ZERO = "exactly zero on both sides"
RIGHT, REFUSED, NOISY, FAILED = "right", "refused", "noisy", "failed"
NO_REFERENCE = "no reference"  # Mitsuba's `path` alone ends the process on this scene, and pbdr does not
SIDES = ("reference", "ours")


class Problem:
    """A loaded scene, one of its parameters, a direction and both integrators."""

    def __init__(self, structure: Structure, numbers: Numbers, folder: Path, **options: Any) -> None:
        import pbdr
        from pbdr.scene import integrator_of
        from pbdr.verify.sources import primal_of

        self.structure, self.numbers = structure, numbers
        self.unit = frame(numbers).unit
        self.scene = pbdr.load_scene(random_scenes.make(structure, numbers, folder))
        self.parameter = chosen(self.scene, structure)
        rng = np.random.default_rng([numbers.seed, 11])
        self.tangent, self.step = direction(self.scene, self.parameter, self.unit, rng)
        # Only without `adjoint_sampling` are the samples of forward and reverse mode the same.
        ours = {"type": "pathspace", "max_depth": structure.depth, "adjoint_sampling": False, **options}
        self.fresh = lambda: integrator_of(self.scene, ours)
        self.ours = self.fresh()
        self.theirs = integrator_of(self.scene, primal_of({"max_depth": structure.depth}, scene=self.scene))

    def judge(self, effort: float = 1.0, least: int = LEAST, shorter: float = 1.0) -> dict[str, Any]:
        """Verdict and figures; `effort` multiplies the replicas' time, `least` is their least number, `shorter` divides steps."""
        from pbdr.seeds import hashed
        from pbdr.verify.sources import Differences

        camera, seed = self.scene.sensors[0], self.numbers.seed
        sides = Differences(self.scene, self.parameter, self.tangent, sensor=camera, integrator=self.theirs)
        self.reverse(
            np.ones((random_scenes.SIDE, random_scenes.SIDE, 3), np.float32), hashed(seed, "look"), 4
        )  # refusals first
        weights = block_signs(np.array([sides.image(self.step, hashed(seed, "signs", k), FD_SPP) for k in range(3)]))
        adjoint, longer = weights.astype(np.float32), self.step / shorter

        def differences(number: int) -> list[float]:
            pair = [float((sides.image(h, number, FD_SPP) * weights).sum()) for h in (longer, longer / 2)]
            return [*pair, (4 * pair[1] - pair[0]) / 3]

        theirs = replicas(differences, SECONDS * effort, "differences", seed, least)
        mine = replicas(lambda number: [self.reverse(adjoint, number, SPP)], SECONDS * effort, "ours", seed, least)
        reference, steps = mean_and_error(theirs), mean_and_error(theirs[:, 0] - theirs[:, 1])
        own = mean_and_error(mine)
        slack = max(abs(steps[0]) - 2 * steps[1], 0.0) / 2
        record: dict[str, Any] = {
            "reference": [reference[0][2], reference[1][2]], "ours": [own[0][0], own[1][0]], "slack": slack,
            "steps": [reference[0][0], reference[0][1]], "replicas": [len(theirs), len(mine)],
        }  # fmt: skip
        record |= verdict(own[0][0], own[1][0], reference[0][2], reference[1][2], slack)
        gap = self.transposed(adjoint, hashed(seed, "transposed"))
        record["transposed"] = gap
        if record["verdict"] != FAILED and gap > TRANSPOSED:
            record |= {"verdict": FAILED, "why": f"forward and reverse mode differ by {gap:.2g}"}
        return record

    def reverse(self, adjoint: Any, seed: int, spp: int, tracer: Any = None) -> float:
        """⟨gradient, tangent⟩ of Σ adjoint · image, all terms in one pass, as an optimisation takes it."""
        import mitsuba as mi

        from pbdr.errors import DivergedError
        from pbdr.parameters.attach import attached

        scene, name = self.scene.mi, self.parameter.name
        tracer = tracer or self.ours
        with attached(scene, {name: self.parameter}) as leaves:
            tracer.backward_terms(scene, mi.TensorXf(adjoint), self.scene.sensors[0], seed, spp)
            found = leaves.gradients()[name].astype(np.float64)
        if int(tracer.nonfinite[0]) or not np.isfinite(found).all():
            raise DivergedError(f"{int(tracer.nonfinite[0])} samples of the gradient are not finite")
        return float(np.sum(found * self.tangent))

    def transposed(self, adjoint: Any, seed: int) -> float:
        """⟨adjoint, forward⟩ − ⟨reverse, tangent⟩ on the same samples, relative to the size of the summands.

        Both by an integrator that has learned nothing yet: what one learns from a call changes the samples of the next.
        """
        from pbdr.parameters.attach import attached

        scene, name = self.scene.mi, self.parameter.name
        with attached(scene, {name: self.parameter}) as leaves:
            leaves.set_tangents({name: self.tangent})
            image = np.array(self.fresh().forward_terms(scene, self.scene.sensors[0], seed, SPP), dtype=np.float64)
        size = np.abs(image * adjoint).sum()
        gap = abs(float((image * adjoint).sum()) - self.reverse(adjoint, seed, SPP, self.fresh()))
        return float(gap / size) if size > 0 else gap


def replicas(estimate: Any, seconds: float, name: str, seed: int, least: int = LEAST) -> np.ndarray:
    """Replicas until the last entry is precise or time is up, no fewer than `least`; PATIENCE where it decides nothing."""
    from pbdr.seeds import hashed

    samples: list[list[float]] = []
    begin = time.process_time()  # of all threads: what else the machine does changes nothing
    while len(samples) < MOST:
        samples.append(estimate(hashed(seed, name, len(samples))))
        if len(samples) >= least:
            mean, error = mean_and_error(samples)
            relative = error[-1] / max(abs(mean[-1]), 1e-30)
            patience = 1.0 if relative <= 0.6 * NOISE else PATIENCE
            if relative <= AIM or time.process_time() - begin > patience * seconds:
                break
    return np.array(samples)


def verdict(mean: float, error: float, reference: float, reference_error: float, slack: float) -> dict[str, Any]:
    """Right, noisy or failed.

    Right: exactly zero on both sides, or within SIGMAS standard errors (and what truncation may explain), which have a bound.
    """
    if not np.isfinite([mean, error, reference, reference_error]).all():
        return {"verdict": FAILED, "why": "not finite"}
    scale, both = max(abs(reference), abs(mean)), float(np.hypot(error, reference_error))
    if scale == 0:
        # Differences with common random numbers are exactly zero only where nothing changes.
        return {"verdict": RIGHT, "why": ZERO}
    beyond = abs(mean - reference) - slack
    figures = {"bias": (mean - reference) / scale, "bias_error": both / scale}
    if beyond > max(SIGMAS * both, ROUNDING * scale):
        return {"verdict": FAILED, "why": f"{mean:.4g} instead of {reference:.4g} ± {both:.2g}", **figures}
    return {"verdict": RIGHT if both + slack <= NOISE * scale else NOISY, **figures}


# ---------------------------------------------------------------------- what is differentiated


def chosen(scene: Any, structure: Structure) -> Any:
    """The parameter that the structure's role and choice mean."""
    from pbdr.parameters import list_parameters, traverse

    params = traverse(scene)
    every = [
        p for p in list_parameters(scene) if p.kind != "integer" and not p.role.endswith(("_uv", "uv", "texcoords"))
    ]

    def of(name: str) -> list[Any]:
        return [p for p in every if p.raw.split(".")[0] == name or p.name.split("/")[0] == name]

    geometry = ("pose", "positions", "control_points")
    things = of("thing")
    groups: dict[str, list[Any]] = {
        "shape": [p for p in things if p.role in geometry],
        "receiver": [p for p in of("floor") if p.role == "pose"],
        "camera": [p for p in of("camera") if p.role == "pose"],
        "light": [p for p in of("lamp") if p.role not in ("cutoff_angle", "beam_width", "normals", "sampling_weight")],
        "material": [p for p in things if isinstance(params.properties[p.raw][2], _materials()) and p.role not in geometry],
    }  # fmt: skip
    found = groups[structure.role] or groups["shape"] or groups["camera"]
    return found[structure.choice % len(found)]


def _materials() -> tuple[type, ...]:
    import mitsuba as mi

    return (mi.BSDF, mi.Texture)


def direction(scene: Any, parameter: Any, unit: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A random direction, and the longer step along it."""
    from pbdr.parameters import read
    from pbdr.verify.directions import longest_step

    value = np.asarray(read(scene, parameter))
    if parameter.kind == "transform":
        turn = rng.normal(size=3) * 0.3
        if any(shape.id() == "thing" and shape.class_name() == "SDFGrid" for shape in scene.mi.shapes()):
            turn *= "thing" not in parameter.name  # grids that are turned are refused
        wedge = np.array([[0, -turn[2], turn[1]], [turn[2], 0, -turn[0]], [-turn[1], turn[0], 0]])
        return np.column_stack([wedge @ value[:, :3], unit * rng.normal(size=3)]), STEP
    if parameter.role in ("positions", "center", "position"):
        rows = value.reshape(-1, 3)
        centred = (rows - rows.mean(0)) / unit
        waves = 0.3 * np.sin(2 * centred @ rng.normal(size=(3, 3)) + rng.uniform(0, 6, 3))
        return unit * (rng.normal(size=3) + waves).reshape(value.shape), STEP
    if parameter.role == "control_points":
        moves = rng.normal(size=3) + 0.3 * rng.normal(size=(value.size // 4, 3))
        return unit * np.column_stack([moves, np.zeros(len(moves))]).reshape(value.shape), STEP
    size = np.maximum(np.abs(value), 0.1 * float(np.abs(value).max()) or 1.0)
    tangent = size * rng.uniform(0.5, 1.0, value.shape)
    return tangent, longest_step(scene, parameter, tangent)


# ---------------------------------------------------------------------- one scene


def examine(
    structure: Structure, numbers: Numbers, effort: float = 1.0, least: int = LEAST, shorter: float = 1.0, **options: Any
) -> dict[str, Any]:  # fmt: skip
    """The record of one scene; `least`: replicas of each side, `shorter`: divides steps, `options`: of `pathspace`."""
    from pbdr.errors import DivergedError, PbdrError

    begin = time.perf_counter()
    record: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            problem = Problem(structure, numbers, Path(folder), **options)
            record["parameter"] = problem.parameter.name
            record |= problem.judge(effort, least, shorter)
        except DivergedError as error:
            record |= {"verdict": FAILED, "why": str(error)}
        except PbdrError as error:
            record |= {"verdict": REFUSED, "why": f"{type(error).__name__}: {error}"}
        except Exception:
            record |= {"verdict": FAILED, "why": traceback.format_exc()[-1200:]}
        if record["verdict"] == FAILED and any("IncompleteGradient" in w.category.__name__ for w in warned):
            told = next(str(w.message) for w in warned if "IncompleteGradient" in w.category.__name__)
            record |= {"verdict": REFUSED, "why": f"warned: {told}", "was": record["why"]}
    return {**record, "seconds": round(time.perf_counter() - begin, 2)}


def one_side(structure: Structure, numbers: Numbers, side: str) -> None:
    """Do what `examine` does first on one of SIDES alone, to see which of them ends a process that has crashed.

    Their random numbers are the same. The reference is rendered at both steps; ours is its gradient in both modes.
    """
    from pbdr.seeds import hashed
    from pbdr.verify.sources import Differences

    with tempfile.TemporaryDirectory() as folder:
        problem = Problem(structure, numbers, Path(folder))
        if side == "reference":
            camera = problem.scene.sensors[0]
            both = Differences(
                problem.scene, problem.parameter, problem.tangent, sensor=camera, integrator=problem.theirs
            )
            for number in range(MOST):
                for step in (problem.step, problem.step / 2):
                    both.image(step, hashed(numbers.seed, "differences", number), FD_SPP)
            return
        ones = np.ones((random_scenes.SIDE, random_scenes.SIDE, 3), np.float32)
        for number in range(MOST):
            problem.reverse(ones, hashed(numbers.seed, "ours", number), SPP)
        problem.transposed(ones, hashed(numbers.seed, "transposed"))


def confirmed(structure: Structure, numbers: Numbers, first: dict[str, Any]) -> dict[str, Any]:
    """The record of a scene that has failed, after a second look with `EFFORT` times the effort and steps half as long."""
    return settled(first, examine(structure, numbers, EFFORT, least=MOST, shorter=2.0))


def settled(first: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """One record of a scene that has failed and was examined again.

    Failed if it fails again. Right if it is right now, and shorter steps show that the first differences were truncated: what two
    steps differ by bounds that badly where edges cross the borders of pixels or highlights are small. Else noisy.
    """
    if again["verdict"] in (FAILED, REFUSED):
        return {**first, **again}
    if again["verdict"] == RIGHT and "reference" in first:
        (before, error), (after, error_after) = first["reference"], again["reference"]
        if abs(after - before) > TRUNCATED * np.hypot(error, error_after):
            kept = {key: value for key, value in first.items() if key != "why"}
            return {**kept, **again, "truncated": (before - after) / max(abs(after), 1e-30)}
    why = f"did not fail again with {EFFORT:.0f} times the effort and steps half as long: {first['why']}"
    return {**first, "verdict": NOISY, "why": why}
