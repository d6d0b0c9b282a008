"""Equal-time comparison of gradients: `pathspace` and Mitsuba's integrators at several settings, interleaved in one process.

Every case has an independent reference (finite differences of Mitsuba's `path`). Of each contender: bias, variance of one gradient,
warm seconds, efficiency 1 / (mean square error · seconds), the first call with its compilation, kernel launches, and memory.
Contenders whose bias is significant are reported, and are no rivals in speed: being wrong quickly is not a gain.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import harness
from .harness import ROOT, Result, table

SECONDS = 20.0  # of interleaved rounds of a case
ROUNDS = (6, 64)
LIMIT = 540  # seconds of a case's process
BIAS, SIGMAS = 0.02, 3.0  # a bias counts beyond both
OURS = {"pathspace": {"type": "pathspace"}, "pathspace, warp": {"type": "pathspace", "boundary": "warp"}}
PEERS: dict[str, dict[str, Any]] = {
    "prb": {"type": "prb"},
    "prb_projective": {"type": "prb_projective"},
    "prb_projective, no guiding": {"type": "prb_projective", "guiding": "none"},
    "prb_projective, grid": {"type": "prb_projective", "guiding": "grid"},
    "prb_projective, tuned": {"type": "prb_projective", "guiding": "none", "sppp": 4, "sppi": 4},
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument(
        "--only", action="append", metavar="GLOB", help="cases to run, by name; may be given repeatedly"
    )
    parser.add_argument("--again", action="store_true", help="run cases that have a result, too")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of interleaved rounds of a case")


def run(options: argparse.Namespace) -> Result:
    """All cases that have no result yet; what is found is in the file after every case."""
    from .speed_cases import CASES

    path = options.out / "run.json"
    records = json.loads(path.read_text(encoding="utf-8"))["cases"] if path.is_file() else {}
    for name in CASES:
        wanted = any(fnmatch.fnmatch(name, pattern) for pattern in options.only or ["*"])
        if not wanted or (name in records and not options.again):
            continue
        records[name] = _apart(name, options)
        records = {n: records[n] for n in CASES if n in records}
        harness.write(summary(records), options.out, sum(r["seconds_in_all"] for r in records.values()))
        print(f"{name}: {_line(records[name])}", file=sys.stderr, flush=True)
    return summary(records)


def _apart(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The record of a case, from a process of its own: a crash of a contender ends that case alone."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "record.json"
        words = [sys.executable, "-m", "benchmarks.run", name, str(out), str(options.seed), str(options.seconds)]
        try:
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)
            failure = done.stderr.strip()[-300:] if done.returncode else ""
        except subprocess.TimeoutExpired:
            failure = f"no end within {LIMIT} s"
        record = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    if failure and not record:
        record = {"failed": failure}
    return {**record, "seconds_in_all": round(time.perf_counter() - start, 1), "commit": harness.machine()["commit"]}


# ---------------------------------------------------------------------- one case, in its process


def examine(name: str, out: Path, seed: int, seconds: float) -> None:
    """Measure a case and write its record."""
    from .matrix import differences
    from .speed_cases import CASES

    speed = CASES[name]
    if speed.needs is not None and not speed.needs.is_file():
        out.write_text(json.dumps({"failed": f"needs {speed.needs.name}"}), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        scene = speed.case.make(Path(folder))
        tangent = speed.case.tangent(scene, speed.case.parameter)
        weights, reference = differences(speed.case, scene, tangent, 1, seed, 2 * seconds)
        contenders: dict[str, Any] = {}
        estimators: dict[str, Callable[[int], Any]] = {}
        for label, settings in entrants(scene, speed.case.parameter).items():
            try:
                estimate = estimator(scene, speed, {**settings, "max_depth": speed.case.depth}, weights)
                contenders[label] = _first(estimate, seed)
                estimators[label] = estimate
            except Exception as error:
                contenders[label] = {"refused": _words(error)}
        _rounds(estimators, contenders, tangent, seed, seconds)
    record = {
        "reference": {k: reference[k] for k in ("mean", "error", "steps")},
        "spp": speed.spp,
        "contenders": contenders,
    }
    out.write_text(json.dumps(record, default=float), encoding="utf-8")


def entrants(scene: Any, name: str) -> dict[str, dict[str, Any]]:
    """Contenders by label. How boundaries are sampled makes no difference where nothing moves: the best of equals would be luck."""
    from pbdr.parameters import is_radiometric, resolve

    if all(is_radiometric(p.raw, p.role) for p in resolve(scene, name)):
        return {label: {**OURS, **PEERS}[label] for label in ("pathspace", "prb", "prb_projective")}
    return {**OURS, **PEERS}


def estimator(scene: Any, speed: Any, settings: Mapping[str, Any], weights: Any) -> Callable[[int], Any]:
    """Function seed → gradient of the case's parameter in float64, everything that a call needs included."""
    import drjit as dr
    import mitsuba as mi

    from pbdr.parameters import resolve
    from pbdr.parameters.attach import attached
    from pbdr.scene import integrator_of

    integrator = integrator_of(scene, dict(settings))
    (parameter,) = resolve(scene, speed.case.parameter)
    name = speed.case.parameter
    adjoint = mi.TensorXf(weights.astype(np.float32))
    if settings["type"] == "pathspace":

        def ours(seed: int) -> Any:
            with attached(scene.mi, {name: parameter}) as leaves:
                integrator.backward_terms(scene.mi, adjoint, 0, seed, speed.spp)
                return leaves.gradients()[name].astype(np.float64)

        return ours

    def theirs(seed: int) -> Any:
        with attached(scene.mi, {name: parameter}) as leaves:
            integrator.render_backward(scene.mi, leaves.params, adjoint, 0, seed, speed.spp)
            dr.sync_thread()
            return leaves.gradients()[name].astype(np.float64)

    return theirs


