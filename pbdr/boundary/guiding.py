"""Guiding of the indirect boundary: where along the edges, and in which directions past them, samples contributed before.

Rows of the edge table follow one another along a Morton curve and are cut into CLUSTERS of equal sampling mass; directions are cut
into bins of equal solid angle. For every pair of the two, a *cell*, a pass adds up what its samples contribute, and the next
passes sample in proportion to the mean, mixed with the density that is used without all this. What a pass samples from depends
on earlier passes only: given those, it has no bias. Two steps (docs/theory.md, section 8): the place of an edge point is drawn
from the clusters, and one of several candidates (of edge points or of directions) by its cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pbdr.aligned import aligned
from pbdr.boundary.edges import EdgeTable
from pbdr.boundary.sampling import MOVING, Discrete

CLUSTERS = 80  # intervals of the sampling mass; edges that move have the first of them, where there are others
ALONG, ABOUT = 4, 8  # bins of a direction's z and of its azimuth
BINS = ALONG * ABOUT
DEFENSIVE = 0.3  # share of the density without guiding
PRIOR = 16.0  # samples that every mean is mixed with: of the cluster for cells, of all clusters for a cluster
KEPT = 0.9  # of what is known, from one pass to the next
TECHNIQUES = ("camera", "edges")
GRID = 1 << 10  # of Morton codes, a side


@dataclass
class Memory:
    """Decayed sums over the samples of earlier passes.

    contributed  (CLUSTERS · BINS,) size of the contributions
    promised     (CLUSTERS · BINS,) what `Place` promised of them, over how much more often than unguided they were drawn
    drawn        (CLUSTERS,) samples that began there, over the same
    number       (1,) of samples
    """

    contributed: Any
    promised: Any
    drawn: Any
    number: Any

    @staticmethod
    def empty() -> Memory:
        """Of no pass."""
        cells = (dr.zeros(mi.Float, CLUSTERS * BINS) for _ in range(2))
        return _evaluated(Memory(*cells, dr.zeros(mi.Float, CLUSTERS), dr.zeros(mi.Float, 1)))

    def decayed(self) -> Memory:
        """What the next pass starts from."""
        return _evaluated(
            Memory(self.contributed * KEPT, self.promised * KEPT, self.drawn * KEPT, self.number * KEPT)
        )


def _evaluated(memory: Memory) -> Memory:
    dr.make_opaque(memory.contributed, memory.promised, memory.drawn, memory.number)
    return memory


@dataclass
class Place:
    """An edge point that was drawn: `u` on the row `index`.

    probability  of the row, per unit of `u`; zero where nothing can be drawn
    unguided     the same without guiding
    cluster      in which it lies
    """

    index: Any
    u: Any
    probability: Any
    unguided: Any
    cluster: Any


@dataclass
class Source:
    """Where edge points are drawn from without guiding: the rows of a table by their mass."""

    rows: Discrete

    @property
    def guided(self) -> bool:
        """Whether anything is known of what edge points contribute."""
        return False

    def place(self, u: Any) -> Place:
        """u in [0, 1) → an edge point."""
        index, probability, rest = self.rows.sample(u)
        return Place(index, rest, probability, probability, mi.UInt32(0))

    def cell(self, cluster: Any, direction: Any) -> Any:
        """Index of the cell of a direction."""
        return mi.UInt32(0)

    def worth(self, cell: Any) -> Any:
        """About what samples of the cell contribute, positive, relative to what is promised of them."""
        return mi.Float(1)

    def lesson(self, cell: Any, promised: Any, first: Any, drawn: Any, count: int) -> Lesson | None:
        """To be told what the samples contribute: the fields of `Lesson`."""
        return None


@dataclass
class Guide(Source):
    """The density of one technique in one pass: what `memory` says, and what it is told by this pass.

    order   (rows,) the table's rows along the curve
    rows    unguided distribution over them
    shares  distribution over the clusters
    worths  (CLUSTERS · BINS,) size of contributions, relative to what is promised, mixed with the unguided density
    """

    order: Any
    shares: Discrete
    worths: Any
    memory: Memory

    @property
    def guided(self) -> bool:
        """Yes."""
        return True

    @staticmethod
    def of(mass: Any, order: Any, moving: Any, memory: Memory) -> Guide:
        """`mass`: unguided sampling mass of the table's rows; `moving`: number of clusters of edges that move."""
        known = _means(memory, moving)
        share, worths = (DEFENSIVE + (1 - DEFENSIVE) * x for x in known)
        dr.make_opaque(share, worths)
        return Guide(Discrete.of(dr.gather(mi.Float, mass, order)), order, Discrete.of(share), worths, memory)

    def place(self, u: Any) -> Place:
        """u in [0, 1) → an edge point."""
        cluster, probability, rest = self.shares.sample(u)
        double = dr.float64_array_t(mi.Float)
        at, unguided, rest = self.rows.sample((double(cluster) + double(rest)) * (1 / CLUSTERS))
        probability *= CLUSTERS * unguided
        return Place(dr.gather(mi.UInt32, self.order, at), rest, probability, unguided, cluster)

    def cell(self, cluster: Any, direction: Any) -> Any:
        """Index of the cell of a direction."""
        azimuth = dr.atan2(direction.y, direction.x) * dr.inv_two_pi + 0.5
        bin_of = lambda x, n: mi.UInt32(dr.clip(x * n, 0, n - 1))  # noqa: E731
        return (cluster * BINS) + bin_of(0.5 + 0.5 * direction.z, ALONG) * ABOUT + bin_of(azimuth, ABOUT)

    def worth(self, cell: Any) -> Any:
        """About what samples of the cell contribute, positive, relative to what is promised of them."""
        return dr.gather(mi.Float, self.worths, cell)

    def lesson(self, cell: Any, promised: Any, first: Any, drawn: Any, count: int) -> Lesson | None:
        """To be told what the samples contribute: the fields of `Lesson`."""
        return Lesson(self.memory, cell, promised, first, drawn, count)


