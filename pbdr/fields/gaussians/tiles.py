"""Which splats may be seen in which tile of a film, front to back: made on the host, by sorting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """Films of width × height pixels in square tiles of `side` pixels; lanes count pixels tile by tile, and film by film.

    Lanes beyond the border of a film belong to no pixel.
    """

    width: int
    height: int
    films: int
    side: int

    @property
    def across(self) -> int:
        """Tiles in a row."""
        return -(-self.width // self.side)

    @property
    def tiles(self) -> int:
        """Tiles of a film."""
        return self.across * -(-self.height // self.side)

    @property
    def lanes(self) -> int:
        """Lanes of all films."""
        return self.films * self.tiles * self.side**2

    def lane_of_pixels(self) -> NDArray[np.uint32]:
        """(films · height · width,) lane of every pixel, row by row."""
        y, x = np.divmod(np.arange(self.width * self.height), self.width)
        tile = (y // self.side) * self.across + x // self.side
        lane = tile * self.side**2 + (y % self.side) * self.side + x % self.side
        films = np.arange(self.films)[:, None] * self.tiles * self.side**2
        return np.asarray((films + lane).ravel(), dtype=np.uint32)


@dataclass(frozen=True)
class Lists:
    """Splats of all tiles: those of tile t are splats[starts[t] : starts[t + 1]], the nearest first."""

    starts: NDArray[np.uint32]
    splats: NDArray[np.uint32]


def sort(grid: Grid, x: Floats, y: Floats, reach: tuple[Floats, Floats], depth: Floats) -> Lists:
    """Lists of the splats, whose arrays (films · N,) are in pixels, that reach into the tiles of their film.

    Splats that are equally far keep their order, and those with a reach of 0, or that are not finite, are in no list.
    """
    side, down = grid.side, grid.tiles // grid.across
    with np.errstate(invalid="ignore"):
        seen = np.flatnonzero((reach[0] > 0) & np.isfinite(x + y + reach[0] + reach[1] + depth))
    order = seen[np.argsort(depth[seen], kind="stable")]
    (left, right), (top, bottom) = (
        _span(at[order], half[order], side, most)
        for at, half, most in ((x, reach[0], grid.across), (y, reach[1], down))
    )
    wide = right - left
    counts = wide * (bottom - top)
    which = np.repeat(np.arange(len(order)), counts)
    local = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, column = np.divmod(local, np.maximum(wide, 1)[which])
    film = order // max(len(x) // grid.films, 1)
    tile = (film[which] * down + top[which] + row) * grid.across + left[which] + column
    total = grid.films * grid.tiles
    small = tile.astype(np.uint16) if total < 2**16 else tile  # sorted by radix
    chosen = order[which[np.argsort(small, kind="stable")]]
    starts = np.concatenate([[0], np.cumsum(np.bincount(tile, minlength=total))])
    return Lists(starts.astype(np.uint32), chosen.astype(np.uint32))


def _span(centre: Floats, half: Floats, side: int, most: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """First tile, and the one behind the last, along an axis with `most` tiles."""
    first = np.floor((centre - half) / side)
    last = np.floor((centre + half) / side) + 1
    low, high = (np.clip(value, 0, most).astype(np.int64) for value in (first, last))
    return low, np.maximum(high, low)
