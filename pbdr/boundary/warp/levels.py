"""The warp without bias: Russian roulette over sets of more and more auxiliary rays (docs/theory.md, section 7, equation 9e)."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

DEEPEST = 10  # levels: the last has 2¹⁰ times as many rays
GROUP = 16  # neighbouring paths that share a level: a packet runs as long as its longest loop
CAPACITY = 64  # faces with edges within reach that a set of rays may find


def drawn(u: Any) -> Any:
    """Level of uniform numbers: k with probability 2⁻ᵏ, 0 beyond the deepest."""
    level = 1 + mi.UInt32(dr.floor(-dr.log2(dr.maximum(u, 1e-7))))
    return dr.select(level > DEEPEST, 0, level)


def stops(level: Any, count: int) -> list[Any]:
    """Number of rays of the two sets whose difference is taken, of which the first has `count`."""
    last = dr.select(level > 0, mi.UInt32(count) << level, count)
    return [dr.maximum(last >> 1, count), last]


def weighed(fewer: tuple[Any, ...], more: tuple[Any, ...], level: Any) -> list[tuple[Any, ...]]:
    """Edges that two successive sets of rays met, with the weights that their difference has in the sum over levels."""
    weight = dr.select(level > 0, mi.Float(mi.UInt32(1) << level), 0)
    same = (fewer[4] == more[4]) & dr.all(fewer[5] == more[5])  # no new face: the sets are the same
    result = []
    for sign, (row1, g1, row2, g2, share, total) in ((-1, fewer), (1, more)):
        w = dr.select(same, 0, sign * weight)  # Eq. (9e)
        result.append((row1, w * g1, row2, w * g2, w * share, w * total))
    return result


def nobody() -> tuple[Any, Any]:
    """Faces met, in local memory, and their number."""
    return dr.alloc_local(mi.UInt32, CAPACITY, value=mi.UInt32(0)), mi.UInt32(0)


def added(known: tuple[Any, Any], face: Any, active: Any) -> tuple[Any, tuple[Any, Any]]:
    """Add faces to those met: (whether they are new, those met)."""
    faces, count = known

    def compare(j: Any, there: Any) -> tuple[Any, Any]:
        return j + 1, there | (faces.read(j) == face)

    start = (mi.UInt32(0), ~active)
    _, there = dr.while_loop(start, lambda j, there: ~there & (j < count), compare, label="pathspace: faces met")
    new = active & ~there & (count < CAPACITY)
    faces.write(face, count, new)
    return new, (faces, count + dr.select(new, mi.UInt32(1), 0))
