"""Curves of a report, each over steps and over seconds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ..figures import Series, figure
from ..job.rundir import RunDirectory
from .pictures import per_view, snapshots

#: Key of a record, title, whether the scale is logarithmic.
FURTHER = (("gradient", "Gradient norm", True), ("values", "Estimated values", False), ("lr", "Learning rate", True))

Records = Sequence[Mapping[str, Any]]


def curves(run: RunDirectory, records: Records, loss: str) -> list[str]:
    """SVG figures: loss and PSNR over steps and seconds, gradient norms, values, learning rates; [] before the second step."""
    if len(records) < 2:
        return []
    steps = [r["step"] for r in records]
    seconds = list(itertools.accumulate(float(r.get("seconds") or 0.0) for r in records))
    title = f"Loss: {loss}" if loss else "Loss"
    values = [r.get("loss") for r in records]
    found = [figure(title, [Series("loss", steps, values)], log=True, smooth=True, legend=False)]
    scores = psnr(run, steps[-1])
    at = {0: 0.0, **dict(zip(steps, seconds, strict=True))}
    if seconds[-1] > 0:
        found.append(
            figure(title, [Series("loss", seconds, values)], x_label="seconds", log=True, smooth=True, legend=False)
        )
    for label, place in (("step", {step: float(step) for step in at}), ("seconds", at if seconds[-1] > 0 else {})):
        series = [
            Series(
                f"{name}, {count} views" if count > 1 else f"{name}, 1 view",
                [place[s] for s in own],
                list(own.values()),
                i,
            )
            for i, (name, count, own) in enumerate(scores)
            if place and set(own) <= set(place)
        ]
        if series:
            found.append(
                figure(
                    "PSNR of the images that are kept (dB)", series, x_label=label, log=False, smooth=False, legend=True
                )
            )
    for key, title, log in FURTHER:
        names = sorted({name for r in records for name in r.get(key, {})})
        if names:
            series = [
                Series(name, steps, [r.get(key, {}).get(name) for r in records], i) for i, name in enumerate(names)
            ]
            found.append(figure(title, series, log=log, smooth=key == "gradient", legend=True))
    return found


def psnr(run: RunDirectory, last: int) -> list[tuple[str, int, dict[int, float]]]:
    """(group, number of views, mean PSNR by step) of the views whose images are kept on the way; `last`: steps done at the end."""
    kept = snapshots(run)
    names = set.intersection(*(set(scores) for _, _, scores in kept)) if kept else set()
    rows = [row for row in per_view(run) if row["view"] in names]
    found = []
    for group in ("training", "held-out"):
        own = [row["view"] for row in rows if row["set"] == group]
        if not own:
            continue
        table = {row["view"]: row for row in rows}
        means = {0: _mean([table[view]["psnr_init"] for view in own])}
        means |= {step: _mean([scores[view] for view in own]) for step, _, scores in kept}
        means[last] = _mean([table[view]["psnr"] for view in own])
        found.append((group, len(own), dict(sorted(means.items()))))
    return found


def _mean(values: Sequence[Any]) -> float:
    numbers = [float("inf" if v in (None, "∞") else str(v).replace("−", "-")) for v in values]
    finite = [n for n in numbers if n < float("inf")]
    return sum(finite) / len(finite) if finite else float("nan")