def _first(estimate: Callable[[int], Any], seed: int) -> dict[str, Any]:
    """The first call, with what it compiles; kernel launches and memory of the second one."""
    import drjit as dr
    import mitsuba as mi

    from pbdr.seeds import hashed

    start = time.perf_counter()
    estimate(hashed(seed, "first"))
    first = time.perf_counter() - start
    backend = dr.backend_v(mi.Float)
    dr.flush_malloc_cache()
    dr.detail.malloc_clear_statistics()
    before = int(dr.detail.malloc_watermark(backend))
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        dr.kernel_history_clear()
        estimate(hashed(seed, "second"))
        dr.sync_thread()
        launches = [k for k in dr.kernel_history() if k["type"] == dr.KernelType.JIT]
    memory = int(dr.detail.malloc_watermark(backend)) - before
    compiled = sum(not k.get("cache_hit", True) for k in launches)
    return {"first": first, "launches": len(launches), "compiled_again": compiled, "memory": memory}


def _rounds(
    estimators: Mapping[str, Callable[[int], Any]], contenders: dict[str, Any], tangent: Any, seed: int, seconds: float
) -> None:
    """Contenders in turn until time is up: directional derivatives, seconds, and the scatter of the whole gradient."""
    import drjit as dr

    from pbdr.seeds import hashed

    sums: dict[str, list[Any]] = {}
    for label in estimators:
        contenders[label] |= {"values": [], "seconds": []}
    start = time.perf_counter()
    for number in range(ROUNDS[1]):
        for label, estimate in estimators.items():
            dr.sync_thread()
            begin = time.perf_counter()
            found = estimate(hashed(seed, label, number))
            contenders[label]["seconds"].append(time.perf_counter() - begin)
            contenders[label]["values"].append(float(np.sum(found * tangent)))
            total = sums.setdefault(label, [0.0, 0.0])
            total[0], total[1] = total[0] + found, total[1] + np.square(found)
        if number + 1 >= ROUNDS[0] and time.perf_counter() - start > seconds:
            break
    for label, (first, second) in sums.items():
        n = len(contenders[label]["values"])
        contenders[label]["scatter"] = float(np.sum(second - np.square(first) / n) / (n - 1))
        contenders[label]["size"] = float(np.sum(np.square(first / n)))


def _words(error: Exception) -> str:
    words = [w for w in str(error.__cause__ or error).strip().splitlines() if w.strip()]
    return f"{type(error).__name__}: {(words or [''])[-1].strip()[:160]}"


# ---------------------------------------------------------------------- what follows from it


def judged(found: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """Relative bias and its error, relative variance of one gradient, seconds, efficiency, and whether the bias is significant."""
    values, seconds = np.array(found["values"]), float(np.median(found["seconds"]))
    size, n = abs(reference["mean"]), len(values)
    variance = float(values.var(ddof=1)) / size**2
    bias = (float(values.mean()) - reference["mean"]) / size
    error = float(np.sqrt(variance / n + (reference["error"] / size) ** 2))
    excess = max(bias**2 - error**2, 0.0)
    return {
        "bias": bias, "bias_error": error, "variance": variance, "seconds": seconds,
        "efficiency": 1 / ((variance + excess) * seconds), "biased": abs(bias) > max(SIGMAS * error, BIAS),
    }  # fmt: skip


def ratio(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], reference: Mapping[str, Any]
) -> tuple[float, float, float]:
    """Efficiency of ours over theirs, with the 5 % and 95 % quantiles of a bootstrap over the rounds."""
    rng, found = np.random.default_rng(0), []
    n = min(len(ours["values"]), len(theirs["values"]))
    middle = judged(ours, reference)["efficiency"] / judged(theirs, reference)["efficiency"]
    for _ in range(400):
        k = rng.integers(0, n, n)  # rounds stay together: what else the machine did hit both alike
        pair = [{key: np.array(x[key])[k] for key in ("values", "seconds")} for x in (ours, theirs)]
        if all(np.ptp(p["values"]) > 0 for p in pair):
            found.append(judged(pair[0], reference)["efficiency"] / judged(pair[1], reference)["efficiency"])
    low, high = np.percentile(found, [5, 95]) if found else (middle, middle)
    return middle, float(low), float(high)


