"""What a verification found, as Python and as JSON hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbdr.verify.decision import AGREES, UNDECIDED, WRONG

Array = NDArray[np.float64]


@dataclass
class Estimate:
    """An estimator of the aligned functional: mean ± standard error, and what a replica costs.

    variance  of one replica; `seconds` of one; efficiency = 1 / (variance · seconds), larger is better
    """

    name: str
    mean: float
    error: float
    variance: float
    seconds: float
    replicas: int
    spp: int

    @property
    def efficiency(self) -> float:
        """1 / (variance · seconds)."""
        cost = self.variance * self.seconds
        return 1 / cost if cost > 0 else float("inf")

    @classmethod
    def of(cls, name: str, values: Array, seconds: float, spp: int) -> Estimate:
        """From replicas (N,)."""
        variance = float(values.var(ddof=1)) if len(values) > 1 else float("nan")
        return cls(name, float(values.mean()), (variance / len(values)) ** 0.5, variance, seconds, len(values), spp)


@dataclass
class Step:
    """Finite differences of the pilot at one step: mean ± standard error of the aligned functional."""

    step: float
    mean: float
    error: float
    used: bool = False


@dataclass
class Along:
    """Everything found along one direction. Images are (H, W, C) means over replicas.

    smooth    the smooth functional: estimator, reference and the standard error of their difference
    largest   of the block differences: row, column, difference and its standard error, relative to the scale
    reverse   |forward − reverse| on one seed, relative to the derivative image without cancellation; None: not measured
    side      0 for central differences; 1 or -1 for one-sided ones, where values lie at an end of their range
    other     the other estimator of the boundary, warp for edge: {"status": "compared" | "refused" | "not tried", …}
    """

    name: str
    verdict: str
    text: str
    bias: float
    bias_error: float
    scale: float
    ours: Estimate
    reference: Estimate
    terms: list[Estimate]
    terms_of: str
    steps: list[Step]
    plateau: bool
    smooth: tuple[float, float, float]
    largest: tuple[int, int, float, float]
    p_blocks: float
    p_chi: float
    heavy: bool
    needed: float
    truncation: float
    reverse: float | None
    reverse_agrees: bool | None
    other: dict[str, Any]
    images: dict[str, Array] = field(default_factory=dict, repr=False)
    blocks: dict[str, Array] = field(default_factory=dict, repr=False)
    side: int = 0


@dataclass
class Verification:
    """The result of `pbdr.verify`: `verdict` is agrees, wrong or undecided; `text` says why; `along` holds each direction."""

    scene: str
    parameter: str
    integrator: dict[str, Any]
    primal: dict[str, Any]
    resolution: tuple[int, int]
    tolerance: float
    budget: float
    seconds: float
    seed: int
    along: list[Along]

    @property
    def verdict(self) -> str:
        """Wrong if any direction is, agrees if all do."""
        found = {one.verdict for one in self.along}
        return WRONG if WRONG in found else UNDECIDED if UNDECIDED in found else AGREES

    @property
    def text(self) -> str:
        """The words of the direction that decides; the worst one."""
        chosen = [one for one in self.along if one.verdict == self.verdict]
        worst = max(chosen, key=lambda one: abs(one.bias))
        if self.verdict == UNDECIDED:
            worst = max(chosen, key=lambda one: one.needed)
        return worst.text if len(self.along) == 1 else f"along {worst.name}: {worst.text}"

    @property
    def ok(self) -> bool:
        """True only if the gradient agrees along every direction."""
        return self.verdict == AGREES

    def to_dict(self) -> dict[str, Any]:
        """For JSON: everything but the images."""
        keep = {k: v for k, v in vars(self).items() if k != "along"}
        return {**keep, "verdict": self.verdict, "text": self.text, "along": [_plain(one) for one in self.along]}


def _plain(one: Along) -> dict[str, Any]:
    record = {
        k: v for k, v in vars(one).items() if k not in ("images", "blocks", "ours", "reference", "terms", "steps")
    }
    record |= {k: _estimate(getattr(one, k)) for k in ("ours", "reference")}
    record["terms"] = [_estimate(term) for term in one.terms]
    record["steps"] = [vars(step) for step in one.steps]
    record["blocks"] = {k: v.tolist() for k, v in one.blocks.items()}
    return record


def _estimate(one: Estimate) -> dict[str, Any]:
    return {**vars(one), "efficiency": one.efficiency}
