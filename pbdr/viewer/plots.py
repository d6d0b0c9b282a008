"""Curves of a run, and its numbers with their error bars."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..figures import color_of
from ..page import number
from .files import Files, Value

POINTS = 2000  # of a curve, at most


class PlotPanel:
    """A tab with the curve of the loss, curves of values, and a table of values."""

    def __init__(self, gui: Any, tab: Any, loss: str) -> None:
        self.gui, self.tab, self.loss = gui, tab, loss
        self.curves: dict[str, Any] = {}
        with tab:
            self.table = gui.add_html(table([]), order=1e9)  # below the curves, which come later

    def show(self, files: Files) -> None:
        """Draw what the files tell."""
        records = files.records[:: max(1, math.ceil(len(files.records) / POINTS))]
        if len(records) > 1:
            steps = np.array([r["step"] for r in records], dtype=float)
            loss = np.array([_real(r.get("loss")) for r in records])
            self._curve("loss", f"Loss ({self.loss})", steps, {"loss": loss}, log=bool(np.nanmin(loss) > 0))
            names = sorted({name for r in records for name in r.get("values") or {}})[:6]
            if names:
                series = {n: np.array([_real((r.get("values") or {}).get(n)) for r in records]) for n in names}
                self._curve("values", "Values", steps, series, log=False)
        self.table.content = table(files.values())

    def _curve(self, key: str, title: str, x: Any, series: Mapping[str, Any], log: bool) -> None:
        from viser import uplot

        data = (x, *series.values())
        if key in self.curves and len(self.curves[key].data) == len(data):
            self.curves[key].data = data
            return
        if key in self.curves:
            self.curves.pop(key).remove()
        lines = [uplot.Series(label="step")]
        lines += [uplot.Series(label=name, stroke=color_of(i), width=2) for i, name in enumerate(series)]
        scales = {"x": uplot.Scale(time=False), "y": uplot.Scale(distr=3 if log else 1)}
        with self.tab:
            self.curves[key] = self.gui.add_uplot(data, tuple(lines), title=title, aspect=1.6, scales=scales)


def table(values: Sequence[Value]) -> str:
    """The numbers as HTML."""
    rows = ""
    for one in values:
        bar = "" if one.sd is None else f"± {number(one.sd, 2)}"
        interval = "" if one.interval is None else " to ".join(number(x, 3) for x in one.interval)
        rows += (
            f"<tr><td>{html.escape(one.name)}</td><td>{number(one.value)}</td><td>{bar}</td><td>{interval}</td></tr>"
        )
    if not rows:
        return '<div class="pbdr-values" style="padding:0.5em">No single numbers are estimated.</div>'
    head = "<tr><th>Value</th><th>Estimate</th><th>Standard deviation</th><th>95 % interval</th></tr>"
    style = "width:100%;font-size:0.8em;text-align:left;border-spacing:0.4em 0.2em"
    return f'<div class="pbdr-values" style="padding:0.5em"><table style="{style}">{head}{rows}</table></div>'


def _real(value: Any) -> float:
    return math.nan if value is None else float(value)
