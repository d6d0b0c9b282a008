"""Adam with one second moment for a whole tensor (Nicolet, Jacobson & Jakob 2021, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import drjit as dr

from pbdr.inverse.optimisers.adam import Adam


@dataclass(frozen=True)
class AdamUniform(Adam):
    """As `adam`, but all entries of a tensor are divided by the largest second moment: the entry that is pulled most moves by about
    the learning rate, and the direction of the gradient stays. Positions that noise alone pulls at hardly move.
    """

    name: ClassVar[str] = "adam_uniform"

    def spread(self, second: Any) -> Any:
        return dr.max(second, axis=None)