def _means(memory: Memory, moving: Any) -> tuple[Any, Any]:
    """What is known of clusters and of cells, relative to the mean of the edges that move, or of those that rest."""
    cluster = dr.arange(mi.UInt32, CLUSTERS)
    moves = cluster < moving
    contributed, promised = (dr.block_sum(x, BINS) for x in (memory.contributed, memory.promised))
    dr.eval(contributed, promised)
    drawn = memory.drawn

    def mean(above: Any, below: Any) -> Any:
        """Of all clusters of the same kind."""
        found = [_ratio(dr.sum(dr.select(own, above, 0)), dr.sum(dr.select(own, below, 0))) for own in (moves, ~moves)]
        return dr.select(moves, found[0], found[1])

    # A prior's samples, in the units of what is summed.
    typical = PRIOR * _ratio(dr.sum(promised), memory.number)
    by_drawn, by_promised = mean(contributed, drawn), mean(contributed, promised)
    share = (contributed + PRIOR * by_drawn) / (drawn + PRIOR)
    of_cluster = _mixed(contributed, promised, by_promised, typical)
    dr.eval(share, of_cluster, by_drawn, by_promised)
    own = dr.arange(mi.UInt32, CLUSTERS * BINS) // BINS
    of_cell = _mixed(memory.contributed, memory.promised, dr.gather(mi.Float, of_cluster, own), typical)
    whole = dr.gather(mi.Float, by_promised, own)
    return dr.select(by_drawn > 0, share / by_drawn, 1), dr.select(whole > 0, of_cell / whole, 1)


def _ratio(above: Any, below: Any) -> Any:
    return dr.select(below > 0, above / below, 0)


def _mixed(contributed: Any, promised: Any, mean: Any, prior: Any) -> Any:
    return _ratio(contributed + prior * mean, promised + prior)


@dataclass
class Lesson:
    """What a guide has to know of the samples it drew.

    cell      of the sample
    promised  what was promised of it, over how much more often than unguided it was drawn
    first     cluster that its first edge point lay in; `drawn`: one, over how much more often that was drawn
    count     of samples: contributions are divided by it
    """

    memory: Memory
    cell: Any
    promised: Any
    first: Any
    drawn: Any
    count: int

    def learn(self, size: Any) -> None:
        """Remember the samples' contributions; lanes that are not active have size 0."""
        memory = self.memory
        dr.scatter_add(memory.contributed, dr.select(dr.isfinite(size), size * self.count, 0), self.cell)
        dr.scatter_add(memory.promised, self.promised, self.cell)
        dr.scatter_add(memory.drawn, self.drawn, self.first)
        dr.scatter_add(memory.number, mi.Float(1), dr.zeros(mi.UInt32, self.count))


@dataclass
class State:
    """What is kept between calls, as long as the edges and what moves stay the same.

    key     tells whether they do
    order   (rows,) the table's rows along the Morton curve
    moving  number of clusters of edges that move, on the device
    """

    key: Any = None
    order: Any = None
    moving: Any = None
    memories: dict[str, Memory] = field(default_factory=dict)

    def fit(self, table: EdgeTable, key: Any) -> None:
        """Forget everything if it belongs to other edges; looks at them on the host then."""
        if self.key == key and dr.width(self.order) == table.count:
            return
        self.key = key
        order, moving = _order(table)
        self.order, self.moving = mi.UInt32(aligned(order, np.uint32)), dr.opaque(mi.UInt32, moving)
        self.memories = {name: Memory.empty() for name in TECHNIQUES}

    def next(self) -> dict[str, Memory]:
        """The memories for the next pass, which will add to them."""
        self.memories = {name: memory.decayed() for name, memory in self.memories.items()}
        return self.memories


def _order(table: EdgeTable) -> tuple[Any, int]:
    """Rows along a Morton curve, those that move first; number of clusters of these."""
    half = 0.5 * dr.select(table.segment, mi.Float(1), 0)
    middle = np.array(table.a + half * table.b, dtype=np.float64).T
    moves = np.broadcast_to(np.array(table.moving), (table.count,))
    low = middle.min(0)
    extent = float((middle.max(0) - low).max()) or 1.0
    cells = np.clip((middle - low) / extent * GRID, 0, GRID - 1).astype(np.uint64)
    code = np.zeros(table.count, np.uint64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cells[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    both = bool(moves.any() and not moves.all())
    return np.lexsort((code, ~moves)), round(MOVING * CLUSTERS) if both else CLUSTERS
