"""Every supported gradient against finite differences of Mitsuba's `path`, with Mitsuba's `prb_projective` beside it (`volpathmis`
and `prbvolpath` where there are media).

Each case runs in a process of its own (a crash or an exception inside a recorded loop ends that case alone) and is written as soon
as it is done; a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from validation.replicas import mean_and_error
from validation.units import TERMS

from . import harness
from .apart import by_and_by
from .harness import ROOT, Result, table

NOISE = 0.03  # largest relative standard error of a comparison that decides
BIAS = 0.02  # relative bias that is right in any case
SIGMAS = 3.0
AIM = 0.007  # relative standard error of each side at which its replicas end
LEAST = 8  # replicas
MOST = 64
SECONDS = 12.0  # of replicas of one side
LIMIT = 600  # seconds of a case's process
RIGHT, WRONG, UNDECIDED, CRASHED = "right", "wrong", "undecided", "crashed"
REFUSED = "refused by name"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument(
        "--only", action="append", metavar="GLOB", help="cases to run, by name; may be given repeatedly"
    )
    parser.add_argument("--again", action="store_true", help="run cases that have a result, too")
    parser.add_argument("--small", action="store_true", help="a quarter of the samples: quick, and mostly undecided")
    parser.add_argument("--no-peer", action="store_true", help="keep what is known of prb_projective")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for the replicas of each side of a case")
    parser.add_argument(
        "--jobs", type=int, default=1, help="cases at a time: with a GPU, compilers keep one core each busy"
    )


def run(options: argparse.Namespace) -> Result:
    """All cases that have no result yet; what is found is in the file after every case."""
    from validation.cases import CASES

    records = load(options.out / "matrix.json") or (load(harness.RECORDED / "matrix.json") if options.record else {})
    records = {name: records[name] for name in CASES if name in records}  # cases that are gone are forgotten
    patterns = options.only or ["*"]
    chosen = [name for name in CASES if any(fnmatch.fnmatch(name, p) for p in patterns)]
    waiting = [name for name in chosen if options.again or name not in records]
    for name, record in by_and_by(lambda item: apart(item, options), waiting, options.jobs):
        before = records.get(name, {})
        records[name] = record
        if options.no_peer and "peer" in before:  # Mitsuba has not changed
            records[name]["peer"] = before["peer"]
        records = {n: records[n] for n in CASES if n in records}
        print(f"{list(CASES).index(name) + 1:3}/{len(CASES)} {line(name, records[name])}", file=sys.stderr, flush=True)
        harness.write(result(records, len(CASES)), options.out, sum(r["seconds"] for r in records.values()))
    return result(records, len(CASES))


def load(path: Path) -> dict[str, Any]:
    """Case → record of an earlier run; empty without one."""
    return json.loads(path.read_text(encoding="utf-8"))["cases"] if path.is_file() else {}


def apart(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The record of a case, from a process of its own."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "record.json"
        words = [name, str(out), str(options.seed), str(options.seconds), *(["small"] if options.small else [])]
        words += ["no-peer"] if options.no_peer else []
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.matrix", *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=LIMIT,
            )
            failure = f"exit code {done.returncode}: {done.stderr.strip()[-300:]}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            failure = f"no end within {LIMIT} s"
        record = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    if failure:
        part = "peer" if "verdict" in record else "error"  # ours is judged before the peer starts
        record |= {"peer": {"raises": failure}} if part == "peer" else {"verdict": CRASHED, "error": failure}
    return {**record, "seconds": round(time.perf_counter() - start, 1), "commit": harness.machine()["commit"]}


# ---------------------------------------------------------------------- one case, in its process


def examine(name: str, out: Path, seed: int, seconds: float, small: bool = False, peer: bool = True) -> None:
    """Measure a case; `out` is written before the peer starts, and again with it."""
    import warnings

    from validation.cases import CASES

    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        scene = case.make(Path(folder))
        if case.refusal:
            out.write_text(json.dumps(refusal(case, scene)), encoding="utf-8")
            return
        divisor = 4 if small else 1
        tangent = case.tangent(scene, case.parameter)
        weights, reference = differences(case, scene, tangent, divisor, seed, seconds)
        ours = gradients(case, scene, tangent, weights, divisor, seed, seconds)
        record: dict[str, Any] = {"finite_differences": reference, "ours": ours}
        record |= judged(ours["mean"], ours["error"], reference["mean"], reference["error"])
        record["warnings"] = sorted({str(w.message) for w in warned if "pathspace" in str(w.message)})
        out.write_text(json.dumps(record), encoding="utf-8")
        if peer:
            record["peer"] = theirs(case, scene, tangent, weights, divisor, seed, seconds)
            if "mean" in record["peer"]:
                found = record["peer"]
                record["peer"] |= judged(found["mean"], found["error"], reference["mean"], reference["error"])
            out.write_text(json.dumps(record), encoding="utf-8")


def judged(mean: float, error: float, reference: float, reference_error: float) -> dict[str, Any]:
    """Bias relative to the reference, the standard error of the comparison, and the verdict.

    Right: the standard error is at most NOISE, and the bias at most SIGMAS standard errors or BIAS. Wrong: the bias is more than
    both, however large the noise. Otherwise undecided.
    """
    if not np.isfinite([mean, error, reference, reference_error]).all() or reference == 0:
        return {"verdict": WRONG, "bias": float("nan"), "bias_error": float("nan")}
    bias, noise = (mean - reference) / abs(reference), float(np.hypot(error, reference_error)) / abs(reference)
    near = abs(bias) <= max(SIGMAS * noise, BIAS)
    verdict = WRONG if not near else RIGHT if noise <= NOISE else UNDECIDED
    return {"verdict": verdict, "bias": bias, "bias_error": noise, "ratio": mean / reference}


def until(estimate: Callable[[int], Any], seed: int, seconds: float, *names: str) -> tuple[np.ndarray, float]:
    """Replicas until the last entry is precise or time is up, and the seconds of a warm one; the first one warms up."""
    from pbdr.seeds import hashed

    estimate(hashed(seed, *names, "warm"))
    samples: list[np.ndarray] = []
    start = time.perf_counter()
    while len(samples) < MOST:
        samples.append(np.atleast_1d(np.asarray(estimate(hashed(seed, *names, len(samples))), dtype=np.float64)))
        if len(samples) >= LEAST:
            mean, error = mean_and_error(samples)
            if error[-1] <= AIM * abs(mean[-1]) or time.perf_counter() - start > seconds:
                break
    return np.array(samples), (time.perf_counter() - start) / len(samples)


def with_channels(case: Any, inner: dict[str, Any]) -> dict[str, Any]:
    """An integrator of Mitsuba, and the case's extra channels around it."""
    return {"type": "aov", "aovs": case.options["aovs"], "image": inner} if case.options.get("aovs") else inner


