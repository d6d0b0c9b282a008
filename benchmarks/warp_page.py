"""Page and plot of `python -m benchmarks warp`, and the constants that they quote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pbdr.boundary.warp.options import WarpOptions

from .harness import table

LIMIT = 6.0  # interior passes that a gradient with the warp may cost
SIGMAS, BIAS, NOISE = 3.0, 0.02, 0.03  # as in the matrix: bias in standard errors, relative bias, noise of a decision
EQUAL = 10.0  # seconds of either estimator at which their errors are compared
AGREES, DIFFERS, UNDECIDED, REFUSED, NOTHING = "agrees", "differs", "undecided", "refused", "no boundary"
PARTS = ("agreement", "bias", "cost")
RAYS = (4, 6, 10, 20, 40, 80)
CONCENTRATIONS = (300.0, 3000.0, 40000.0)
BIAS_SIZE, BIAS_FACES = 16, 2  # pixels a side; subdivisions of an icosahedron: 320 faces
COST_DEPTH = 4


def markdown(data: dict[str, Any]) -> str:
    """What was found, as tables."""
    parts = []
    if "agreement" in data:
        parts.append(_agreement_page(data["agreement"]))
    if "bias" in data:
        parts.append(_bias_page(data["bias"]))
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


def _agreement_page(cases: dict[str, Any]) -> str:
    both = {name: case for name, case in cases.items() if "warp" in case}
    rows = [
        [
            name + (f" (κ = {case['concentration']:g})" if case.get("concentration") else ""),
            *(f"{1e3 * case[b]['mean']:.4f} ± {1e3 * case[b]['error']:.4f}" for b in ("edge", "warp")),
            f"{case['difference']:+.1%} ± {case['noise']:.1%}", case["verdict"], f"{case['variance × seconds, warp / edge']:.3g}",
            *(f"{case['error'][b]:.2%}" for b in ("edge", "warp")),
        ]
        for name, case in both.items()
    ]  # fmt: skip
    header = ["case", "edge, 10⁻³", "warp, 10⁻³", "difference", "verdict", "variance × seconds, warp / edge"]
    header += [f"edge, error after {EQUAL:g} s", f"warp, error after {EQUAL:g} s"]
    counts = {v: sum(case["verdict"] == v for case in both.values()) for v in (AGREES, DIFFERS, UNDECIDED)}
    words = ", ".join(f"{n} {v}" for v, n in counts.items() if n)
    refused = [[name, case["reason"]] for name, case in cases.items() if case["verdict"] == REFUSED]
    nothing = [name for name, case in cases.items() if case["verdict"] == NOTHING]
    middle = float(np.median([case["variance × seconds, warp / edge"] for case in both.values()])) if both else 0.0
    parts = [
        f"## Agreement\n\nCases of the matrix that both support: {words}. An estimate agrees when it is within {SIGMAS:g} "
        f"standard errors or {BIAS:.0%} of edge sampling, and their noise together is at most {NOISE:.0%}. Errors after the same "
        "time are relative to the derivative, and hold what bias the difference shows. The median of variance × seconds, "
        f"warp / edge, is {middle:.3g}.",
        table(header, rows),
    ]
    if refused:
        parts.append(f"Refused by the warp, with its reason:\n\n{table(['case', 'reason'], refused)}")
    if nothing:
        parts.append(f"Nothing moves an edge, so that both are the same estimator: {', '.join(nothing)}.")
    return "\n\n".join(parts)


def _bias_page(found: dict[str, dict[str, Any]]) -> str:
    def cell(point: dict[str, Any]) -> str:
        return f"{point['bias']:+.2%} ± {point['error']:.2%}"

    header = ["κ", *(f"{n} rays" for n in RAYS), "unbiased"]
    rows = [[name, *map(cell, row["rays"]), cell(row["unbiased"])] for name, row in found.items()]
    default = WarpOptions.rays
    price = []
    for name, row in found.items():
        few = next(p for p in row["rays"] if p["rays"] == default)
        one = row["unbiased"]
        ratios = [one["seconds"] / few["seconds"], one["variance × seconds"] / few["variance × seconds"]]
        noise = [np.sqrt(p["variance × seconds"] / EQUAL) for p in (few, one)]
        price.append([name, *(f"{x:.1f}" for x in ratios), f"{np.hypot(few['bias'], noise[0]):.2%}", f"{noise[1]:.2%}"])
    return (
        f"## Bias\n\nA mesh of 320 small faces, {BIAS_SIZE}²; difference from edge sampling (warp_bias.png).\n\n"
        + table(header, rows)
        + f"\n\nWhat the unbiased variant costs, beside {default} rays; errors are root mean squares, bias included.\n\n"
        + table(["κ", "seconds", "variance × seconds", f"{default} rays, error after {EQUAL:g} s", "unbiased"], price)
    )


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Bias against the number of auxiliary rays, with intervals of two standard errors."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    axes.axhline(0, color="0.6", linewidth=1)
    last = 2 * RAYS[-1]
    for number, (concentration, row) in enumerate(found.items()):
        points = row["rays"]
        label = f"κ = {concentration}: reach {np.degrees(float(concentration) ** -0.5):.1f}°"
        drawn = axes.errorbar(
            [p["rays"] for p in points], [100 * p["bias"] for p in points], [200 * p["error"] for p in points],
            marker="o", capsize=3, label=label,
        )  # fmt: skip
        one = row["unbiased"]
        axes.errorbar(
            [last * 1.08**number],
            [100 * one["bias"]],
            [200 * one["error"]],
            marker="s",
            capsize=3,
            color=drawn[0].get_color(),
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks([*RAYS, last], [*(str(n) for n in RAYS), "unbiased"])
    axes.minorticks_off()
    axes.set_xlabel("auxiliary rays per segment")
    axes.set_ylabel("difference from edge sampling, %")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
