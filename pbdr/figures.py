"""Curves for the pages, as SVG that stands in the page itself."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

COLORS = ("#1f5fbf", "#c2571a", "#2a8a57", "#8a3fa0", "#6b6b6b", "#b3892b")
DASHES = ("-", "--", ":", "-.")
FAINT = "#808b99"  # of lines that must be seen on light and dark paper
SMOOTHED = 20  # points from which on noisy curves are drawn with their moving average


@dataclass(frozen=True)
class Series:
    """One curve: its name, positions and values (None where there is none), and which of COLORS it has."""

    name: str
    x: Sequence[float]
    y: Sequence[Any]
    color: int = 0


def color_of(number: int) -> str:
    """Colour of the curve with a number, which repeats after six; `figure` changes the dashes then."""
    return COLORS[number % len(COLORS)]


def figure(
    title: str, series: Sequence[Series], *, x_label: str = "step", log: bool, smooth: bool, legend: bool
) -> str:
    """The curves as an SVG element."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    salt = f"{title}, {x_label}"
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif", "font.size": 9}
    ):
        made = Figure(figsize=(4.6, 2.7), layout="constrained")
        axes = made.add_subplot()
        for one in series:
            y = [math.nan if v is None else float(v) for v in one.y]
            style: dict[str, Any] = {"color": color_of(one.color), "linestyle": DASHES[one.color // len(COLORS) % len(DASHES)]}
            if smooth and len(y) >= SMOOTHED:
                axes.plot(one.x, y, color=style["color"], alpha=0.25, linewidth=0.8)
                y = moving_average(y, max(3, len(y) // 25))
            axes.plot(one.x, y, linewidth=1.5, label=one.name, **style)
        if log and any(v is not None and v > 0 for one in series for v in one.y):
            axes.set_yscale("log")
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axes.set_xlabel(x_label)
        axes.grid(True, color=FAINT, linewidth=0.6, alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(FAINT)
        axes.tick_params(which="both", color=FAINT)
        made.patch.set_visible(False)  # pages may be dark
        axes.patch.set_visible(False)
        if legend:
            axes.legend(frameon=False, fontsize=8)
        buffer = io.StringIO()
        made.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def moving_average(values: Sequence[float], width: int) -> list[float]:
    """Mean of the last ``width`` finite values."""
    result = []
    for i in range(len(values)):
        window = [v for v in values[max(0, i - width + 1) : i + 1] if math.isfinite(v)]
        result.append(sum(window) / len(window) if window else math.nan)
    return result
