"""A gradient against a central finite difference with common random numbers, for one parameter: the least it has to be good for.

Both take turns in one process. Efficiency is 1 / (variance · processor seconds) of the derivative of one weighted sum of the image;
the truncation of differences is left out, in their favour. Each case runs in a process of its own and is written as soon as it is
done; a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from validation.units import TERMS

from . import harness
from .apart import apart, by_and_by, put
from .harness import Result, table
from .matrix import load, signs, with_channels

SIDE = 32  # pixels of the longer side of the film
SPP = (16, 256)
FULL = 1024  # samples of differences that waste nothing on the host, against which the fewest of ours are held, too
ROUNDS = (8, 64)
SECONDS = 12.0  # of the processor, for the rounds of a sample count
LIMIT = 900.0  # seconds of a case's process
MEANS, LEAST = {16: 8.0, 256: 25.0}, 1.0  # required: geometric means by samples; of every case
WORTH_A_LOOK = 3.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--only", action="append", metavar="GLOB", help="cases to run; may be given repeatedly")
    parser.add_argument("--again", action="store_true", help="run cases that have a result, too")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the processor, for each sample count")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds after which a case is stopped")


def cases() -> dict[str, Any]:
    """Name → case, of all that the matrix accepts, and of the equal-time comparison."""
    from validation.cases import CASES as MATRIX

    from .speed_cases import CASES as SPEED

    found = {name: case for name, case in MATRIX.items() if not case.refusal}
    return found | {name: speed.case for name, speed in SPEED.items() if speed.needs is None or speed.needs.is_file()}


def run(options: argparse.Namespace) -> Result:
    """All cases that have no result yet; what is found is in the file after every case."""
    name = "versus_fd"
    known = cases()
    records = load(options.out / f"{name}.json") or (load(harness.RECORDED / f"{name}.json") if options.record else {})
    records = {case: records[case] for case in known if case in records}
    wanted = [case for case in known if any(fnmatch.fnmatch(case, p) for p in options.only or ["*"])]
    waiting = [case for case in wanted if options.again or case not in records]
    for case, record in by_and_by(lambda item: _one(item, options), waiting, 1):
        records[case] = record
        records = {k: records[k] for k in known if k in records}
        print(f"{list(known).index(case) + 1:3}/{len(known)} {_line(case, record)}", file=sys.stderr, flush=True)
        harness.write(result(records, len(known)), options.out, sum(r["seconds"] for r in records.values()))
    return result(records, len(known))


def _one(name: str, options: argparse.Namespace) -> dict[str, Any]:
    start = time.perf_counter()
    record, failure = apart("benchmarks.versus_fd", [name, str(options.seed), str(options.seconds)], options.limit)
    if failure:
        record["message"] = failure
    return {**record, "seconds": round(time.perf_counter() - start, 1), "commit": harness.machine()["commit"]}


# ---------------------------------------------------------------------- one case, in its process


def examine(name: str, seed: int, seconds: float, out: Path) -> None:
    """Measure a case and write its record, after every sample count."""
    from pbdr.errors import PbdrError
    from pbdr.parameters.film import resized_film
    from pbdr.scene import integrator_of

    case, record = cases()[name], {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            scene = case.make(Path(folder))
            tangent = case.tangent(scene, case.parameter)
            with resized_film(scene.mi.sensors()[0], _film(scene.mi.sensors()[0])):
                _, weights = signs(case, scene, tangent, case.fd_spp, seed)
                given = {
                    k: v for k, v in case.options.items() if not k.startswith("n_")
                }  # budgets are the default ones
                integrator = integrator_of(scene, {"type": "pathspace", "max_depth": case.depth, **given})
                record["spp"] = {}
                for spp in SPP:
                    tasks = {"ours": ours(case, scene, tangent, weights, integrator, spp)}
                    for label, number in (("differences", spp), ("full", FULL)):
                        if label == "differences" or spp == SPP[0]:
                            tasks[label] = differences(case, scene, tangent, weights, number)
                    record["spp"][str(spp)] = rounds(tasks, seed, seconds)
                    put(record, out)
        except PbdrError as error:
            record["message"] = f"{type(error).__name__}: {error}"
    put(record, out)


def _film(sensor: Any) -> tuple[int, int]:
    """The size of its film, as large as all films here."""
    width, height = (int(n) for n in sensor.film().size())
    scale = SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def ours(case: Any, scene: Any, tangent: Any, weights: Any, integrator: Any, spp: int) -> Callable[[int], list[float]]:
    """Function of a seed: derivatives by term, and their sum."""
    import pbdr

    name = case.parameter

    def estimate(seed: int) -> list[float]:
        found = pbdr.gradient(scene, name, weights, spp=spp, seed=seed, integrator=integrator)
        values = [float(np.sum(getattr(found, term)[name].astype(np.float64) * tangent)) for term in TERMS]
        return [*values, sum(values)]

    return estimate


def differences(case: Any, scene: Any, tangent: Any, weights: Any, spp: int) -> Callable[[int], list[float]]:
    """Function of a seed: the central difference."""
    from pbdr.verify.sources import primal_of
    from validation import finite_differences as fd

    path = with_channels(case, primal_of({"max_depth": case.depth}, scene=scene))
    exact = fd.Differences(scene, case.parameter, tangent, case.step, spp=spp, integrator=path)
    return lambda seed: [float((exact.image(case.step, seed) * weights).sum())]


def rounds(tasks: Mapping[str, Callable[[int], list[float]]], seed: int, seconds: float) -> dict[str, Any]:
    """What every task finds, and what it takes, in turns: mean, deviation (of the terms, too) and median processor seconds."""
    import drjit as dr

    from pbdr.seeds import hashed

    values: dict[str, list[list[float]]] = {name: [] for name in tasks}
    work: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(-1, ROUNDS[1]):
        for name, task in tasks.items():
            dr.sync_thread()
            start = time.process_time()
            found = task(hashed(seed, name, number + 1))
            dr.sync_thread()
            if number >= 0:  # the first one compiles
                values[name].append(found)
                work[name].append(time.process_time() - start)
        if number + 1 >= ROUNDS[0] and sum(map(sum, work.values())) > seconds:
            break
    record: dict[str, Any] = {"rounds": len(work["ours"])}
    for name, samples in values.items():
        array = np.array(samples)
        deviation = array.std(axis=0, ddof=1)
        record[name] = {"mean": array.mean(axis=0)[-1], "std": deviation[-1], "cpu": float(np.median(work[name]))}
        if len(deviation) > 1:
            record[name]["terms"] = dict(zip(TERMS, deviation[:-1].tolist(), strict=True))
    return record


# ---------------------------------------------------------------------- the page


def efficiency(found: Mapping[str, float]) -> float:
    """1 / (variance · seconds); infinite for what has no variance."""
    product = found["std"] ** 2 * found["cpu"]
    return 1 / product if product > 0 else float("inf")


def ratios(record: Mapping[str, Any]) -> dict[str, float]:
    """How many times a gradient is as efficient as differences: by samples, and with the fewest against `FULL`."""
    found = {}
    for spp, one in record.get("spp", {}).items():
        for label, key in (("differences", spp), ("full", f"{spp} to {FULL}")):
            if label in one and one["ours"]["std"] > 0:
                found[key] = efficiency(one["ours"]) / efficiency(one[label])
    return {key: ratio for key, ratio in found.items() if ratio > 0 and np.isfinite(ratio)}


def result(records: Mapping[str, Any], total: int) -> Result:
    """Figures, page, and whether the requirements are met."""
    found = {name: ratios(record) for name, record in records.items()}
    keys = [str(SPP[0]), str(SPP[1]), f"{SPP[0]} to {FULL}"]
    means = {}
    for key in keys:
        logs = [np.log(one[key]) for one in found.values() if key in one]
        means[key] = float(np.exp(np.mean(logs))) if logs else float("nan")
    below = {key: sorted(name for name, one in found.items() if key in one and one[key] < LEAST) for key in keys}
    met = len(records) == total and all(means[str(n)] >= least and not below[str(n)] for n, least in MEANS.items())
    words = "; ".join(
        f"{_words(key)}: {means[key]:.2g}, below {LEAST:g} in {len(below[key])}"
        for key in keys
        if means[key] == means[key]
    )
    text = (
        f"{len(records)} of {total} cases, films of {SIDE} pixels. How many times the gradient is as efficient as a difference, "
        f"geometric mean: {words}. Required: {' and '.join(f'{x:g} at {n} spp' for n, x in MEANS.items())}, no case below "
        f"{LEAST:g}.\n\nA cell is the standard deviation of one call relative to the value, and its processor seconds; the "
        f"ratio of variances alone is off by a factor of about 1.5 with {ROUNDS[0]} rounds, of 1.2 with {ROUNDS[1]}. Worst "
        f"term: the one with the largest deviation, at {SPP[1]} spp. Bold: below {WORTH_A_LOOK:g}."
    )
    header = ["case", "value"]
    for spp in SPP:
        header += [f"differences, {spp} spp", f"gradient, {spp} spp", "ratio"]
    header += [f"{SPP[0]} spp to {FULL}", "worst term", "rounds"]
    ranked = sorted(records, key=lambda name: min(found[name].values(), default=0.0))
    rows = [_row(name, records[name], found[name]) for name in ranked]
    data = {"means": means, "below": below, "cases": dict(records)}
    return Result("versus_fd", data, text + "\n\n" + table(header, rows), met)


def _words(key: str) -> str:
    first, _, other = key.partition(" to ")
    return f"{first} spp" + (f" against differences of {other}" if other else "")


def _row(name: str, record: Mapping[str, Any], found: Mapping[str, float]) -> list[str]:
    by_spp = record.get("spp", {})
    if str(SPP[1]) not in by_spp:
        message = " ".join(str(record.get("message", "")).replace("|", "/").split())
        return [name, "", message[-160:], *[""] * (2 + 3 * len(SPP))]
    last = by_spp[str(SPP[1])]
    value = last["ours"]["mean"]
    cells = [name, f"{value:.3g}"]
    for spp in map(str, SPP):
        one = by_spp[spp]
        cells += [_cell(one["differences"], value), _cell(one["ours"], value), _bold(found.get(spp))]
    worst = max(last["ours"]["terms"].items(), key=lambda item: item[1])
    term = f"{worst[0]} {worst[1] / max(abs(value), 1e-30):.2g}"
    return [*cells, _bold(found.get(f"{SPP[0]} to {FULL}")), term, "/".join(str(by_spp[str(n)]["rounds"]) for n in SPP)]


def _cell(one: Mapping[str, float], value: float) -> str:
    return f"{one['std'] / max(abs(value), 1e-30):.2g}, {one['cpu']:.2g} s"


def _bold(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2g}" if ratio >= WORTH_A_LOOK else f"**{ratio:.2g}**"


def _line(name: str, record: Mapping[str, Any]) -> str:
    words = ", ".join(f"{_words(key)} {ratio:.2g}" for key, ratio in ratios(record).items())
    return f"{name}: {words or str(record.get('message', ''))[-200:]}, {record['seconds']:.0f} s"


if __name__ == "__main__":
    _name, _seed, _seconds, _out = sys.argv[1:]
    examine(_name, int(_seed), float(_seconds), Path(_out))
