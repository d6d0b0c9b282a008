"""What a term of the boundary integral must answer; `boundary/terms.py` lists them.

A term samples one kind of discontinuity from one side: edges on the film, shadows, horizons of normals, … Its samples add to one of
three parts of a gradient, `primary`, `direct` and `indirect`, whose budget it shares with others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

from pbdr.boundary.context import Context
from pbdr.boundary.sample import Sample
from pbdr.transport.features import Features

SAMPLE = 16  # bytes of a sample, above what was measured (docs/explanation/performance.md): its path lives in registers


class Term(ABC):
    """One class a term.

    part         of the gradient that it belongs to
    divisor      it takes this fraction of the part's budget: 2 for a half
    memory       bytes a sample
    needs_table  it samples edges, or belongs to scenes in which edges are seen to move
    knows_fog    it is right where a medium is around (transport/media/fog.py)
    """

    part: ClassVar[str]
    divisor: ClassVar[int] = 1
    memory: ClassVar[int] = SAMPLE
    needs_table: ClassVar[bool] = True
    knows_fog: ClassVar[bool] = False

    @abstractmethod
    def applies(self, features: Features, max_depth: int) -> bool:
        """Whether scenes with these features, and paths that long, can have such discontinuities."""

    @abstractmethod
    def draw(self, context: Context, count: int) -> Iterator[Sample]:
        """Draw `count` samples, in one or more sets; none where there is nothing to sample after all."""

    def count(self, budgets: Mapping[str, int]) -> int:
        """Number of its samples, for the budgets of all parts; 0 switches a part off."""
        return max(budgets[self.part] // self.divisor, 1) if budgets[self.part] else 0
