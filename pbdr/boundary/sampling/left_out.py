"""What sampling leaves out because it is too rare or too much: counted while it happens, and told once."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from pbdr.transport.support import incomplete

TOLD = 0.002  # share from which it is told; as much as chains of mirrors leave out (chains.py)
IMAGES, FACES = 0, 1  # what is counted


class Counts:
    """Sums on the device, of what is left out and of everything. Not a dataclass: Dr.Jit must not take it for loop state.

    Calls that are recorded and replayed are not counted: a replay knows no arrays but those it was recorded with.
    """

    def __init__(self, recorded: bool = False) -> None:
        self.recorded = recorded
        self.sums: Any = None
        self.told: set[int] = set()

    def add(self, kind: int, lost: Any, everything: Any, active: Any) -> None:
        """Add the numbers of some lanes."""
        if self.recorded:
            return
        if self.sums is None:
            self.sums = dr.zeros(mi.UInt32, 4)
        for place, value in ((2 * kind, lost), (2 * kind + 1, everything)):
            dr.scatter_add(self.sums, mi.UInt32(value), mi.UInt32(place), active)

    def images(self, found: Any, trials: Any, most: int) -> Any:
        """Images of points in mirrors and glass, each for as many as the trials until it is found again; which of them to keep.

        After `most` trials an image is left out. It stands for at least as many, so that the share is a lower bound.
        """
        kept = trials < most
        self.add(IMAGES, dr.select(kept, 0, trials), trials, found)
        return kept

    def faces(self, full: Any, active: Any) -> None:
        """Sets of auxiliary rays, and whether one has met as many faces as it can tell apart."""
        self.add(FACES, dr.select(full, mi.UInt32(1), 0), mi.UInt32(1), active)

    def shares(self) -> dict[int, tuple[int, float]]:
        """By kind: how much was left out since the last time, and which share of everything that is."""
        if self.sums is None:
            return {}
        sums = [int(x) for x in self.sums]
        self.sums = None
        return {kind: (sums[2 * kind], sums[2 * kind] / max(sums[2 * kind + 1], 1)) for kind in (IMAGES, FACES)}

    def tell(self) -> None:
        """Warn, once for each kind, where more than `TOLD` was left out. Waits for the device."""
        for kind, (count, share) in self.shares().items():
            if share > TOLD and kind not in self.told:
                self.told.add(kind)
                incomplete(WORDS[kind].format(count=count, share=share))


WORDS = {
    IMAGES: "{share:.1%} or more of what edges contribute by way of mirrors and glass is left out: their images are so small, or "
    "so hard to find, that less than one search in a thousand ends there.",
    FACES: "{count} sets of auxiliary rays, {share:.1%} of all, met more faces than they can tell apart: the warp is biased there. "
    "Use fewer warp_rays, a larger warp_concentration, or boundary='edge'.",
}