def signs(case: Any, scene: Any, tangent: Any, spp: int, seed: int) -> tuple[Any, np.ndarray]:
    """Central differences of a case with this number of samples, and its adjoint image: the signs of a derivative image of its own
    seeds, so that nothing cancels."""
    from pbdr.seeds import hashed
    from pbdr.verify.sources import primal_of
    from validation import finite_differences as fd

    path = with_channels(case, primal_of({"max_depth": case.depth}, scene=scene))
    exact = fd.Differences(scene, case.parameter, tangent, case.step, spp=spp, integrator=path)
    image = np.mean([exact.image(case.step, hashed(seed, "signs", k)) for k in range(2)], axis=0)
    weights = np.zeros_like(image)
    chosen = list(case.channels or range(image.shape[-1]))
    weights[..., chosen] = np.sign(image[..., chosen]) / image[..., 0].size
    return exact, weights


def differences(
    case: Any, scene: Any, tangent: Any, divisor: int, seed: int, seconds: float
) -> tuple[np.ndarray, dict[str, Any]]:
    """The adjoint image, and central differences at both steps and their extrapolation."""
    exact, weights = signs(case, scene, tangent, max(case.fd_spp // divisor, 16), seed)

    def estimate(number: int) -> list[float]:
        whole, half = (float((exact.image(h, number) * weights).sum()) for h in (case.step, 0.5 * case.step))
        return [whole, half, (4 * half - whole) / 3]

    samples, spent = until(estimate, seed, seconds, "differences")
    mean, error = mean_and_error(samples)
    steps = [
        {"step": h, "mean": m, "error": e}
        for h, m, e in zip((case.step, 0.5 * case.step), mean[:2], error[:2], strict=True)
    ]
    record = {"mean": mean[2], "error": error[2], "steps": steps, "replicas": len(samples), "seconds": spent}
    return weights, _plain(record)


def gradients(
    case: Any, scene: Any, tangent: Any, weights: Any, divisor: int, seed: int, seconds: float
) -> dict[str, Any]:
    """Ours in reverse mode: every term, and their sum; then one forward pass against the reverse pass of the same seed."""
    import pbdr
    from pbdr.rendering import derivative
    from pbdr.scene import integrator_of
    from pbdr.seeds import hashed

    integrator = integrator_of(scene, {"type": "pathspace", "max_depth": case.depth, **case.options})
    spp, name = max(case.spp // divisor, 4), case.parameter

    def estimate(number: int) -> list[float]:
        found = pbdr.gradient(scene, name, weights, spp=spp, seed=number, integrator=integrator)
        values = [float(np.sum(getattr(found, term)[name].astype(np.float64) * tangent)) for term in TERMS]
        return [*values, sum(values)]

    samples, spent = until(estimate, seed, seconds, "ours")
    mean, error = mean_and_error(samples)
    number = hashed(seed, "ours", 0)
    # With `adjoint_sampling`, reverse mode takes samples of its own.
    alike = {"type": "pathspace", "max_depth": case.depth, **case.options, "adjoint_sampling": False}
    integrator = integrator_of(scene, alike)
    reverse = estimate(number)
    images = derivative(scene, {name: tangent}, spp=spp, seed=number, integrator=integrator)
    forward = float(sum(np.sum(image.astype(np.float64) * weights) for image in images.values()))
    size = max(np.abs(reverse[:-1]).sum(), 1e-30)
    record = {
        "mean": mean[-1], "error": error[-1], "spp": spp, "replicas": len(samples), "seconds": spent,
        "terms": {term: {"mean": m, "error": e} for term, m, e in zip(TERMS, mean, error, strict=False)},
        "forward_minus_reverse": abs(forward - reverse[-1]) / size,
    }  # fmt: skip
    return _plain(record)


def theirs(
    case: Any, scene: Any, tangent: Any, weights: Any, divisor: int, seed: int, seconds: float
) -> dict[str, Any]:
    """Mitsuba's `prb_projective` without guiding (its most accurate setting), as many samples for each of its parts as ours.

    Where there are media, which it lacks, `prbvolpath`.
    """
    import drjit as dr
    import mitsuba as mi

    from pbdr.parameters import resolve
    from pbdr.parameters.attach import attached
    from pbdr.transport import media

    spp = max(case.spp // divisor, 4)
    (parameter,) = resolve(scene, case.parameter)

    def estimate(number: int) -> float:
        with attached(scene.mi, {case.parameter: parameter}) as leaves:
            image = mi.render(
                scene.mi,
                params=leaves.params,
                integrator=integrator,
                spp=1,
                spp_grad=spp,
                seed=number,
                seed_grad=number + 1,
            )
            dr.backward(dr.sum((image * mi.TensorXf(weights.astype(np.float32))).array))
            return float(np.sum(leaves.gradients()[case.parameter].astype(np.float64) * tangent))

    try:
        peer: dict[str, Any] = {"type": "prb_projective", "guiding": "none"}
        if media.reference(scene.mi, case.options) != "path":
            peer = {"type": "prbvolpath"}
        integrator = mi.load_dict(with_channels(case, {**peer, "max_depth": case.depth}))
        samples, spent = until(estimate, seed, seconds, "theirs")
    except Exception as error:
        words = [w for w in str(error.__cause__ or error).strip().splitlines() if w.strip()]
        return {"raises": f"{type(error).__name__}: {(words or [''])[-1].strip()[:200]}"}
    mean, error_ = mean_and_error(samples)
    return _plain({"mean": mean[0], "error": error_[0], "spp": spp, "replicas": len(samples), "seconds": spent})


def refusal(case: Any, scene: Any) -> dict[str, Any]:
    """Is the gradient refused, and does the message say what it cannot do?"""
    import pbdr
    from pbdr.errors import PbdrError

    film = scene.mi.sensors()[0].film().crop_size()
    adjoint = np.ones((int(film[1]), int(film[0]), 3), np.float32)
    integrator = {"type": "pathspace", "max_depth": case.depth, **case.options}
    try:
        pbdr.gradient(scene, case.parameter, adjoint, spp=1, integrator=integrator)
    except PbdrError as error:
        named = case.refusal in str(error)
        return {"verdict": REFUSED if named else WRONG, "message": str(error)}
    return {"verdict": WRONG, "message": "not refused"}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=float))


# ---------------------------------------------------------------------- the page


def result(records: dict[str, Any], total: int) -> Result:
    """Figures, page, and whether every case is right or refused by name."""
    verdicts = [record["verdict"] for record in records.values()]
    counts = {v: verdicts.count(v) for v in (RIGHT, REFUSED, WRONG, UNDECIDED, CRASHED) if v in verdicts}
    met = len(records) == total and all(v in (RIGHT, REFUSED) for v in verdicts)
    peers = [r["peer"] for r in records.values() if "peer" in r]
    ours = "; ".join(f"{n} {v}" for v, n in counts.items())
    found = {v: sum(p.get("verdict") == v for p in peers) for v in (RIGHT, WRONG, UNDECIDED)}
    data = {"counts": counts, "peer_counts": {**found, "raises": sum("raises" in p for p in peers)}, "cases": records}
    text = (
        f"{len(records)} of {total} cases. pathspace: {ours}. Mitsuba's prb_projective (guiding 'none'), where it was run: "
        f"{'; '.join(f'{n} {v}' for v, n in data['peer_counts'].items())}.\n\n"
        "Finite differences: of Mitsuba's `path` at two steps (the second is half of the first), common random numbers; the "
        "comparison is with their extrapolation. A cell is a mean ± its standard error; seconds are those of one warm gradient, "
        f"all terms. Right: standard error of the comparison at most {NOISE:.0%}, and the bias within {SIGMAS:.0f} standard errors "
        f"or {BIAS:.0%}. Wrong: the bias is more than both. Undecided: the standard error is too large.\n\n"
        f"Cases by the commit that ours were measured on: {commits(records)}.\n\n"
    )
    header = ["case", "differences, long step", "half of it", "pathspace", "bias", "s", "verdict"]
    header += ["prb_projective", "ratio", "s", "its verdict"]
    return Result("matrix", data, text + table(header, [row(n, r) for n, r in records.items()]), met)


def commits(records: dict[str, Any]) -> str:
    """How many cases were measured on which commit, most first."""
    found = Counter(str(record.get("commit", "unknown")).removesuffix(" with changes") for record in records.values())
    return ", ".join(f"{n} on {commit}" for commit, n in found.most_common())


def cell(record: dict[str, Any]) -> str:
    """Mean ± standard error."""
    return f"{record['mean']:.4g} ± {record['error']:.2g}"


def row(name: str, record: dict[str, Any]) -> list[str]:
    """One line of the table."""
    verdict = record["verdict"] if record["verdict"] in (RIGHT, REFUSED) else f"**{record['verdict']}**"
    if "ours" not in record:
        words = record.get("message", record.get("error", "")).replace("|", "/").replace("\n", " ")
        return [name, "", "", words[:160], "", "", verdict, "", "", "", ""]
    ours, peer = record["ours"], record.get("peer", {})
    line = [name, *(cell(s) for s in record["finite_differences"]["steps"]), cell(ours)]
    line += [f"{record['bias']:+.1%} ± {record['bias_error']:.1%}", f"{ours['seconds']:.2f}", verdict]
    if "mean" in peer:
        ratio = f"{peer['ratio']:.3f}" if "ratio" in peer else "—"
        return [*line, cell(peer), ratio, f"{peer['seconds']:.2f}", peer["verdict"]]
    return [*line, "", "", "", "raises" if "raises" in peer else ""]


def line(name: str, record: dict[str, Any]) -> str:
    """Progress."""
    parts = row(name, record)
    return f"{name}: {parts[6].strip('*')} {parts[4]} (peer: {parts[10]} {parts[8]}) {record['seconds']:.0f} s"


if __name__ == "__main__":
    _name, _out, _seed, _seconds, *_flags = sys.argv[1:]
    examine(_name, Path(_out), int(_seed), float(_seconds), "small" in _flags, "no-peer" not in _flags)
