"""Guiding of samples that go from edges outwards: where along the edges, and in which directions, earlier ones contributed.

Rows of the edge table follow one another along a Morton curve and are cut into CLUSTERS of equal sampling mass; directions are cut
into bins of equal solid angle. For every pair of the two, a *cell*, a pass adds up what its samples contribute, and the next
passes sample in proportion to the mean, mixed with the density that is used without all this. What a pass samples from depends
on earlier passes only: given those, it has no bias. Two steps (docs/theory.md, section 8): the edge point is drawn by its
cluster, and of several directions one is chosen by its cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned, on_device
from pbdr.boundary.sampling.masses import MOVING
from pbdr.discrete import Discrete
from pbdr.geometry.edges import EdgeTable

CLUSTERS = 80  # intervals of the sampling mass; edges that move have the first of them, where there are others
ALONG, ABOUT = 4, 8  # bins of a direction's z and of its azimuth
BINS = ALONG * ABOUT
DEFENSIVE = 0.3  # share of the density without guiding
PRIOR = 16.0  # samples that every mean is mixed with: of the cluster for cells, of all clusters for a cluster
KEPT = 0.9  # of what is known, from one pass to the next
BITS = 10  # of Morton codes, an axis
RESTORED = "restored"  # in place of a key: whether the edges are the same ones was known in another process


@dataclass
class Memory:
    """Decayed sums over the samples of earlier passes. Their weight: over how much more often than unguided they were drawn.

    contributed  (CLUSTERS · BINS,) size of the contributions
    counted      (CLUSTERS · BINS,) weight of the samples in whose directions radiance can jump
    drawn        (CLUSTERS,) weight of all samples, as edge points
    number       (1,) of samples
    """

    contributed: Any
    counted: Any
    drawn: Any
    number: Any

    @staticmethod
    def empty() -> Memory:
        """Of no pass."""
        contributed, counted = (dr.zeros(mi.Float, CLUSTERS * BINS) for _ in range(2))
        return Memory(contributed, counted, dr.zeros(mi.Float, CLUSTERS), dr.zeros(mi.Float, 1)).decayed()

    def decayed(self) -> Memory:
        """What the next pass starts from."""
        kept = [x * KEPT for x in (self.contributed, self.counted, self.drawn, self.number)]
        dr.make_opaque(kept)  # else the first pass had kernels of its own
        return Memory(*kept)


@dataclass
class Place:
    """An edge point that was drawn: `u` on the row `index`.

    probability  of the row; zero where nothing can be drawn
    weight       unguided probability over that
    cluster      in which it lies
    """

    index: Any
    u: Any
    probability: Any
    weight: Any
    cluster: Any


@dataclass
class Source:
    """Where edge points are drawn from without guiding: the rows of a table by their mass."""

    rows: Discrete

    def place(self, u: Any) -> Place:
        """u in [0, 1) → an edge point."""
        index, probability, rest = self.rows.sample(u)
        return Place(index, rest, probability, mi.Float(1), mi.UInt32(0))


@dataclass
class Guide(Source):
    """The density in one pass, made of what is remembered, and what remembers this pass.

    order   (rows,) the table's rows along the curve, which `rows` follow
    shares  distribution over the clusters
    worths  (CLUSTERS · BINS,) mean contributions, relative to that of all cells, mixed with the unguided density
    """

    order: Any
    shares: Discrete
    worths: Any
    memory: Memory

    def place(self, u: Any) -> Place:
        """u in [0, 1) → an edge point."""
        cluster, probability, rest = self.shares.sample(u)
        double = dr.float64_array_t(mi.Float)
        at, unguided, rest = self.rows.sample((double(cluster) + double(rest)) * (1 / CLUSTERS))
        often = probability * CLUSTERS
        return Place(dr.gather(mi.UInt32, self.order, at), rest, often * unguided, dr.rcp(often), cluster)

    def cell(self, cluster: Any, direction: Any) -> Any:
        """Index of the cell of a direction."""
        azimuth = dr.atan2(direction.y, direction.x) * dr.inv_two_pi + 0.5
        bin_of = lambda x, n: mi.UInt32(dr.clip(x * n, 0, n - 1))  # noqa: E731
        return cluster * BINS + bin_of(0.5 + 0.5 * direction.z, ALONG) * ABOUT + bin_of(azimuth, ABOUT)

    def worth(self, cell: Any) -> Any:
        """About what samples of the cell contribute, relative to all others; positive."""
        return dr.gather(mi.Float, self.worths, cell)

    def lesson(self, cell: Any, counted: Any, at: Place, count: int) -> Lesson:
        """To be told what the samples contribute; arguments as the fields of `Lesson`."""
        return Lesson(self.memory, cell, counted, at, count)


@dataclass
class Lesson:
    """What has to be remembered of samples as they are drawn.

    cell     of the direction
    counted  weight of the sample, zero where radiance cannot jump
    at       the edge point
    count    of samples: their contributions are divided by it
    """

    memory: Memory
    cell: Any
    counted: Any
    at: Place
    count: int

    def learn(self, size: Any) -> None:
        """Remember the samples with the `size` of their contributions, zero on lanes that are not active."""
        memory, possible = self.memory, self.at.probability > 0
        dr.scatter_add(memory.contributed, dr.select(dr.isfinite(size), size * self.count, 0), self.cell, possible)
        dr.scatter_add(memory.counted, self.counted, self.cell, possible)
        dr.scatter_add(memory.drawn, self.at.weight, self.at.cluster, possible)
        dr.scatter_add(memory.number, mi.Float(1), dr.zeros(mi.UInt32, self.count))


@dataclass
class State:
    """What is kept between calls, as long as the edges and what moves stay the same.

    key     tells whether they do
    order   (rows,) the table's rows along the Morton curve
    moving  (1,) number of clusters of edges that move
    """

    key: Any = None
    order: Any = None
    moving: Any = None
    memory: Memory | None = None

    def begin(self, table: EdgeTable, key: Any) -> None:
        """Get ready for a pass, which will add to the memory. Forget everything that belongs to other edges."""
        same = self.key is not None and self.key in (key, RESTORED) and dr.width(self.order) == table.count
        self.key = key
        if not same or self.memory is None:
            order, moving = _order(table)
            self.order = on_device(mi.UInt32(aligned(order, np.uint32)))
            self.moving = dr.opaque(mi.UInt32, moving)
            dr.eval(self.order)
            self.memory = Memory.empty()
        self.memory = self.memory.decayed()

    def kept(self) -> dict[str, Any]:
        """Device arrays that `restore` takes; later passes do not change them."""
        if self.memory is None:
            return {}
        return {"order": self.order, "moving": self.moving, **vars(self.memory)}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on from what `kept` gave, of this process or another one; nothing: from the start."""
        if not arrays:
            self.key = self.order = self.moving = self.memory = None
            return
        numbers = {name: mi.UInt32(arrays[name]) for name in ("order", "moving")}
        if self.order is None or self.order.index != numbers["order"].index:
            self.key = RESTORED
        self.order, self.moving = numbers["order"], numbers["moving"]
        self.memory = Memory(*(mi.Float(arrays[name]) for name in Memory.__dataclass_fields__))


