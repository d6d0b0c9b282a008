"""Options of `boundary = 'warp'`."""

from __future__ import annotations

from dataclasses import dataclass

from pbdr.errors import OptionError


@dataclass(frozen=True)
class WarpOptions:
    """`rays`: auxiliary rays a segment (even); `concentration` κ: the reach is 1/√κ radians; `exponent` γ of the weights;
    `unbiased`: Russian roulette over more and more rays (9e)."""

    rays: int = 10
    concentration: float = 4e4
    exponent: float = 2.0
    unbiased: bool = False

    def check(self) -> None:
        """Raise OptionError for values out of range."""
        if self.rays < 4 or self.rays % 2:
            raise OptionError(f"pathspace: warp_rays = {self.rays}; give an even number ≥ 4.")
        for name, value, least in (("concentration", self.concentration, 10.0), ("exponent", self.exponent, 1.5)):
            if not (isinstance(value, int | float) and least < value < float("inf")):
                raise OptionError(f"pathspace: warp_{name} = {value!r}; give a number > {least:g}.")

    @property
    def reach(self) -> float:
        """Angle in radians within which rays follow an edge."""
        return float(self.concentration**-0.5)
