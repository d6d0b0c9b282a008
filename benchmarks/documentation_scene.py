"""One scene of Mitsuba's documentation, in a process of its own: load it, choose what to differentiate, compare."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from validation.replicas import block_signs, mean_and_error

from .apart import put
from .documentation_choice import inside, main_shape, material, mover, options, sideways

NOISE = 0.06  # largest relative standard error of a comparison that decides
BIAS = 0.02  # relative bias that is right in any case
SIGMAS = 4.0
AIM = 0.015  # relative standard error of each side at which its replicas end
LEAST, MOST = 8, 64  # replicas
SIDE = 24  # pixels of the longer side of the film
BUDGET = 1 << 17  # samples of each boundary term: most edges of these meshes are no silhouettes
SPP, FD_SPP = 256, 256  # of ours, and of an image that is differenced; squares, so that every sampler takes them
DEPTH = 3
RIGHT, REFUSED, NOISY, WRONG, SLOW, TRACEBACK = "right", "refused", "noisy", "wrong", "too slow", "traceback"
ABSENT, ACCEPTED = "incomplete", "accepted"
KINDS = ("material", "geometry")


def examine(path: Path, out: Path, depth: int, seconds: float, look: bool) -> None:
    """Write the record of a scene, part by part."""
    from pbdr.errors import PbdrError

    record: dict[str, Any] = {}
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            begin = time.perf_counter()
            scene = loaded(path)
            record["load"] = {"verdict": ACCEPTED, "seconds": round(time.perf_counter() - begin, 2)}
            put(record, out)
            for kind in KINDS:
                record[kind] = _part(scene, kind, depth, seconds, look)
                record["warnings"] = sorted({str(w.message) for w in warned if "pathspace" in str(w.message)})
                put(record, out)
    except PbdrError as error:
        absent = "does not exist" in str(error)
        record["load"] = {"verdict": ABSENT if absent else REFUSED, "message": str(error)}
    put(record, out)


def loaded(path: Path) -> Any:
    """The scene; some leave the number of samples, and where its meshes are, to whoever renders them."""
    import mitsuba as mi

    import pbdr
    from pbdr.errors import SceneError

    mi.file_resolver().append(str(path.resolve().parent.parent.parent / "common"))
    try:
        return pbdr.load_scene(path)
    except SceneError as error:
        if "undefined parameter: $spp" not in str(error):
            raise
        return pbdr.load_scene(path, define={"spp": 64})


def _part(scene: Any, kind: str, depth: int, seconds: float, look: bool) -> dict[str, Any]:
    """The record of one gradient: refused, accepted when no more than a look is asked for, or compared."""
    from pbdr.errors import PbdrError

    record: dict[str, Any] = {}
    begin = time.perf_counter()
    try:
        job = Job(scene, kind, depth)
        record |= {"parameter": " + ".join(p.name for p in job.parameters), "depth": job.depth, "verdict": ACCEPTED}
        with job.small():
            job.check()
            record["look"] = round(time.perf_counter() - begin, 2)
            if not look:
                record |= job.compare(seconds)
    except PbdrError as error:
        record |= {"verdict": REFUSED, "message": f"{type(error).__name__}: {error}"}
    except Exception:
        record |= {"verdict": TRACEBACK, "message": traceback.format_exc()[-1500:]}
    return {**record, "seconds": round(time.perf_counter() - begin, 1)}


class Job:
    """Parameters of a scene, the direction that they move in together, and both integrators."""

    def __init__(self, scene: Any, kind: str, depth: int) -> None:
        from pbdr.parameters import read
        from pbdr.scene import integrator_of
        from pbdr.verify.directions import direction, feasible, longest_step
        from pbdr.verify.sources import blends, primal_of

        self.scene, self.kind = scene, kind
        self.camera = scene.sensors[0]
        blended = kind == "material" and blends(scene)
        given = options(scene, 2 if blended else depth)  # deeper, Mitsuba has no unbiased integrator for them
        self.depth = given["max_depth"]
        budgets = dict.fromkeys(("n_primary", "n_direct", "n_indirect"), BUDGET)
        self.ours = integrator_of(scene, {"type": "pathspace", **given, **budgets})
        self.theirs = integrator_of(scene, primal_of(given, scene=scene) if blended else {"type": "path", **given})
        self.shape = main_shape(scene)
        if kind == "material":
            self.parameters = [material(scene, self.shape)]
            self.tangents = [direction(scene, self.parameters[0], "all")]
        else:
            movers = [mover(scene, shape, self.camera) for shape in [self.shape, *inside(scene, self.shape)]]
            self.parameters = list({p.raw: p for p in movers}.values())
            self.tangents = [sideways(p, self.camera) for p in self.parameters]
        first = self.parameters[0]
        self.tangents[0], self.side = feasible(np.asarray(read(scene, first)), self.tangents[0], first.bounds)
        self.step = longest_step(scene, first, self.tangents[0], self.side)

    def small(self) -> Any:
        """The film, made small."""
        from pbdr.parameters.film import resized_film
        from pbdr.verify.arguments import fitting_size

        return resized_film(self.camera, fitting_size(self.camera, SIDE))

    def check(self) -> None:
        """Raise what a gradient would raise before it renders."""
        from pbdr.parameters.attach import attached

        scene = self.scene.mi
        with attached(scene, {p.name: p for p in self.parameters}):
            _, _, features, _ = self.ours._prepare(scene, self.camera)
            if features.edges_seen_to_move:
                self.ours.tables.build(scene, features.moving_shapes, features)

    def compare(self, seconds: float) -> dict[str, Any]:
        """Differences at two steps and the gradient, both in replicas."""
        from pbdr.seeds import hashed

        weights = block_signs(np.array([self.difference(self.step, hashed(0, "signs", k)) for k in range(4)]))

        def differences(number: int) -> list[float]:
            whole, half = (float((self.difference(h, number) * weights).sum()) for h in (self.step, self.step / 2))
            return [whole, half, (4 * half - whole) / 3]

        channels = int(self.camera.film().base_channels_count())
        adjoint = np.zeros((*weights.shape[:2], channels), np.float32)
        adjoint[..., : weights.shape[2]] = weights

        def gradient(number: int) -> list[float]:
            return [self.reverse(adjoint, number)]

        theirs, _ = replicas(differences, seconds, "differences")
        mean, error = mean_and_error(theirs)
        record = {
            "steps": [{"step": s, "mean": m, "error": e} for s, m, e in zip((self.step, self.step / 2), mean, error)],  # noqa: B905
            "differences": {"mean": mean[2], "error": error[2], "replicas": len(theirs)},
        }
        mine, spent = replicas(gradient, seconds, "gradient")
        own, own_error = mean_and_error(mine)
        record["ours"] = {"mean": own[-1], "error": own_error[-1], "replicas": len(mine), "seconds": spent}
        # What the steps differ by, beyond its noise, is truncation: the extrapolation leaves a part of it.
        gap, noise = mean_and_error(theirs[:, 0] - theirs[:, 1])
        slack = max(abs(gap) - 2 * noise, 0.0) / 3
        return record | judged(own[-1], own_error[-1], mean[2], error[2], slack)

    def reverse(self, adjoint: np.ndarray, seed: int) -> float:
        """⟨gradient, tangent⟩ of Σ adjoint · image, all terms in one pass: a large mesh is handed to the scene once."""
        import mitsuba as mi

        from pbdr.errors import DivergedError
        from pbdr.parameters.attach import attached

        with attached(self.scene.mi, {p.name: p for p in self.parameters}) as leaves:
            self.ours.backward_terms(self.scene.mi, mi.TensorXf(adjoint), self.camera, seed, SPP)
            found = leaves.gradients()
        if int(self.ours.nonfinite[0]):
            raise DivergedError(f"{int(self.ours.nonfinite[0])} samples of the gradient are not finite")
        both = zip(self.parameters, self.tangents, strict=True)
        return float(sum(np.sum(found[p.name].astype(np.float64) * tangent) for p, tangent in both))

    def difference(self, step: float, seed: int) -> np.ndarray:
        """Derivative image of a difference with common random numbers."""
        import mitsuba as mi

        from pbdr.parameters import traverse
        from pbdr.verify.functionals import colours
        from pbdr.verify.sources import Move, difference

        params = traverse(self.scene)
        moves = [Move.of(params, p, tangent) for p, tangent in zip(self.parameters, self.tangents, strict=True)]
        render = lambda: mi.render(self.scene.mi, sensor=self.camera, integrator=self.theirs, spp=FD_SPP, seed=seed)  # noqa: E731
        return difference(lambda: colours(np.array(render())), params, moves, step, self.side)


def judged(mean: float, error: float, reference: float, reference_error: float, slack: float = 0.0) -> dict[str, Any]:
    """Verdict, relative bias and standard error of a comparison.

    Right: both are exactly zero, or the standard error is at most NOISE, and the bias at most SIGMAS standard errors or BIAS (and
    what truncation of the differences may explain). Wrong: the bias is more, however large the noise. Otherwise noisy.
    """
    numbers = [mean, error, reference, reference_error]
    if not np.isfinite(numbers).all():
        return {"verdict": WRONG, "bias": float("nan"), "bias_error": float("nan")}
    both = float(np.hypot(error, reference_error))
    scale = abs(reference) or abs(mean)
    if scale == 0:
        # Differences with common random numbers are exactly zero only where nothing changes.
        return {"verdict": RIGHT, "bias": 0.0, "bias_error": 0.0, "message": "exactly zero on both sides"}
    beyond = abs(mean - reference) - slack
    near = beyond <= max(SIGMAS * both, BIAS * scale)
    verdict = WRONG if not near else RIGHT if both <= NOISE * scale else NOISY
    return {"verdict": verdict, "bias": (mean - reference) / scale, "bias_error": both / scale}


def replicas(estimate: Any, seconds: float, name: str) -> tuple[np.ndarray, float]:
    """Replicas until the last entry is precise or time is up, and the seconds of a warm one; the first one warms up."""
    from pbdr.seeds import hashed

    estimate(hashed(0, name, "warm"))
    samples: list[list[float]] = []
    begin, start = (
        time.perf_counter(),
        time.process_time(),
    )  # of all threads: what else the machine does changes nothing
    while len(samples) < MOST:
        samples.append(estimate(hashed(0, name, len(samples))))
        if len(samples) >= LEAST:
            mean, error = mean_and_error(samples)
            if error[-1] <= AIM * abs(mean[-1]) or time.process_time() - start > seconds:
                break
    return np.array(samples), (time.perf_counter() - begin) / len(samples)


def main() -> None:
    """Called by `documentation` in a process of its own."""
    words = argparse.ArgumentParser()
    words.add_argument("scene", type=Path)
    words.add_argument("depth", type=int)
    words.add_argument("seconds", type=float)
    words.add_argument("look", choices=("look", "compare"))
    words.add_argument("out", type=Path)
    given = words.parse_args()
    examine(given.scene, given.out, given.depth, given.seconds, given.look == "look")


if __name__ == "__main__":
    sys.exit(main())
