"""What is said of a run at its end: why it ended, which variables nothing has moved, which images got worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..inverse import State
from .config import Job

#: PSNR in dB that a fit may lose before the verdict says so: less is noise of the images that are scored.
LOSS = 0.5


def unmoved(starts: Mapping[str, int], records: Sequence[Mapping[str, Any]]) -> str:
    """Return a sentence on variables that did not move, "" if all did.

    `starts`: by variable, the step from which on it moves; `records`: lines of metrics.jsonl. Variables that least squares
    move have no gradient there, and nothing is said of them.
    """
    norms: dict[str, float] = {}
    for record in records:
        for name, norm in (record.get("gradient") or {}).items():
            norms[name] = max(norms.get(name, 0.0), abs(norm or 0.0))
    still = [repr(name) for name, norm in norms.items() if norm == 0]
    late = [repr(name) for name, start in starts.items() if start >= len(records)]
    text = ""
    if still:
        text = f" {' and '.join(still)} did not move: the gradient was 0 in every step, as it is where no image depends on a value."
    return text + (f" Not begun: {', '.join(late)}, whose start was not reached." if late else "")


def worse(groups: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return a sentence on groups of views ("training", "held-out") whose PSNR fell, "" if none did."""
    found = [
        f"of the {name} images, {group['psnr_init']:.2f} dB before and {group['psnr']:.2f} dB after"
        for name, group in groups.items()
        if group is not None and group["psnr"] < group["psnr_init"] - LOSS
    ]
    what = "; ".join(found)
    return f" The fit made images worse (PSNR {what}): lower lr, or look at the data with `pbdr check`." if found else ""


def stopped(job: Job, state: State, reason: str) -> str:
    """Say why a fit has ended, whose `reason` is that of `inverse.Result`."""
    if reason == "patience":
        return f"It stopped after {state.step} steps: no improvement for {job.stop.patience}."
    if reason == "settled":
        return f"It settled after {state.step} steps: what is left of the gradient is noise, and the last answers were averaged."
    if reason == "max_minutes":
        return f"It stopped after {state.step} steps: {job.stop.max_minutes:g} minutes were over."
    return f"All {state.step} steps were done."
