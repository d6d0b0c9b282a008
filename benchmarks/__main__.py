"""`python -m benchmarks NAME`: parse, run, write the result."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pbdr.errors import PbdrError

from . import harness, readme_results

#: Name → (module, one line for --help). A module has `add_options(parser)` and `run(options) -> Result`.
BENCHMARKS = {
    "theory_table": "gradients of a bumpy mesh, term by term, against finite differences; noise against prb",
    "run": "equal-time efficiency of gradients, pathspace and Mitsuba's integrators side by side",
    "compare": "two records of run, before and after a change",
    "report": "a page of what run found",
    "ablation": "what each part of the sampling is worth: variance · seconds without it",
    "without": "the correctness suite with each part of the sampling switched off",
    "cost": "time of a gradient against primal renders; memory against parameters and depth",
    "media_cost": "a gradient of a medium in primal images; prbvolpath beside it where it is right",
    "steps": "time, kernels and memory of optimisation steps with moving vertices; growth with samples, pixels, triangles",
    "matrix": "every supported gradient against finite differences, Mitsuba's prb_projective beside it",
    "units": "every term in other units and about other origins, against the same scene in metres about zero",
    "warp": "boundary='warp' beside edge sampling: agreement, bias against auxiliary rays, cost",
    "large_mesh": "a gradient step on a mesh of a million triangles: time against ten thousand, memory",
    "bias": "gradients of approximate renderers beside pathspace: outlines, shadows, hidden edges, depth",
    "warm_start": "poses found from random starts, with soft silhouettes first and without",
    "spot_material_light": "albedo texture, roughness and environment of a textured mesh from 12 images",
    "jobs": "inverse problems from five perturbed starts with default settings: how near the truth jobs end, and how fast",
    "shape_peer": "a shape from images beside Mitsuba's own loop: time to the same distance from the truth",
    "fields": "radiance fields of spot from 20 and 5 images; what a step costs, a loop of PyTorch beside it",
    "warranty": "audits of gradients while fitting: faults that they find, false alarms",
    "coverage": "error bars of fits: how often they hold the truth",
    "documentation": "the scenes of Mitsuba's documentation: a material and a geometry gradient each, against finite differences",
    "real_scenes": "scenes that others wrote: loading, first and later gradients, memory, the host's work by part",
    "job_steps": "what the host does in a step of a job with several views",
    "versus_fd": "one derivative by a gradient and by central differences: variance times processor seconds, all cases",
    "gaussians": "Gaussians: derivatives against differences, Spot from 20 views, steps beside a loop in torch",
    "fuzz": "random scenes: refused by name, or equal to finite differences; forward equals reverse; no crash",
    "fuzz_files": "random job files, camera files, images, skies and folders: refused by one clear line, or read right",
    "kill": "a job that is killed, runs out of disk, loses its permissions or has company, 200 times: what is lost, what breaks",
    "kill_resume": "a job killed at random moments and resumed, against the same job left alone",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="python -m benchmarks", description=harness.__doc__)
    names = root.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, summary in BENCHMARKS.items():
        one = names.add_parser(name, help=summary, description=summary)
        one.add_argument("--out", type=Path, default=Path("runs") / "benchmarks", help="folder of what is written")
        one.add_argument("--json", action="store_true", help="print the result as one JSON object")
        one.add_argument("--record", action="store_true", help="write the result into benchmarks/results as well")
        one.add_argument("--seed", type=int, default=0)
        importlib.import_module(f"benchmarks.{name}").add_options(one)
    return root


def main(words: Sequence[str] | None = None) -> int:
    """Run one benchmark; 0 when it met its requirements or has none, 5 when it did not, 3 without its input."""
    options = parser().parse_args(words)
    start = time.perf_counter()
    try:
        result = importlib.import_module(f"benchmarks.{options.name}").run(options)
    except harness.Missed as missed:
        print(f"{options.name}: skipped: {missed}", file=sys.stderr)
        if options.json:
            print(json.dumps({"name": options.name, "skipped": str(missed)}))
        return 3
    except PbdrError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    seconds = time.perf_counter() - start
    record = harness.write(result, options.out, seconds)
    if options.record and result.name == options.name:  # a list of cases is no measurement
        harness.write(result, harness.RECORDED, seconds)
        readme_results.refresh()
    page = (options.out / f"{result.name}.md").read_text(encoding="utf-8")
    print(json.dumps(record) if options.json else page)
    return 5 if result.met is False else 0


if __name__ == "__main__":
    sys.exit(main())
