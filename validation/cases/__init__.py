"""The matrix: every kind of scene and parameter that is supported, and what is refused; `python -m benchmarks matrix` measures it.

Each module has the cases of one kind of thing. Importing the package activates a variant of Mitsuba.
"""

from __future__ import annotations

from validation.cases import (
    cameras,
    channels,
    curves,
    difficult,
    grids,
    indirect,
    lights,
    materials,
    media,
    mirrors,
    refused,
    shapes,
)  # fmt: skip
from validation.cases.case import FEATURES, KINDS, Case, along, one

__all__ = ["CASES", "FEATURES", "KINDS", "Case", "along", "one"]

#: In this order: of several cases of one feature and kind, the first one stands for all of them where time is short.
PARTS = (shapes, lights, cameras, channels, materials, mirrors, indirect, curves, grids, media, refused, difficult)
CASES: dict[str, Case] = {name: case for part in PARTS for name, case in part.CASES.items()}
assert len(CASES) == sum(len(part.CASES) for part in PARTS), "two cases have the same name"
