"""What `python -m benchmarks bias` shows: the table and the plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .harness import table

#: Why a derivative is 0, of renderers that do not see what moves.
BLIND = {"shadow": "0 (does not render shadows)"}
NOTHING = 1e-9  # of the reference
WRONG = 0.05  # of it: what points the other way is called wrong from here on


def cell(case: str, record: Mapping[str, Any] | None) -> str:
    """Bias and its standard error, or why there is no gradient."""
    if record is None:
        return ""
    if "refused" in record:
        return "refused"
    if abs(record["mean"]) <= NOTHING * abs(record["reference"]):
        blind = record["replicas"] == 1
        return BLIND.get(case, "0 (no gradient)") if blind else "0 (no gradient)"
    error = f" ± {100 * record['bias_error']:.1f}" if record["replicas"] > 1 else ""
    sign = " (wrong sign)" if record["bias"] < -1 - WRONG else ""
    return f"{100 * record['bias']:+.1f}{error} %{sign}"


def methods(data: Mapping[str, Any]) -> list[str]:
    """All renderers, in the order in which they were run."""
    return list(dict.fromkeys(method for case in data["cases"].values() for method in case))


def markdown(data: Mapping[str, Any]) -> str:
    """Table, plot, sweep."""
    cases = data["cases"]
    rows = [[method, *(cell(name, case.get(method)) for name, case in cases.items())] for method in methods(data)]
    exact = [f"{case['difference sampling']['reference']:.4g}" for case in cases.values()]
    sweep = [[f"{one['sigma']:g}", f"{100 * one['bias']:+.1f} %"] for one in data["sweep"]]
    size, raster = data["size"], data["raster"]
    return "\n\n".join(
        [
            f"Bias of the derivative, in per cent of the exact one, with its standard error. Integrators have {size}² pixels, "
            f"rasterisers {raster}²; these are deterministic. Empty: the renderer has no such image.",
            table(["renderer", *cases], [["exact derivative", *exact], *rows]),
            "Neural 3D Mesh Renderer has a gradient for one adjoint image only, and leaves out what the loss does not want: its "
            "size means nothing. Rasterisers look at the middle of pixels: some of the bias of sharp silhouettes is that.",
            "![biases](bias.png)",
            "Refused: " + ("; ".join(refusals(cases)) or "nothing."),
            f"Soft silhouettes by σ ({raster}² pixels):",
            table(["σ", "bias"], sweep),
        ]
    )


def refusals(cases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was refused, and why."""
    found = [(name, method, record) for name, case in cases.items() for method, record in case.items()]
    return [f"{method}, {name}: {record['refused']}" for name, method, record in found if "refused" in record]


def draw(data: Mapping[str, Any], path: Path) -> None:
    """Biases as bars, one panel a case; those beyond the panel are cut and named."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    cases, names, limit = data["cases"], methods(data), 1.2
    figure = Figure(figsize=(3.0 * len(cases) + 3.2, 0.34 * len(names) + 1.2), layout="constrained", dpi=90)
    panels = figure.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    for axes, (name, case) in zip(panels, cases.items(), strict=True):
        for row, method in enumerate(names):
            if "bias" not in case.get(method, {}):
                continue
            bias, error = case[method]["bias"], 2 * case[method]["bias_error"]
            shown = max(-limit, min(limit, bias))
            colour = "#1f5fbf" if method.startswith(("pathspace", "finite")) else "#b5651d"
            axes.barh(row, shown, xerr=error if abs(bias) < limit else None, color=colour, height=0.7)
            if abs(bias) >= limit:
                axes.text(shown * 0.98, row, f"{100 * bias:+.0f} %", va="center", ha="right" if bias > 0 else "left",
                          color="white", fontsize=7)  # fmt: skip
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_xlim(-limit, limit)
        axes.set_xticks([-1, 0, 1], ["−100 %", "0", "+100 %"])
        axes.set_title(name, fontsize=10)
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    panels[0].invert_yaxis()
    figure.suptitle("bias of the derivative (± 2 standard errors)", fontsize=10)
    figure.savefig(path, format="png", metadata={"Software": None})