def rivals(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Judgement of every contender that gave gradients."""
    found = record.get("contenders", {})
    return {label: judged(c, record["reference"]) for label, c in found.items() if c.get("values")}


def compared(record: Mapping[str, Any]) -> dict[str, Any]:
    """`pathspace` against the most efficient setting of a peer that is not biased, and against the peer's default."""
    judgements, found = rivals(record), record.get("contenders", {})
    fair = {label: j for label, j in judgements.items() if label in PEERS and not j["biased"]}
    result: dict[str, Any] = {"biased": sorted(label for label, j in judgements.items() if j["biased"])}
    if "pathspace" in judgements:
        ours = found["pathspace"]
        for key, labels in (("best", list(fair)), ("default", [k for k in ("prb_projective",) if k in fair])):
            if labels:
                best = max(labels, key=lambda label: fair[label]["efficiency"])
                result[key] = {"peer": best, "ratio": ratio(ours, found[best], record["reference"])}
    return result


def summary(records: Mapping[str, Any]) -> Result:
    """Figures, tables, and the geometric means over cases in which a peer is right."""
    comparisons = {name: compared(record) for name, record in records.items()}
    means = {}
    for key in ("best", "default"):
        ratios = [c[key]["ratio"][0] for c in comparisons.values() if key in c]
        means[key] = float(np.exp(np.mean(np.log(ratios)))) if ratios else None
    least = min((c["best"]["ratio"][0] for c in comparisons.values() if "best" in c), default=None)
    wrong = [n for n, r in records.items() if rivals(r).get("pathspace", {"biased": True})["biased"]]
    met = bool(
        means["best"] and means["best"] >= 20 and least and least >= 1 and (means["default"] or 0) >= 100 and not wrong
    )
    alone = [name for name, c in comparisons.items() if "best" not in c]
    text = (
        "Efficiency is 1 / (mean square error · seconds) of one gradient of a fixed functional of the image. "
        f"Geometric mean of the ratio to the best peer that is right: {_times(means['best'])}; least {_times(least)}; to "
        f"prb_projective's default where it is right: {_times(means['default'])}. No peer is right in: "
        f"{', '.join(alone) or 'none'}. "
        f"pathspace's own bias is significant in: {', '.join(wrong) or 'none'}.\n\n"
        + table(["case", "ours / best peer", "which", "ours / default"], [_row(n, c) for n, c in comparisons.items()])
    )
    for name, record in records.items():
        text += f"\n\n## {name}\n\n{_details(record)}"
    data = {"geometric_means": means, "least": least, "no_peer_right": alone, "wrong": wrong, "cases": dict(records)}
    return Result("run", data, text, met)


def _times(value: float | None) -> str:
    return "—" if value is None else f"{value:.3g}×"


def _row(name: str, found: Mapping[str, Any]) -> list[str]:
    cells = [name]
    for key in ("best", "default"):
        if key not in found:
            cells += ["—", "every peer is biased or raises"] if key == "best" else ["—"]
            continue
        middle, low, high = found[key]["ratio"]
        cells.append(f"{middle:.3g} ({low:.3g}–{high:.3g})")
        if key == "best":
            cells.append(found[key]["peer"])
    return cells


def _details(record: Mapping[str, Any]) -> str:
    if "failed" in record:
        return f"Not measured: {record['failed']}"
    judgements = rivals(record)
    rows = []
    for label, found in record["contenders"].items():
        if label not in judgements:
            rows.append([label, found.get("refused", "").replace("|", "/"), *[""] * 7])
            continue
        j = judgements[label]
        rows.append([
            label, f"{j['bias']:+.1%} ± {j['bias_error']:.1%}" + (" **biased**" if j["biased"] else ""), f"{j['variance']:.2g}",
            f"{1000 * j['seconds']:.0f}", f"{j['efficiency']:.3g}", f"{found['scatter'] / max(found['size'], 1e-300):.2g}",
            f"{found['first']:.1f}", f"{found['launches']}", f"{found['memory'] / 2**20:.0f}",
        ])  # fmt: skip
    header = [
        "contender",
        "bias",
        "variance",
        "ms",
        "efficiency",
        "scatter of all entries",
        "first call, s",
        "launches",
        "MiB",
    ]
    reference = record["reference"]
    return f"Reference {reference['mean']:.4g} ± {reference['error']:.1g}; {record['spp']} spp.\n\n" + table(
        header, rows
    )


def _line(record: Mapping[str, Any]) -> str:
    found = compared(record)
    if "failed" in record:
        return f"not measured: {record['failed']}"
    best = found.get("best")
    return f"{best['ratio'][0]:.3g}× {best['peer']}" if best else "no peer is right"


if __name__ == "__main__":
    _name, _out, _seed, _seconds = sys.argv[1:]
    examine(_name, Path(_out), int(_seed), float(_seconds))