def source(mass: Any, learned: State | None) -> Source:
    """Where to draw edge points from; `mass`: of the table's rows without guiding. `learned`: None without guiding."""
    if learned is None or learned.memory is None:
        return Source(Discrete.of(mass))
    share, worths = (DEFENSIVE + (1 - DEFENSIVE) * x for x in _relative(learned.memory, learned.moving))
    dr.make_opaque(share, worths)
    rows = Discrete.of(dr.gather(mi.Float, mass, learned.order))
    return Guide(rows, learned.order, Discrete.of(share), worths, learned.memory)


def _relative(memory: Memory, moving: Any) -> tuple[Any, Any]:
    """Mean contributions of clusters (CLUSTERS,) and of cells (CLUSTERS · BINS,).

    Relative to the mean of all edges that move, or of all that rest: how many samples either kind gets is not learned, since
    contributions of edges at rest are known up to the speed of the segment only.
    """
    moves = dr.arange(mi.UInt32, CLUSTERS) < moving
    contributed, counted = (dr.block_sum(x, BINS) for x in (memory.contributed, memory.counted))
    dr.eval(contributed, counted)

    def mean(below: Any) -> Any:
        """Of all clusters of the same kind."""
        sums = [(dr.sum(dr.select(own, contributed, 0)), dr.sum(dr.select(own, below, 0))) for own in (moves, ~moves)]
        return dr.select(moves, _ratio(*sums[0]), _ratio(*sums[1]))

    by_drawn, by_counted = mean(memory.drawn), mean(counted)
    prior = PRIOR * _ratio(dr.sum(counted), memory.number)  # as many samples count, of PRIOR
    of_cluster = _ratio(contributed + prior * by_counted, counted + prior)
    share = (contributed + PRIOR * by_drawn) / (memory.drawn + PRIOR)
    dr.eval(of_cluster, by_counted)
    own = dr.arange(mi.UInt32, CLUSTERS * BINS) // BINS
    inner, whole = (dr.gather(mi.Float, x, own) for x in (of_cluster, by_counted))
    of_cell = _ratio(memory.contributed + prior * inner, memory.counted + prior)
    return dr.select(by_drawn > 0, share / by_drawn, 1), dr.select(whole > 0, of_cell / whole, 1)


def _ratio(above: Any, below: Any) -> Any:
    return dr.select(below > 0, above / below, 0)


def _order(table: EdgeTable) -> tuple[Any, int]:
    """Rows along a Morton curve, those that move first; number of clusters of these."""
    middle = np.array(table.a + 0.5 * dr.select(table.having("straight"), table.b, 0), dtype=np.float64).T
    moves = np.broadcast_to(np.array(table.moving), table.count)
    low = middle.min(0)
    extent = float((middle.max(0) - low).max()) or 1.0
    cells = np.clip((middle - low) / extent * 2**BITS, 0, 2**BITS - 1).astype(np.int64)
    code = sum(((cells[:, axis] >> bit) & 1) << (3 * bit + axis) for bit in range(BITS) for axis in range(3))
    both = bool(moves.any() and not moves.all())
    return np.lexsort((code, ~moves)), round(MOVING * CLUSTERS) if both else CLUSTERS
