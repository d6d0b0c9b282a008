"""`python -m benchmarks report`: one self-contained page of what `python -m benchmarks run` found, error against time by case."""

from __future__ import annotations

import argparse
import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from . import run as bench
from .harness import Result


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options besides the common ones."""
    parser.add_argument("--of", type=Path, help="a run.json; default: the one in --out")


def run(options: argparse.Namespace) -> Result:
    """Write <out>/run.html."""
    source = options.of or options.out / "run.json"
    if not source.is_file():
        return Result(
            "report",
            tables=f"There is no {source}: run `python -m benchmarks run` first, or name one with --of.",
            met=False,
        )
    record = json.loads(source.read_text(encoding="utf-8"))
    target = options.out / "run.html"
    options.out.mkdir(parents=True, exist_ok=True)
    target.write_text(page(record), encoding="utf-8")
    return Result("report", {"page": str(target)}, f"Wrote {target}.")


def page(record: Mapping[str, Any]) -> str:
    """The page of a record."""
    facts = record["machine"]
    means = {key: "—" if value is None else f"{value:.3g}×" for key, value in record["geometric_means"].items()}
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("report.html.j2").render(
        means=means, alone=len(record["no_peer_right"]), cases=[_case(name, case) for name, case in record["cases"].items()],
        where=f"{facts['cpu']}, {facts['cores']} cores, {facts['variant']}, Mitsuba {facts['mitsuba']}, commit {facts['commit']}",
    )  # fmt: skip


def _case(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    if "failed" in record:
        return {"name": name, "failed": record["failed"]}
    judgements, rows = bench.rivals(record), []
    for label, found in record["contenders"].items():
        if label not in judgements:
            rows.append({"label": label, "biased": False, "cells": [found.get("refused", ""), *[""] * 6]})
            continue
        j = judgements[label]
        cells = [f"{j['bias']:+.1%} ± {j['bias_error']:.1%}", f"{j['variance']:.2g}", f"{1000 * j['seconds']:.0f}"]
        cells += [
            f"{j['efficiency']:.3g}",
            f"{found['first']:.1f}",
            found["launches"],
            f"{found['memory'] / 2**20:.0f}",
        ]
        rows.append({"label": label, "biased": j["biased"], "cells": cells})
    return {"name": name, "failed": "", "rows": rows, "plot": _plot(judgements)}


def _plot(judgements: Mapping[str, Mapping[str, Any]]) -> str:
    """Root mean square error of the mean of as many gradients as fit into a time, relative to the reference."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 3.4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for label, j in judgements.items():
        time = np.geomspace(j["seconds"], 1000 * j["seconds"], 60)
        excess = max(j["bias"] ** 2 - j["bias_error"] ** 2, 0.0) if j["biased"] else 0.0
        axes.loglog(
            time, np.sqrt(j["variance"] * j["seconds"] / time + excess), "--" if j["biased"] else "-", label=label
        )
    axes.set(xlabel="seconds", ylabel="relative error")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
